"""From spans to objects: gathering structs, allocation bits, and one pointer bitmap whatever the release keeps.

``h`` is a HeapIndex throughout (``pages`` may be a bare PageTable). ``which`` holds indexes into ``h.spans``.
``ptrmask`` is ``h.ptrmask``: one bit a word of memory, bit ``maskbit`` of a span for its first word.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference.memory import ALLOCATED, Pages, Slots, places

_ARENA_OFFSET: Final = (1 << 26) - 1
_GO_PAGE: Final = 8192
_PAGE_MASK_BYTES: Final = 128
_MAX_STRUCT: Final = 4096


def gather(
    pages: Any, addresses: npt.NDArray[np.uint64], out: npt.NDArray[np.uint8], ok: npt.NDArray[np.uint8]
) -> None:
    """Copies ``out.shape[1]`` bytes at each address into its row; ``ok`` is 1 where all were there.

    A row that is not wholly there holds its bytes up to the first missing page.
    """
    size = out.shape[1]
    if not size:
        return
    memory = Pages(pages)
    rows = out.reshape(-1).data
    for row, address in enumerate(addresses.tolist()):
        data = memory.prefix(address, size)
        rows[row * size : row * size + len(data)] = data
        ok[row] = len(data) == size


def gather_fields(
    pages: Any,
    addresses: npt.NDArray[np.uint64],
    size: int,
    fields: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint64],
    ok: npt.NDArray[np.uint8],
) -> None:
    """Fields of the structs of ``size`` bytes at each address, as columns.

    ``fields``: int64, n × 2, offset and bytes (1 to 8) of each within the struct; ``out``: uint64, a row a field, a
    column an address. ``ok`` is 1 where the whole struct was there; elsewhere its fields are 0. ValueError for structs
    of more than 4096 bytes.
    """
    if size > _MAX_STRUCT:
        raise ValueError(f"structs of {size} bytes")
    memory = Pages(pages)
    for i, address in enumerate(addresses.tolist()):
        data = memory.prefix(address, size)
        ok[i] = len(data) == size
        for k, (offset, count) in enumerate(fields.tolist()):
            out[k, i] = int.from_bytes(data[offset : offset + count], "little") if ok[i] else 0


def find_objects(
    h: Any, addresses: npt.NDArray[np.uint64], out: npt.NDArray[np.int64], base: npt.NDArray[np.uint64]
) -> None:
    """Object id and slot address of each address; -1 and 0 where none of the spans' slots holds it."""
    out[:], base[:] = places(h, addresses)


def slot_sizes(h: Any, addresses: npt.NDArray[np.uint64], out: npt.NDArray[np.uint64]) -> None:
    """Bytes of the slot that holds each address; 0 where there is none."""
    ids, _ = places(h, addresses)
    out[:] = 0
    there = ids >= 0
    spans = np.searchsorted(h.spans["first"], ids[there], side="right") - 1
    out[there] = h.spans["elemsize"][spans]


def slots_of(
    h: Any, objects: npt.NDArray[np.int64], address: npt.NDArray[np.uint64], size: npt.NDArray[np.uint64]
) -> None:
    """Address and bytes of the slot of each object id; 0 for what is none."""
    address[:] = size[:] = 0
    there = (objects >= 0) & (objects < h.nobjects)
    ids = objects[there]
    spans = h.spans[np.searchsorted(h.spans["first"], ids, side="right") - 1]
    address[there] = spans["base"] + (ids - spans["first"]).astype(np.uint64) * spans["elemsize"]
    size[there] = spans["elemsize"]


def alloc_flags(
    h: Any, freeindex: npt.NDArray[np.uint64], allocbits: npt.NDArray[np.uint64], flags: npt.NDArray[np.uint8]
) -> int:
    """Sets bit 0 of ``flags`` (uint8 by object id) for allocated slots.

    A slot is allocated when it lies below ``freeindex`` of its span, or its bit is set in the bitmap at ``allocbits``
    (``mspan.isFree`` in runtime/mbitmap.go). Answers how many spans had bits that could not be read; from the first
    such bit on their slots stay free.
    """
    memory = Slots(h)
    unreadable = 0
    for s, (free, address) in enumerate(zip(freeindex.tolist(), allocbits.tolist(), strict=True)):
        count, first = memory.nelems[s], memory.first[s]
        below = min(free, count)
        flags[first : first + below] |= ALLOCATED
        if below == count:
            continue
        skip = below >> 3
        want = (count + 7 >> 3) - skip
        data = memory.prefix(address + skip, want)
        unreadable += len(data) < want
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
        bits = bits[below - 8 * skip : count - 8 * skip]
        flags[first + below : first + below + len(bits)] |= bits * np.uint8(ALLOCATED)
    return unreadable


