"""Damaged stacks and threads in odd places: one goroutine is hurt, it says why, and all others come as before.

The program is the one of the ground truth, which says itself where its goroutines stand.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from mapscope.evidence.core import Core, Thread
from mapscope.goruntime.frames import Goroutine
from mapscope.goruntime.process import open_process
from mapscope.heap.model import Heap, read_heap
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300), pytest.mark.xdist_group("damaged-stacks")]

VICTIM = "hold-frame"
"""It waits in chan receive and holds a large object in a variable."""
OBJECT = "live in a frame"


@dataclass
class Subject:
    """A core that may be written to, and the truth about it."""

    path: Path
    executable: Path
    truth: dict[str, Any]
    clean: Heap

    def row(self, name: str) -> int:
        """Row of the goroutine that plays this part."""
        return int(np.flatnonzero(self.clean.frames.table.goid == self.truth["roles"][name])[0])

    def field(self, row: int, name: str) -> int:
        """Address of a field of the goroutine's record."""
        offset = self.clean.process.layouts.struct("g").offset(name)
        return int(self.clean.frames.table.address[row]) + offset

    def read(self, change: dict[int, int], folder: Path, threads: tuple[Thread, ...] | None = None) -> Heap:
        """The heap of the core with some words changed, and other registers."""
        path = folder / "changed"
        shutil.copyfile(self.path, path)
        with open(path, "r+b") as stream:
            for address, value in change.items():
                extent = next(e for e in self.clean.process.core.memory.extents if e.start <= address < e.end)
                assert extent.offset >= 0
                stream.seek(extent.offset + address - extent.start)
                stream.write((value % (1 << 64)).to_bytes(8, "little"))
        core = Core.open(path)
        if threads is not None:
            core = msgspec.structs.replace(core, threads=threads)
        return read_heap(open_process(core, self.executable))


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """One core of the program."""
    folder = tmp_path_factory.mktemp("stacks")
    executable = harness.build("goroutines", Variant("1.26"))
    with harness.running(executable, folder=folder) as program:
        path = harness.take_core(program, "capture", folder)
        truth = program.truth
    return Subject(path, executable, truth, read_heap(open_process(Core.open(path), executable)))


def others(heap: Heap, victim: int) -> dict[int, Goroutine]:
    """All goroutines but one."""
    return {row: heap.frames.goroutine(row) for row in range(len(heap.frames)) if row != victim}


def held(subject: Subject, heap: Heap) -> tuple[bool, bool]:
    """Whether the victim's object is alive, and whether that is uncertain."""
    address = next(one["address"] for one in subject.truth["objects"] if one["name"] == OBJECT)
    ids, _ = heap.index.find(np.array([address], dtype=np.uint64))
    assert ids[0] >= 0
    return bool(heap.live[ids[0]]), int(ids[0]) in set(heap.uncertain.tolist())


Damage = Callable[[Subject, int], dict[int, int]]


def frame(subject: Subject, row: int, number: int) -> int:
    """Index of a machine frame of the goroutine."""
    return int(subject.clean.frames.frames.first[row]) + number


def returns(number: int, value: int) -> Damage:
    """The return address of a frame is another."""

    def damage(subject: Subject, row: int) -> dict[int, int]:
        return {int(subject.clean.frames.frames.fp[frame(subject, row, number)]) - 8: value}

    return damage


def sets(**fields: int) -> Damage:
    """Fields of the goroutine's record are others (``__`` stands for a dot)."""

    def damage(subject: Subject, row: int) -> dict[int, int]:
        return {subject.field(row, name.replace("__", ".")): value for name, value in fields.items()}

    return damage


