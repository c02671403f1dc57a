"""Goroutines, their frames and what their stacks keep alive, against what the runtime itself says of them.

The program prints the text of runtime.Stack, the addresses of objects that its goroutines hold or seem to hold, and
which of those the collector has freed.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mapscope.evidence.core import Core
from mapscope.evidence.heapdump import HeapDump
from mapscope.goruntime.dumped import open_dumped
from mapscope.goruntime.frames import Goroutine, Stacks
from mapscope.goruntime.process import open_process
from mapscope.heap.model import Heap, read_heap
from tests.groundtruth import harness
from tests.groundtruth.variants import DUMPED, SERIES, Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

_HEAD = re.compile(r"goroutine (\d+) .*?\[([^\],]*)(.*)\]:")
_PLACE = re.compile(r"\t(.*):(\d+)(?: \+0x[0-9a-f]+)?(?: fp=0x([0-9a-f]+) sp=0x([0-9a-f]+) pc=0x([0-9a-f]+))?")
MOVES = {"running", "runnable", "preempted"}
"""States of a goroutine that is not blocked: which of them depends on the instant."""
BIG_BYTES = 8 * (1 + (8 << 10))
"""Bytes of the program's type big: a span of its own."""
_NEAR = 4096
"""Bytes: what the program may allocate after its last collection."""


@dataclass(frozen=True)
class Told:
    """What the runtime says of one goroutine. ``frames``: function, file, line; ``machine``: pc, sp, fp, where said."""

    status: str
    frames: list[tuple[str, str, int]]
    machine: list[tuple[int, int, int]]
    creator: tuple[str, str, int] | None
    parent: int | None
    locked: bool


@dataclass(frozen=True)
class Seen:
    """One run."""

    truth: dict[str, Any]
    crash: str
    """What the dying program wrote, for a core of the kernel."""
    heap: Heap
    seconds: float
    """From before the start of the program to the core."""

    @property
    def stacks(self) -> Stacks:
        """All goroutines."""
        return self.heap.frames

    def role(self, name: str) -> Goroutine:
        """The goroutine that plays a part."""
        wanted = self.truth["roles"][name]
        return next(one for one in self.stacks if one.id == wanted)


def variants() -> list[Any]:
    """Every release plain and stripped, PIE where the linker changed, each kind of evidence."""
    runs = [Variant(series, mode) for series in SERIES for mode in ("default", "stripped")]
    runs += [Variant(series, "pie", evidence="gcore") for series in ("1.19", "1.23", "1.26", "1.27")]
    runs += [Variant(series, "default", evidence="kernel") for series in ("1.19", "1.21", "1.24", "1.27")]
    runs += [Variant(series, evidence="dump") for series in DUMPED]
    return [pytest.param(run, id=str(run), marks=pytest.mark.xdist_group(f"goroutines-{run}")) for run in runs]


def observe(variant: Variant) -> Seen:
    """Builds, runs, takes the core and reads it."""
    executable = harness.build("goroutines", variant)
    with tempfile.TemporaryDirectory(prefix="goroutines-") as name:
        folder = Path(name)
        begin = time.monotonic()
        with harness.running(executable, folder=folder) as program:
            core = harness.take_core(program, variant.evidence, folder)
            truth = program.truth
        seconds = time.monotonic() - begin
        if variant.evidence == "dump":
            process = open_dumped(HeapDump.open(core), executable)
        else:
            process = open_process(Core.open(core), executable)
        crash = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
        return Seen(truth, crash, read_heap(process), seconds)


@pytest.fixture(scope="module", params=variants())
def variant(request: pytest.FixtureRequest) -> Variant:
    """One way to build, run and take evidence."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def seen(variant: Variant) -> Seen:
    """The run of this variant. The scope makes pytest take one variant after the other, not one test after another."""
    return observe(variant)


def parse(text: str) -> dict[int, Told]:
    """Goroutines in the runtime's own words, by id."""
    told: dict[int, Told] = {}
    lines = text.splitlines()
    heads = [at for at, line in enumerate(lines) if _HEAD.match(line)]
    for at in heads:
        head = _HEAD.match(lines[at])
        assert head is not None
        one = Told(head[2].removesuffix(" (scan)"), [], [], None, None, ", locked to thread" in head[3])
        creator, parent = None, None
        at += 1
        while at + 1 < len(lines) and (place := _PLACE.match(lines[at + 1])):
            function = lines[at]
            at += 2
            if function.startswith("created by "):
                function, _, by = function.removeprefix("created by ").partition(" in goroutine ")
                creator, parent = (function, place[1], int(place[2])), int(by) if by else None
                continue
            function = function[: function.rindex("(")]
            one.frames.append(("runtime.gopanic" if function == "panic" else function, place[1], int(place[2])))
            if place[3]:
                one.machine.append((int(place[5], 16), int(place[4], 16), int(place[3], 16)))
        told[int(head[1])] = Told(one.status, one.frames, one.machine, creator, parent, one.locked)
    return told


