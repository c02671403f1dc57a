"""Inlined calls: one machine frame can stand for several functions of the source.

FUNCDATA_InlTree is an array of runtime.inlinedCall; PCDATA_InlTreeIndex says which of them a pc belongs to, -1 the
function itself. Two layouts: 20 bytes in Go 1.18 and 1.19 (runtime/symtab.go), 16 bytes since Go 1.20
(runtime/symtabinl.go).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.binary.pclntab import FUNCDATA_INL_TREE, MAGIC_120, PCDATA_INL_TREE_INDEX, FunctionTable
from mapscope.binary.reader import Reader

_MAX_DEPTH = 256
_MAX_INDEX = 1 << 20


class InlineFrame(Struct, frozen=True):
    """One function of the source at a pc. ``inlined``: its code lies inside that of the next frame of the list."""

    name: str
    file: str
    line: int
    start_line: int
    inlined: bool


def unfold(table: FunctionTable, reader: Reader, i: int, pc: int) -> list[InlineFrame]:
    """The functions that ``pc`` of function ``i`` stands for, innermost first; the last one is function ``i`` itself.

    ``pc`` is the address of an instruction: for a return address on a stack give the address minus 1. ``reader`` must
    reach the function data (read-only data of the executable). What cannot be read ends the list early with function
    ``i``.
    """
    frames: list[InlineFrame] = []
    tree = table.funcdata(i, FUNCDATA_INL_TREE)
    entry = int(table.entry[i])
    new = table.header.magic == MAGIC_120
    size = 16 if new else 20
    while tree is not None and len(frames) < _MAX_DEPTH:
        index = table.pcdata(i, PCDATA_INL_TREE_INDEX, pc)
        if not 0 <= index < _MAX_INDEX:
            break
        raw = reader.read(tree + index * size, size)
        if raw is None:
            break
        words = [int.from_bytes(raw[at : at + 4], "little", signed=True) for at in range(0, size, 4)]
        name, parent, start = (words[1], words[2], words[3]) if new else (words[3], words[4], 0)
        file, line = table.file_line(i, pc)
        frames.append(InlineFrame(table.name_at(name), file, line, start, True))
        pc = entry + parent
    file, line = table.file_line(i, pc)
    frames.append(InlineFrame(table.name(i), file, line, int(table.start_line[i]), False))
    return frames


def innermost_name(table: FunctionTable, reader: Reader, i: int, pc: int) -> str:
    """Name of the first function that ``unfold`` gives, without files and lines."""
    tree = table.funcdata(i, FUNCDATA_INL_TREE)
    index = table.pcdata(i, PCDATA_INL_TREE_INDEX, pc) if tree is not None else -1
    return _name_in(table, reader, i, tree, index)


def innermost_names(table: FunctionTable, reader: Reader, pcs: npt.NDArray[np.uint64]) -> list[str]:
    """Name of the first function that ``unfold`` gives for each of ``pcs``; empty outside all functions.

    Function by function: what a table of pctab says is decoded once for all its addresses.
    """
    functions = table.find_many(pcs)
    order = np.argsort(functions, kind="stable")
    starts = np.flatnonzero(np.diff(functions[order], prepend=-2))
    ends = np.append(starts, len(order))[1:]
    names = [""] * len(pcs)
    for low, high in zip(starts.tolist(), ends.tolist(), strict=True):
        i, rows = int(functions[order[low]]), order[low:high]
        if i >= 0:
            found = _innermost(table, reader, i, pcs[rows] - table.entry[i])
            for row, name in zip(rows.tolist(), found, strict=True):
                names[row] = name
    return names


def _innermost(table: FunctionTable, reader: Reader, i: int, offsets: npt.NDArray[np.uint64]) -> list[str]:
    tree = table.funcdata(i, FUNCDATA_INL_TREE)
    ends, values = table.pcvalues(table.pcdata_offset(i, PCDATA_INL_TREE_INDEX)) if tree is not None else ([], [])
    if tree is None or not ends:
        return [table.name(i)] * len(offsets)
    calls = np.append(values, -1)[np.searchsorted(np.array(ends, np.uint64), offsets, "right")]
    known = {call: _name_in(table, reader, i, tree, call) for call in set(calls.tolist())}
    return [known[call] for call in calls.tolist()]


def _name_in(table: FunctionTable, reader: Reader, i: int, tree: int | None, index: int) -> str:
    """Name of the inlined call ``index`` of function ``i``; of the function itself where there is none."""
    size, at = (16, 4) if table.header.magic == MAGIC_120 else (20, 12)
    raw = reader.read(tree + index * size, size) if tree is not None and 0 <= index < _MAX_INDEX else None
    return table.name(i) if raw is None else table.name_at(int.from_bytes(raw[at : at + 4], "little", signed=True))


def inlined_at(table: FunctionTable, reader: Reader, i: int, pc: int) -> str:
    """Name of the function whose inlined call is marked by the instruction at ``pc`` of function ``i``; empty if none.

    The mark is what ``parentPc`` of the call's entry in the tree points to.
    """
    tree = table.funcdata(i, FUNCDATA_INL_TREE)
    values = table.pcvalues(table.pcdata_offset(i, PCDATA_INL_TREE_INDEX))[1]
    new = table.header.magic == MAGIC_120
    size = 16 if new else 20
    count = min(max(values, default=-1) + 1, _MAX_INDEX)
    raw = reader.read(tree, count * size) if tree is not None and count else None
    if raw is None:
        return ""
    wanted = pc - int(table.entry[i])
    for at in range(0, len(raw), size):
        words = [int.from_bytes(raw[at + k : at + k + 4], "little", signed=True) for k in range(0, size, 4)]
        name, parent = (words[1], words[2]) if new else (words[3], words[4])
        if parent == wanted:
            return table.name_at(name)
    return ""
