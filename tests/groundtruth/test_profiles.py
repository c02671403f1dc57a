"""Which samples of a heap profile are memory of maps, and which part: against stacks that the runtime itself names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapscope.binary.executable import Executable
from mapscope.errors import ExecutableError
from mapscope.profiles.classify import Classified, classify
from mapscope.profiles.fetch import read_profile
from mapscope.profiles.loading import open_symbols
from mapscope.profiles.statements import ENTRY, Sources
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]

SERIES = ("1.19", "1.21", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27")
VARIANTS = [Variant(series) for series in SERIES]
VARIANTS += [Variant("1.24", experiment="noswissmap"), Variant("1.27", experiment="mapsplitgroup")]
VARIANTS += [Variant(series, mode) for series in ("1.23", "1.26") for mode in ("stripped", "pie", "pie-stripped")]
VARIANTS += [Variant(series, arch="arm64") for series in ("1.22", "1.26")]
FORMS = ("goroutine.pb.gz", "goroutine1.txt", "goroutine2.txt")
HIDDEN = ("runtime.", "internal/runtime/")
COLLECTOR = ("runtime.gc", "runtime.newproc", "runtime.deductAssistCredit", "runtime.mstart", "runtime.mProf")
"""Frames of what an allocation may do besides: begin or help a collection."""
OVERFLOW = ("runtime.(*hmap).newoverflow", "runtime.(*hmap).createOverflow")
GROWTH = (
    *("runtime.hashGrow", "internal/runtime/maps.(*Map).growToTable", "internal/runtime/maps.(*table).rehash"),
    *("internal/runtime/maps.(*table).grow", "internal/runtime/maps.(*table).split"),
)
CREATION = (
    *("runtime.makemap", "runtime.makemap_small", "runtime.makemap64", "runtime.mapclone2"),
    *("internal/runtime/maps.NewMap", "internal/runtime/maps.NewEmptyMap", "internal/runtime/maps.(*Map).Clone"),
)
LARGE = 208
"""Slot of a key or value of 200 bytes; no bucket of the program that is allocated alone is as large but one."""


@dataclass(frozen=True)
class Taken:
    """The profiles of one run, and what the program said."""

    folder: Path
    executable: Path
    truth: dict[str, Any]

    def classified(self, name: str) -> Classified:
        """What mapscope says of one file."""
        profile = read_profile(str(self.folder / name))
        executable = Executable.open(self.executable)
        return classify(profile, open_symbols(executable, profile))


@pytest.fixture(scope="session")
def take(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Variant, str], Taken]:
    """Runs the program once for each variant and mode."""
    known: dict[tuple[Variant, str], Taken] = {}

    def make(variant: Variant, mode: str) -> Taken:
        if (variant, mode) not in known:
            executable, folder = harness.build("profiles", variant), tmp_path_factory.mktemp("profiles")
            with harness.running(executable, mode, folder=folder, arch=variant.arch) as program:
                known[variant, mode] = Taken(folder, executable, program.truth)
        return known[variant, mode]

    return make


def hidden(functions: list[str]) -> list[str]:
    """The runtime's frames before the first of the program."""
    names = []
    for name in functions:
        if not name.startswith(HIDDEN):
            break
        names.append(name)
    return names


