"""The table of maps of a snapshot, and one row of it.

Bulk data are NumPy columns (:class:`MapTable`); a :class:`Map` is a view of one row, made when it is asked for. Names
are the runtime's own (``hmap`` in ``runtime/map.go`` up to Go 1.23, ``maps.Map`` in ``internal/runtime/maps`` from
1.24).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.arrays import zeros
from mapscope.units import Addr


class Generation(IntEnum):
    """Which implementation of the map a header belongs to."""

    CLASSIC = 0
    SWISS = 1

    @property
    def label(self) -> str:
        """The word of the document: ``classic`` or ``swiss``."""
        return self.name.lower()


class Confidence(IntEnum):
    """How sure we are that the header is a map: lower is surer. The words of the report, never mixed."""

    EXACT = 0
    """Reached through a typed word, or its array carries the runtime's own type word."""
    INFERRED = 1
    """Found by shape alone: every header field and every array that it names fits."""
    POSSIBLE = 2
    UNCERTAIN = 3

    @property
    def label(self) -> str:
        """The word of the document: ``exact``, ``inferred``, ``possible`` or ``uncertain``."""
        return self.name.lower()


class Place(IntEnum):
    """Where the header lies."""

    HEAP = 0
    STACK = 1
    DATA = 2


class MapType(Struct, frozen=True):
    """What the type descriptor of a map says (``abi.MapType`` of its release)."""

    address: Addr
    """Address of the type descriptor in the process."""
    name: str
    """As Go prints it, package-qualified: ``map[string]*main.Rec``."""
    key: str
    elem: str
    key_kind: str
    """Kind of the key in the words of package reflect: ``string``, ``int``, ``ptr``, ``struct``, ``interface`` …"""
    elem_kind: str
    key_size: int
    """Size in bytes of the key itself, not of its slot."""
    elem_size: int
    key_indirect: bool
    """The slot holds a pointer because the key is larger than 128 bytes."""
    elem_indirect: bool
    slot_key_size: int
    """Bytes that one key takes in a bucket or group slot (8 when indirect)."""
    slot_elem_size: int
    bucket_size: int
    """Bytes of one bucket (classic) or of one group (Swiss)."""


_ALIGN = 64
"""Bytes of a cache line: columns begin at one."""

COLUMNS: dict[str, str] = {
    # identity
    "address": "u8",  # of the hmap or maps.Map
    "type_index": "i4",  # into MapTable.types; -1 unknown
    "generation": "u1",  # Generation
    "confidence": "u1",  # Confidence
    "place": "u1",  # Place of the header
    "object_id": "i8",  # heap slot of the header, -1 when not on the heap
    # what people ask first
    "count": "u8",  # entries: hmap.count or Map.used
    "capacity": "u8",  # slots in the current arrays: 8*2^B, or the sum over distinct tables, or 8 (small map), or 0
    # bytes; all are whole heap slots (size class bytes), so that they add up with the heap
    "header_bytes": "u8",
    "array_bytes": "u8",  # classic: bucket array with its preallocated overflow; Swiss: all groups
    "old_array_bytes": "u8",  # classic: oldbuckets
    "overflow_bytes": "u8",  # classic: overflow buckets allocated one by one, of the current array
    "old_overflow_bytes": "u8",  # classic: the same, of oldbuckets, and the slice that keeps them (oldoverflow)
    "extra_bytes": "u8",  # classic: mapextra and the slice that keeps the overflow buckets of the current array
    "directory_bytes": "u8",  # Swiss
    "table_bytes": "u8",  # Swiss: the table headers
    "indirect_bytes": "u8",  # keys and elems held by pointer because they are larger than 128 bytes
    "total_bytes": "u8",  # the sum of the parts above
    "needed_bytes": "u8",  # what a map of this type made with make(map, count) would take, same parts
    "waste_bytes": "u8",  # max(0, total_bytes - needed_bytes)
    # classic header and what was counted below it
    "flags": "u1",
    "B": "u1",
    "noverflow": "u2",
    "hash0": "u4",
    "buckets": "u8",
    "oldbuckets": "u8",
    "nevacuate": "u8",
    "extra": "u8",
    "noldbuckets": "u8",  # number of old buckets, 0 when not growing
    "old_evacuated": "u8",  # old buckets whose tophash[0] says evacuated
    "overflow_count": "u8",  # overflow buckets in use, counted along the chains of the current array
    "old_overflow_count": "u8",  # the same along chains of old buckets not yet evacuated
    "prealloc_overflow": "u8",  # preallocated overflow buckets at the end of the current array
    # Swiss header and what was counted below it
    "seed": "u8",
    "dirPtr": "u8",
    "dirLen": "i8",
    "globalDepth": "u1",
    "globalShift": "u1",
    "writing": "u1",
    "tombstonePossible": "u1",
    "clearSeq": "u8",
    "tables": "u8",  # distinct tables
    "groups": "u8",  # groups over all distinct tables (1 for a small map)
    "tombstones": "u8",
    "growth_left": "u8",  # sum over distinct tables
    # how much of it could be read
    "unreadable": "u1",  # 1: part of its arrays is not in the evidence; sums are then lower bounds
}

