"""Unwinding: the frames of all goroutines at once, driven by the kernel ``stacks``, pclntab looked up once a pc."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope._kernels import load
from mapscope._kernels.reference.stacks import (
    AFTER_SIGPANIC,
    COMPLETE,
    CONSERVATIVE,
    ENDED,
    EXACT,
    FRAMELESS,
    IGNORE_SP_WRITE,
    INNERMOST,
    OUTSIDE,
    STUCK,
    SWITCHED,
    UNKNOWN_PC,
    UNREADABLE,
    WALKING,
)
from mapscope.arrays import unique
from mapscope.evidence.memory import PageTable
from mapscope.goruntime.code import Code

NO_START, TOO_LONG = 20, 21
"""States that the kernel does not set: where the stack stands is not known; the walk was given up."""

_FRAMES = 1 << 16
_PENDING = 1 << 14
_MAX_FRAMES = 1 << 25
_MAX_PCS = 1 << 18
_FIRST_TABLE = 1 << 10

REASONS = {
    UNKNOWN_PC: "a return address on its stack lies in no function of the program",
    OUTSIDE: "a frame of its stack lies outside the stack",
    UNREADABLE: "a part of its stack is not in this core",
    STUCK: "its frames run in a circle",
    SWITCHED: "it stands in a function that switches stacks",
    FRAMELESS: "a function on its stack has no frame size",
    ENDED: "its stack ends before its first function",
    TOO_LONG: "its stack has too many frames",
}
"""Why a walk stopped early, by state."""


class Frames(Struct, frozen=True):
    """Machine frames as columns, those of one stack together, innermost first. ``fp`` is the canonical frame address.

    ``stack`` int32: number of the stack they are of; ``pc``, ``sp``, ``fp`` uint64; ``note`` uint8, bits
    ``AFTER_SIGPANIC``, ``CONSERVATIVE``, ``EXACT``, ``INNERMOST`` of kernel ``stacks``. ``first`` int64, one more than
    there are stacks: the frames of stack i are [first[i], first[i + 1]). ``state`` uint8, by stack: see ``REASONS``.
    """

    stack: npt.NDArray[np.int32]
    pc: npt.NDArray[np.uint64]
    sp: npt.NDArray[np.uint64]
    fp: npt.NDArray[np.uint64]
    note: npt.NDArray[np.uint8]
    first: npt.NDArray[np.int64]
    state: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pc)

    @property
    def complete(self) -> npt.NDArray[np.bool_]:
        """By stack: it was walked to its first function."""
        complete: npt.NDArray[np.bool_] = self.state == COMPLETE
        return complete


class _Walk(Struct):
    """The kernel's working set; see reference/stacks.py."""

    pc: npt.NDArray[np.uint64]
    sp: npt.NDArray[np.uint64]
    lr: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]
    high: npt.NDArray[np.uint64]
    note: npt.NDArray[np.uint8]
    state: npt.NDArray[np.uint8]
    still: npt.NDArray[np.int32]
    uses_lr: bool
    keys: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(_FIRST_TABLE, dtype=np.uint64))
    rows: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(_FIRST_TABLE, dtype=np.int32))
    delta: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_FIRST_TABLE, dtype=np.int64))
    kind: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_FIRST_TABLE, dtype=np.uint8))
    frame_stack: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(_FRAMES, dtype=np.int32))
    frame_pc: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(_FRAMES, dtype=np.uint64))
    frame_sp: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(_FRAMES, dtype=np.uint64))
    frame_fp: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(_FRAMES, dtype=np.uint64))
    frame_note: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_FRAMES, dtype=np.uint8))
    pending: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(_PENDING, dtype=np.uint64))
    nframes: int = 0
    npending: int = 0
    known: int = 0

    def learn(self, pc: int, kind: int, delta: int) -> None:
        """Enters one program counter into the table, which grows to stay half empty."""
        if 2 * (self.known + 1) > len(self.keys):
            keys, rows = self.keys, self.rows
            self.keys = np.zeros(2 * len(keys), dtype=np.uint64)
            self.rows = np.zeros(2 * len(keys), dtype=np.int32)
            self.delta = np.concatenate([self.delta, np.zeros_like(self.delta)])
            self.kind = np.concatenate([self.kind, np.zeros_like(self.kind)])
            for at in np.flatnonzero(keys).tolist():
                self._enter(int(keys[at]), int(rows[at]))
        self.delta[self.known], self.kind[self.known] = delta, kind
        self._enter(pc, self.known)
        self.known += 1

    def _enter(self, pc: int, row: int) -> None:
        mask = len(self.keys) - 1
        at = (pc * 0x9E3779B97F4A7C15 % (1 << 64) >> 20) & mask
        while self.keys[at]:
            at = (at + 1) & mask
        self.keys[at], self.rows[at] = pc, row