def mask_from_span_end(
    h: Any, which: npt.NDArray[np.int64], bitmap: npt.NDArray[np.uint64], ptrmask: npt.NDArray[np.uint64]
) -> int:
    """Go 1.22 on, slots up to 512 bytes: the bitmap that lies in the span itself, at address ``bitmap[k]``.

    It has a bit a word, for the whole span. Answers how many spans had no (wholly) readable bitmap.
    """
    memory = Slots(h)
    out = ptrmask.data.cast("B")
    unreadable = 0
    for s, address in zip(which.tolist(), bitmap.tolist(), strict=True):
        size = memory.bytes[s] >> 6
        data = memory.prefix(address, size)
        at = memory.maskbit[s] >> 3
        out[at : at + len(data)] = data
        unreadable += len(data) < size
    return unreadable


def mask_from_types(
    h: Any,
    objects: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.int32],
    type_words: npt.NDArray[np.int64],
    type_bits: npt.NDArray[np.int64],
    pool: npt.NDArray[np.uint64],
    ptrmask: npt.NDArray[np.uint64],
) -> None:
    """Slots with a type word of their own (malloc header) or of the span (largeType): the type's mask, repeated.

    ``objects``: ids, best in ascending order; ``kinds``: what type each has, -1 or less for none. ``type_bits`` is the
    bit offset of a type's mask in ``pool`` (one padding word behind the last); ``type_words`` its size in words, 0 or
    less for no mask. A malloc header is skipped: the first element starts in word 1.
    """
    memory = Slots(h)
    bits = np.unpackbits(pool.view(np.uint8), bitorder="little")
    spans = np.searchsorted(h.spans["first"], objects, side="right") - 1
    for s, oid, kind in zip(spans.tolist(), objects.tolist(), kinds.tolist(), strict=True):
        words, begin = memory.elemsize[s] >> 3, memory.header[s]
        if kind < 0 or type_words[kind] <= 0 or begin >= words:
            continue
        mask = bits[int(type_bits[kind]) :][: int(type_words[kind])]
        tiled = np.resize(mask, words - begin)
        _put(ptrmask, memory.maskbit[s] + ((oid - memory.first[s]) * memory.elemsize[s] >> 3) + begin, tiled)


def _put(ptrmask: npt.NDArray[np.uint64], at: int, bits: npt.NDArray[np.uint8]) -> None:
    """Writes ``bits`` (one a byte) at bit ``at``."""
    part = ptrmask.view(np.uint8)[at >> 3 : (at + len(bits) + 7) >> 3]
    old = np.unpackbits(part, bitorder="little")
    old[at & 7 : (at & 7) + len(bits)] = bits
    part[:] = np.packbits(old, bitorder="little")


def mask_from_arena_words(
    h: Any, which: npt.NDArray[np.int64], arena_bitmap: npt.NDArray[np.uint64], ptrmask: npt.NDArray[np.uint64]
) -> int:
    """Go 1.20, 1.21: one bit a word in ``heapArena.bitmap``.

    ``arena_bitmap``: element 0 is the number (address >> 26) of the first arena, then the address of the bitmap of each
    arena, 0 for none. Answers how many 8 KB pages had no (wholly) readable bitmap.
    """
    memory = Slots(h)
    out = ptrmask.data.cast("B")
    first, *by_arena = arena_bitmap.tolist()
    unreadable = 0
    for s in which.tolist():
        for done in range(0, memory.bytes[s], _GO_PAGE):
            address = memory.base[s] + done
            arena = (address >> 26) - first
            data = b""
            if 0 <= arena < len(by_arena) and by_arena[arena]:
                data = memory.prefix(by_arena[arena] + ((address & _ARENA_OFFSET) >> 6), _PAGE_MASK_BYTES)
            at = (memory.maskbit[s] + (done >> 3)) >> 3
            out[at : at + len(data)] = data
            unreadable += len(data) < _PAGE_MASK_BYTES
    return unreadable


