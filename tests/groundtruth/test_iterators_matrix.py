"""Goroutines blocked in the middle of a range in every way, over maps that have grown, were emptied or were dropped.

All of them stand in one process. After the core was taken they end one by one, and the program says by how much
HeapAlloc fell at each.
"""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.test_iterators import OLD_WORDS, TOLERANCE, taken, variants
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

KINDS = {
    "receive": "chan receive",
    "send": "chan send",
    "select": "select",
    "mutex": "sync.Mutex.Lock",
    "sleep": "sleep",
    "group": "sync.WaitGroup.Wait",
    "deferred": "chan receive",
    "panicking": "chan receive",
    "pull": "coroutine",
}
"""What each waits for. ``deferred`` and ``panicking``: in a deferred function, after a return and during a panic."""
FATES = ("grown", "emptied", "dropped")
_LEAST = 50_000
"""Bytes that each of them is worth, so that one per cent is more than a goroutine and its channels."""


@dataclass(frozen=True)
class Seen:
    """What the program said, and what mapscope sees in its core."""

    truth: dict[str, Any]
    freed: dict[str, int]
    """Bytes by which HeapAlloc fell when the loop ended, by case."""
    snapshot: Snapshot
    iterators: tuple[MapIterator, ...]

    def of(self, case: str) -> list[MapIterator]:
        """The iterators over the map of a case."""
        return [one for one in self.iterators if one.map == self.truth[case]]


@functools.lru_cache(maxsize=2)
def observe(variant: Variant) -> Seen:
    """Runs the program, takes a core, and lets the loops end."""
    executable = harness.build("iterators", variant)
    with tempfile.TemporaryDirectory(prefix="iterators-") as name:
        folder = Path(name)
        with harness.running(executable, "matrix", folder=folder) as program:
            sleepers = {program.truth[f"sleep-{fate}-goroutine"] for fate in FATES}
            snapshot = taken(program, variant, executable, folder, sleepers)
            said, _ = program.process.communicate(timeout=harness.CORE_SECONDS)
        freed = {case: int(value) for case, value in (line.split() for line in said.decode().splitlines())}
        return Seen(program.truth, freed, snapshot, snapshot.iterators)


def each(kinds: Any, fates: Any = FATES, old: bool | None = None) -> pytest.MarkDecorator:
    """Every kind and fate that there is in a release; of ``old`` (up to 1.23) or newer ones only."""
    rows = [
        pytest.param(
            variant, kind, fate, id=f"{variant}-{kind}-{fate}", marks=pytest.mark.xdist_group(f"loops-{variant}")
        )
        for variant in variants()
        if not variant.arch  # emulated programs: test_iterators.py
        for kind in kinds
        for fate in fates
        # iter.Pull is there from 1.23 on; one over a map that only it keeps cannot be ended: see test_iterators.py
        if kind != "pull" or (variant.series >= "1.23" and fate != "dropped")
        if old is None or old == (variant.series <= "1.23")
    ]
    return pytest.mark.parametrize(("variant", "kind", "fate"), rows)


@each(KINDS)
def test_what_a_blocked_loop_keeps(variant: Variant, kind: str, fate: str) -> None:
    """One exact iterator in the right goroutine, the bytes of the runtime itself, and one finding."""
    case = f"{kind}-{fate}"
    seen = observe(variant)
    (one,) = seen.of(case)
    assert (one.liveness, one.state, one.place.name) == ("exact", "running", "STACK")
    assert one.wait_reason in (KINDS[kind], OLD_WORDS.get(KINDS[kind], KINDS[kind]))
    assert one.coroutine == (kind == "pull")
    assert (one.goroutine == seen.truth[f"{case}-goroutine"]) == (kind != "pull")
    if kind == "pull":  # the stack of a coroutine may have no function of the program itself
        assert one.frame is not None
        assert one.frame.file.endswith("/maps/iter.go")
    else:
        assert one.caller is not None
        assert one.caller.function.startswith("main.")
    assert one.sole_owner == (fate == "dropped")
    assert bool(one.detached) == (fate != "dropped")
    assert one.pinned_bytes == pytest.approx(seen.freed[case], rel=TOLERANCE)
    assert seen.freed[case] > _LEAST
    (finding,) = [each for each in seen.snapshot.iterator_findings if each.subject == seen.truth[case]]
    assert finding.rule == ("R6" if fate == "dropped" else "R5" if variant.swiss else "R4")
    assert finding.bytes == one.pinned_bytes
    assert finding.confidence == (Confidence.POSSIBLE if fate == "dropped" else Confidence.EXACT)
    steps = [step.kind for step in seen.snapshot.chain(one.detached or one.map)]
    assert steps[:2] == ["goroutine", "iterator"]


def test_every_case_of_the_program_is_asked_about() -> None:
    """A case that the program has and no test looks at would be no test."""
    run = observe(Variant("1.23"))
    asked = {f"{kind}-{fate}" for kind in KINDS for fate in FATES if (kind, fate) != ("pull", "dropped")}
    assert set(run.freed) == asked | {f"syncmap-{fate}" for fate in FATES}


@each(["syncmap"], old=True)
def test_range_of_a_sync_map(variant: Variant, kind: str, fate: str) -> None:
    """Up to 1.23 it loops over read.m, which nobody else keeps once another took its place (sync/map.go: Range)."""
    case = f"{kind}-{fate}"
    seen = observe(variant)
    (one,) = seen.of(case)
    assert (one.liveness, one.state, one.place.name) == ("exact", "running", "STACK")
    assert (one.goroutine, one.wait_reason) == (seen.truth[f"{case}-goroutine"], "chan receive")
    assert one.frame is not None
    assert one.frame.function == "sync.(*Map).Range"
    assert one.caller is not None
    assert one.caller.function == "main.rangesSync"
    assert one.type_name in ("map[interface {}]*sync.entry", "map[any]*sync.entry")
    assert one.sole_owner
    assert one.pinned_bytes == pytest.approx(seen.freed[case], rel=TOLERANCE)
    assert seen.freed[case] > _LEAST


@each(["syncmap"], old=False)
def test_range_of_a_sync_map_that_has_no_map(variant: Variant, kind: str, fate: str) -> None:
    """From 1.24 on it walks a trie (internal/sync: HashTrieMap): there is no map, no iterator, and no finding."""
    seen = observe(variant)
    goroutine = seen.truth[f"{kind}-{fate}-goroutine"]
    (row,) = [one for one in seen.snapshot.goroutines if one.id == goroutine]
    functions = [frame.function for frame in row.frames]
    assert {"sync.(*Map).Range", "main.rangesSync"} <= set(functions)
    assert any("HashTrieMap" in function for function in functions)
    assert [one for one in seen.iterators if one.goroutine == goroutine] == []
    assert [one for one in seen.snapshot.findings if one.evidence.get("goroutine") == goroutine] == []
