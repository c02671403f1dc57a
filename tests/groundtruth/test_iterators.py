"""Iterators and what they keep, against the program's own words: HeapAlloc while the loop is blocked, minus HeapAlloc
after the same loop has come to its end.

Controls: loops that have ended, that were left by ``break``, that merely run, or whose map has not changed.
"""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapscope.findings.model import Finding
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.variants import DUMPED, SERIES, Variant, arm64

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

TOLERANCE = 0.01
_TRIES = 10
BLOCKED = {
    "receive": "chan receive",
    "mutex": "sync.Mutex.Lock",
    "sleep": "sleep",
    "select": "select",
    "group": "sync.WaitGroup.Wait",
    "emptied": "chan receive",
}
"""Modes with a goroutine blocked in a loop over a map that its owner has changed since, and what it waits for."""
OWNERS = {"dropped": "R6", "reflect": "R7", "reflect-middle": "R6", "pull": "R8"}
"""Modes in which nothing else keeps the map."""
CONTROLS = ("ended", "broken", "unchanged", "running")
OLD_WORDS = {"sync.Mutex.Lock": "semacquire", "sync.WaitGroup.Wait": "semacquire"}
"""What a wait is called in releases that do not tell these apart."""


@dataclass(frozen=True)
class Seen:
    """What the program said, and what mapscope sees in its core."""

    truth: dict[str, Any]
    freed: int
    """Bytes by which HeapAlloc fell when the loop ended."""
    snapshot: Snapshot
    iterators: tuple[MapIterator, ...]
    """Those over the subject."""
    findings: tuple[Finding, ...]
    """Those of the rules on iterators."""


def taken(program: harness.Running, variant: Variant, executable: Path, folder: Path, sleepers: set[int]) -> Snapshot:
    """A core in which these goroutines sleep: they wake now and then to look at their gate."""
    for _ in range(_TRIES):
        core = harness.take_core(program, variant.evidence, folder)
        snapshot = open_snapshot(core, executable)
        core.unlink()
        if {one.status for one in snapshot.goroutines if one.id in sleepers} <= {"waiting"}:
            break
    return snapshot


@functools.lru_cache(maxsize=4)
def observe(mode: str, variant: Variant) -> Seen:
    """Runs the program, takes a core, and lets the loop end."""
    executable = harness.build("iterators", variant)
    with tempfile.TemporaryDirectory(prefix="iterators-") as name:
        folder = Path(name)
        with harness.running(executable, mode, folder=folder, arch=variant.arch) as program:
            sleepers = {program.truth["goroutine"]} if mode == "sleep" else set()
            snapshot = taken(program, variant, executable, folder, sleepers)
            said, _ = program.process.communicate(timeout=harness.CORE_SECONDS)
            freed = program.truth["made"] or int(said.split()[-1])
        found = tuple(one for one in snapshot.iterators if one.map == program.truth["subject"])
        return Seen(program.truth, freed, snapshot, found, snapshot.iterator_findings)


def variants() -> list[Variant]:
    """Every release as built by default, by core and by heap dump, some stripped, one classic release of the new
    runtime."""
    runs = [Variant(series) for series in SERIES]
    runs += [Variant(series, "stripped") for series in ("1.21", "1.23", "1.24", "1.26")]
    runs += [Variant(series, evidence="dump") for series in DUMPED]
    runs += [*arm64("1.21", "1.26", evidence="child"), *arm64("1.24", mode="stripped", evidence="child")]
    return [*runs, Variant("1.24", "default", "noswissmap")]


def cases(modes: Any) -> list[Any]:
    """(mode, variant); iter.Pull is there from 1.23 on. A forked child has no other thread: nothing else runs in it."""
    return [
        pytest.param(mode, variant, id=f"{variant}-{mode}")
        for variant in variants()
        for mode in modes
        if (mode != "pull" or variant.series >= "1.23")
        # what runs is interrupted for a dump, and the words of such a frame may keep the old table just as well
        and (mode != "running-grown" or variant.evidence not in ("dump", "child"))
    ]


def short(seen: Seen) -> str:
    return "\n".join(str(one) for one in (*seen.iterators, *seen.findings))


@pytest.mark.parametrize(("mode", "variant"), cases(BLOCKED))
def test_what_a_blocked_loop_keeps(mode: str, variant: Variant) -> None:
    """One exact iterator in the right goroutine, the bytes of the runtime itself, and one finding."""
    seen = observe(mode, variant)
    (one,) = [each for each in seen.iterators if each.liveness == "exact"]
    assert (one.goroutine, one.state, one.place.name) == (seen.truth["goroutine"], "running", "STACK")
    assert one.wait_reason in (BLOCKED[mode], OLD_WORDS.get(BLOCKED[mode], BLOCKED[mode]))
    assert one.caller is not None
    assert one.caller.function.startswith("main.")
    assert one.caller.file.endswith("modes.go")
    assert one.detached
    assert not one.sole_owner
    assert one.pinned_bytes == pytest.approx(seen.freed, rel=TOLERANCE), short(seen)
    assert seen.freed > 50_000
    (finding,) = seen.findings
    assert finding.rule == ("R5" if variant.swiss else "R4")
    assert (finding.subject, finding.bytes) == (seen.truth["subject"], one.pinned_bytes)
    assert finding.confidence == Confidence.EXACT
    steps = [step.kind for step in seen.snapshot.chain(one.detached)]
    assert steps[:2] == ["goroutine", "iterator"]


