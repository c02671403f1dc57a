"""What the columns say of every sample is what the plain way says of it, one sample after the other."""

from __future__ import annotations

import contextlib
import gzip
import random
from pathlib import Path

import pytest

from mapscope.binary.executable import Executable
from mapscope.errors import MapscopeError
from mapscope.profiles.classify import Classified, classify
from mapscope.profiles.fetch import parse
from mapscope.profiles.indicators import chained
from mapscope.profiles.loading import open_symbols
from mapscope.profiles.protobuf import read_protobuf, write_protobuf
from mapscope.profiles.restore import restored
from mapscope.profiles.symbols import Symbols
from mapscope.profiles.waiting import by_place
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant
from tests.unit.kernels.pprofs import Profile as Message
from tests.unit.profiles import simple

NAMES = (
    *("runtime.mallocgc", "runtime.newobject", "runtime.makeslice", "runtime.growslice", "runtime.hashGrow"),
    *("runtime.mapassign", "runtime.mapassign_fast64", "runtime.(*hmap).newoverflow", "runtime.makemap"),
    *("internal/runtime/maps.newarray", "internal/runtime/maps.(*table).rehash", "internal/runtime/maps.NewMap"),
    *("reflect.makemap", "reflect.mapassign0", "maps.clone", "sync.(*Map).Store", "encoding/json.(*d).object"),
    *("main.f", "main.(*T).g", "runtimes.x", "runtime", "r", "", "mäin.ü", "github.com/x/y.Z[...]"),
)


def same(classified: Classified) -> None:
    plain = simple.Simple(classified.profile, classified.symbols)
    assert simple.told(classified) == plain.told()
    assert chained(classified) == plain.chains()
    again = read_protobuf("again", write_protobuf(restored(classified)))
    assert simple.samples(again) == simple.restored(classified)
    assert again.types == classified.profile.types
    assert (again.period, again.time_nanos) == (classified.profile.period, classified.profile.time_nanos)


def made_up(chance: random.Random) -> Message:
    """A heap profile whose frames are any of NAMES, in locations of none to three lines."""
    strings = ["", "inuse_space", "bytes", "alloc_space", "/f.go", "map part", "told", "map type", "none", *NAMES]
    strings += ["map growth", "exact", "part of a map", "possible", "map[int]int", "/g.go"]
    message = Message(string_table=strings, time_nanos=chance.randrange(9), period=5)
    message.sample_type.add(type=3, unit=2)
    message.sample_type.add(type=1, unit=2)
    for number in range(1, 40):
        name = chance.randrange(9, 9 + len(NAMES))
        message.function.add(
            id=number * 7, name=name, system_name=name, filename=strings.index(chance.choice(["/f.go", "/g.go"])),
            start_line=chance.randrange(3),
        )  # fmt: skip
    for number in range(1, 60):
        location = message.location.add(id=number * 3, address=number)
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            location.line.add(function_id=chance.choice((0, *(one.id for one in message.function))), line=number % 4)
    for _ in range(80):
        depth = chance.choice((0, 1, 3, 8, 30, 90))
        sample = message.sample.add(location_id=[3 * chance.randrange(1, 60) for _ in range(depth)])
        sample.value.extend([chance.randrange(1000), chance.randrange(1000)])
        for key, words in (("map part", ("map growth", "none", "part of a map", "main.f")), ("told", ("exact", "r")),
                           ("map type", ("map[int]int", ""))):  # fmt: skip
            if chance.random() < 0.4:
                sample.label.add(key=strings.index(key), str=strings.index(chance.choice(words)))
        if chance.random() < 0.5:
            sample.label.add(key=2, num=chance.choice((8, 48, 208)), num_unit=2)
    return message


@pytest.mark.parametrize("seed", range(40))
def test_made_up_profiles(seed: int):
    same(classify(read_protobuf("made", made_up(random.Random(seed)).SerializeToString()), None))


def goroutines(chance: random.Random) -> Message:
    """The same as a profile of goroutines with states and waits."""
    message = made_up(chance)
    message.string_table.extend(["goroutine", "state", "wait", "running", "chan receive"])
    first = len(message.string_table) - 5
    del message.sample_type[1:]
    message.sample_type[0].type = first
    for sample in message.sample:
        del sample.value[1:]
        if chance.random() < 0.7:
            sample.label.add(key=first + 1, str=first + chance.choice((3, 4)))
        if chance.random() < 0.7:
            sample.label.add(key=first + 2, num=chance.randrange(50))
    return message


@pytest.mark.parametrize("seed", range(20))
def test_where_goroutines_stand(seed: int):
    profile = read_protobuf("made", goroutines(random.Random(seed)).SerializeToString())
    found: dict[tuple[str, str, int, str], tuple[int, int]] = {}
    for sample in range(len(profile)):
        lines = [line for row in profile.stack(sample) for line in profile.lines(row)]
        place = next((one for one in lines if not one[0].startswith(("runtime.", "internal/"))), ("", "", 0))
        key = (*place, profile.text_label(sample, "state"))
        count, wait = found.get(key, (0, 0))
        waited = int(profile.number_label("wait")[sample])
        found[key] = count + int(profile.values[sample, 0]), max(wait, waited)
    assert by_place(profile) == found
    assert len(found) > 10


@pytest.mark.toolchain
@pytest.mark.timeout(300)
@pytest.mark.parametrize("variant", [Variant("1.21"), Variant("1.23"), Variant("1.26", "pie")], ids=str)
def test_real_profiles_and_spoiled_ones(variant: Variant, tmp_path: Path):
    built = harness.build("profiles", variant)
    with harness.running(built, "kinds", folder=tmp_path):
        pass
    executable, chance = Executable.open(built), random.Random(5)
    for name in ("heap.pb.gz", "heap.txt"):
        profile = parse(name, (tmp_path / name).read_bytes())
        symbols = open_symbols(executable, profile)
        same(classify(profile, None))
        same(classify(profile, symbols))
        same(classify(restored(classify(profile, symbols)), None))
        same(classify(read_protobuf("put back", write_protobuf(restored(classify(profile, symbols)))), symbols))
        raw = (tmp_path / name).read_bytes()
        data = bytearray(gzip.decompress(raw) if name.endswith("gz") else raw)
        spoiled = 0
        for _ in range(400):  # most are refused, and so they should be
            if spoiled >= 4:
                break
            other = bytearray(data)
            for _ in range(chance.choice((1, 3, 30))):
                other[chance.randrange(len(other))] = chance.randrange(256)
            with contextlib.suppress(MapscopeError):
                profile = parse("spoiled", bytes(other))
                found = classify(profile, Symbols(executable, chance.choice((0, 1 << 40))))
                spoiled += 1
                same(found)
        assert spoiled >= 4, name
