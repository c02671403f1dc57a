"""Bytes, spans and slots behind addresses, in plain Python: what ``_kernels/_index.pxd`` does for the compiled kernels.

Nothing here reads past the end of a 4 KB page of the evidence: the host address of one page says nothing about the
next. The short cut ``Span.host`` of the compiled kernels is not taken, so that tests which compare the two prove it
right.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

ALLOCATED: Final = 1
MARKED: Final = 2
QUEUED: Final = 4
"""Bits of ``flags`` by object id."""

U64: Final = (1 << 64) - 1
_PAGE: Final = 4096
_CHUNK_SHIFT: Final = 26
_MAGIC_SHIFT: Final = np.uint64(32)


class Pages:
    """An address space behind a page table.

    That is anything with ``chunk_slot`` (int32) and ``page_host`` (uint64), see PageTable. Addresses are numbers
    modulo 2^64, as in C; None stands for bytes that the evidence does not have.
    """

    def __init__(self, pages: Any) -> None:
        self._chunk_slot = memoryview(pages.chunk_slot)
        self._page_host = memoryview(pages.page_host)

    def _host(self, address: int) -> int:
        """Where the byte at ``address`` lies in this process, 0 when it is missing; good up to the end of its page."""
        chunk = address >> _CHUNK_SHIFT
        if chunk >= len(self._chunk_slot):
            return 0
        page: int = self._page_host[self._chunk_slot[chunk] << 14 | (address >> 12) & 0x3FFF]
        return page + (address & 4095) if page else 0

    def prefix(self, address: int, size: int) -> bytes:
        """The bytes from ``address`` on up to the first that is missing, ``size`` at most."""
        parts = []
        while size > 0:
            address &= U64
            step = min(size, _PAGE - (address & 4095))
            host = self._host(address)
            if not host:
                break
            parts.append(ctypes.string_at(host, step))
            address += step
            size -= step
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes at ``address``, None when any of them is missing."""
        data = self.prefix(address, size)
        return data if len(data) == size else None

    def word(self, address: int) -> int | None:
        """The 8-byte little-endian word at ``address``."""
        data = self.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")

    def byte(self, address: int) -> int | None:
        """One byte."""
        data = self.read(address, 1)
        return None if data is None else data[0]


