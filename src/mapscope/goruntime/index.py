"""The address index of a heap: from an address to its page, span and object, in the arrays that the kernels read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope.arrays import zeros
from mapscope.binary.structs import StructLayout
from mapscope.errors import LayoutError
from mapscope.evidence.memory import CHUNK_SHIFT, PageTable

SPAN_DTYPE = np.dtype(
    [
        ("base", "<u8"),
        ("elemsize", "<u8"),
        ("host", "<u8"),
        ("first", "<i8"),
        ("maskbit", "<u8"),
        ("bytes", "<u8"),
        ("nelems", "<u4"),
        ("divmul", "<u4"),
        ("noscan", "u1"),
        ("header", "u1"),
        ("pad", "V6"),
    ]
)
"""One span in use, one cache line; ``Span`` in _kernels/_index.pxd."""

GO_PAGE = 8192
"""``pageSize`` of runtime/malloc.go, in every release."""
MOST_OBJECTS = (1 << 32) - 2
"""The walk keeps ids of objects in 32 bits, of which two values stand for something else."""
_SPAN_PAGES_PER_CHUNK = 1 << (CHUNK_SHIFT - 13)
_MASK_BITS_PER_CHUNK = 1 << (CHUNK_SHIFT - 3)


class HeapIndex(Struct):
    """What the kernels need to find their way. All arrays are contiguous.

    ``chunk_slot`` int32 and ``page_host`` uint64: see PageTable. ``page_span``: int32 by ``slot << 13 | 8 KB page in
    chunk``, index into ``spans`` or -1. ``spans``: SPAN_DTYPE, ordered by base. ``ptrmask``: uint64, one bit a word of
    memory, by ``slot << 23 | word in chunk``, one word of padding. ``nobjects``: slots over all spans; object ids count
    them in order.
    """

    chunk_slot: npt.NDArray[np.int32]
    page_host: npt.NDArray[np.uint64]
    page_span: npt.NDArray[np.int32]
    spans: npt.NDArray[np.void]
    ptrmask: npt.NDArray[np.uint64]
    nobjects: int
    zero_page: npt.NDArray[np.uint8]

    @property
    def span_bytes(self) -> npt.NDArray[np.uint8]:
        """The spans as raw bytes, for the kernels."""
        return self.spans.view(np.uint8)

    def span_of_object(self, objects: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Index of the span of each object id."""
        return np.searchsorted(self.spans["first"], objects, side="right") - 1

    def address_of(self, objects: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Slot address of each object id; 0 for what is none."""
        return self._slots_of(objects)[0]

    def sizes_of(self, objects: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Slot size in bytes of each object id; 0 for what is none."""
        return self._slots_of(objects)[1]

    def _slots_of(self, objects: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        flat = np.ascontiguousarray(objects, dtype=np.int64)
        address, size = np.empty(len(flat), dtype=np.uint64), np.empty(len(flat), dtype=np.uint64)
        load("spans").slots_of(self, flat, address, size)
        return address, size

    def slot_sizes(self, addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """Size in bytes of the slot that holds each address; 0 where none does."""
        flat = np.ascontiguousarray(addresses, dtype=np.uint64)
        out = np.empty(len(flat), dtype=np.uint64)
        load("spans").slot_sizes(self, flat, out)
        return out

    def slots_like(
        self,
        which: npt.NDArray[np.int64],
        want: int,
        *,
        flags: npt.NDArray[np.uint8],
        need: int,
        every: int = (1 << 64) - 1,
        shifts: int = 1,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Slots of the spans ``which`` with the pointer bits ``want``: their object ids, and from which word on.

        Only slots with all bits ``need`` of ``flags`` (uint8 by object id) are looked at, and of each the first 64
        words. ``every``: the bits that must be as in ``want``; ``shifts``: how many words are tried as the first.
        """
        room = 1 << 16
        while True:
            ids, at = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.uint8)
            count = load("spans").slots_like(self, which, flags, need, want, every, shifts, ids, at)
            if count <= room:
                return ids[:count].copy(), at[:count].copy()
            room = count

    def find(self, addresses: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Object id (-1: none) and slot address (0: none) for each address, interior ones too."""
        flat = np.ascontiguousarray(addresses, dtype=np.uint64).reshape(-1)
        ids = np.empty(len(flat), dtype=np.int64)
        bases = np.empty(len(flat), dtype=np.uint64)
        load("spans").find_objects(self, flat, ids, bases)
        return ids, bases


def gather(
    pages: PageTable | HeapIndex, addresses: npt.NDArray[np.uint64], size: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """``size`` bytes at each address as rows of uint8, and which rows were wholly in the evidence.

    The other rows are undefined.
    """
    flat = np.ascontiguousarray(addresses, dtype=np.uint64).reshape(-1)
    rows = np.zeros((len(flat), size), dtype=np.uint8)
    ok = np.zeros(len(flat), dtype=np.uint8)
    load("spans").gather(pages, flat, rows, ok)
    return rows, ok.view(np.bool_)


def gather_fields(
    pages: PageTable | HeapIndex,
    addresses: npt.NDArray[np.uint64],
    struct: StructLayout,
    names: Sequence[str],
    sizes: Mapping[str, int] | None = None,
) -> tuple[dict[str, npt.NDArray[np.uint64]], npt.NDArray[np.bool_]]:
    """Unsigned fields of the structs at each address, by name, and which structs were wholly in the evidence.

    Fields of the others are 0. A field counts with its first 8 bytes, or as many as ``sizes`` says.
    """
    out, ok = gather_rows(pages, addresses, struct, names, sizes)
    return dict(zip(names, out, strict=True)), ok


def gather_rows(
    pages: PageTable | HeapIndex,
    addresses: npt.NDArray[np.uint64],
    struct: StructLayout,
    names: Sequence[str],
    sizes: Mapping[str, int] | None = None,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """The same as one array, a row a field in the order of ``names``."""
    flat = np.ascontiguousarray(addresses, dtype=np.uint64).reshape(-1)
    entries = [struct.field(name) for name in names]
    widths = [(sizes or {}).get(name, min(entry.size, 8)) for name, entry in zip(names, entries, strict=True)]
    fields = np.array([(entry.offset, width) for entry, width in zip(entries, widths, strict=True)], dtype=np.int64)
    out = np.empty((len(names), len(flat)), dtype=np.uint64)
    ok = np.zeros(len(flat), dtype=np.uint8)
    load("spans").gather_fields(pages, flat, struct.size, fields.reshape(-1, 2), out, ok)
    return out, ok.view(np.bool_)


def column(rows: npt.NDArray[np.uint8], offset: int, size: int) -> npt.NDArray[np.uint64]:
    """The unsigned little-endian field of ``size`` (1, 2, 4, 8) bytes at ``offset`` of each gathered row, as uint64."""
    part = np.ascontiguousarray(rows[:, offset : offset + size])
    out: npt.NDArray[np.uint64] = part.view(f"<u{size}").reshape(-1).astype(np.uint64)
    return out


def build_index(pages: PageTable, spans: npt.NDArray[np.void]) -> HeapIndex:
    """Index of ``spans`` (ordered by base, not overlapping, every page in a chunk of ``pages``).

    Fills ``first``, ``maskbit``, ``divmul`` and ``host`` of the spans; base, elemsize, nelems, bytes, noscan and header
    are the caller's. ValueError for spans outside of ``pages``, LayoutError for more slots than can be numbered.
    """
    nslots = len(pages.page_host) >> (CHUNK_SHIFT - 12)
    page_span = np.full(nslots * _SPAN_PAGES_PER_CHUNK, -1, dtype=np.int32)
    nobjects = load("spantable").place(pages.chunk_slot, pages.page_host, spans.view(np.uint8), page_span)
    if nobjects > MOST_OBJECTS:
        raise LayoutError(f"{nobjects} slots in the heap are more than mapscope can number", "tell us about it")
    ptrmask = zeros(nslots * (_MASK_BITS_PER_CHUNK // 64) + 1, np.uint64)
    return HeapIndex(pages.chunk_slot, pages.page_host, page_span, spans, ptrmask, nobjects, pages.zero_page)


def missing_bytes(index: HeapIndex) -> int:
    """Bytes of spans that are not in the evidence, counted by pages of 4 kB."""
    broken = index.spans[index.spans["host"] == 0]
    if not len(broken):
        return 0
    # maskbit counts words, of which a page has 512
    first = (broken["maskbit"] >> np.uint64(9)).astype(np.int64)
    pages = (broken["bytes"] >> np.uint64(12)).astype(np.int64)
    within = np.arange(int(pages.sum()), dtype=np.int64) - np.repeat(np.cumsum(pages) - pages, pages)
    return int((index.page_host[np.repeat(first, pages) + within] == 0).sum()) * 4096
