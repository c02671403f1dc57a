"""Goroutines as the runtime lists them (``runtime.allgs``, runtime/runtime2.go: g), and their stacks as roots."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.arrays import among
from mapscope.evidence.memory import Memory, PageTable
from mapscope.goruntime.index import column, gather
from mapscope.goruntime.layout import Layouts

G_IDLE, G_RUNNABLE, G_RUNNING, G_SYSCALL, G_WAITING, G_DEAD, G_COPYSTACK, G_PREEMPTED = 0, 1, 2, 3, 4, 6, 8, 9
G_LEAKED, G_DEAD_EXTRA = 10, 11
"""``_Gidle`` … ``_Gdeadextra`` of runtime/runtime2.go; ``_Gscan`` (0x1000) is an extra bit. The last two: from 1.26."""
STACKLESS = (G_IDLE, G_DEAD, G_DEAD_EXTRA)
"""Goroutines in these states have no frames."""
_G_SCAN = 0x1000
_MAX_GOROUTINES = 1 << 26
MAX_STACK = 1 << 31


class GoroutineTable(Struct, frozen=True):
    """One row a g, as columns: addresses and 64-bit numbers as uint64, in the order of ``allgs``."""

    address: npt.NDArray[np.uint64]
    goid: npt.NDArray[np.uint64]
    status: npt.NDArray[np.uint64]
    stack_lo: npt.NDArray[np.uint64]
    stack_hi: npt.NDArray[np.uint64]
    sp: npt.NDArray[np.uint64]
    """Where the goroutine stands by its own record: syscallsp and syscallpc, else sched.sp and sched.pc."""
    pc: npt.NDArray[np.uint64]
    lr: npt.NDArray[np.uint64]
    in_syscall: npt.NDArray[np.bool_]
    """``sp`` and ``pc`` are those of a system call."""
    context: npt.NDArray[np.uint64]
    """sched.ctxt: the closure that a goroutine which has not begun is about to run."""
    m: npt.NDArray[np.uint64]
    """The thread's record (runtime.m), 0 when it is on none."""
    defers: npt.NDArray[np.uint64]
    panics: npt.NDArray[np.uint64]
    gopc: npt.NDArray[np.uint64]
    """The instruction after the ``go`` statement that made it."""
    startpc: npt.NDArray[np.uint64]
    parent: npt.NDArray[np.uint64]
    """The goroutine that made it; 0 before Go 1.21, which does not keep it."""
    locked: npt.NDArray[np.uint64]
    """The thread's record that it is locked to (runtime.LockOSThread), else 0."""
    waitreason: npt.NDArray[np.uint64]
    waitsince: npt.NDArray[np.uint64]
    registers: npt.NDArray[np.uint64]
    """From 1.27: where the vector registers of an asynchronously preempted goroutine are kept, else 0."""


class StackRoots(Struct):
    """The live part of each stack, [low, high), and the words in it that are roots."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    certain: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """Values of words that the collector's own stack maps call live pointers."""
    uncertain: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """Values of words that only a conservative scan of a frame, or a register, takes for pointers."""
    notes: list[str] = field(default_factory=list)


def read_goroutines(
    memory: Memory,
    pages: PageTable,
    layouts: Layouts,
    globals_: Mapping[str, int],
    listed: npt.NDArray[np.uint64] | None = None,
) -> GoroutineTable:
    """All goroutines, dead ones too; an empty table when ``runtime.allgs`` is not known or not there.

    ``listed``: addresses of those that the evidence lists itself, which serve when ``runtime.allgs`` lacks any.
    """
    head = globals_.get("runtime.allgs", 0)
    array, count = (memory.word(head), memory.word(head + 8)) if head else (None, None)
    if not array or not count or count > _MAX_GOROUTINES or memory.covered(array, 8 * count) < 8 * count:
        pointers = np.zeros(0, dtype=np.uint64)
    else:
        there = memory.words(array, count)
        assert there is not None
        pointers = there
    if listed is not None and not among(listed, pointers).all():
        pointers = listed
    struct = layouts.struct("g")
    rows, ok = gather(pages, pointers, struct.size)
    rows, pointers = rows[ok], pointers[ok]

    def col(name: str) -> npt.NDArray[np.uint64]:
        if name not in struct:
            return np.zeros(len(pointers), dtype=np.uint64)
        entry = struct.field(name)
        return column(rows, entry.offset, min(entry.size, 8))

    in_syscall = col("syscallsp") != 0
    # Go 1.27 scans the saved vector registers; 1.26 saves them but holds no pointers there (runtime: xRegScan)
    scanned = layouts.release >= (1, 27)
    return GoroutineTable(
        address=pointers,
        goid=col("goid"),
        status=col("atomicstatus") & np.uint64(~_G_SCAN & 0xFFFFFFFF),
        stack_lo=col("stack.lo"),
        stack_hi=col("stack.hi"),
        sp=np.where(in_syscall, col("syscallsp"), col("sched.sp")),
        pc=np.where(in_syscall, col("syscallpc"), col("sched.pc")),
        lr=np.where(in_syscall, np.uint64(0), col("sched.lr")),
        in_syscall=in_syscall,
        context=col("sched.ctxt"),
        m=col("m"),
        defers=col("_defer"),
        panics=col("_panic"),
        gopc=col("gopc"),
        startpc=col("startpc"),
        parent=col("parentGoid"),
        locked=col("lockedm"),
        waitreason=col("waitreason"),
        waitsince=col("waitsince"),
        registers=col("xRegs.state") if scanned else np.zeros(len(pointers), dtype=np.uint64),
    )
