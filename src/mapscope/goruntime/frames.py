"""Goroutines with their frames: who waits where, since when, and which words of the stacks are roots."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.arrays import among, unique
from mapscope.evidence.memory import PageTable
from mapscope.goruntime.code import Code, read_code
from mapscope.goruntime.goroutines import (
    G_COPYSTACK,
    G_DEAD,
    G_LEAKED,
    G_WAITING,
    STACKLESS,
    GoroutineTable,
    StackRoots,
)
from mapscope.goruntime.index import HeapIndex
from mapscope.goruntime.process import Process
from mapscope.goruntime.stackmaps import StackMaps
from mapscope.goruntime.stackscan import DEAD, Scanner, StackScan
from mapscope.goruntime.starts import find_starts
from mapscope.goruntime.unwind import CONSERVATIVE, EXACT, REASONS, Frames, unwind
from mapscope.goruntime.waitreasons import STATUS, newest_time, wait_reasons

_PANICS = frozenset({"runtime.gopanic", "runtime.sigpanic", "runtime.panicwrap"})
_COPIED = "its stack is being copied to another place: pointers into the stack may still mean the old one"
_ENDING = "it is ending: its thread is about to give back its stack"
"""Reasons for a goroutine in the middle of copystack (runtime/stack.go) or of gdestroy (runtime/proc.go)."""
_MAX_FRAMES = 1 << 16
"""Frames of one goroutine that a record lists; the columns have all."""


class Frame(Struct, frozen=True):
    """One function of the source on a stack. ``file`` and ``line`` are where it stands: the call it waits for."""

    function: str
    file: str
    line: int
    pc: int
    """The return address, or the instruction where a signal or the evidence found it; shared with inlined callees."""
    sp: int
    cfa: int
    """Canonical frame address: the stack pointer of the caller at the call."""
    entry: int
    """Where the machine function begins; that of an inlined function is its caller's."""
    inlined: bool
    """The code lies inside that of the next frame of the list."""
    conservative: bool
    """Which of its words are live is not known: it was stopped at any instruction."""


class Goroutine(Struct, frozen=True):
    """One goroutine at the moment of the evidence."""

    id: int
    address: int
    """Of its runtime.g."""
    status: str
    """``waiting``, ``runnable``, ``running``, ``syscall``, ``dead`` …: the runtime's own words."""
    wait_reason: str | None
    """``chan receive``, ``select`` … as the process itself words it; None when it does not wait, or the text is not
    known."""
    wait_seconds: float | None
    """How long it has waited *at least*: from the first collection that saw it wait to the latest moment that the
    evidence shows. None when no collection has seen it wait."""
    creator_function: str | None
    """The function whose ``go`` statement made it; None for the first goroutine."""
    creator_file: str | None
    creator_line: int
    parent: int | None
    """Id of the goroutine that made it; None before Go 1.21."""
    start_function: str | None
    """The function it was made to run."""
    locked: bool
    """It is locked to its thread (runtime.LockOSThread)."""
    frames: tuple[Frame, ...]
    """Innermost first. Code that the compiler generated and ``runtime.goexit`` are left out."""
    problem: str | None
    """Why frames are missing or not to be trusted; None when all is well."""

    @property
    def system(self) -> bool:
        """Made by the runtime for itself: collector's workers, finalizers … (runtime: isSystemGoroutine)."""
        start = self.start_function or ""
        return start.startswith("runtime.") and start not in ("runtime.main", "runtime.corostart")