FLAG_ITERATOR = 1
FLAG_OLD_ITERATOR = 2
FLAG_HASH_WRITING = 4
FLAG_SAME_SIZE_GROW = 8


class Map(Struct, frozen=True):
    """One Go map: a view of row ``row`` of a :class:`MapTable`. Attribute access to any column gives a Python int."""

    table: MapTable
    row: int

    def __getattr__(self, name: str) -> int:
        try:
            return int(self.table.columns[name][self.row])
        except KeyError:
            raise AttributeError(name) from None

    @property
    def type(self) -> MapType | None:
        """The map type, or None when nothing in the evidence names it."""
        index = self.type_index
        return None if index < 0 else self.table.types[index]

    @property
    def type_name(self) -> str | None:
        """``map[string]*main.Rec``, or None."""
        found = self.type
        return None if found is None else found.name

    @property
    def is_swiss(self) -> bool:
        """True for the maps of Go 1.24 on (unless built with noswissmap)."""
        return self.generation == Generation.SWISS

    @property
    def growing(self) -> bool:
        """Classic: an old array is still attached (``hmap.growing`` in runtime/map.go)."""
        return not self.is_swiss and self.oldbuckets != 0

    @property
    def same_size_growth(self) -> bool:
        """Classic: the growth in progress keeps the size (``hmap.sameSizeGrow``)."""
        return self.growing and bool(self.flags & FLAG_SAME_SIZE_GROW)

    @property
    def state(self) -> str:
        """One word for the document: ``empty``, ``small``, ``steady``, ``growing`` or ``growing-same-size``.

        ``empty``: no entries and no growth; ``small``: a Swiss map of a single group without a table; ``growing``: an
        old bucket array is attached. Whether a growth is *stalled* is a judgement, so it is a finding (R1), not a
        state.
        """
        if self.growing:
            return "growing-same-size" if self.same_size_growth else "growing"
        if self.count == 0:
            return "empty"
        if self.is_swiss and self.dirLen == 0:
            return "small"
        return "steady"


class MapTable(Sequence[Map]):
    """All maps of a snapshot, as NumPy columns of equal length.

    ``columns[name]`` has the dtype of :data:`COLUMNS`. ``types`` holds the map types in use; ``type_index`` points into
    it. Rows are ordered by address.
    """

    def __init__(self, columns: dict[str, npt.NDArray[np.generic]], types: Sequence[MapType]) -> None:
        self.columns = columns
        self.types = tuple(types)

    @classmethod
    def empty(cls, rows: int = 0, types: Sequence[MapType] = ()) -> MapTable:
        """A table of ``rows`` rows of zeros (``type_index`` and ``object_id`` are -1)."""
        sizes = {name: -(-rows * np.dtype(dtype).itemsize // _ALIGN) * _ALIGN for name, dtype in COLUMNS.items()}
        area, at = zeros(sum(sizes.values()), np.uint8), 0  # one for all: a large table lies in huge pages
        columns: dict[str, npt.NDArray[np.generic]] = {}
        for name, size in sizes.items():
            columns[name] = area[at : at + size].view(COLUMNS[name])[:rows]
            at += size
        columns["type_index"][:] = -1
        columns["object_id"][:] = -1
        return cls(columns, types)

    def __len__(self) -> int:
        return len(self.columns["address"])

    def __getitem__(self, row: int) -> Map:  # type: ignore[override]  # no slices: take columns for bulk work
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return Map(self, row % len(self))

    def __iter__(self) -> Iterator[Map]:
        return (Map(self, row) for row in range(len(self)))

    def at(self, address: int) -> Map | None:
        """The map whose header lies at ``address``, or None."""
        row = int(np.searchsorted(self.columns["address"], np.uint64(address)))
        if row < len(self) and int(self.columns["address"][row]) == address:
            return Map(self, row)
        return None
