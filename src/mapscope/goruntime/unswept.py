"""What died in spans that the sweeper has not come to: it looks allocated, and what it points to may be others' by now.

After marking, ``mheap.sweepgen`` goes up by 2; a span with the old number waits to be swept (runtime/mheap.go: mspan).
Until then its ``allocBits`` are those of the cycle before, and ``gcmarkBits`` say what lives. With Green Tea the marks
of small slots lie in the span itself and are moved when it is swept (runtime/mgcmark_greenteagc.go: moveInlineMarks).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapscope.evidence.memory import Memory
from mapscope.goruntime.index import GO_PAGE, HeapIndex, column, gather
from mapscope.goruntime.layout import Layouts
from mapscope.goruntime.pointers import INLINE_MARK_BYTES, INLINE_MARK_MIN, MIN_SIZE_FOR_HEADER, inline_marks
from mapscope.goruntime.spans import Arenas, SpanTable

_MARKS = 64
"""Offset of ``marks`` in ``spanInlineMarkBits``: behind 63 bytes of ``scans`` and one of ``owned``."""
_WRAP = (1 << 32) - 1


def unswept_spans(memory: Memory, layouts: Layouts, table: SpanTable, mheap: int) -> npt.NDArray[np.bool_]:
    """By span: whether it waits for the sweeper, in the list of its size class or in a processor's cache.

    The two cases are ``sweepgen == h.sweepgen - 2`` and ``sweepgen == h.sweepgen + 1``. One that is being swept at this
    moment (``- 1``) counts as swept: its bits may have moved already.
    """
    data = memory.read(mheap + layouts.struct("mheap").offset("sweepgen"), 4)
    if data is None or not len(table.sweepgen):
        return np.zeros(len(table.spans), dtype=np.bool_)
    now = int.from_bytes(data, "little")
    waits: npt.NDArray[np.bool_] = (table.sweepgen == (now - 2) & _WRAP) | (table.sweepgen == (now + 1) & _WRAP)
    return waits


def died_unswept(
    memory: Memory,
    layouts: Layouts,
    index: HeapIndex,
    table: SpanTable,
    arenas: Arenas,
    mheap: int,
    objects: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Which of the objects (ids) lie in an unswept span and were not marked by the last collection.

    An object whose mark bit is not in the evidence counts as living.
    """
    dead = np.zeros(len(objects), dtype=np.bool_)
    span = index.span_of_object(objects)
    at = np.flatnonzero(unswept_spans(memory, layouts, table, mheap)[span]) if len(objects) else np.zeros(0, dtype=int)
    if not len(at):
        return dead
    span = span[at]
    spans = index.spans[span]
    slot = (objects[at] - spans["first"]).astype(np.uint64)
    marked, known = _bits(index, table.gcmarkbits[span], slot)
    inline = inline_marks(memory, layouts, arenas, spans["base"])
    inline &= (spans["elemsize"] >= INLINE_MARK_MIN) & (spans["elemsize"] <= MIN_SIZE_FOR_HEADER)
    marks = spans["base"] + np.uint64(GO_PAGE - INLINE_MARK_BYTES + _MARKS)
    also, there = _bits(index, marks, slot)
    dead[at] = known & ~marked & (~inline | (there & ~also))
    return dead


def _bits(
    index: HeapIndex, bitmap: npt.NDArray[np.uint64], slot: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The bit of each slot in the bitmap at each address, and whether it could be read."""
    rows, ok = gather(index, bitmap + (slot >> np.uint64(3)), 1)
    return (column(rows, 0, 1) >> (slot & np.uint64(7))) & np.uint64(1) != 0, ok
