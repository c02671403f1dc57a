"""Spans of the heap, read from ``runtime.mheap_`` (runtime/mheap.go: mheap, mspan, heapArena).

Every number is checked before it is believed: page-aligned, inside an arena, no overlap, counts that fit the size.
Spans that fail are dropped and counted; too many failures mean that the layout does not fit this release, which is an
error.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope._kernels.reference.spantable import BAD, FIELDS, GOOD, OWN
from mapscope.arrays import zeros
from mapscope.errors import EvidenceError, LayoutError
from mapscope.evidence.memory import CHUNK_SHIFT, Memory, PageTable
from mapscope.goruntime.index import GO_PAGE, SPAN_DTYPE, HeapIndex, gather_rows
from mapscope.goruntime.layout import Layouts

_FIELDS = ("freeindex", "allocBits", "gcmarkBits", "allocCount", "sweepgen", "specials")
_LATER_FIELDS = ("allocCountBeforeCache", "largeType", "isUserArenaChunk")
"""Fields of ``mspan`` that are read beside ``FIELDS``; the second not every release has. ``state`` is a struct of one
byte."""
_MAX_SPANS = 1 << 28
_MAX_ARENAS = 1 << 22
_AMD64_ARENA_BASE = 0x800000000000 >> CHUNK_SHIFT
"""``arenaBaseOffset`` of runtime/malloc.go: on amd64 the lowest arena index stands for the lowest negative address."""
_MAX_OBJECTS = 1024
"""``MaxObjsPerSpan`` of internal/runtime/gc/sizeclasses.go, the same in every release: 8 kB of 8 bytes. The walk of the
heap looks at all slots of a span whenever one of them waits, so its time depends on this."""


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
    names = (*FIELDS, *_FIELDS, *(name for name in _LATER_FIELDS if name in struct))
    rows, ok = gather_rows(pages, pointers, struct, names, sizes={"state": 1})
    kernel = load("spantable")
    verdict = np.empty(len(pointers), dtype=np.uint8)
    kernel.judge(
        rows[: len(FIELDS)], ok.view(np.uint8), _by_chunk(arenas, len(pages.chunk_slot)), _MAX_OBJECTS, verdict
    )
    good, bad = np.flatnonzero(verdict == GOOD), int((verdict == BAD).sum())
    claimed = len(good) + bad
    if claimed == 0 or bad > max(2, claimed // 100):
        raise LayoutError(
            f"of {claimed} spans in use {bad} fail the self-check (page-aligned, inside an arena, counts that "
            f"fit) with the layout of {layouts.used_series}",
            "this Go release is not supported yet, or the core is damaged",
        )
    base, size = rows[FIELDS.index("startAddr")], rows[FIELDS.index("npages")] * np.uint64(GO_PAGE)
    order = good[np.argsort(base[good], kind="stable")]
    keep = np.empty(len(order), dtype=np.uint8)
    kernel.apart(base[order], size[order], pages.chunk_slot, keep)
    order = order[keep != 0]
    own = np.flatnonzero(verdict == OWN)
    own = own[np.argsort(base[own], kind="stable")]
    if len(own):
        own = own[np.concatenate(([True], base[own][1:] >= (base + size)[own][:-1]))]
    spans = zeros(len(order), SPAN_DTYPE)
    kernel.write(rows[: len(FIELDS)], order, spans.view(np.uint8))
    col = dict(zip(names[len(FIELDS) :], np.take(rows[len(FIELDS) :], order, axis=1), strict=True))

    def optional(name: str) -> npt.NDArray[np.uint64]:
        return col[name] if name in col else np.zeros(len(order), dtype=np.uint64)

    return SpanTable(
        spans=spans,
        spanclass=rows[FIELDS.index("spanclass")][order].astype(np.uint8),
        freeindex=col["freeindex"],
        allocbits=col["allocBits"],
        gcmarkbits=col["gcmarkBits"],
        alloc_count=col["allocCount"],
        alloc_count_before_cache=optional("allocCountBeforeCache"),
        sweepgen=col["sweepgen"],
        specials=col["specials"],
        large_type=optional("largeType"),
        user_arena=optional("isUserArenaChunk") != 0,
        struct=pointers[order],
        manual_base=base[own],
        manual_bytes=size[own],
        dropped=bad + len(good) - len(order),
    )


def _by_chunk(arenas: Arenas, chunks: int) -> npt.NDArray[np.uint8]:
    """By address >> 26, 1 where an arena lies."""
    there = np.zeros(chunks, dtype=np.uint8)
    there[arenas.number[(arenas.number >= 0) & (arenas.number < chunks)]] = 1
    return there