def collections(records: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """What collections allocate that begin in a function of the program: where that may stand in a profile, and bytes.

    The first one starts its workers, with a channel for each (runtime/mgc.go: gcBgMarkStartWorkers).
    """
    found = set()
    for record in records:
        if any(name.startswith(COLLECTOR) for name in record["functions"]):
            at = len(hidden(record["functions"]))
            found |= {(int(pc, 16), record["alloc_bytes"]) for pc in record["pcs"][at : at + 2]}
    return found


def truth_of(record: dict[str, Any], variant: Variant) -> str | None:
    """What the record is by the names of its frames; None: no part of a map."""
    names = hidden(record["functions"])
    if any(name.startswith(COLLECTOR) for name in names):
        return None
    if not any(name.startswith(("runtime.map", "runtime.makemap", "internal/runtime/maps.")) for name in names):
        return None
    for wanted, part in ((OVERFLOW, "overflow bucket"), (GROWTH, "map growth"), (CREATION, "map creation")):
        if any(name in wanted for name in names):
            return part
    if variant.swiss:
        return "first bucket" if any("growToSmall" in name for name in names) else "large key or value"
    size = record["alloc_bytes"] // record["alloc_objects"]
    types_with_large = "main.kinds" in record["functions"] and names[-1] == "runtime.mapassign"
    return "large key or value" if size == LARGE and types_with_large else "first bucket"


def seen(classified: Classified, sample: int) -> tuple[str | None, str]:
    """What mapscope says of a sample."""
    row = int(classified.part_of[sample])
    return (None, "") if row < 0 else (classified.parts[row].part, classified.parts[row].how)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_whole_stacks_tell_each_part(variant: Variant, take: Callable[[Variant, str], Taken]):
    taken = take(variant, "kinds")
    classified = taken.classified("heap.txt")
    profile = classified.profile
    expected: dict[tuple[Any, ...], Counter[str | None]] = defaultdict(Counter)
    for record in taken.truth["records"]:
        if record["alloc_objects"]:
            size = record["alloc_bytes"] // record["alloc_objects"]
            expected[*record["pcs"], size][truth_of(record, variant)] += 1
    found: dict[tuple[Any, ...], Counter[str | None]] = defaultdict(Counter)
    parts = Counter[str | None]()
    for sample in range(len(profile)):
        if classified.sizes[sample]:
            pcs = [f"{int(profile.locations[row, 2]):#x}" for row in profile.stack(sample)]
            part, how = seen(classified, sample)
            found[*pcs, int(classified.sizes[sample])][part] += 1
            parts[part] += 1
            assert how in ("", "exact") or part == "part of a map"
    assert found.keys() == expected.keys()
    for key, truth in expected.items():
        if "part of a map" in found[key]:
            assert set(truth) <= {"large key or value", "first bucket"}  # the type is not known at the call
        else:
            assert found[key] == truth, key
    assert parts["map growth"] > 50
    assert parts["part of a map"] <= 1
    assert {"map growth", "map creation", "first bucket", "large key or value"} <= set(parts)
    assert ("overflow bucket" in parts) == (not variant.swiss)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_hidden_frames_of_a_protobuf_are_found(variant: Variant, take: Callable[[Variant, str], Taken]):
    taken = take(variant, "kinds")
    classified = taken.classified("heap.pb.gz")
    profile = classified.profile
    names = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
    values = list(zip(*(profile.value(name).tolist() for name in names), strict=True))
    found: dict[tuple[Any, ...], list[tuple[str | None, str]]] = defaultdict(list)
    entries: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for sample, leaf in enumerate(profile.leaves().tolist()):
        key = int(profile.locations[leaf, 2]) + 1, *values[sample]
        found[key].append(seen(classified, sample))
        if (row := int(classified.part_of[sample])) >= 0:
            entries[key].add(classified.parts[row].entry)
    told, expected = Counter[str](), defaultdict(list)
    for record in taken.truth["records"]:
        at = len(hidden(record["functions"]))
        counts = [record[name] for name in ("alloc_objects", "alloc_bytes", "inuse_objects", "inuse_bytes")]
        # runtime/pprof looks at the instruction after the call, which can belong to another inlined function
        keys = [(int(pc, 16), *counts) for pc in record["pcs"][at : at + 2]]
        if keys and record["alloc_objects"]:
            expected[next((key for key in keys if key in found), keys[0])].append(record)
    for key, records in expected.items():
        ours, truths = found[key], [truth_of(record, variant) for record in records]
        if not ours and set(truths) == {None}:
            continue  # hidden to its end by the runtime's own rules
        assert len(ours) == len(records), (key, truths)
        collector = any(name.startswith(COLLECTOR) for record in records for name in record["functions"])
        for part, how in ours:
            told[how] += 1
            if set(truths) == {None}:
                assert part is None or collector
                continue
            assert part is not None, (key, truths)
            last = hidden(records[0]["functions"])[-1]
            assert entries[key] == {last} or entries[key] == {
                records[0]["functions"][records[0]["functions"].index(last) + 1]
            }
            if how == "inferred":
                allowed = {"first or overflow bucket": {"first bucket", "overflow bucket"}}.get(part, {part})
                assert set(truths) & allowed, (key, part, truths)
    assert told["inferred"] > 100


@pytest.mark.parametrize("variant", [Variant("1.23"), Variant("1.26", "pie-stripped")], ids=str)
def test_types_are_named_at_the_calls(variant: Variant, take: Callable[[Variant, str], Taken]):
    for name in ("heap.txt", "heap.pb.gz"):
        classified = take(variant, "kinds").classified(name)
        types: dict[str, int] = defaultdict(int)
        space = classified.profile.value("inuse_space")
        for sample, row in enumerate(classified.part_of.tolist()):
            if row >= 0 and classified.parts[row].type:
                types[classified.parts[row].type] += int(space[sample])
        for wanted in ("map[string]*main.item", "map[int]int", "map[int32]bool", "map[main.big]main.big"):
            assert types[wanted] > 10_000, wanted


@pytest.mark.parametrize("name", ["heap.txt", "heap.pb.gz"])
def test_another_program_is_refused(name: str, take: Callable[[Variant, str], Taken]):
    taken = take(Variant("1.23"), "kinds")
    profile = read_profile(str(taken.folder / name))
    with pytest.raises(ExecutableError, match="is not the program that made"):
        open_symbols(Executable.open(harness.build("profiles", Variant("1.26"))), profile)


def test_without_the_executable_it_is_said_what_is_not_known(take: Callable[[Variant, str], Taken]):
    profile = read_profile(str(take(Variant("1.23"), "kinds").folder / "heap.pb.gz"))
    classified = classify(profile, None)
    assert any("give it with -e" in note for note in classified.notes)
    assert not {part.how for part in classified.parts} & {"inferred"}


@pytest.mark.parametrize("variant", [Variant("1.21"), Variant("1.26", "stripped")], ids=str)
def test_statements_of_the_source_name_memory_of_maps(variant: Variant, take: Callable[[Variant, str], Taken]):
    """What they call a map's is one by the stacks, and most of what grows at an assignment is found."""
    taken = take(variant, "kinds")
    profile = read_profile(str(taken.folder / "heap.pb.gz"))
    sources = Sources(str(harness.PROGRAMS / "profiles"))
    ours, theirs = classify(profile, None, sources), taken.classified("heap.pb.gz")
    told = {ours.parts[row].entry for row in ours.part_of.tolist() if row >= 0}
    assert ENTRY in told
    found = {(ours.sites[site].function, ours.sites[site].line) for site in ours.site_of.tolist() if site >= 0}
    lines = (harness.PROGRAMS / "profiles" / "modes.go").read_text(encoding="utf-8").split("\n")
    for wanted in ("byInt[i] = i", "hinted := make(map[int]int, n)"):
        assert ("main.kinds", next(n for n, line in enumerate(lines, 1) if wanted in line)) in found
    # nor can what it boxes, or a collection that begins in it, be told from what it makes a map grow by: that is why it
    # is possible, no more
    besides = collections(taken.truth["records"])
    leaves, space = profile.locations[profile.leaves(), 2].tolist(), profile.value("alloc_space").tolist()
    wrong = {
        int(ours.site_of[row])
        for row in np.flatnonzero((ours.part_of >= 0) & (theirs.part_of < 0)).tolist()
        if (leaves[row] + 1, space[row]) not in besides
    }
    assert {lines[ours.sites[site].line - 1].strip() for site in wrong} <= {"byInterface[i] = words[i]"}
    assert {part.how for part in ours.parts} == {"possible"}


@pytest.mark.parametrize("variant", [Variant(series) for series in SERIES], ids=str)
def test_goroutines_in_all_their_forms(variant: Variant, take: Callable[[Variant, str], Taken]):
    taken = take(variant, "pinned")
    forms = {name: read_profile(str(taken.folder / name)) for name in FORMS}
    for name, profile in forms.items():
        assert profile.kind == "goroutine", name
        assert profile.values.sum() == taken.truth["goroutines"], name
    stacks = forms["goroutine2.txt"]
    states = {}
    for sample in range(len(stacks)):
        leaf = stacks.lines(stacks.stack(sample)[0])[0][0]
        states[leaf] = stacks.text_label(sample, "state")
    assert states["main.pinned.func1"] == "chan receive"
    named = {
        line[0]
        for row in range(len(forms["goroutine.pb.gz"].locations))
        for line in forms["goroutine.pb.gz"].lines(row)
    }
    assert {"main.pinned.func1", "runtime.gopark", "main.main"} <= named
    addresses = forms["goroutine1.txt"].locations[:, 2].tolist()
    symbols = open_symbols(Executable.open(taken.executable), forms["goroutine1.txt"])
    assert {"main.pinned.func1", "runtime.gopark", "main.main"} <= {symbols.name(pc) for pc in addresses}
    leak = taken.folder / "goroutineleak.pb.gz"
    assert leak.exists() == taken.truth["leak"]
    if taken.truth["leak"]:
        assert read_profile(str(leak)).kind == "goroutineleak"
