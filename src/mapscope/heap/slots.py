"""Spans, slots and pointer words of a heap: the part of reading that needs no types of variables.

It is the first thing that runs in the other thread, while this one still imports the rest: so it has a module of its
own, which imports little.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope.arrays import zeros
from mapscope.goruntime.index import build_index, missing_bytes
from mapscope.goruntime.pointers import TypeWords, fill_pointer_mask, mark_headers
from mapscope.goruntime.process import Process
from mapscope.goruntime.spans import Spans, read_arenas, read_spans
from mapscope.heap.later import Later
from mapscope.heap.saved import SavedHeap


class Slots(Struct, frozen=True):
    """What the slots of ``spans`` hold; the pointer words are in ``spans.index.ptrmask``.

    ``flags``: by object id, bit 0 for allocated slots. ``words``: of slots that name a type.
    """

    spans: Spans
    flags: npt.NDArray[np.uint8]
    words: TypeWords
    notes: list[str]


class Reading(Struct, frozen=True):
    """Both steps, which another thread takes: what needs no more than the spans goes on beside the second.

    Either raises EvidenceError where its part is not in the evidence, LayoutError where that does not look like spans.
    """

    spans: Later[Spans]
    slots: Later[Slots]


def begin_reading(process: Process, saved: SavedHeap | None = None) -> Reading:
    """Begins both steps for a core. ``saved``: pointer words are taken from there; ValueError where it does not fit."""
    spans = Later(lambda: _spans(process)).start()
    return Reading(spans, Later(lambda: _slots(process, spans.get(), saved)).start())


def _spans(process: Process) -> Spans:
    """From the runtime's own structures."""
    memory, layouts, notes = process.memory, process.layouts, []
    arenas = read_arenas(memory, layouts, process.mheap)
    have = {extent.start >> 26 for extent in memory.extents}
    numbers = arenas.number.tolist()
    pages = memory.page_table(numbers[: 2 * len(have) + 64])
    table = read_spans(memory, pages, layouts, process.mheap, arenas)
    mark_headers(layouts, table)
    index = build_index(pages, table.spans)
    if table.dropped:
        notes.append(f"{table.dropped} spans failed the self-check and were left out")
    absent = missing_bytes(index)
    if absent:
        notes.append(f"{absent:,} bytes of heap spans are not in this core: what they hold is missing from every sum")
    return Spans(arenas, pages, table, index, zeros(index.nobjects, np.uint8), notes)


def _slots(process: Process, spans: Spans, saved: SavedHeap | None) -> Slots:
    table, index, flags, notes = spans.table, spans.index, spans.flags, list(spans.notes)
    if saved is not None:
        if index.nobjects != len(saved.flags) or len(index.ptrmask) != len(saved.ptrmask):
            raise ValueError("another heap")
        index.ptrmask = saved.ptrmask
        none = np.zeros(0, dtype=np.int64)
        words = TypeWords(none, none.astype(np.uint64), 0)
        return Slots(spans, saved.flags, words, [])
    unreadable = load("spans").alloc_flags(index, table.freeindex, table.allocbits, flags)
    if unreadable:
        notes.append(f"{unreadable} spans have no readable allocation bits: their objects may be missed")
    words = fill_pointer_mask(process.memory, process.layouts, index, table, spans.arenas, flags, _mask_of(process))
    if words.unreadable:
        notes.append(
            f"the pointer bits of {words.unreadable} spans or slots are not in this core: what they hold may be missed"
        )
    return Slots(spans, flags, words, notes)


def _mask_of(process: Process) -> Callable[[int], npt.NDArray[np.bool_] | None]:
    """Pointer mask of a type over its whole size."""

    def mask(address: int) -> npt.NDArray[np.bool_] | None:
        rtype, bits = process.types.at(address), process.types.pointer_mask(address)
        if rtype is None or bits is None or rtype.size < 8 or rtype.size > 1 << 31:
            return None
        out = np.zeros(rtype.size // 8, dtype=np.bool_)
        out[: len(bits)] = bits[: len(out)]
        return out

    return mask
