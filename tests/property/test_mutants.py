"""Spoiled cores and executables: whatever the bytes say, a report or one clear line, in bounded time and memory.

MAPSCOPE_MUTANTS sets how many are tried (500 without it); MAPSCOPE_SHRINK=1 makes a failing one as small as it gets.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from mapscope.report.page.caps import MOST_BYTES
from tests.browser.packs import Opened, unpacked
from tests.property.harness import Runner, Sample, copy_sparse, judge, make_sample

MUTANTS = int(os.environ.get("MAPSCOPE_MUTANTS", "500"))
RELEASES = ("1.23.9", "1.26.6")
TARGETS = ("structure", "maps", "executable", "anywhere")
SHARE = -(-MUTANTS // (len(RELEASES) * len(TARGETS)))
REGIONS = {
    "structure": ("headers", "segments", "mheap", "allspans", "spans", "goroutines", "allgs", "moduledata"),
    "maps": ("maps", "maps", "spans"),
    "anywhere": ("anywhere",),
}
# Making a failing mutant smaller takes many runs, each up to the time limit when it is time that fails.
PHASES = (Phase.generate, Phase.shrink) if os.environ.get("MAPSCOPE_SHRINK") else (Phase.generate,)
WORDS = (
    0,
    1,
    7,
    8,
    0x1000,
    1 << 31,
    1 << 32,
    1 << 47,
    1 << 48,
    1 << 62,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 8,
    (1 << 64) - 1,
)


@dataclass(frozen=True)
class Spoil:
    """One change: ``at`` picks a place in the chosen region, ``how`` what happens there."""

    region: int
    at: int
    how: str
    value: int


spoils = st.lists(
    st.builds(
        Spoil,
        region=st.integers(0, 1 << 16),
        at=st.integers(0, (1 << 32) - 1),
        how=st.sampled_from(("word", "word", "bit", "byte", "near", "swap", "run")),
        value=st.integers(0, (1 << 16) - 1),
    ),
    min_size=1,
    max_size=5,
)


class Bench:
    """A sample with spoilable copies of its two files, put right again after every mutant."""

    def __init__(self, sample: Sample, folder: Path) -> None:
        self.sample = sample
        self.core = copy_sparse(sample.core, folder / "mutant.core")
        self.program = copy_sparse(sample.program, folder / "mutant")
        self.runner = Runner()

    def spoil(self, target: str, changes: list[Spoil]) -> list[tuple[int, bytes]]:
        """Applies the changes; gives back what was there, for :meth:`mend`."""
        path = self.path(target)
        before = []
        with path.open("r+b") as stream:
            for change in changes:
                where, room = self._place(target, change)
                stream.seek(where)
                old = stream.read(min(room, 64))
                new = spoiled(old, change)
                before.append((where, old))
                note(f"{path.name} at {where:#x}: {old[: len(new)].hex()} becomes {new.hex()}")
                stream.seek(where)
                stream.write(new)
        return before

    def mend(self, target: str, before: list[tuple[int, bytes]]) -> None:
        with self.path(target).open("r+b") as stream:
            for where, old in reversed(before):
                stream.seek(where)
                stream.write(old)

    def path(self, target: str) -> Path:
        return self.program if target == "executable" else self.core

    def _place(self, target: str, change: Spoil) -> tuple[int, int]:
        if target == "executable":
            size = self.sample.program.stat().st_size
            # headers, then everything: pclntab and types are half of the file
            window = (0, 4096) if change.region % 4 == 0 else (0, size)
        else:
            names = REGIONS[target]
            parts = self.sample.regions[names[change.region % len(names)]]
            window = parts[(change.region // len(names)) % len(parts)]
        start, size = window
        at = change.at % max(size, 8)
        if change.how in ("word", "near", "swap"):
            at -= at % 8
        return start + at, max(size - at, 8)


def spoiled(old: bytes, change: Spoil) -> bytes:
    """The bytes that take the place of the first bytes of ``old``."""
    data = bytearray(old)
    if not data:
        return b""
    if change.how == "bit":
        data[0] ^= 1 << change.value % 8
        return bytes(data[:1])
    if change.how == "byte":
        data[0] = change.value & 0xFF
        return bytes(data[:1])
    if change.how == "run":
        return random.Random(change.value).randbytes(len(data))
    if len(data) < 8:
        return bytes(len(data))
    (word,) = struct.unpack_from("<Q", data)
    if change.how == "near":
        word += change.value - (1 << 15)
    elif change.how == "swap" and len(data) >= 16:
        return bytes(data[8:16] + data[:8])
    else:
        word = WORDS[change.value % len(WORDS)]
    return struct.pack("<Q", word & (1 << 64) - 1)


@pytest.fixture(scope="module", params=RELEASES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("mutants")
    made = Bench(make_sample(request.param, folder), folder)
    yield made
    made.runner.close()


def test_the_unspoiled_core_is_read(bench: Bench):
    document = judge(bench.runner.run("analyze", bench.core, bench.program, "-f", "json"))
    assert document is not None
    found = {int(each["address"], 16) for each in document["maps"]}
    assert set(bench.sample.maps) <= found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("target", TARGETS)
def test_mutants(bench: Bench, target: str):
    @settings(
        max_examples=SHARE,
        deadline=None,
        database=None,
        derandomize="MAPSCOPE_MUTANTS" not in os.environ,
        suppress_health_check=list(HealthCheck),
        phases=PHASES,
    )
    @given(spoils)
    def one(changes: list[Spoil]) -> None:
        before = bench.spoil(target, changes)
        try:
            judge(bench.runner.run("analyze", bench.core, bench.program, "-f", "json"))
        finally:
            bench.mend(target, before)

    one()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("target", ["structure", "maps"])
def test_pages_of_mutants(bench: Bench, target: str):
    """The HTML report looks at more than the document does: every array, the dominator tree, the types."""

    @settings(
        max_examples=-(-SHARE // 6),
        deadline=None,
        database=None,
        derandomize="MAPSCOPE_MUTANTS" not in os.environ,
        suppress_health_check=list(HealthCheck),
        phases=PHASES,
    )
    @given(spoils)
    def one(changes: list[Spoil]) -> None:
        before = bench.spoil(target, changes)
        try:
            answer = bench.runner.run("analyze", bench.core, bench.program, "-f", "html", "-o", "-")
        finally:
            bench.mend(target, before)
        if answer.status == 2:
            judge(answer)
            return
        assert answer.status in (0, 1), f"status {answer.status}: {answer.err}"
        assert len(answer.out) < MOST_BYTES
        pack = Opened(unpacked(answer.out))
        parts = sum(int(part["bytes"]) for part in pack.values["parts"])
        assert parts == int(pack.values["heap"]["live_bytes"])

    one()
