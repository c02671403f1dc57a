"""The constant address that is put into the first argument before a call, for many calls at once.

Register ABI (cmd/compile/abi-internal.md): the first argument is in RAX on amd64, in R0 on arm64. A constant address is
made by LEA from RIP, or by ADRP with ADD. Only the code between the call and the one before it in the same function
counts, at most ``WINDOW`` bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapscope.binary.pclntab import FunctionTable
from mapscope.binary.textcode import TextCode

WINDOW = 96
"""Bytes before a call that are looked at."""
_CALL = 5
_CHUNK = 1 << 12

Rows = npt.NDArray[np.int64]


def first_arguments(
    text: TextCode, table: FunctionTable, pcs: npt.NDArray[np.uint64], low: int, high: int
) -> npt.NDArray[np.uint64]:
    """Address in [low, high) in the first argument of the call that returns to each of ``pcs``; 0 where none is seen.

    ``pcs`` outside of the text get 0. Bytes that look like an instruction inside another one are taken for it: check
    what lies at the address.
    """
    found = np.zeros(len(pcs), np.uint64)
    functions = table.find_many(pcs - np.uint64(1))
    inside = (functions >= 0) & (pcs > np.uint64(text.start)) & (pcs <= np.uint64(text.end))
    chosen = np.flatnonzero(inside)
    look = _amd64 if text.arch == "amd64" else _arm64
    for begin in range(0, len(chosen), _CHUNK):
        rows = chosen[begin : begin + _CHUNK]
        at = (pcs[rows] - np.uint64(text.start)).astype(np.int64)
        entry = table.entry[functions[rows]].astype(np.int64) - text.start
        row, target = look(text, table, at, np.maximum(entry, at - WINDOW))
        good = (target >= low) & (target < high)
        found[rows[row[good]]] = target[good].astype(np.uint64)  # the last of a row stays: the nearest to the call
    return found


def _amd64(text: TextCode, table: FunctionTable, at: Rows, start: Rows) -> tuple[Rows, Rows]:
    where = at[:, None] + np.arange(-WINDOW, 0)
    code = np.where(where >= np.maximum(start, 0)[:, None], text.data[np.maximum(where, 0)], 0)
    row, column = np.nonzero(code[:, : WINDOW - _CALL] == 0xE8)
    site = at[row] - WINDOW + column
    calls = _entries(table, site + _CALL + _offset(text, site + 1) + text.start)
    after = np.zeros(len(at), np.int64)
    after[row[calls]] = site[calls] + _CALL
    lea = (code[:, :-6] == 0x48) & (code[:, 1:-5] == 0x8D) & (code[:, 2:-4] == 0x05)
    row, column = np.nonzero(lea)
    site = at[row] - WINDOW + column
    keep = site >= after[row]
    row, site = row[keep], site[keep]
    return row, site + 7 + _offset(text, site + 3) + text.start


def _arm64(text: TextCode, table: FunctionTable, at: Rows, start: Rows) -> tuple[Rows, Rows]:
    absolute = at + text.start
    where = (absolute & ~3)[:, None] - text.start + np.arange(-WINDOW, 0, 4)
    held = (where >= np.maximum(start, 0)[:, None]) & (where + 4 <= at[:, None])
    code = np.where(held, _words(text, np.where(held, where, 0)), 0)
    row, column = np.nonzero((code >> 26 == 0b100101) & (where < at[:, None] - _CALL))
    site = where[row, column]
    offset = (code[row, column] & 0x3FFFFFF) << 2
    calls = _entries(table, site + offset - ((offset >> 27 & 1) << 28) + text.start)
    after = np.zeros(len(at), np.int64)
    after[row[calls]] = site[calls] + 4
    first, second = code[:, :-1], code[:, 1:]
    made = (first & 0x9F000000 == 0x90000000) & (second & 0xFFC00000 == 0x91000000)
    row, column = np.nonzero(made & (second & 31 == 0) & (second >> 5 & 31 == first & 31))
    site = where[row, column]
    keep = site >= after[row]
    row, column, site = row[keep], column[keep], site[keep]
    word = first[row, column]
    page = (word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3
    page -= (page >> 20 & 1) << 21
    return row, ((site + text.start) >> 12 << 12) + (page << 12) + (second[row, column] >> 10 & 0xFFF)


def _entries(table: FunctionTable, targets: Rows) -> npt.NDArray[np.bool_]:
    """Which of ``targets`` are the entries of functions."""
    entry = table.entry.astype(np.int64)
    found: npt.NDArray[np.bool_] = entry[np.minimum(np.searchsorted(entry, targets), len(entry) - 1)] == targets
    return found


def _words(text: TextCode, at: Rows) -> Rows:
    value = text.data[at].astype(np.int64)
    for byte in (1, 2, 3):
        value |= text.data[np.minimum(at + byte, text.data.size - 1)].astype(np.int64) << 8 * byte
    return value


def _offset(text: TextCode, at: Rows) -> Rows:
    """The 32-bit signed numbers at the offsets ``at``."""
    return _words(text, at).astype(np.uint32).view(np.int32).astype(np.int64)
