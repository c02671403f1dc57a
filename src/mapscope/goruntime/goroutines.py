"""Goroutines as the runtime lists them (``runtime.allgs``, runtime/runtime2.go: g), and their stacks as roots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mapscope.evidence.core import Thread
from mapscope.evidence.memory import Memory, PageTable
from mapscope.goruntime.index import column, gather
from mapscope.goruntime.layout import Layouts

G_IDLE, G_RUNNABLE, G_RUNNING, G_SYSCALL, G_WAITING, G_DEAD, G_COPYSTACK, G_PREEMPTED = 0, 1, 2, 3, 4, 6, 8, 9
"""``_Gidle`` … ``_Gpreempted`` of runtime/runtime2.go; ``_Gscan`` (0x1000) is an extra bit."""
_G_SCAN = 0x1000
_MAX_GOROUTINES = 1 << 26
_MAX_STACK = 1 << 31


@dataclass(frozen=True, slots=True)
class GoroutineTable:
    """One row a g, as columns: addresses and 64-bit numbers as uint64, in the order of ``allgs``."""

    address: npt.NDArray[np.uint64]
    goid: npt.NDArray[np.uint64]
    status: npt.NDArray[np.uint64]
    stack_lo: npt.NDArray[np.uint64]
    stack_hi: npt.NDArray[np.uint64]
    sp: npt.NDArray[np.uint64]
    """Where the stack's live part starts: sched.sp, syscallsp, or a thread's register."""
    pc: npt.NDArray[np.uint64]


@dataclass(slots=True)
class StackRoots:
    """Stack ranges to scan, [low, high), and register values of threads that run goroutines."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    registers: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    notes: list[str] = field(default_factory=list)


def read_goroutines(
    memory: Memory, pages: PageTable, layouts: Layouts, globals_: Mapping[str, int], threads: Sequence[Thread]
) -> GoroutineTable:
    """All goroutines, dead ones too; an empty table when ``runtime.allgs`` is not known or not there."""
    head = globals_.get("runtime.allgs", 0)
    array, count = (memory.word(head), memory.word(head + 8)) if head else (None, None)
    if not array or not count or count > _MAX_GOROUTINES or memory.covered(array, 8 * count) < 8 * count:
        none = np.zeros(0, dtype=np.uint64)
        return GoroutineTable(none, none, none, none, none, none, none)
    pointers = memory.words(array, count)
    assert pointers is not None
    struct = layouts.struct("g")
    rows, ok = gather(pages, pointers, struct.size)
    rows, pointers = rows[ok], pointers[ok]

    def col(name: str) -> npt.NDArray[np.uint64]:
        entry = struct.fields[name]
        return column(rows, entry.offset, min(entry.size, 8))

    status = column(rows, struct.offset("atomicstatus"), 4) & np.uint64(~_G_SCAN & 0xFFFFFFFF)
    low, high = col("stack.lo"), col("stack.hi")
    sp, pc = col("sched.sp"), col("sched.pc")
    syscall_sp, syscall_pc = col("syscallsp"), col("syscallpc")
    in_syscall = syscall_sp != 0
    sp, pc = np.where(in_syscall, syscall_sp, sp), np.where(in_syscall, syscall_pc, pc)
    for thread in threads:
        here = (low <= np.uint64(thread.sp)) & (np.uint64(thread.sp) < high) & ~in_syscall
        sp[here], pc[here] = thread.sp, thread.pc
    return GoroutineTable(pointers, col("goid"), status, low, high, sp, pc)


def stack_roots(table: GoroutineTable, threads: Sequence[Thread]) -> StackRoots:
    """Every word between sp and the top of the stack of each goroutine that has one.

    A goroutine whose stack pointer lies outside its stack (it runs on a system stack whose state is not known) is
    scanned from the bottom.
    """
    roots = StackRoots()
    bad = 0
    for status, low, high, sp in zip(
        table.status.tolist(), table.stack_lo.tolist(), table.stack_hi.tolist(), table.sp.tolist(), strict=True
    ):
        if status in (G_IDLE, G_DEAD) or not low:
            continue
        if not low < high or high - low > _MAX_STACK:
            bad += 1
            continue
        start = sp if low <= sp <= high else low
        roots.ranges.append((start - start % 8, high))
    if bad:
        roots.notes.append(f"{bad} goroutines have no readable stack: what only they hold may count as dead")
    if not len(table.address):
        roots.notes.append("the list of goroutines is not in this core: what only stacks hold counts as dead")
    values = [value for thread in threads for value in thread.registers.values()]
    roots.registers = np.array(values, dtype=np.uint64)
    return roots