@pytest.mark.parametrize(("mode", "variant"), cases(OWNERS))
def test_what_only_an_iterator_keeps(mode: str, variant: Variant) -> None:
    """The whole map, with what its entries point to."""
    seen = observe(mode, variant)
    (one,) = [each for each in seen.iterators if each.liveness == "exact"]
    assert one.sole_owner
    assert one.state == ("exhausted" if mode == "reflect" else "running")
    assert one.coroutine == (mode == "pull")
    assert one.place.name == ("HEAP" if mode.startswith("reflect") else "STACK")
    if mode == "dropped":
        assert one.goroutine == seen.truth["goroutine"]
    assert one.pinned_bytes == pytest.approx(seen.freed, rel=TOLERANCE), short(seen)
    (finding,) = [each for each in seen.findings if each.subject == seen.truth["subject"]]
    assert (finding.rule, finding.bytes) == (OWNERS[mode], one.pinned_bytes)
    counted = [each for each in seen.snapshot.findings if each.subject == finding.subject and not each.part_of]
    assert counted == [finding]


@pytest.mark.parametrize(("mode", "variant"), cases(("crowd", "crowd-dropped")))
def test_what_several_blocked_loops_share(mode: str, variant: Variant) -> None:
    """Five goroutines over one map: what two or more of them keep counts once, in one finding."""
    seen = observe(mode, variant)
    assert [one.liveness for one in seen.iterators] == ["exact"] * 5, short(seen)
    assert len({one.goroutine for one in seen.iterators}) == 5
    assert seen.freed > 50_000
    rules = {one.rule for one in seen.findings}
    assert rules == ({"R6"} if mode == "crowd-dropped" else {"R5" if variant.swiss else "R4"})
    assert {one.subject for one in seen.findings} == {seen.truth["subject"]}
    assert sum(one.bytes for one in seen.findings) == pytest.approx(seen.freed, rel=TOLERANCE), short(seen)
    if mode == "crowd-dropped" or not variant.swiss:  # in a Swiss map they can stand in different tables
        (finding,) = seen.findings
        assert finding.evidence["iterators"] == 5
        assert max(one.pinned_bytes for one in seen.iterators) < 0.01 * seen.freed


@pytest.mark.parametrize(("mode", "variant"), cases(CONTROLS))
def test_controls_give_no_finding(mode: str, variant: Variant) -> None:
    seen = observe(mode, variant)
    assert seen.findings == (), short(seen)
    assert all(one.pinned_bytes == 0 for one in seen.iterators), short(seen)
    assert abs(seen.freed) < 50_000
    exact = [one for one in seen.iterators if one.liveness == "exact"]
    if mode == "unchanged":
        assert [one.goroutine for one in exact] == [seen.truth["goroutine"]]
    else:
        assert exact == [] or mode == "running"


@pytest.mark.parametrize(("mode", "variant"), cases(["bystanders"]))
def test_loops_that_were_left_keep_nothing(mode: str, variant: Variant) -> None:
    """An ended loop and one left by ``break`` have the words of a living one, and its array is still there."""
    seen = observe(mode, variant)
    (one,) = [each for each in seen.iterators if each.liveness == "exact"]
    assert (one.goroutine, one.together) == (seen.truth["goroutine"], 1), short(seen)
    assert one.pinned_bytes == pytest.approx(seen.freed, rel=TOLERANCE), short(seen)
    assert seen.freed > 50_000
    (finding,) = seen.findings
    assert finding.bytes == one.pinned_bytes
    assert "iterators" not in finding.evidence
    left = [each for each in seen.iterators if each is not one]
    assert [(each.liveness, each.detached, each.pinned_bytes) for each in left] == [("possible", one.detached, 0)]


@pytest.mark.parametrize(("mode", "variant"), cases(["running-grown"]))
def test_a_loop_that_merely_runs_gives_no_finding(mode: str, variant: Variant) -> None:
    """It keeps the array that its map has left behind, but only while it works."""
    seen = observe(mode, variant)
    (one,) = [each for each in seen.iterators if each.liveness == "exact"]
    assert (one.goroutine, one.state) == (seen.truth["goroutine"], "running")
    assert one.status in ("running", "runnable", "preempted")
    assert one.detached
    assert one.pinned_bytes > 50_000
    assert one.pinned_bytes == pytest.approx(seen.freed, rel=TOLERANCE), short(seen)
    assert seen.findings == (), short(seen)


@pytest.mark.parametrize("variant", [Variant(series) for series in SERIES], ids=str)
def test_an_ended_loop_in_an_interrupted_frame_is_never_certain(variant: Variant) -> None:
    """What its words seem to keep depends on where the goroutine was stopped; the finding says so."""
    seen = observe("spinning", variant)
    assert {one.liveness for one in seen.iterators} <= {"uncertain", "possible"}, short(seen)
    assert {one.rule for one in seen.findings} <= {"R17"}
    assert all(one.confidence == Confidence.UNCERTAIN for one in seen.findings)