class Stacks(Struct):
    """All stacks of a process: frames and roots as columns, goroutines as records on demand.

    Rows are those of ``table``. ``problems``: by row, why its frames are not all there.
    """

    table: GoroutineTable
    code: Code
    frames: Frames
    maps: StackMaps
    scan: StackScan
    roots: StackRoots
    problems: dict[int, str]
    now: int
    """The latest moment of the runtime's clock in the evidence, in nanoseconds; 0: none."""
    texts: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table.address)

    def __iter__(self) -> Iterator[Goroutine]:
        """All goroutines, in the runtime's order, dead ones too."""
        return (self.goroutine(row) for row in range(len(self)))

    def goroutine(self, row: int) -> Goroutine:
        """The record of one row."""
        table = self.table
        status = int(table.status[row])
        waits = status in (G_WAITING, G_LEAKED)
        since = int(table.waitsince[row])
        known = self.now and 0 < since <= self.now and STATUS.get(status) in ("waiting", "syscall", "leaked")
        gopc, startpc = int(table.gopc[row]), int(table.startpc[row])
        first = int(table.goid[row]) == 1  # made by the runtime's own start, which is no creator
        made = self.code.lines(gopc, False) if gopc and status not in STACKLESS and not first else ()
        return Goroutine(
            id=int(table.goid[row]),
            address=int(table.address[row]),
            status=STATUS.get(status, f"status {status}"),
            wait_reason=self.texts.get(int(table.waitreason[row])) if waits else None,
            wait_seconds=(self.now - since) / 1e9 if known else None,
            creator_function=made[0].name if made else None,
            creator_file=made[0].file if made else None,
            creator_line=made[0].line if made else 0,
            parent=int(table.parent[row]) or None,
            start_function=self.code.name(startpc) if startpc else None,
            locked=bool(table.locked[row]) and status not in STACKLESS,
            frames=tuple(self._frames(row)),
            problem=self.problems.get(row),
        )

    def _frames(self, row: int) -> Iterator[Frame]:
        first, last = int(self.frames.first[row]), int(self.frames.first[row + 1])
        for at in range(first, min(last, first + _MAX_FRAMES)):
            yield from self.frame(at)

    def frame(self, at: int) -> tuple[Frame, ...]:
        """The functions of the source that machine frame ``at`` stands for, innermost first.

        Empty for code that the compiler generated and for ``runtime.goexit``. A wrapper is kept where it panics itself
        (runtime/traceback.go: elideWrapperCalling).
        """
        columns, code = self.frames, self.code
        pc, note = int(columns.pc[at]), int(columns.note[at])
        lines = code.lines(pc, bool(note & EXACT))
        if not lines or lines[-1].name == "runtime.goexit":
            return ()
        if code.is_wrapper(pc) and not self._panics(at):
            lines = lines[:-1]
        entry = code.entry(pc)
        return tuple(
            Frame(
                line.name, line.file, line.line, pc, int(columns.sp[at]), int(columns.fp[at]), entry, line.inlined,
                bool(note & CONSERVATIVE),
            )
            for line in lines
        )  # fmt: skip

    def _panics(self, at: int) -> bool:
        """Whether the frame's callee raises a panic."""
        if not at or self.frames.stack[at - 1] != self.frames.stack[at]:
            return False
        return self.code.name(int(self.frames.pc[at - 1])) in _PANICS

    def stack_objects(self, mask: int | None = None, *, live: bool = True) -> dict[str, npt.NDArray[np.uint64]]:
        """Variables on stacks whose address is taken, as columns by address.

        Args:
            mask: only those whose pointer mask has exactly these bits (bit n: word n; first 64 words), None: all.
            live: only those that their frame's map calls live or a live pointer leads to, and those in conservative
                frames.

        Returns:
            ``address``, ``size``, ``mask`` (bits), ``goroutine`` (row), ``frame`` (index into ``frames``), ``pc`` (of
            the frame), ``live`` (LIVE or MAYBE of ``stackscan``), all uint64.
        """
        objects = self.scan.objects
        bits = np.array([*self.maps.masks.bits, 0], dtype=np.uint64)[objects.mask]
        keep = np.ones(len(objects), dtype=np.bool_) if mask is None else bits == np.uint64(mask)
        if live:
            keep &= objects.live != DEAD
        frame = objects.frame[keep]
        return {
            "address": objects.address[keep],
            "size": objects.size[keep],
            "mask": bits[keep],
            "goroutine": objects.stack[keep].astype(np.uint64),
            "frame": frame.astype(np.uint64),
            "pc": self.frames.pc[frame],
            "live": objects.live[keep].astype(np.uint64),
        }


def read_stacks(process: Process, pages: PageTable, index: HeapIndex, table: GoroutineTable) -> Stacks:
    """Unwinds all goroutines and finds the roots on their stacks. A goroutine that cannot be read has a problem."""
    memory, layouts = process.memory, process.layouts
    code = read_code(process)
    found = find_starts(memory, layouts, code, table, process.threads)
    frames = unwind(pages, code, found.starts)
    problems = dict(found.problems)
    walked = np.flatnonzero(found.starts.walk & ~frames.complete)
    states = frames.state[walked].tolist()
    problems.update({row: REASONS[state] for row, state in zip(walked.tolist(), states, strict=True)})
    moving = table.status == G_COPYSTACK
    problems.update({row: _COPIED for row in np.flatnonzero(moving).tolist() if row not in problems})
    # gdestroy sets the status first and lets go of the thread next; the g of a foreign thread (cgo) keeps its own
    ending = (table.status == G_DEAD) & (table.m != 0) & (table.locked == 0)
    problems.update(dict.fromkeys(np.flatnonzero(ending).tolist(), _ENDING))
    stackless = among(table.status, STACKLESS)
    low, high = table.stack_lo, table.stack_hi
    readable = ~stackless & (low != 0) & (low < high) & (high - low <= np.uint64(1 << 31)) & (high < np.uint64(1 << 48))
    whole = np.flatnonzero(readable & (~frames.complete | moving))
    maps = StackMaps(code)
    scanner = Scanner(index, layouts, table, frames, maps)
    scan = scanner.scan(whole, found.starts.sp, found.registers)
    roots = _roots(table, readable, found.starts.sp, scan, len(whole), int((~stackless & ~readable).sum()))
    now = newest_time(memory, layouts, process.globals, table)
    texts = wait_reasons(memory, process.globals, set(unique(table.waitreason).tolist()))
    return Stacks(table, code, frames, maps, scan, roots, problems, now, texts)


def _roots(
    table: GoroutineTable,
    readable: npt.NDArray[np.bool_],
    sp: npt.NDArray[np.uint64],
    scan: StackScan,
    whole: int,
    without: int,
) -> StackRoots:
    low, high = table.stack_lo[readable], table.stack_hi[readable]
    start = np.where((sp[readable] >= low) & (sp[readable] <= high), sp[readable], low) & ~np.uint64(7)
    notes = list(scan.notes)
    if whole:
        notes.append(
            f"the frames of {whole} goroutines cannot be told apart: every word of their stacks that looks like a "
            "pointer counts as one, but what only they hold is uncertain"
        )
    if without:
        notes.append(f"{without} goroutines have no readable stack: what only they hold may count as dead")
    if not len(table.address):
        notes.append("the list of goroutines is not in this core: what only stacks hold counts as dead")
    words = scan.words
    return StackRoots(
        list(zip(start.tolist(), high.tolist(), strict=True)),
        unique(words.value[words.certain]),
        unique(words.value[~words.certain]),
        notes,
    )
