"""Rows, buckets, groups and tables of maps: what the walks of ``reference.maps`` share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from mapscope._kernels.reference.memory import Slots

MIN_TOPHASH: Final = 5
EVACUATED: Final = frozenset((2, 3, 4))
"""``evacuatedX``, ``evacuatedY``, ``evacuatedEmpty`` in the tophash of a bucket's first cell."""
MAX_B: Final = 44
MAX_DIRECTORY: Final = 1 << 36
_TABLE_BYTES: Final = 32
MAX_CAPACITY: Final = 1024


class ClassicMap(NamedTuple):
    """A row of ``classic``: header fields, then the layout of the map type's bucket (offsets and sizes in bytes)."""

    b: int
    same_size: int
    buckets: int
    oldbuckets: int
    entries: int
    bucket_size: int
    keys: int
    key_stride: int
    indirect_key: int
    elems: int
    elem_stride: int
    indirect_elem: int

    @property
    def sane(self) -> bool:
        """Whether B and the bucket's size can be."""
        return self.b < MAX_B and self.bucket_size >= 16

    def arrays(self) -> Iterator[tuple[bool, int, int]]:
        """The two arrays, ``buckets`` and ``oldbuckets``: whether it is the old one, address, number of buckets."""
        number = 1 << self.b
        yield False, self.buckets, number
        yield True, self.oldbuckets, number if self.same_size else number >> 1


class SwissMap(NamedTuple):
    """A row of ``swiss``: dirPtr, dirLen, the layout of the map type's group, and whether to read control words too."""

    directory: int
    length: int
    group_size: int
    keys: int
    key_stride: int
    indirect_key: int
    elems: int
    elem_stride: int
    indirect_elem: int
    scan: int = 1


class Table(NamedTuple):
    """A ``maps.table`` (internal/runtime/maps/table.go)."""

    address: int
    used: int
    capacity: int
    growth_left: int
    depth: int
    number: int
    groups: int
    mask: int

    @property
    def tombstones(self) -> int:
        """Deleted cells that are not free again: what the load limit leaves when used and growthLeft are taken off."""
        limit = self.capacity * 7 // 8 if self.capacity > 8 else self.capacity - 1
        return max(0, limit - self.used - self.growth_left)


def chain_budget(memory: Slots, buckets: int, count: int) -> int:
    """Overflow buckets that an honest map can have.

    The count may be damaged and a chain a ring, but every overflow bucket that does not lie behind the array is an
    object.
    """
    return 4 * buckets + min(count, memory.nobjects) + 4096


def array_fits(memory: Slots, array: int, buckets: int, bucket_size: int) -> bool:
    """An array must fit its slot; one outside the heap (a map on a stack) has a bucket or a few."""
    size = memory.slot_bytes(array)
    return buckets * bucket_size <= size if size else buckets <= 64


def live_cells(top: int) -> list[int]:
    """Cells of a bucket that hold an entry, by its tophash word."""
    return [cell for cell, byte in enumerate(top.to_bytes(8, "little")) if byte >= MIN_TOPHASH]


def full_cells(control: int) -> list[int]:
    """Cells of a group that hold an entry: empty (0x80) and deleted (0xfe) ones have the top bit set."""
    return [cell for cell, byte in enumerate(control.to_bytes(8, "little")) if byte < 0x80]


def indirect_bytes(memory: Slots, row: ClassicMap | SwissMap, block: int, cells: list[int]) -> int:
    """Slots of keys and elems that the cells of a bucket or group hold by pointer."""
    total = 0
    for by_pointer, offset, stride in (
        (row.indirect_key, row.keys, row.key_stride),
        (row.indirect_elem, row.elems, row.elem_stride),
    ):
        if by_pointer:
            pointers = (memory.word(block + offset + cell * stride) for cell in cells)
            total += sum(memory.slot_bytes(pointer) for pointer in pointers if pointer is not None)
    return total


def distinct_tables(memory: Slots, row: SwissMap) -> Iterator[int | None]:
    """Tables of a directory, each run of equal entries once; None (and no more) where an entry is missing."""
    before = 0
    for k in range(row.length):
        address = memory.word(row.directory + 8 * k)
        if address is None:
            yield None
            return
        if address != before:
            yield address
        before = address


def read_table(memory: Slots, lay: list[int], address: int) -> Table | None:
    """The table struct at ``address``; it lies in a slot of its own size, so never across pages."""
    data = memory.read(address, _TABLE_BYTES) if address & 4095 <= 4096 - _TABLE_BYTES else None
    if data is None:
        return None

    def field(k: int, size: int) -> int:
        return int.from_bytes(data[lay[k] : lay[k] + size], "little")

    return Table(address, field(0, 2), field(1, 2), field(2, 2), field(3, 1), field(4, 8), field(5, 8), field(6, 8))
