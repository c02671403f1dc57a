"""Heap dumps that are cut, spoiled, or handed in with the wrong executable: a report or one clear line, in bounded time
and memory.

MAPSCOPE_MUTANTS sets how many mutants are tried; a quarter of them for each release and target.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from mapscope._kernels.reference.dump import _Reader
from mapscope.evidence.heapdump import FRAME, HEADER, SHAPES, HeapDump
from mapscope.lab import toolchains
from tests.property.harness import HERE, Runner, Sample, judge, make_sample

MUTANTS = int(os.environ.get("MAPSCOPE_MUTANTS", "500"))
RELEASES = ("1.23.9", "1.26.6")
BYTES = (0, 1, 7, 8, 9, 0x7F, 0x80, 0xFF)


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


@pytest.fixture(scope="module", params=RELEASES)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(request.param, tmp_path_factory.mktemp("dumps"))


def test_the_unspoiled_dump_is_read(sample: Sample, runner: Runner) -> None:
    document = judge(runner.run("analyze", sample.dump, sample.program, "-f", "json"))
    assert document is not None
    assert document["evidence"]["kind"] == "heap dump"
    assert set(sample.maps) <= {int(each["address"], 16) for each in document["maps"]}


def refused(runner: Runner, path: Path, *rest: str | Path) -> str:
    answer = runner.run("analyze", path, *rest)
    assert answer.status == 2, answer.out[:200]
    judge(answer)
    assert len(answer.err.splitlines()) == 2, answer.err
    return answer.err


def test_a_dump_cut_anywhere_is_refused(sample: Sample, runner: Runner, tmp_path: Path) -> None:
    """At every byte of the first hundred and of the last; between them at places that are drawn."""
    data = sample.dump.read_bytes()
    rng = random.Random(sample.release)
    cuts = {*range(len(HEADER), 116), *range(len(data) - 100, len(data))}
    cuts |= {rng.randrange(116, len(data) - 100) for _ in range(100)}
    path = tmp_path / "dump"
    for at in sorted(cuts):
        path.write_bytes(data[:at])
        assert "cut short" in refused(runner, path, sample.program), at
    for at in range(len(HEADER)):
        path.write_bytes(data[:at])
        refused(runner, path, sample.program)


def test_what_lies_behind_the_end_is_said(sample: Sample, runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(sample.dump.read_bytes() + b"left over")
    document = judge(runner.run("analyze", path, sample.program, "-f", "json"))
    assert document is not None
    assert any(said.startswith("9 bytes behind the end") for said in document["evidence"]["missing"])


def test_the_format_of_another_time(sample: Sample, runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(b"go1.6 heap dump\n" + sample.dump.read_bytes()[len(HEADER) :])
    assert "go1.6 heap dump" in refused(runner, path, sample.program)
    path.write_bytes(HEADER)
    assert "cut short" in refused(runner, path, sample.program)


def test_the_executable_of_another_build(sample: Sample, runner: Runner, tmp_path: Path) -> None:
    """Same release, same source; code or data lie elsewhere."""
    toolchain = toolchains.install(sample.release)
    for name, options in (("pie", {"buildmode": "pie"}), ("plain", {"gcflags": "-N -l"})):
        twin = toolchain.build(HERE / "small", tmp_path / name, **options)
        assert "is not the executable that wrote this heap dump" in refused(runner, sample.dump, twin)


def test_frames_of_another_module_are_said(sample: Sample, runner: Runner, tmp_path: Path) -> None:
    """The entry of one frame's function is moved out of the program, as if a plugin had it."""
    dump, data = HeapDump.open(sample.dump), bytearray(sample.dump.read_bytes())
    frame = dump.records(FRAME)[0].tolist()
    behind = frame[3] + frame[4]  # the entry follows the contents
    reader = _Reader(data, behind)
    assert reader.number() == frame[5]
    entry = (1 << 7 * (reader.at - behind)) - 1
    data[behind : reader.at] = bytes(entry >> 7 * at & 0x7F | 0x80 for at in range(reader.at - behind))
    data[reader.at - 1] &= 0x7F
    path = tmp_path / "dump"
    path.write_bytes(data)
    assert HeapDump.open(path).records(FRAME)[0, 5] == entry
    document = judge(runner.run("analyze", path, sample.program, "-f", "json"))
    assert document is not None
    assert any(said.startswith("1 frames lie in code of other modules") for said in document["evidence"]["warnings"])


def test_a_dump_in_place_of_the_executable(sample: Sample, runner: Runner) -> None:
    refused(runner, sample.core, sample.dump)
    refused(runner, sample.dump, sample.dump)
    assert "does not name its executable" in refused(runner, sample.dump)


@dataclass(frozen=True)
class Spoil:
    """One change: ``at`` picks the place, ``how`` what happens there."""

    at: int
    how: str
    value: int


SPOILS = st.lists(
    st.builds(
        Spoil,
        at=st.integers(0, (1 << 32) - 1),
        how=st.sampled_from(("byte", "byte", "bit", "run", "longer", "shorter")),
        value=st.integers(0, (1 << 16) - 1),
    ),
    min_size=1,
    max_size=4,
)


def spoiled(data: bytearray, places: list[int], change: Spoil) -> None:
    """Changes the data at one of the places (any place where there are none)."""
    at = places[change.at % len(places)] + change.value % 12 if places else change.at % len(data)
    at = min(at, len(data) - 1)
    note(f"{change.how} at {at:#x} ({change.value})")
    if change.how == "bit":
        data[at] ^= 1 << change.value % 8
    elif change.how == "byte":
        data[at] = BYTES[change.value % len(BYTES)]
    elif change.how == "run":
        data[at : at + 16] = random.Random(change.value).randbytes(len(data[at : at + 16]))
    elif change.how == "longer":
        data[at:at] = random.Random(change.value).randbytes(1 + change.value % 9)
    else:
        del data[at : at + 1 + change.value % 9]


def heads(dump: HeapDump) -> list[int]:
    """Where records begin. Half of the list are others than objects."""
    objects = []
    for at, count in dump.spans[:, [2, 3]].tolist():
        reader = _Reader(dump.data, at)
        for _ in range(count):
            objects.append(reader.at)
            reader.number()
            reader.skip(SHAPES[1])
    others = [at for tag in range(2, 14) for at in dump._offsets[tag].tolist()]
    return objects + others * (len(objects) // len(others))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("target", ["anywhere", "records"])
def test_mutants(sample: Sample, runner: Runner, tmp_path: Path, target: str) -> None:
    """``records``: heads of objects and the bodies of all other records, which decide what a reader does."""
    data = sample.dump.read_bytes()
    places: list[int] = []
    if target == "records":
        places = heads(HeapDump.open(sample.dump))
        assert len(places) > 3000
    path = tmp_path / "mutant.dump"

    @settings(
        max_examples=-(-MUTANTS // (2 * len(RELEASES))),
        deadline=None,
        database=None,
        derandomize="MAPSCOPE_MUTANTS" not in os.environ,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @given(SPOILS)
    def one(changes: list[Spoil]) -> None:
        mutant = bytearray(data)
        for change in changes:
            spoiled(mutant, places, change)
        path.write_bytes(mutant)
        judge(runner.run("analyze", path, sample.program, "-f", "json"))

    one()