@pytest.mark.parametrize(
    ("damage", "problem", "frames", "kept"),
    [
        (returns(2, 0x123456), "a return address on its stack lies in no function of the program", 3, True),
        (returns(1, 0), "its stack ends before its first function", 2, True),
        (sets(sched__sp=0x10), "its stack pointer lies outside its stack", 0, True),
        (sets(sched__pc=0x10), "a return address on its stack lies in no function of the program", 0, True),
        (sets(stack__lo=0, stack__hi=0), "it has no stack", 0, False),
        (sets(stack__hi=0x1000), "the bounds of its stack make no sense", 0, False),
        (sets(stack__hi=1 << 60), "the bounds of its stack make no sense", 0, False),
        (
            sets(stack__lo=0x10000000000, stack__hi=0x10000010000, sched__sp=0x10000000800),
            "a part of its stack is not in this core", 0, False,
        ),
    ],
    ids=["return", "zero", "sp", "pc", "none", "upside-down", "huge", "absent"],
)  # fmt: skip
def test_a_damaged_stack(
    subject: Subject, tmp_path: Path, damage: Damage, problem: str, frames: int, kept: bool
) -> None:
    """It has its reason and the frames before the damage; a readable stack is scanned whole, and said to be unsure."""
    row = subject.row(VICTIM)
    heap = subject.read(damage(subject, row), tmp_path)
    victim = heap.frames.goroutine(row)
    assert victim.problem == problem
    first = heap.frames.frames.first
    assert int(first[row + 1] - first[row]) == frames
    assert victim.frames == tuple(
        one for at in range(frames) for one in subject.clean.frames.frame(frame(subject, row, at))
    )
    assert others(heap, row) == others(subject.clean, row)
    assert held(subject, subject.clean) == (True, False)
    assert held(subject, heap) == ((True, True) if kept else (False, False))
    assert any("goroutines" in note for note in heap.notes)


def test_a_defer_list_that_runs_in_a_circle(subject: Subject, tmp_path: Path) -> None:
    """Its records are read once."""
    row = subject.row("hold-defer-loop")
    record = int(subject.clean.frames.table.defers[row])
    assert record
    link = record + subject.clean.process.layouts.struct("_defer").offset("link")
    heap = subject.read({link: record}, tmp_path)
    assert heap.frames.goroutine(row) == subject.clean.frames.goroutine(row)


def test_a_record_that_is_not_there(subject: Subject, tmp_path: Path) -> None:
    """A bad pointer in the list of goroutines loses that goroutine only."""
    row = subject.row(VICTIM)
    memory, head = subject.clean.process.memory, subject.clean.process.globals["runtime.allgs"]
    array = memory.word(head)
    assert array
    heap = subject.read({array + 8 * row: 0x7777777777777}, tmp_path)
    assert [one.id for one in heap.frames] == [one.id for at, one in enumerate(subject.clean.frames) if at != row]


def in_state(subject: Subject, row: int, status: int) -> dict[int, int]:
    """The goroutine's status is another."""
    address = subject.field(row, "atomicstatus")
    word = subject.clean.process.memory.word(address)
    assert word is not None
    return {address: word >> 32 << 32 | status}


@pytest.mark.parametrize("status", [8, 77, 0x1004, 0x1008])
def test_odd_states(subject: Subject, tmp_path: Path, status: int) -> None:
    """In the middle of a stack copy, unheard of, while it is scanned: the frames come all the same."""
    row = subject.row(VICTIM)
    heap = subject.read(in_state(subject, row, status), tmp_path)
    one = heap.frames.goroutine(row)
    assert one.status == {8: "copystack", 77: "status 77", 0x1004: "waiting", 0x1008: "copystack"}[status]
    assert one.frames == subject.clean.frames.goroutine(row).frames
    copied = status & 0xFFF == 8
    assert (one.problem or "").startswith("its stack is being copied") == copied
    assert held(subject, heap) == (True, copied)
    assert others(heap, row) == others(subject.clean, row)


def test_a_copy_that_has_changed_the_bounds_only(subject: Subject, tmp_path: Path) -> None:
    """The record has the new stack, and still the old stack pointer (copystack sets one after the other)."""
    row = subject.row(VICTIM)
    other = subject.row("receive")
    table = subject.clean.frames.table
    bounds = {subject.field(row, f"stack.{end}"): int(getattr(table, f"stack_{end}")[other]) for end in ("lo", "hi")}
    heap = subject.read(in_state(subject, row, 8) | bounds, tmp_path)
    one = heap.frames.goroutine(row)
    assert (one.status, one.problem, one.frames) == ("copystack", "its stack pointer lies outside its stack", ())
    assert others(heap, row) == others(subject.clean, row)


