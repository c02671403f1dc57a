"""Which words of the heap are pointers: one bitmap, whatever the release keeps (runtime/mbitmap.go of each).

=========  =====================================================================================================
Go         rule
=========  =====================================================================================================
1.19       ``heapArena.bitmap``: a byte holds four words, pointer bits low, scan bits high
1.20–1.21  ``heapArena.bitmap``: one bit a word
1.22 on    slots up to 512 bytes: a bitmap at the end of the span (before it, from 1.25 with Green Tea, 128 bytes of
           inline mark bits, ``spanHeapBitsRange``); up to 32,760: an 8-byte malloc header, the type of the elements,
           repeated over the slot; larger: ``mspan.largeType``, repeated
=========  =====================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope.evidence.memory import CHUNK_SHIFT, Memory
from mapscope.goruntime.index import HeapIndex, column, gather
from mapscope.goruntime.layout import Layouts
from mapscope.goruntime.spans import Arenas, SpanTable

MIN_SIZE_FOR_HEADER = 512
"""``minSizeForMallocHeader`` (64-bit): slots of up to this many bytes have their bits in the span."""
INLINE_MARK_BYTES = 128
"""``unsafe.Sizeof(spanInlineMarkBits{})`` with Green Tea (runtime/mgcmark_greenteagc.go)."""
INLINE_MARK_MIN = 16
"""``gcUsesSpanInlineMarkBits``: slots of 16 to 512 bytes."""

MaskOf = Callable[[int], npt.NDArray[np.bool_] | None]
"""From the address of a type descriptor to its pointer mask, one bool a word of its size; None when it is no type."""


class TypeWords(Struct, frozen=True):
    """Type words that the runtime itself keeps: ``objects`` (ids) and the type address of each."""

    objects: npt.NDArray[np.int64]
    types: npt.NDArray[np.uint64]
    unreadable: int
    """Spans or slots whose pointer bits are not in the evidence: what they point to may be missed."""


def fill_pointer_mask(
    memory: Memory,
    layouts: Layouts,
    index: HeapIndex,
    table: SpanTable,
    arenas: Arenas,
    flags: npt.NDArray[np.uint8],
    mask_of: MaskOf,
) -> TypeWords:
    """Fills ``index.ptrmask`` for every span with pointers. ``flags``: bit 0 says that a slot is allocated.

    Answers the type words that were met: only Go 1.22 on has any.
    """
    kernels = load("spans")
    scan = index.spans["noscan"] == 0
    if layouts.release < (1, 22):
        which = np.flatnonzero(scan)
        offset = layouts.struct("heapArena").offset("bitmap")
        by_arena = _arena_addresses(arenas, offset)
        rule = kernels.mask_from_nibbles if layouts.release < (1, 20) else kernels.mask_from_arena_words
        unreadable = rule(index, which, by_arena, index.ptrmask)
        none = np.zeros(0, dtype=np.int64)
        return TypeWords(none, none.astype(np.uint64), unreadable)
    small = scan & (index.spans["elemsize"] <= MIN_SIZE_FOR_HEADER) & (table.spanclass > 1)
    which, bitmap = span_bitmaps(memory, layouts, index, table, arenas)
    unreadable = kernels.mask_from_span_end(index, which, bitmap, index.ptrmask)
    words = type_words(index, table, scan & ~small, flags)
    _tile(index, words, mask_of)
    return TypeWords(words.objects, words.types, words.unreadable + unreadable)


def span_bitmaps(
    memory: Memory, layouts: Layouts, index: HeapIndex, table: SpanTable, arenas: Arenas
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Go 1.22 on: the spans that hold their own pointer bits, and the address of the bitmap of each: a bit a word."""
    small = (index.spans["noscan"] == 0) & (index.spans["elemsize"] <= MIN_SIZE_FOR_HEADER) & (table.spanclass > 1)
    which = np.flatnonzero(small)
    spans = index.spans[which]
    bitmap: npt.NDArray[np.uint64] = spans["base"] + spans["bytes"] - spans["bytes"] // 64
    inline = inline_marks(memory, layouts, arenas, spans["base"])
    inline &= spans["elemsize"] >= INLINE_MARK_MIN
    return which, bitmap - np.where(inline, np.uint64(INLINE_MARK_BYTES), np.uint64(0))


def mark_headers(layouts: Layouts, table: SpanTable) -> None:
    """Sets ``header`` of the spans whose slots start with a malloc header (Go 1.22 on). Call before build_index."""
    if layouts.release >= (1, 22):
        spans = table.spans
        spans["header"] = (spans["noscan"] == 0) & (spans["elemsize"] > MIN_SIZE_FOR_HEADER) & (table.spanclass > 1)


