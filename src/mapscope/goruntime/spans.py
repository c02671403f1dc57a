"""Spans of the heap, read from ``runtime.mheap_`` (runtime/mheap.go: mheap, mspan, heapArena).

Every number is checked before it is believed: page-aligned, inside an arena, no overlap, counts that fit the size.
Spans that fail are dropped and counted; too many failures mean that the layout does not fit this release, which is an
error.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.arrays import among
from mapscope.errors import EvidenceError, LayoutError
from mapscope.evidence.memory import CHUNK_SHIFT, Memory, PageTable
from mapscope.goruntime.index import GO_PAGE, SPAN_DTYPE, HeapIndex, gather_fields
from mapscope.goruntime.layout import Layouts

SPAN_IN_USE = 1
SPAN_MANUAL = 2
"""``mSpanInUse``, ``mSpanManual`` of runtime/mheap.go."""

_FIELDS = ("state", "spanclass", "startAddr", "npages", "elemsize", "nelems", "freeindex", "allocBits", "gcmarkBits",
           "allocCount", "sweepgen", "specials")  # fmt: skip
_LATER_FIELDS = ("allocCountBeforeCache", "largeType", "isUserArenaChunk")
"""Fields of ``mspan`` that are read; the second not every release has. ``state`` is a struct of one byte."""
_MAX_SPANS = 1 << 28
_MAX_ARENAS = 1 << 22
_AMD64_ARENA_BASE = 0x800000000000 >> CHUNK_SHIFT
"""``arenaBaseOffset`` of runtime/malloc.go: on amd64 the lowest arena index stands for the lowest negative address."""
_MAX_OBJECTS = 1024
"""``MaxObjsPerSpan`` of internal/runtime/gc/sizeclasses.go, the same in every release: 8 kB of 8 bytes. The walk of the
heap looks at all slots of a span whenever one of them waits, so its time depends on this."""
_SMALL_CLASSES = 68 * 2
"""``numSpanClasses``; span class 0 and 1 are large objects."""


class Arenas(Struct, frozen=True):
    """Heap arenas by address: ``number`` (address >> 26) and the address of their ``heapArena`` struct."""

    number: npt.NDArray[np.int64]
    struct: npt.NDArray[np.uint64]


class SpanTable(Struct, frozen=True):
    """Spans in use, ordered by base; the columns beside ``spans`` are parallel to it."""

    spans: npt.NDArray[np.void]
    spanclass: npt.NDArray[np.uint8]
    freeindex: npt.NDArray[np.uint64]
    allocbits: npt.NDArray[np.uint64]
    gcmarkbits: npt.NDArray[np.uint64]
    alloc_count: npt.NDArray[np.uint64]
    alloc_count_before_cache: npt.NDArray[np.uint64]
    sweepgen: npt.NDArray[np.uint64]
    specials: npt.NDArray[np.uint64]
    large_type: npt.NDArray[np.uint64]
    user_arena: npt.NDArray[np.bool_]
    struct: npt.NDArray[np.uint64]
    manual_base: npt.NDArray[np.uint64]
    """Spans in manual state (stacks, work buffers), ordered by base, not overlapping; ``manual_bytes``: their sizes."""
    manual_bytes: npt.NDArray[np.uint64]
    dropped: int


class Spans(Struct, frozen=True):
    """Where all slots of a heap lie. ``flags``: uint8 by object id, bit 0 for an allocated slot once that was read."""

    arenas: Arenas
    pages: PageTable
    table: SpanTable
    index: HeapIndex
    flags: npt.NDArray[np.uint8]
    notes: list[str]


def read_arenas(memory: Memory, layouts: Layouts, mheap: int) -> Arenas:
    """The heap arenas of ``mheap_``: ``allArenas``, from 1.25 ``heapArenas``; ``arenas`` is the two-level map."""
    struct = layouts.struct("mheap")
    name = "heapArenas" if "heapArenas.array" in struct else "allArenas"
    array = memory.word(mheap + struct.offset(f"{name}.array"))
    count = memory.word(mheap + struct.offset(f"{name}.len"))
    level2 = memory.word(mheap + struct.offset("arenas"))
    if array is None or count is None or level2 is None:
        raise EvidenceError(
            "runtime.mheap_ is not in this core: without it there is no heap to read",
            "take the core again with the default filter (gcore PID writes all private memory)",
        )
    if not 0 < count <= _MAX_ARENAS:
        raise LayoutError(f"runtime.mheap_ claims {count} arenas", "the core is damaged, or the layout does not fit")
    words = memory.words(array, count)
    if words is None:
        raise EvidenceError("the list of heap arenas is not in this core", "the core is cut short; take it again")
    index = np.sort(words.astype(np.int64))
    index = index[(index >= 0) & (index < _MAX_ARENAS)]
    structs = [memory.word(level2 + 8 * at) or 0 for at in index.tolist()]
    number = index - (_AMD64_ARENA_BASE if layouts.arch == "amd64" else 0)
    return Arenas(number, np.array(structs, dtype=np.uint64))


def read_spans(memory: Memory, pages: PageTable, layouts: Layouts, mheap: int, arenas: Arenas) -> SpanTable:
    """All spans in use. Raises LayoutError when what ``allspans`` points to does not look like spans."""
    heap = layouts.struct("mheap")
    array = memory.word(mheap + heap.offset("allspans.array"))
    count = memory.word(mheap + heap.offset("allspans.len"))
    if array is None or count is None or not 0 < count <= _MAX_SPANS or memory.covered(array, 8 * count) < 8 * count:
        raise EvidenceError("the list of heap spans (mheap_.allspans) is not in this core", "take the core again")
    pointers = memory.words(array, count)
    assert pointers is not None
    struct = layouts.struct("mspan")
    names = [*_FIELDS, *(name for name in _LATER_FIELDS if name in struct)]
    col, ok = gather_fields(pages, pointers, struct, names, sizes={"state": 1})
    state, spanclass = col["state"], col["spanclass"]
    base, npages, elemsize, nelems = col["startAddr"], col["npages"], col["elemsize"], col["nelems"]
    in_use = ok & (state == SPAN_IN_USE)
    manual = ok & (state == SPAN_MANUAL)
    arena = among((base >> np.uint64(CHUNK_SHIFT)).astype(np.int64), arenas.number)
    size = npages * np.uint64(GO_PAGE)
    fits = (
        arena
        & (base % np.uint64(GO_PAGE) == 0)
        & (npages > 0)
        & (npages < np.uint64(1 << 35))
        & (elemsize >= 8)
        & (elemsize <= size)
        & (nelems > 0)
        & (nelems <= _MAX_OBJECTS)
        & (nelems <= size // np.maximum(elemsize, np.uint64(1)))
        & (spanclass < _SMALL_CLASSES)
    )
    good = in_use & fits
    claimed, bad = int(in_use.sum()), int((in_use & ~fits).sum())
    if claimed == 0 or bad > max(2, claimed // 100):
        raise LayoutError(
            f"of {claimed} spans in use {bad} fail the self-check (page-aligned, inside an arena, counts that "
            f"fit) with the layout of {layouts.used_series}",
            "this Go release is not supported yet, or the core is damaged",
        )
    order = np.flatnonzero(good)
    order = order[np.argsort(base[order], kind="stable")]
    # no overlap, and every chunk that a span touches has a slot, next to the slot before it
    end = (base + size)[order]
    highest = np.concatenate(([np.uint64(0)], np.maximum.accumulate(end)[:-1])) if len(order) else end
    last = ((end - np.uint64(1)) >> np.uint64(CHUNK_SHIFT)).astype(np.int64)
    first = (base[order] >> np.uint64(CHUNK_SHIFT)).astype(np.int64)
    last = np.minimum(last, len(pages.chunk_slot) - 1)
    slot_first, slot_last = pages.chunk_slot[first], pages.chunk_slot[last]
    keep = (base[order] >= highest) & (slot_first >= 0) & (slot_last - slot_first == last - first)
    dropped = bad + int((~keep).sum())
    order = order[keep]
    own = np.flatnonzero(manual & arena & (base % np.uint64(GO_PAGE) == 0) & (npages < np.uint64(1 << 35)))
    own = own[np.argsort(base[own], kind="stable")]
    if len(own):
        own = own[np.concatenate(([True], base[own][1:] >= (base + size)[own][:-1]))]
    spans = np.zeros(len(order), dtype=SPAN_DTYPE)
    spans["base"], spans["elemsize"] = base[order], elemsize[order]
    spans["bytes"], spans["nelems"] = size[order], nelems[order]
    spans["noscan"] = (spanclass[order] & np.uint64(1)).astype(np.uint8)

    def optional(name: str) -> npt.NDArray[np.uint64]:
        return col[name][order] if name in col else np.zeros(len(order), dtype=np.uint64)

    return SpanTable(
        spans=spans,
        spanclass=spanclass[order].astype(np.uint8),
        freeindex=col["freeindex"][order],
        allocbits=col["allocBits"][order],
        gcmarkbits=col["gcmarkBits"][order],
        alloc_count=col["allocCount"][order],
        alloc_count_before_cache=optional("allocCountBeforeCache"),
        sweepgen=col["sweepgen"][order],
        specials=col["specials"][order],
        large_type=optional("largeType"),
        user_arena=optional("isUserArenaChunk") != 0,
        struct=pointers[order],
        manual_base=base[own],
        manual_bytes=size[own],
        dropped=dropped,
    )