def test_a_goroutine_in_the_middle_of_its_end(subject: Subject, tmp_path: Path) -> None:
    """The status says dead, the thread is still noted; nothing on its stack counts."""
    row = subject.row(VICTIM)
    thread = {subject.field(row, "m"): int(subject.clean.frames.table.m[0])}
    heap = subject.read(in_state(subject, row, 6) | thread, tmp_path)
    one = heap.frames.goroutine(row)
    assert (one.status, one.frames) == ("dead", ())
    assert one.problem is not None
    assert one.problem.startswith("it is ending")
    assert held(subject, heap) == (False, False)
    assert others(heap, row) == others(subject.clean, row)
    # dead for good, or the spare goroutine of a thread that C made, which keeps its thread (runtime: oneNewExtraM)
    spare = thread | {subject.field(row, "lockedm"): int(subject.clean.frames.table.m[0])}
    for change in ({}, spare):
        heap = subject.read(in_state(subject, row, 6) | change, tmp_path)
        assert heap.frames.goroutine(row).problem is None


def test_frames_that_repeat_for_ever(subject: Subject, tmp_path: Path) -> None:
    """Every word above a frame is its own program counter: it returns into itself until the stack is at its end."""
    row, frames = subject.row(VICTIM), subject.clean.frames.frames
    at = frame(subject, row, 2)
    pc, low, high = int(frames.pc[at]), int(frames.fp[at]) - 8, int(subject.clean.frames.table.stack_hi[row])
    heap = subject.read(dict.fromkeys(range(low, high, 8), pc), tmp_path)
    one = heap.frames.goroutine(row)
    assert one.problem == "a frame of its stack lies outside the stack"
    size = int(frames.fp[at] - frames.sp[at])
    first = heap.frames.frames.first
    assert int(first[row + 1] - first[row]) == 3 + (high - low - 8) // size
    assert others(heap, row) == others(subject.clean, row)


@dataclass
class Place:
    """A goroutine made to run, and what its thread's record says."""

    subject: Subject
    row: int
    m: int
    thread: Thread
    change: dict[int, int]

    def field(self, name: str) -> int:
        """Address of a field of the thread's record."""
        return self.m + self.subject.clean.process.layouts.struct("m").offset(name)

    def with_registers(self, folder: Path, **registers: int) -> Goroutine:
        """The goroutine, when its thread has these registers."""
        return self.heap(folder, **registers).frames.goroutine(self.row)

    def heap(self, folder: Path, **registers: int) -> Heap:
        """The heap, when its thread has these registers."""
        thread = Thread(self.thread.tid, {**dict.fromkeys(self.thread.registers, 0), **registers})
        rest = tuple(one for one in self.subject.clean.process.core.threads if one.tid != thread.tid)
        return self.subject.read(self.change, folder, (*rest, thread))


@pytest.fixture
def place(subject: Subject) -> Place:
    """The victim on the thread of the first goroutine, which is in a system call."""
    row, clean = subject.row(VICTIM), subject.clean
    m = int(clean.frames.table.m[0])
    assert m
    memory, layout = clean.process.memory, clean.process.layouts.struct("m")
    tid = memory.word(m + layout.offset("procid"))
    thread = next(one for one in clean.process.core.threads if one.tid == tid)
    status = subject.field(row, "atomicstatus")
    word = memory.word(status)
    assert word is not None
    return Place(subject, row, m, thread, {subject.field(row, "m"): m, status: word >> 32 << 32 | 2})


def names(one: Goroutine) -> list[str]:
    return [frame.function for frame in one.frames]


def test_a_thread_on_the_stack_of_its_goroutine(subject: Subject, place: Place, tmp_path: Path) -> None:
    """Its registers tell; its innermost frame is conservative."""
    frames = subject.clean.frames.frames
    at = frame(subject, place.row, 3)
    one = place.with_registers(tmp_path, rsp=int(frames.sp[at]), rip=int(frames.pc[at]))
    assert (one.status, one.problem) == ("running", None)
    assert names(one) == ["main.inFrame", "main.role.func1"]
    assert [frame.conservative for frame in one.frames] == [True, False]


def test_a_register_that_points_to_a_free_slot(subject: Subject, place: Place, tmp_path: Path) -> None:
    """A conservative scan passes over it (runtime: scanConservative); an allocated one it keeps, without certainty."""
    frames, clean = subject.clean.frames.frames, subject.clean
    at = frame(subject, place.row, 3)
    free = int(np.flatnonzero(clean.state.flags == 0)[0])
    address = next(one["address"] for one in subject.truth["objects"] if one["name"] == OBJECT)
    heap = place.heap(
        tmp_path, rsp=int(frames.sp[at]), rip=int(frames.pc[at]), rax=address,
        rbx=int(clean.index.address_of(np.array([free]))[0]),
    )  # fmt: skip
    assert heap.state.flags[free] == 0
    assert heap.state.dangling == 0
    assert held(subject, heap)[0]


