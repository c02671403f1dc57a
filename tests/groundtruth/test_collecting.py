"""Cores of a program that collects its garbage without a rest: marking, sweeping and allocation stand half way.

A service whose memory grows collects much of the time, so this is how its core looks. Its own maps do not change and
are the truth; maps of two other types are made and dropped all the while.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.variants import SERIES, Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

LITTER = {"map[uint16][3]*main.node", "map[uint8]*main.node"}
AT_ONCE = 16
"""Maps of the litter that may be there: two are kept, two more are in each of two frames, which running code may still
hold from the round before. The garbage has hundreds."""
LIBRARY = 12
"""Maps that the standard library of such a program has at most."""
SPREAD = 2 << 20
"""Bytes that the litter itself may have alive; only cores with more than twice as much garbage are looked at."""
CORES = 60
"""More are not taken to see both states; about half of them are of each."""
OFF, MARK = 0, 1


def variants() -> list[Variant]:
    """Every release, each generation stripped, and the collectors that a release has besides its own."""
    runs = [Variant(series) for series in SERIES]
    runs += [Variant(series, "stripped") for series in ("1.19", "1.23", "1.24", "1.27")]
    return [*runs, Variant("1.25", experiment="greenteagc"), Variant("1.26", experiment="nogreenteagc")]


@dataclass(frozen=True)
class Taken:
    """What the program said before it began, and its cores by phase."""

    variant: Variant
    truth: dict[str, Any]
    snapshots: list[Snapshot]


@pytest.fixture(scope="module", params=variants(), ids=str)
def taken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    variant = request.param
    executable = harness.build("collecting", variant)
    snapshots: dict[int, Snapshot] = {}
    with (
        tempfile.TemporaryDirectory(dir=tmp_path_factory.mktemp("collecting")) as folder,
        harness.running(executable, folder=Path(folder)) as program,
    ):
        for _ in range(CORES):
            core = harness.take_core(program, variant.evidence, Path(folder))
            snapshot = open_snapshot(core, executable)
            core.unlink()  # it stays mapped
            if snapshot.heap.dead_bytes > 2 * SPREAD:
                snapshots.setdefault(phase(snapshot), snapshot)
            if {OFF, MARK} <= set(snapshots):
                break
    assert {OFF, MARK} <= set(snapshots), "no core of each phase with garbage"
    return Taken(variant, program.truth, list(snapshots.values()))


def phase(snapshot: Snapshot) -> int:
    """``runtime.gcphase`` in the evidence."""
    process = snapshot._process
    data = process.memory.read(process.globals["runtime.gcphase"], 4)
    assert data is not None
    return int.from_bytes(data, "little")


def test_every_map_is_found_with_its_header(taken: Taken):
    for snapshot in taken.snapshots:
        found = {one.address: one for one in snapshot.maps}
        wrong = []
        for true in taken.truth["maps"]:
            said = found.get(true["address"])
            if said is None:
                # an empty map that only a variable of a stripped executable leads to (see unseen.py)
                if not (taken.variant.stripped and true["name"] == "empty"):
                    wrong.append(f"{true['name']} is not there")
                continue
            if said.type_name != true["type"]:
                wrong.append(f"{true['name']}: {true['type']}, said {said.type_name}")
            for name, value in true["header"].items():
                column = {"used": "count"}.get(name, name)
                if name == "_" or (name == "tombstonePossible" and taken.variant.series == "1.24"):
                    continue  # 1.24 has padding there
                if getattr(said, column) != value:
                    wrong.append(f"{true['name']}: {name} is {value}, said {getattr(said, column)}")
        assert not wrong, (phase(snapshot), len(wrong), wrong[:20])


def test_no_map_is_reported_that_is_not_there(taken: Taken):
    known = {one["address"] for one in taken.truth["maps"]}
    for snapshot in taken.snapshots:
        others = [one for one in snapshot.maps if one.address not in known]
        types = Counter(one.type_name for one in others)
        assert types.pop("map[uint32]*main.record") == taken.truth["unnamed"]
        litter = sum(types.pop(name, 0) for name in LITTER) + types.pop(None, 0)
        assert litter <= AT_ONCE, [(one.address, one.type_name, one.confidence) for one in others][:20]
        # those of the standard library; which they are, test_maps asks an oracle
        assert types.total() <= LIBRARY
        assert not [name for name in types if "main." in str(name)]


def test_what_lives_is_what_lived_before_and_some_litter(taken: Taken):
    """And none of the garbage: no more is marked than was there when nothing else was."""
    settled = taken.truth["memstats"]["HeapAlloc"]
    for snapshot in taken.snapshots:
        assert settled * 0.99 < snapshot.heap.live_bytes < settled * 1.01 + SPREAD, phase(snapshot)
        assert snapshot.evidence.warnings == ()


def test_a_goroutine_on_no_thread_has_all_its_frames(taken: Taken):
    """One on a thread may stand in the middle of a change of stacks."""
    for snapshot in taken.snapshots:
        threads = snapshot._heap.goroutines.m
        goroutines = [one for row, one in enumerate(snapshot.goroutines) if not threads[row] and one.status != "dead"]
        assert len(goroutines) > 3
        assert [(one.status, one.wait_reason, one.problem) for one in goroutines if one.problem] == []
