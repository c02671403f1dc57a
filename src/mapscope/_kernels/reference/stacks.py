"""Walks goroutine stacks frame by frame, from what is known of each program counter.

The rules are those of the runtime's unwinder (runtime/traceback.go: unwinder.init, resolveInternal, next; Go 1.19:
gentraceback). Stacks are walked until a program counter turns up that nobody has looked up yet: the caller does that
and calls again.
"""

from __future__ import annotations

from typing import Any, Final

from mapscope._kernels.reference.memory import U64, Pages

VALID, TOP, SP_WRITE, INJECTED, SIGPANIC, ASYNC, NO_FRAME, BAD_SIZE = 1, 2, 4, 8, 16, 32, 64, 128
"""Bits of ``kind`` of a program counter: it lies in a function; the stack ends here; the function writes SP freely; the
call to it was injected by a signal handler; it is sigpanic; it is asyncPreempt or debugCall; it has no frame table; its
frame size is not known."""

AFTER_SIGPANIC, CONSERVATIVE, EXACT, INNERMOST, IGNORE_SP_WRITE, HAVE_LR = 1, 2, 4, 8, 16, 32
"""Bits of ``note``, about a frame: its callee is sigpanic; scan it conservatively; its pc is no return address; it is
the first; its SP writes do not matter; ``lr`` is the word that the signal handler saved (arm64)."""

WALKING, COMPLETE, UNKNOWN_PC, OUTSIDE, UNREADABLE, STUCK, SWITCHED, FRAMELESS, ENDED = range(9)
"""Values of ``state``: 0 while there is more to walk, 1 when the end was reached, else why the walk stopped."""
_MAX_STILL: Final = 64


def unwind(pages: Any, w: Any) -> None:
    """Walks every stack of ``w`` that is WALKING, until it ends, or a program counter is not in ``w``'s table.

    ``w``: columns by stack ``pc``, ``sp``, ``lr``, ``low``, ``high`` (uint64), ``note``, ``state`` (uint8), ``still``
    (int32); the table ``keys`` (uint64, open addressing, 0: free), ``rows`` (int32) into ``delta`` (int64) and ``kind``
    (uint8); outputs ``frame_stack`` (int32), ``frame_pc``, ``frame_sp``, ``frame_fp`` (uint64), ``frame_note`` (uint8)
    with their fill ``nframes``, and ``pending`` (uint64) with ``npending``. ``uses_lr``: the architecture has a link
    register. Returns early when an output is full.
    """
    memory = Pages(pages)
    known = {key: row for key, row in zip(w.keys.tolist(), w.rows.tolist(), strict=True) if key}
    for i in range(len(w.pc)):
        while w.state[i] == WALKING:
            if w.nframes >= len(w.frame_pc) or w.npending >= len(w.pending):
                return
            row = known.get(int(w.pc[i]), -1)
            if row < 0 and w.pc[i]:
                w.pending[w.npending] = w.pc[i]
                w.npending += 1
                break
            w.state[i] = _step(memory, w, i, int(w.kind[row]) if row >= 0 else 0, int(w.delta[row]) if row >= 0 else 0)


def _step(memory: Pages, w: Any, i: int, kind: int, delta: int) -> int:
    """One frame of stack ``i``; its new state."""
    note, pc, sp, lr = int(w.note[i]), int(w.pc[i]), int(w.sp[i]), int(w.lr[i])
    if note & HAVE_LR:
        w.note[i] = note = note & ~HAVE_LR
        if not kind & VALID and lr:
            w.pc[i], w.lr[i] = lr, 0
            return WALKING
        if delta:
            lr = 0
    if not kind & VALID:
        return UNKNOWN_PC
    if kind & NO_FRAME:
        return FRAMELESS
    if kind & BAD_SIZE:
        if not kind & TOP:
            return FRAMELESS
        delta = 0
    fp = (sp + delta + (0 if w.uses_lr else 8)) & U64
    low, high = int(w.low[i]), int(w.high[i])
    if sp % 8 or not (low <= sp <= high and sp <= fp):
        return OUTSIDE
    if kind & TOP:
        _emit(w, i, pc, sp, fp, note | (CONSERVATIVE if kind & ASYNC else 0))
        return COMPLETE
    if fp > high:
        return OUTSIDE
    back: int | None = lr
    if w.uses_lr:
        if (note & INNERMOST and sp < fp) or not lr:
            back = memory.word(sp)
    else:
        back = memory.word(fp - 8)
    if back is None:
        return UNREADABLE
    _emit(w, i, pc, sp, fp, note | (CONSERVATIVE if kind & ASYNC else 0))
    if kind & SP_WRITE and not note & IGNORE_SP_WRITE:
        return SWITCHED
    if not back:
        return ENDED
    w.still[i] = w.still[i] + 1 if fp == sp else 0
    if (back == pc and fp == sp) or w.still[i] > _MAX_STILL:
        return STUCK
    note = EXACT if kind & INJECTED else 0
    note |= AFTER_SIGPANIC if kind & SIGPANIC else 0
    note |= CONSERVATIVE if kind & ASYNC else 0
    lr = 0
    if w.uses_lr and kind & INJECTED:
        saved = memory.word(fp)
        if saved is None:
            return UNREADABLE
        lr, note = saved, note | HAVE_LR
        fp += 16
    w.pc[i], w.sp[i], w.lr[i], w.note[i] = back, fp, lr, note
    return WALKING


def _emit(w: Any, i: int, pc: int, sp: int, fp: int, note: int) -> None:
    at = w.nframes
    w.frame_stack[at], w.frame_pc[at], w.frame_sp[at], w.frame_fp[at], w.frame_note[at] = i, pc, sp, fp, note
    w.nframes = at + 1