def mask_from_nibbles(
    h: Any, which: npt.NDArray[np.int64], arena_bitmap: npt.NDArray[np.uint64], ptrmask: npt.NDArray[np.uint64]
) -> int:
    """Go 1.19: two bits a word in ``heapArena.bitmap`` (``heapBits`` in runtime/mbitmap.go).

    A byte holds four words, their pointer bits low and their scan bits high; the first word without a scan bit ends the
    object. ``arena_bitmap`` as in ``mask_from_arena_words``. Bits are added to ``ptrmask``, which starts empty.
    Answers how many slots ran into a byte that could not be read.
    """
    memory = Slots(h)
    first, *by_arena = arena_bitmap.tolist()
    unreadable = 0

    def nibble(address: int) -> int | None:
        arena = (address >> 26) - first
        if not 0 <= arena < len(by_arena) or not by_arena[arena]:
            return None
        word = (address & _ARENA_OFFSET) >> 3
        byte = memory.byte(by_arena[arena] + (word >> 2))
        return None if byte is None else byte >> (word & 3)

    for s in which.tolist():
        for slot in range(memory.nelems[s]):
            start = slot * memory.elemsize[s]
            for offset in range(start, start + (memory.elemsize[s] & ~7), 8):
                bits = nibble(memory.base[s] + offset)
                if bits is None:
                    unreadable += 1
                    break
                if not bits & 0x10:
                    break
                if bits & 1:
                    bit = memory.maskbit[s] + (offset >> 3)
                    ptrmask[bit >> 6] |= np.uint64(1 << (bit & 63))
    return unreadable


def slots_like(
    h: Any,
    which: npt.NDArray[np.int64],
    flags: npt.NDArray[np.uint8],
    need: int,
    want: int,
    every: int,
    shifts: int,
    ids: npt.NDArray[np.int64],
    at: npt.NDArray[np.uint8],
) -> int:
    """Slots whose pointer bits, from some word on, are those that are asked for.

    Of the slots of the spans ``which`` that have all bits ``need`` of ``flags`` (uint8 by object id): where the bits of
    the first 64 words, shifted down by a number below ``shifts`` (at most 64), are ``want`` under the mask ``every``,
    the object id goes into ``ids`` and the number into ``at``, span by span, in order of slots and numbers.

    Answers how many there are. Those for which the arrays have no room are only counted.
    """
    memory = Slots(h)
    parts = []
    for s in which.tolist():
        words = min(memory.elemsize[s] >> 3, 64)
        keep = np.uint64((1 << words) - 1)
        slot = np.arange(memory.nelems[s], dtype=np.uint64)
        bit = np.uint64(memory.maskbit[s]) + (slot * np.uint64(memory.elemsize[s]) >> np.uint64(3))
        word, low = (bit >> np.uint64(6)).astype(np.int64), bit & np.uint64(63)
        high = h.ptrmask[word + (low != 0)] << (np.uint64(64) - low) % np.uint64(64)
        masks = (h.ptrmask[word] >> low | np.where(low != 0, high, np.uint64(0))) & keep
        first = int(memory.first[s])
        asked = flags[first : first + len(slot)] & need == need
        shifted = masks[:, None] >> np.arange(shifts, dtype=np.uint64) & np.uint64(every) == np.uint64(want)
        slots, numbers = np.nonzero(shifted & asked[:, None])
        parts.append((slots + first, numbers))
    found = np.concatenate([np.zeros(0, np.int64), *(slots for slots, _ in parts)])
    shift = np.concatenate([np.zeros(0, np.int64), *(numbers for _, numbers in parts)])
    ids[: len(found)] = found[: len(ids)]
    at[: len(found)] = shift[: len(at)]
    return len(found)


def sum_marked(h: Any, flags: npt.NDArray[np.uint8], out: npt.NDArray[np.int64]) -> None:
    """How many slots of each span are allocated (``out[2 * s]``) and how many are marked (``out[2 * s + 1]``)."""
    begin = h.spans["first"].astype(np.int64)
    end = begin + h.spans["nelems"].astype(np.int64)
    for column, bit in ((0, 0), (1, 1)):
        before = np.concatenate(([0], np.cumsum(flags >> np.uint8(bit) & np.uint8(1), dtype=np.int64)))
        out[column : 2 * len(begin) : 2] = before[end] - before[begin]