def shown(function: str, first: bool) -> bool:
    """Whether runtime.Stack prints such a frame (runtime/traceback.go: showfuncinfo)."""
    if function == "runtime.gopanic":
        return not first
    return not function.startswith("runtime.") or function.removeprefix("runtime.")[:1].isupper()


def machine_frames(stacks: Stacks, row: int) -> list[tuple[int, int, int]]:
    """pc, sp and fp of every machine frame of a goroutine."""
    frames, at = stacks.frames, slice(int(stacks.frames.first[row]), int(stacks.frames.first[row + 1]))
    return list(zip(frames.pc[at].tolist(), frames.sp[at].tolist(), frames.fp[at].tolist(), strict=True))


def blocked(seen: Seen) -> dict[int, tuple[Goroutine, Told]]:
    """Goroutines that stand still: ours and the runtime's, by id. The first one goes on to wait for its input."""
    told = parse(seen.truth["stacks"])
    assert len(told) >= 40
    return {
        one.id: (one, told[one.id])
        for one in seen.stacks
        if one.id in told and one.id != 1 and told[one.id].status not in MOVES
    }


def test_every_goroutine_is_found(seen: Seen) -> None:
    """Those that runtime.Stack lists, and those of the runtime itself that it hides."""
    told = parse(seen.truth["stacks"])
    ours = {one.id for one in seen.stacks if one.status != "dead" and not one.system}
    assert ours == set(told)
    assert [(one.id, one.problem) for one in seen.stacks if one.problem] == []
    hidden = {frame.function for one in seen.stacks if one.system for frame in one.frames}
    assert {"runtime.bgsweep", "runtime.forcegchelper"} <= hidden


def test_states_and_reasons(seen: Seen) -> None:
    """The words in brackets: the status, or why it waits."""
    pairs = blocked(seen)
    assert {one: ours.wait_reason or ours.status for one, (ours, _) in pairs.items()} == {
        one: theirs.status for one, (_, theirs) in pairs.items()
    }
    assert {one for one, (ours, _) in pairs.items() if ours.locked} == {
        one for one, (_, theirs) in pairs.items() if theirs.locked
    }
    assert seen.role("locked").locked
    assert seen.role("syscall").status == "syscall"
    assert seen.role("io").wait_reason == "IO wait"
    assert {seen.role(name).status for name in ("spin", "spin-dead", "spin-live", "spin-range")} <= MOVES


def test_functions_files_and_lines(seen: Seen) -> None:
    """Every frame that runtime.Stack prints, inlined ones among them, in order."""
    for ours, theirs in blocked(seen).values():
        have = [(one.function, one.file, one.line) for one in ours.frames]
        have = [one for at, one in enumerate(have) if shown(one[0], at == 0)]
        assert have == [one for one in theirs.frames if one[1] != "<autogenerated>"], ours.id
    names = [one.function for one in seen.role("inlined").frames if one.inlined]
    assert names[-2:] == ["main.inlinedDeeper", "main.inlined"]


def test_frames_of_running_goroutines(seen: Seen) -> None:
    """What runs, runs in a function that never returns."""
    for role, caller in (("spin-dead", "main.spinsOver"), ("spin-live", "main.spinsWith")):
        names = [one.function for one in seen.role(role).frames]
        assert names[-3:] == ["main.spin", caller, "main.role.func1"]
        marked = {one.function for one in seen.role(role).frames if one.conservative}
        assert marked <= {"runtime.asyncPreempt", "main.spin"}
        assert "main.spin" in marked
    assert [one.function for one in seen.role("spin-range").frames][-2] == "main.rangesThenSpins"
    assert [one.function for one in seen.stacks.goroutine(0).frames][-2:] == ["main.main", "runtime.main"]