class Starts(Struct, frozen=True):
    """Where to begin, as columns by stack.

    uint64 ``pc``, ``sp``, ``lr`` (link register, 0: none), ``low``, ``high``; uint8 ``note`` (``EXACT``,
    ``IGNORE_SP_WRITE``; ``CONSERVATIVE`` for a frame stopped at any instruction); bool ``walk``: False where there is
    nothing to walk.
    """

    pc: npt.NDArray[np.uint64]
    sp: npt.NDArray[np.uint64]
    lr: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]
    high: npt.NDArray[np.uint64]
    note: npt.NDArray[np.uint8]
    walk: npt.NDArray[np.bool_]


def unwind(pages: PageTable, code: Code, starts: Starts) -> Frames:
    """Frames of all stacks of ``starts``. Never raises: where a walk cannot go on, ``state`` says why."""
    count = len(starts.pc)
    state = np.where(starts.walk, WALKING, NO_START).astype(np.uint8)
    w = _Walk(
        starts.pc.copy(), starts.sp.copy(), starts.lr.copy(),
        np.ascontiguousarray(starts.low), np.ascontiguousarray(starts.high),
        starts.note | np.uint8(INNERMOST), state, np.zeros(count, dtype=np.int32), code.uses_lr,
    )  # fmt: skip
    kernel = load("stacks").unwind
    parts: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.uint64], npt.NDArray[np.uint8]]] = []
    total = 0
    while (state == WALKING).any():
        kernel(pages, w)
        if w.nframes:
            n = w.nframes
            columns = np.stack([w.frame_pc[:n], w.frame_sp[:n], w.frame_fp[:n]])
            parts.append((w.frame_stack[:n].copy(), columns, w.frame_note[:n].copy()))
        total += w.nframes
        stuck = not w.nframes and not w.npending
        for pc in unique(w.pending[: w.npending]).tolist():
            if w.known < _MAX_PCS:
                w.learn(pc, *code.walking_facts(pc))
        if total > _MAX_FRAMES or w.known >= _MAX_PCS or stuck:
            state[state == WALKING] = TOO_LONG
        w.nframes = w.npending = 0
    stack = np.concatenate([p[0] for p in parts]) if parts else np.zeros(0, dtype=np.int32)
    columns = np.concatenate([p[1] for p in parts], axis=1) if parts else np.zeros((3, 0), dtype=np.uint64)
    note = np.concatenate([p[2] for p in parts]) if parts else np.zeros(0, dtype=np.uint8)
    order = np.argsort(stack, kind="stable")
    stack, columns, note = stack[order], columns[:, order], note[order]
    first = np.searchsorted(stack, np.arange(count + 1), side="left").astype(np.int64)
    return Frames(stack, columns[0], columns[1], columns[2], note, first, state)


__all__ = [
    "AFTER_SIGPANIC", "CONSERVATIVE", "EXACT", "IGNORE_SP_WRITE", "INNERMOST", "NO_START", "REASONS",
    "Frames", "Starts", "unwind",
]  # fmt: skip
