"""Where the walk of each goroutine's stack begins.

A goroutine that does not run keeps its place in ``g.sched``, one in a system call in ``syscallpc`` and ``syscallsp``.
One that runs is where its thread's registers say, unless the thread is elsewhere: on its system stack (``m.g0``), which
left the goroutine's place in ``g.sched`` (runtime/asm_*.s: systemstack, mcall, asmcgocall); in the kernel's vDSO
(``m.vdsoPC``, ``m.vdsoSP``); or in a signal handler (``m.gsignal``), whose stack holds the registers that the signal
interrupted, pushed by the kernel.

One that works for the collector is called waiting, so that its stack can be scanned, though its thread runs it
(runtime/mgc.go: gcBgMarkWorker, gcMarkTermination; mgcmark.go: gcAssistAlloc): such a one still has a ``g.m``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.arrays import among
from mapscope.evidence.core import Thread
from mapscope.evidence.memory import Memory
from mapscope.goruntime.code import Code
from mapscope.goruntime.goroutines import G_RUNNING, G_WAITING, MAX_STACK, STACKLESS, GoroutineTable
from mapscope.goruntime.layout import Layouts
from mapscope.goruntime.unwind import CONSERVATIVE, EXACT, IGNORE_SP_WRITE, Starts

_MAX_RUNNING = 1 << 16
_MAX_SIGNAL_STACK = 1 << 20
_CONTEXT_WORDS = {"amd64": (3, 15), "arm64": (21, 31)}
"""Words from ``uc_stack`` of the kernel's ucontext to the first register of its sigcontext, and registers before the
stack pointer, which the program counter follows (runtime/defs_linux_amd64.go, defs_linux_arm64.go: ucontext,
sigcontext)."""


class Found(Struct):
    """Starts by goroutine.

    ``problems``: by row, why there is none. ``registers``: values that running code holds, with the row of their
    goroutine.
    """

    starts: Starts
    problems: dict[int, str] = field(default_factory=dict)
    registers: list[tuple[int, int]] = field(default_factory=list)


def find_starts(
    memory: Memory, layouts: Layouts, code: Code, table: GoroutineTable, threads: Sequence[Thread]
) -> Found:
    """Where each goroutine stands. Nothing is raised: a goroutine without a start has a problem instead."""
    stackless = among(table.status, STACKLESS)
    low, high = table.stack_lo, table.stack_hi
    sane = (low != 0) & (low < high) & (high - low <= np.uint64(MAX_STACK)) & (high < np.uint64(1 << 48))
    walk = ~stackless & sane
    starts = Starts(
        table.pc.copy(), table.sp.copy(), table.lr.copy(), low, high,
        np.full(len(low), IGNORE_SP_WRITE, dtype=np.uint8), walk,
    )  # fmt: skip
    found = Found(starts)
    for i in np.flatnonzero(~stackless & ~sane).tolist():
        found.problems[i] = "it has no stack" if not low[i] else "the bounds of its stack make no sense"
    on_thread = (table.status == G_RUNNING) | (table.status == G_WAITING) & (table.m != 0)
    running = np.flatnonzero(walk & on_thread & ~table.in_syscall).tolist()
    for i in running[:_MAX_RUNNING]:
        problem = _Running(memory, layouts, code, table, threads, i).place(found)
        if problem:
            found.problems[i] = problem
            walk[i] = False
    for i in running[_MAX_RUNNING:]:
        found.problems[i], walk[i] = "more goroutines run than any machine has threads", False
    outside = walk & ((starts.sp < low) | (starts.sp > high))
    for i in np.flatnonzero(outside).tolist():
        found.problems[i], walk[i] = "its stack pointer lies outside its stack", False
    for i in np.flatnonzero(walk & (starts.pc == 0)).tolist():
        _skip_nil_call(memory, starts, i, code.uses_lr)
    return found


def _skip_nil_call(memory: Memory, starts: Starts, i: int, uses_lr: bool) -> None:
    """A call of a nil function: the caller is the first frame (runtime/traceback.go: initAt)."""
    starts.pc[i] = memory.word(int(starts.sp[i])) or 0
    starts.lr[i] = 0
    if not uses_lr:
        starts.sp[i] += np.uint64(8)


class _Running:
    """One goroutine that a thread runs, and the record of that thread."""

    def __init__(
        self, memory: Memory, layouts: Layouts, code: Code, table: GoroutineTable, threads: Sequence[Thread], i: int
    ) -> None:
        self.memory, self.code, self.table, self.i = memory, code, table, i
        self.low, self.high = int(table.stack_lo[i]), int(table.stack_hi[i])
        self.m, self.layout = int(table.m[i]), layouts.struct("m")
        self.stack = layouts.struct("g").offset("stack.lo")
        procid = self.field("procid")
        self.thread = next((t for t in threads if procid and t.tid == procid), None) or next(
            (t for t in threads if self.inside(t.sp)), None
        )

    def field(self, name: str) -> int:
        """A word of the runtime's record of the thread; 0 when it is not there."""
        return (self.memory.word(self.m + self.layout.offset(name)) or 0) if self.m and name in self.layout else 0

    def inside(self, address: int) -> bool:
        """Whether ``address`` lies on the goroutine's own stack."""
        return self.low <= address < self.high

    def place(self, found: Found) -> str | None:
        """Sets the start of the goroutine; why not, else."""
        starts, i, thread = found.starts, self.i, self.thread
        saved = self.inside(int(self.table.sp[i])) and self.table.pc[i] != 0
        if thread is not None and self.inside(thread.sp):
            link = thread.registers.get("x30", 0)
            found.registers += [(value, i) for value in thread.registers.values()]
            self.set(starts, thread.pc, thread.sp, link, EXACT | CONSERVATIVE)
            return None
        if self.inside(self.field("vdsoSP")):
            self.set(starts, self.field("vdsoPC"), self.field("vdsoSP"), 0, IGNORE_SP_WRITE)
            return None
        if thread is not None:
            context = self.signal_context(thread.sp)
            if context is not None:
                registers, sp, pc = context
                found.registers += [(value, i) for value in registers]
                self.set(starts, pc, sp, registers[-1], EXACT | CONSERVATIVE)
                return None
        if saved:
            return None
        if thread is None:
            return "it runs, and the registers of its thread are not in this core"
        return "it runs, and its thread stands outside its stack"

    def set(self, starts: Starts, pc: int, sp: int, link: int, note: int) -> None:
        """Enters the place."""
        i = self.i
        starts.pc[i], starts.sp[i], starts.note[i] = pc, sp, note
        starts.lr[i] = link if self.code.uses_lr else 0

    def signal_context(self, sp: int) -> tuple[list[int], int, int] | None:
        """The interrupted registers, stack pointer and program counter, when the thread handles a signal.

        The kernel pushes a ucontext onto the signal stack and notes in it where that stack lies (``uc_stack``), which
        the runtime knows too (runtime/signal_unix.go: minitSignalStack). Nothing else tells registers from words that
        look like them: on arm64 the kernel pushes frame pointer and link register once more, above the ucontext
        (arch/arm64/kernel/signal.c: setup_return).
        """
        signal = self.field("gsignal")
        bounds = self.memory.words(signal + self.stack, 2) if signal else None
        if bounds is None:
            return None
        low, high = int(bounds[0]), int(bounds[1])
        if not low <= sp < high or high - sp > _MAX_SIGNAL_STACK:
            return None
        words = self.memory.words(sp - sp % 8, (high - sp + 7) // 8)
        if words is None:
            return None
        skip, count = _CONTEXT_WORDS[self.code.arch]
        notes: npt.NDArray[np.bool_] = (words[:-2] == np.uint64(low)) & (words[2:] == np.uint64(high - low))
        for at in (np.flatnonzero(notes)[::-1] + skip).tolist():
            registers = words[at : at + count + 2].tolist()
            if len(registers) == count + 2 and self.inside(registers[-2]) and self.code.find(registers[-1]) is not None:
                return registers[:-2], registers[-2], registers[-1]
        return None
