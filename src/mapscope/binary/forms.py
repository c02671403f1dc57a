"""From instructions in capstone's words to operations, without reading the words of each.

A program has millions of instructions, but only a few thousand that differ in more than numbers. What such a form means
is asked once (``Meaning``), with numbers of its own in place of those that are taken out; wherever one of these comes
back in an operation, the number of the instruction at hand goes there. The rest is done by kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mapscope._kernels import load
from mapscope.binary.disassembler import Disassembler, text_of
from mapscope.binary.machine import Meaning, Ops

_MOST = 1 << 15
"""Forms that are kept; a program with 20 MB of code has a fifth of that."""
_NUMBERS, _WIDTH = 4, 200  # NUMBERS and WIDTH in _kernels/reference/operations.py
_BASE, _APART = 1 << 62, 1 << 40
"""Number k of a form is asked for as ``_BASE + k * _APART``: no instruction has such a number, or one near it."""
_NEAR = 1 << 20
_NUMBERED = {k + 1: hex(_BASE + k * _APART) for k in range(_NUMBERS)}
_MASK = (1 << 64) - 1


class Forms:
    """The forms met so far, and what they mean."""

    def __init__(self, disassembler: Disassembler, meaning: Meaning, *, most: int = _MOST) -> None:
        """``meaning`` reads the words of ``disassembler``; ``most``: forms that are kept."""
        self._disassembler, self._meaning = disassembler, meaning
        self._kernel = load("operations")
        self.count = 0
        self.texts = np.zeros((most, _WIDTH), np.uint8)
        self.table = np.zeros(4 << most.bit_length(), np.int32)
        self.ids: dict[bytes, int] = {}
        self._known = 0
        self._first = np.zeros(most + 1, np.int64)
        self._parts = np.zeros((most, 7), np.int64)

    def operations(self, code: bytes, address: int) -> Ops:
        """The operations of ``code``, which lies at ``address``."""
        pieces = [self._some(rows) for rows in self._disassembler.rows(code, address)]
        return pieces[0] if len(pieces) == 1 else np.concatenate([np.zeros((0, 6), np.int64), *pieces])

    def _some(self, rows: npt.NDArray[np.void]) -> Ops:
        raw = rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)
        places: Any = rows.dtype.fields
        mnemonic, operands = (
            raw[:, at : at + kind.itemsize] for kind, at, *_ in (places["mnemonic"], places["operands"])
        )
        form, numbers = np.empty(len(rows), np.int32), np.empty((len(rows), _NUMBERS), np.int64)
        self._kernel.forms(rows["address"], rows["size"], mnemonic, operands, self, form, numbers)
        self._learn()
        first = self._first[: self._known + 1]
        out = np.empty((2 * len(rows) + 64, 6), np.int64)
        while True:
            made = self._kernel.expand(rows["address"], rows["size"], form, numbers, first, self._parts, out)
            if made <= len(out):
                break
            out = np.empty((made, 6), np.int64)
        ops = out[:made]
        return ops if form.min(initial=0) >= 0 else self._with_others(ops, rows[form < 0])

    def _learn(self) -> None:
        """What forms mean that were met for the first time."""
        made: list[tuple[int, ...]] = []
        begin = int(self._first[self._known])
        for k in range(self._known, self.count):
            name, _, operands = self.texts[k].tobytes().rstrip(b"\0").partition(b"\0")
            words = operands.decode("latin-1").translate(_NUMBERED)
            for code, *fields in self._meaning(name.decode("latin-1"), words):
                made.append((int(code), *(part for field in fields for part in _taken_apart(field))))
            self._first[k + 1] = begin + len(made)
        self._known = self.count
        if begin + len(made) > len(self._parts):
            self._parts = np.concatenate([self._parts, np.zeros((len(self._parts) + len(made), 7), np.int64)])
        if made:
            self._parts[begin : begin + len(made)] = made

    def _with_others(self, ops: Ops, rows: npt.NDArray[np.void]) -> Ops:
        """Those of instructions whose forms had no room, too: their words are read one by one."""
        found = []
        for at, size, name, operands in rows[["address", "size", "mnemonic", "operands"]].tolist():
            for code, *fields in self._meaning(text_of(name), _absolute(text_of(operands), at + size)):
                found.append([_signed(value) for value in (at, at + size, int(code), *fields)])
        every = np.concatenate([ops, np.array(found, np.int64).reshape(-1, 6)])
        return every[np.argsort(every[:, 0], kind="stable")]


def _taken_apart(value: int) -> tuple[int, int]:
    """A constant, and which number is added to it (k + 1) or taken from it (-k - 1)."""
    if abs(value) < _BASE // 2:
        return value, 0
    k = (abs(value) - _BASE + _NEAR) // _APART
    rest = abs(value) - _BASE - k * _APART
    if not 0 <= k < _NUMBERS or abs(rest) > _NEAR:
        return _signed(value), 0
    return (rest, k + 1) if value > 0 else (-rest, -k - 1)


def _absolute(operands: str, end: int) -> str:
    """Operands with an address in place of a distance from ``end``."""
    before, found, rest = operands.partition("[rip ")
    number, bracket, after = rest.partition("]")
    if not found or not bracket or number[:2] not in ("+ ", "- "):
        return operands
    distance = int(number[2:], 0)
    return f"{before}[rip + {(end + distance if number[0] == '+' else end - distance) & _MASK:#x}]{after}"


def _signed(value: int) -> int:
    return ((value & _MASK) ^ 1 << 63) - (1 << 63)