def test_creators(seen: Seen, variant: Variant) -> None:
    """The ``go`` statement, and from 1.21 the goroutine that ran it."""
    for ours, theirs in blocked(seen).values():
        assert (ours.creator_function, ours.creator_file, ours.creator_line) == theirs.creator
        assert ours.parent == theirs.parent
    assert (seen.role("receive").parent is None) == (variant.series == "1.19")


def test_the_dead(seen: Seen) -> None:
    """Ended goroutines whose records no other has taken over."""
    for name in ("dead-1", "dead-2", "dead-3"):
        one = seen.role(name)
        assert (one.status, one.frames, one.wait_reason, one.problem) == ("dead", (), None, None)


def test_waiting_times_are_lower_bounds(seen: Seen) -> None:
    """Of all that waited through the collections; none is longer than the program ran."""
    waits = {one.id: one.wait_seconds for one, _ in blocked(seen).values()}
    assert all(value is not None and 0 <= value <= seen.seconds for value in waits.values())


def places(heap: Heap, objects: list[dict[str, Any]]) -> npt.NDArray[np.int64]:
    """Ids of the noted objects, -1 where what was allocated later has the place of a freed one."""
    addresses = np.array([one["address"] for one in objects], dtype=np.uint64)
    ids, _ = heap.index.find(addresses)
    same = (heap.index.address_of(ids) == addresses) & (heap.index.sizes_of(ids) >= BIG_BYTES)
    return np.where(same, ids, -1)


def test_what_stacks_keep(seen: Seen, variant: Variant) -> None:
    """An object is alive exactly when the collector has not freed it."""
    objects = seen.truth["objects"]
    ids = places(seen.heap, objects)
    ours = [bool(at >= 0 and seen.heap.live[at]) for at in ids.tolist()]
    assert [(one["name"], alive) for one, alive in zip(objects, ours, strict=True)] == [
        (one["name"], not one["collected"]) for one in objects
    ]
    freed = {one["name"] for one in objects if one["collected"]}
    assert {"dead in a frame", "dead in a loop that runs"} <= freed
    assert not any(name.startswith("live") for name in freed)
    uncertain = set(seen.heap.uncertain.tolist())
    held = [at for one, at in zip(objects, ids.tolist(), strict=True) if one["name"].startswith("live in a frame")]
    assert held
    assert not uncertain & set(held)


def test_what_an_interrupted_frame_keeps_is_uncertain(seen: Seen) -> None:
    """The words of an ended loop in a frame without a stack map; the collector itself may be taken in by them."""
    objects = [one for one in seen.truth["objects"] if one["name"] == "in a map that was ranged over"]
    ids = places(seen.heap, objects)
    assert len(objects) == 20
    alive = {at for one, at in zip(objects, ids.tolist(), strict=True) if not one["collected"]}
    assert alive <= set(seen.heap.uncertain.tolist())


def test_all_that_is_allocated_is_alive(seen: Seen, variant: Variant) -> None:
    """Right after a collection; a program that dies of a signal allocates on its way."""
    figures = seen.heap.figures
    assert figures is not None
    live = np.flatnonzero(seen.heap.live)
    difference = figures.heap_alloc_bytes - int(seen.heap.index.sizes_of(live).sum())
    assert 0 <= difference <= _NEAR
    assert seen.heap.state.dangling == 0


def test_headers_of_maps_in_frames(seen: Seen, variant: Variant) -> None:
    """The header of a map that does not escape is a variable whose address is taken."""
    mask = 0b100 if variant.swiss else 0b101100
    columns = seen.stacks.stack_objects(mask)
    ids = seen.stacks.table.goid[columns["goroutine"].astype(np.int64)]
    mine = columns["address"][ids == seen.truth["roles"]["hold-map"]]
    memory = seen.heap.process.memory
    counts = [
        (memory.word(address) or 0) & (0xFFFFFFFFFFFFFFFF if not variant.swiss else 0xFFFFFFFF)
        for address in mine.tolist()
    ]
    assert 7 in counts


@pytest.mark.applies_to(lambda variant: variant.evidence == "kernel")  # only a program that dies prints them
def test_machine_frames(seen: Seen) -> None:
    """Program counter, stack pointer and frame address of every frame, wrappers too, as a dying program prints them."""
    told = parse(seen.crash)
    compared = 0
    for row, one in enumerate(seen.stacks):
        if one.id not in told or told[one.id].status in MOVES or not told[one.id].machine:
            continue
        assert machine_frames(seen.stacks, row) == list(dict.fromkeys(told[one.id].machine)), one.id
        compared += 1
    assert compared >= 30