class Slots(Pages):
    """The spans and slots of a HeapIndex as well. A place is a pair of numbers: index of the span, slot in the span."""

    def __init__(self, h: Any) -> None:
        super().__init__(h)
        spans = h.spans
        self.nobjects: int = h.nobjects
        self._page_span = memoryview(h.page_span)
        self._ptrmask = memoryview(h.ptrmask)
        self.base: list[int] = spans["base"].tolist()
        self.elemsize: list[int] = spans["elemsize"].tolist()
        self.first: list[int] = spans["first"].tolist()
        self.maskbit: list[int] = spans["maskbit"].tolist()
        self.bytes: list[int] = spans["bytes"].tolist()
        self.nelems: list[int] = spans["nelems"].tolist()
        self.divmul: list[int] = spans["divmul"].tolist()
        self.noscan: list[int] = spans["noscan"].tolist()
        self.header: list[int] = spans["header"].tolist()
        """1 where slots start with a malloc header, a type word."""

    def span(self, address: int) -> int:
        """Index of the span whose pages hold ``address``, -1 for none."""
        chunk = (address & U64) >> _CHUNK_SHIFT
        if chunk >= len(self._chunk_slot):
            return -1
        found: int = self._page_span[self._chunk_slot[chunk] << 13 | (address >> 13) & 0x1FFF]
        return found

    def place(self, address: int) -> tuple[int, int] | None:
        """Span and slot that hold ``address``; None outside spans and in the tail behind the last slot.

        Divides by multiplying, as the runtime does (``mspan.objIndex`` in runtime/mbitmap.go): exact for every span
        that the runtime makes, where offset × size stays under 2^32.
        """
        address &= U64
        s = self.span(address)
        if s < 0:
            return None
        offset = address - self.base[s]
        slot = (offset * self.divmul[s] & U64) >> 32
        inside = offset - slot * self.elemsize[s]
        return (s, slot) if slot < self.nelems[s] and 0 <= inside < self.elemsize[s] else None

    def slot_bytes(self, address: int) -> int:
        """Size of the slot that holds ``address``, 0 when none does."""
        place = self.place(address)
        return self.elemsize[place[0]] if place else 0

    def slot_end(self, address: int) -> int:
        """First address behind the slot that holds ``address``, 0 when none does."""
        place = self.place(address)
        return self.base[place[0]] + (place[1] + 1) * self.elemsize[place[0]] if place else 0

    def pointer_bits(self, s: int, slot: int) -> int:
        """Pointer bits of the slot's words, word 0 in bit 0."""
        begin = self.maskbit[s] + (slot * self.elemsize[s] >> 3)
        return self.mask_bits(begin, self.elemsize[s] >> 3)

    def bits_from(self, address: int) -> int:
        """Pointer bits of the words from ``address`` to the end of its slot."""
        place = self.place(address)
        if place is None:
            return 0
        inside = address - self.base[place[0]] - place[1] * self.elemsize[place[0]]
        return self.pointer_bits(*place) >> (inside >> 3)

    def id_of(self, entry: int) -> int:
        """Object id of a slot that is written as span << 32 | slot."""
        return self.first[entry >> 32] + (entry & 0xFFFFFFFF)

    def mask_bits(self, begin: int, count: int) -> int:
        """``count`` bits of the pointer mask from bit ``begin`` on."""
        low, high = begin >> 6, (begin + count + 63) >> 6
        bits = int.from_bytes(self._ptrmask[low:high].tobytes(), "little") >> (begin & 63)
        return bits & ((1 << count) - 1)

    def pointer_words(self, s: int, slot: int) -> Iterator[tuple[int, int]]:
        """Index and value of every pointer word of the slot that the evidence has, in ascending order."""
        size = self.elemsize[s]
        base = self.base[s] + slot * size
        data = self.read(base, size)
        for index in set_bits(self.pointer_bits(s, slot)):
            if data is not None:
                yield index, int.from_bytes(data[8 * index : 8 * index + 8], "little")
            elif (value := self.word(base + 8 * index)) is not None:
                yield index, value


def set_bits(bits: int) -> Iterator[int]:
    """Numbers of the set bits, ascending. Takes 64 at a time, so that a slot of a gigabyte stays linear."""
    if bits < 1 << 64:
        yield from _low_bits(bits)
        return
    data = bits.to_bytes((bits.bit_length() + 63) // 64 * 8, "little")
    for at, part in enumerate(memoryview(data).cast("Q")):
        for bit in _low_bits(part):
            yield at * 64 + bit


def _low_bits(bits: int) -> Iterator[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def places(h: Any, addresses: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """``Slots.place`` for many addresses: object id (-1: none) and slot address (0: none) of each."""
    ids = np.full(len(addresses), -1, dtype=np.int64)
    bases = np.zeros(len(addresses), dtype=np.uint64)
    chunk = addresses >> np.uint64(_CHUNK_SHIFT)
    slots = np.zeros(len(addresses), dtype=np.int64)
    low = chunk < len(h.chunk_slot)
    slots[low] = h.chunk_slot[chunk[low].astype(np.int64)]
    at = np.flatnonzero(slots)
    page = ((addresses[at] >> np.uint64(13)) & np.uint64(0x1FFF)).astype(np.int64)
    which = h.page_span[slots[at] << 13 | page]
    at, which = at[which >= 0], which[which >= 0]
    spans = h.spans[which]
    offset = addresses[at] - spans["base"]
    slot = offset * spans["divmul"].astype(np.uint64) >> _MAGIC_SHIFT
    good = (slot < spans["nelems"]) & (offset - slot * spans["elemsize"] < spans["elemsize"])
    at, spans, slot = at[good], spans[good], slot[good]
    ids[at] = spans["first"] + slot.astype(np.int64)
    bases[at] = spans["base"] + slot * spans["elemsize"]
    return ids, bases
