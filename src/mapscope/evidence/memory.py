"""Bytes at virtual addresses, wherever they come from: mapped files laid over an address space.

A :class:`Memory` is a sorted list of extents, each a run of bytes of one mapped file. Nothing is copied until it is
asked for. What no extent covers is *missing*: :meth:`Memory.read` answers None, never zeros.
"""

from __future__ import annotations

import bisect
import mmap
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load

PAGE = 4096
CHUNK_SHIFT = 26
"""Kernels look addresses up in chunks of 64 MB, the size of a heap arena (``heapArenaBytes`` in runtime/malloc.go)."""
ADDRESS_BITS = 48
PAGES_PER_CHUNK = 1 << (CHUNK_SHIFT - 12)


class Extent(Struct, frozen=True):
    """``size`` bytes at ``start``, found at ``offset`` of ``buffer``; -1: zeros that the evidence vouches for."""

    start: int
    size: int
    buffer: int
    offset: int

    @property
    def end(self) -> int:
        """First address behind the extent."""
        return self.start + self.size


class PageTable(Struct, frozen=True):
    """Where each 4 KB page lies in this process, for the kernels.

    ``chunk_slot``: int32 by ``address >> 26``, 0 where nothing is mapped: slot 0 has no pages. ``page_host``: uint64 by
    ``slot << 14 | page in chunk``: host address of the page, 0 where it is missing. Zero pages all point to one page of
    zeros.
    """

    chunk_slot: npt.NDArray[np.int32]
    page_host: npt.NDArray[np.uint64]
    zero_page: npt.NDArray[np.uint8]


class Memory:
    """A read-only address space. ``add`` in order of trust: an address is served by the first extent that covers it."""

    def __init__(self) -> None:
        self._buffers: list[npt.NDArray[np.uint8]] = []
        self._keep: list[object] = []
        self._starts: list[int] = []
        self._extents: list[Extent] = []
        self._views: list[memoryview] = []
        self._padded: set[int] = set()

    @property
    def extents(self) -> tuple[Extent, ...]:
        """All extents, by address, not overlapping."""
        return tuple(self._extents)

    def add_buffer(self, data: mmap.mmap | memoryview | bytes, *, padded: bool = False) -> int:
        """Takes a mapped file (or bytes) as a source of extents; answers its index.

        ``padded``: it has whole pages around every extent of it, which kernels may read.
        """
        if padded:
            self._padded.add(len(self._buffers))
        self._buffers.append(np.frombuffer(data, dtype=np.uint8))
        self._views.append(memoryview(data))
        self._keep.append(data)
        return len(self._buffers) - 1

    def add(self, start: int, size: int, buffer: int, offset: int) -> None:
        """Lays ``size`` bytes of ``buffer`` at ``start``; parts that earlier extents cover are left to them."""
        if size <= 0 or start < 0 or start + size > 1 << 64:
            return
        if offset >= 0:
            size = min(size, len(self._buffers[buffer]) - offset)
        cursor, end = start, start + size
        while cursor < end:
            at = bisect.bisect_right(self._starts, cursor)
            if at and self._extents[at - 1].end > cursor:
                cursor = self._extents[at - 1].end
                continue
            stop = min(end, self._starts[at]) if at < len(self._starts) else end
            where = offset + (cursor - start) if offset >= 0 else -1
            self._starts.insert(at, cursor)
            self._extents.insert(at, Extent(cursor, stop - cursor, buffer, where))
            cursor = stop

    def covered(self, address: int, size: int = 1) -> int:
        """How many of ``size`` bytes from ``address`` on are there without a gap."""
        have = 0
        while have < size:
            at = bisect.bisect_right(self._starts, address + have) - 1
            if at < 0 or self._extents[at].end <= address + have:
                break
            have = min(size, self._extents[at].end - address)
        return have

    def read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes at ``address``, or None when any of them is missing."""
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0 or size < 0:
            return None
        extent = self._extents[at]
        skip = address - extent.start
        if skip + size <= extent.size:
            if extent.offset < 0:
                return bytes(size)
            begin = extent.offset + skip
            return bytes(self._views[extent.buffer][begin : begin + size])
        if self.covered(address, size) < size:
            return None
        parts = []
        while size:
            at = bisect.bisect_right(self._starts, address) - 1
            extent = self._extents[at]
            take = min(size, extent.end - address)
            begin = extent.offset + address - extent.start
            parts.append(bytes(take) if extent.offset < 0 else bytes(self._views[extent.buffer][begin : begin + take]))
            address += take
            size -= take
        return b"".join(parts)

    def view(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """``size`` bytes at ``address`` without a copy. They must lie in one extent that has bytes; ValueError else."""
        at = bisect.bisect_right(self._starts, address) - 1
        extent = self._extents[at] if at >= 0 else None
        if extent is None or extent.offset < 0 or address + size > extent.end:
            raise ValueError(f"{size} bytes at {address:#x} are not in one extent")
        begin = extent.offset + address - extent.start
        return self._buffers[extent.buffer][begin : begin + size]

    def word(self, address: int) -> int | None:
        """The 8-byte little-endian word at ``address``, or None."""
        data = self.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")

    def words(self, address: int, count: int) -> npt.NDArray[np.uint64] | None:
        """``count`` words from ``address`` on, or None when any byte is missing."""
        data = self.read(address, 8 * count)
        return None if data is None else np.frombuffer(data, dtype="<u8")

    def page_table(self, include: Iterable[int] = ()) -> PageTable:
        """The table that the kernels use. Pages that an extent covers only in part are left out, but for padded ones.

        ``include``: chunk numbers (address >> 26) that get a slot even if no byte of them is there (heap arenas).
        """
        chunk_slot = np.zeros(1 << (ADDRESS_BITS - CHUNK_SHIFT), dtype=np.int32)  # 16 MB, hardly any of it touched
        zero_page = np.zeros(PAGE, dtype=np.uint8)
        chunks = self._chunks(include)
        chunk_slot[chunks] = np.arange(1, len(chunks) + 1, dtype=np.int32)
        page_host = np.zeros((len(chunks) + 1) * PAGES_PER_CHUNK, dtype=np.uint64)
        bases = [buffer.ctypes.data for buffer in self._buffers]
        runs = []
        for extent in self._extents:
            first, last = -(-extent.start // PAGE), extent.end // PAGE
            if extent.buffer in self._padded:
                first, last = extent.start // PAGE, -(-extent.end // PAGE)
            if extent.end > 1 << ADDRESS_BITS or first >= last:
                continue
            if extent.offset < 0:
                runs.append((first, last, zero_page.ctypes.data, 0))
            else:
                host = bases[extent.buffer] + extent.offset + first * PAGE - extent.start
                runs.append((first, last, host, PAGE))
        table = np.array(runs, dtype=np.uint64).reshape(-1, 4)
        load("spantable").pages(chunk_slot, table, page_host)
        return PageTable(chunk_slot, page_host, zero_page)

    def _chunks(self, include: Iterable[int]) -> npt.NDArray[np.int64]:
        """Chunks that hold a byte of a file; runs of zeros alone (reservations that gcore writes) do not count."""
        found = {chunk for chunk in include if 0 <= chunk < 1 << (ADDRESS_BITS - CHUNK_SHIFT)}
        for extent in self._extents:
            if extent.offset >= 0 and extent.end <= 1 << ADDRESS_BITS:
                found.update(range(extent.start >> CHUNK_SHIFT, ((extent.end - 1) >> CHUNK_SHIFT) + 1))
        return np.array(sorted(found), dtype=np.int64)