def _arena_addresses(arenas: Arenas, offset: int) -> npt.NDArray[np.uint64]:
    """Dense table for the kernels: element 0 is the first arena number, then the bitmap address of each (0: none)."""
    if not len(arenas.number):
        return np.zeros(2, dtype=np.uint64)
    first, last = int(arenas.number[0]), int(arenas.number[-1])
    dense = np.zeros(min(last - first + 1, 1 << 22) + 1, dtype=np.uint64)
    dense[0] = first
    there = arenas.struct != 0
    at = (arenas.number[there] - first + 1).astype(np.int64)
    inside = at < len(dense)
    dense[at[inside]] = arenas.struct[there][inside] + np.uint64(offset)
    return dense


def inline_marks(
    memory: Memory, layouts: Layouts, arenas: Arenas, bases: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    """Whether each span has inline mark bits: ``heapArena.pageUseSpanInlineMarkBits``, Green Tea."""
    struct = layouts.struct("heapArena")
    out = np.zeros(len(bases), dtype=np.bool_)
    if "pageUseSpanInlineMarkBits" not in struct:
        return out
    entry = struct.field("pageUseSpanInlineMarkBits")
    arena, here = np.unique((bases >> np.uint64(CHUNK_SHIFT)).astype(np.int64), return_inverse=True)
    page = ((bases & np.uint64((1 << CHUNK_SHIFT) - 1)) >> np.uint64(13)).astype(np.int64)
    bits = np.zeros((len(arena), entry.size), dtype=np.uint8)
    address = dict(zip(arenas.number.tolist(), arenas.struct.tolist(), strict=True))
    for row, number in enumerate(arena.tolist()):
        read = memory.read(address[number] + entry.offset, entry.size) if address.get(number) else None
        if read is not None:
            bits[row] = np.frombuffer(read, dtype=np.uint8)
    page = np.minimum(page, 8 * entry.size - 1)
    out[:] = bits[here.reshape(-1), page >> 3] >> (page & 7).astype(np.uint8) & 1
    return out


def type_words(
    index: HeapIndex, table: SpanTable, which: npt.NDArray[np.bool_], flags: npt.NDArray[np.uint8]
) -> TypeWords:
    """The malloc header of every allocated slot, and largeType of every large span."""
    large = np.flatnonzero(which & (table.spanclass <= 1))
    keep = (flags[index.spans["first"][large]] & 1 != 0) & (table.large_type[large] != 0)
    large = large[keep]
    objects = [index.spans["first"][large].astype(np.int64)]
    types = [table.large_type[large]]
    headed = np.flatnonzero(which & (table.spanclass > 1))
    counts = index.spans["nelems"][headed].astype(np.int64)
    total = int(counts.sum())
    unreadable = 0
    if total:
        span = np.repeat(headed, counts)
        slot = np.arange(total, dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        ids = index.spans["first"][span] + slot
        live = flags[ids] & 1 != 0
        ids, span, slot = ids[live], span[live], slot[live]
        address = index.spans["base"][span] + slot.astype(np.uint64) * index.spans["elemsize"][span]
        rows, ok = gather(index, address, 8)
        header = column(rows, 0, 8)
        unreadable = int((~ok).sum())
        ok &= header != 0
        objects.append(ids[ok])
        types.append(header[ok])
    return TypeWords(np.concatenate(objects), np.concatenate(types), unreadable)


def _tile(index: HeapIndex, words: TypeWords, mask_of: MaskOf) -> None:
    """Repeats each slot's type mask over the slot."""
    unique, inverse = np.unique(words.types, return_inverse=True)
    type_words = np.zeros(max(len(unique), 1), dtype=np.int64)
    type_bits = np.zeros(max(len(unique), 1), dtype=np.int64)
    parts: list[npt.NDArray[np.bool_]] = []
    used = 0
    for at, address in enumerate(unique.tolist()):
        mask = mask_of(address)
        if mask is None or not len(mask):
            continue
        type_words[at], type_bits[at] = len(mask), used
        parts.append(mask)
        used += len(mask)
    bits = np.concatenate([*parts, np.zeros(128 + -used % 64, dtype=np.bool_)])
    pool = np.packbits(bits, bitorder="little")
    pool = np.concatenate([pool, np.zeros(-len(pool) % 8, dtype=np.uint8)]).view("<u8")
    kinds = inverse.astype(np.int32).reshape(-1)
    load("spans").mask_from_types(index, words.objects, kinds, type_words, type_bits, pool, index.ptrmask)