def test_a_thread_on_its_system_stack(subject: Subject, place: Place, tmp_path: Path) -> None:
    """The goroutine's own record tells where it went over."""
    g0 = subject.clean.process.memory.word(place.field("g0"))
    assert g0
    low = subject.clean.process.memory.word(g0 + subject.clean.process.layouts.struct("g").offset("stack.hi"))
    assert low
    one = place.with_registers(tmp_path, rsp=low - 256, rip=0x10)
    assert one.problem is None
    assert one.frames == subject.clean.frames.goroutine(place.row).frames


def test_a_thread_that_ends_its_goroutine(subject: Subject, place: Place, tmp_path: Path) -> None:
    """It still runs by its status, but its function has returned: goexit1 has gone over to the system stack."""
    g0 = subject.clean.process.memory.word(place.field("g0"))
    assert g0
    top = subject.clean.process.memory.word(g0 + subject.clean.process.layouts.struct("g").offset("stack.hi"))
    assert top
    frames = subject.clean.frames.frames
    last = int(frames.first[place.row + 1]) - 1
    assert subject.clean.frames.code.name(int(frames.pc[last])) == "runtime.goexit"
    place.change |= {
        subject.field(place.row, "sched.pc"): int(frames.pc[last]),
        subject.field(place.row, "sched.sp"): int(frames.sp[last]),
    }
    heap = place.heap(tmp_path, rsp=top - 256, rip=0x10)
    one = heap.frames.goroutine(place.row)
    assert (one.status, one.problem, one.frames) == ("running", None, ())
    assert held(subject, heap) == (False, False)
    assert others(heap, place.row).keys() == others(subject.clean, place.row).keys()


def test_a_thread_in_the_vdso(subject: Subject, place: Place, tmp_path: Path) -> None:
    """The runtime notes where the goroutine left its code."""
    frames = subject.clean.frames.frames
    at = frame(subject, place.row, 3)
    place.change |= {place.field("vdsoSP"): int(frames.sp[at]), place.field("vdsoPC"): int(frames.pc[at])}
    one = place.with_registers(tmp_path, rsp=0x7FFF00000000, rip=0x7FFF00000000)
    assert names(one) == ["main.inFrame", "main.role.func1"]


def test_a_thread_in_a_signal_handler(subject: Subject, place: Place, tmp_path: Path) -> None:
    """The kernel has put the interrupted registers onto the signal stack; other words look like them."""
    memory, g = subject.clean.process.memory, subject.clean.process.layouts.struct("g")
    signal = memory.word(place.field("gsignal"))
    assert signal
    bounds = memory.words(signal + g.offset("stack.lo"), 2)
    assert bounds is not None
    low, high = (int(word) for word in bounds)
    frames = subject.clean.frames.frames
    at, copy = frame(subject, place.row, 3), frame(subject, place.row, 1)
    context = high - 0x400
    place.change |= {
        context - 0x300: int(frames.sp[copy]), context - 0x2F8: int(frames.pc[copy]),
        context + 16: low, context + 24: 0, context + 32: high - low,
        context + 160: int(frames.sp[at]), context + 168: int(frames.pc[at]),
        context + 0x300: int(frames.sp[copy]), context + 0x308: int(frames.pc[copy]),
    }  # fmt: skip
    one = place.with_registers(tmp_path, rsp=high - 0x800, rip=0x10)
    assert names(one) == ["main.inFrame", "main.role.func1"]
    assert [frame.conservative for frame in one.frames] == [True, False]


def test_a_thread_that_is_not_in_the_core(subject: Subject, place: Place, tmp_path: Path) -> None:
    """Without registers, and without a place in its record, there is nothing to walk."""
    place.change |= {subject.field(place.row, "sched.sp"): 0}
    heap = subject.read(place.change, tmp_path, ())
    one = heap.frames.goroutine(place.row)
    assert one.problem == "it runs, and the registers of its thread are not in this core"
    assert one.frames == ()
    assert held(subject, heap) == (True, True)
    # without any registers the goroutines that ran are lost as well
    assert {at: one for at, one in others(heap, place.row).items() if one.status != "running"} == {
        at: one for at, one in others(subject.clean, place.row).items() if one.status != "running"
    }
