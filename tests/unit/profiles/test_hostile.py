"""Spoiled profiles of a real program, with its executable: a report or an error of ours, never anything else."""

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
from mapscope.profiles.loading import open_symbols
from mapscope.profiles.protobuf import read_protobuf, write_protobuf
from mapscope.profiles.restore import restored
from mapscope.profiles.symbols import Symbols
from mapscope.report.page.profile import profile_pack
from mapscope.report.profile_build import build_profile
from mapscope.report.profile_view import render, render_csv
from mapscope.report.writing import to_json
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant
from tests.unit.kernels.pprofs import Profile as Message

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]
ROUNDS = 100


def used(classified: Classified) -> None:
    """Everything that the command makes of it."""
    document = build_profile([classified] * 3, [])
    assert to_json(document)
    assert profile_pack(document, [classified] * 3).to_bytes()
    for line in (*render(document), *render_csv(document)):
        assert line.isprintable() or line.endswith("\n")
    again = read_protobuf("again", write_protobuf(restored(classified)))
    assert again.values.tolist() == classified.profile.values.tolist()


@pytest.mark.parametrize("variant", [Variant("1.23"), Variant("1.26", "pie")], ids=str)
def test_spoiled_profiles(variant: Variant, tmp_path: Path):
    built = harness.build("profiles", variant)
    with harness.running(built, "stalled", folder=tmp_path):
        pass
    executable = Executable.open(built)
    binary = gzip.decompress((tmp_path / "heap.pb.gz").read_bytes())
    text = (tmp_path / "heap.txt").read_bytes()
    chance, done = random.Random(13), 0
    for number in range(ROUNDS):
        data = bytearray(binary if number % 3 else text)
        for _ in range(chance.choice((1, 3, 30))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with contextlib.suppress(MapscopeError):
            profile = parse("spoiled", bytes(data))
            used(classify(profile, None))
            used(classify(profile, Symbols(executable, chance.choice((0, 1 << 40)))))
            done += 1
            open_symbols(executable, profile)
    assert done > ROUNDS // 10


@pytest.mark.parametrize("variant", [Variant("1.23"), Variant("1.26", "pie")], ids=str)
def test_numbers_at_their_limits(variant: Variant, tmp_path: Path):
    """Addresses, mappings, sizes and values of a hostile writer; a delta profile has negative values too."""
    built = harness.build("profiles", variant)
    with harness.running(built, "stalled", folder=tmp_path):
        pass
    executable, chance = Executable.open(built), random.Random(13)
    message = Message.FromString(gzip.decompress((tmp_path / "heap.pb.gz").read_bytes()))
    limits = (0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 47)
    signed = (-(1 << 63), -1, 0, (1 << 63) - 1)
    for _ in range(40):
        made = Message()
        made.CopyFrom(message)
        for _ in range(6):
            chance.choice(made.location).address = chance.choice(limits)
            chance.choice(made.mapping).memory_start = chance.choice(limits)
            chance.choice(made.mapping).file_offset = chance.choice(limits)
            sample = chance.choice(made.sample)
            sample.value[chance.randrange(4)] = chance.choice(signed)
            for label in sample.label:
                label.num = chance.choice(signed)
        profile = read_protobuf("hostile", made.SerializeToString())
        used(classify(profile, Symbols(executable, chance.choice((0, 1 << 40)))))
        with contextlib.suppress(MapscopeError):
            used(classify(profile, open_symbols(executable, profile)))
