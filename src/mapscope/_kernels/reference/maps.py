"""What lies below a map's header: buckets and chains (classic), directory, tables and groups (Swiss).

A map is a row of uint64 (``ClassicMap``, ``SwissMap`` name its columns), and so is a result (CLASSIC_OUT and
SWISS_OUT in maps/decode.py name its columns). Results are added to rows that the caller zeroed. Every walk is
bounded by what the header and the heap could explain; a header that claims more gets ``corrupt``, bytes that are not
in the evidence ``unreadable``.

Layouts and names are Go's: runtime/map.go up to 1.23 (``bmap``, ``tophash``), internal/runtime/maps from 1.24.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference.mapcells import (
    EVACUATED,
    MAX_CAPACITY,
    MAX_DIRECTORY,
    ClassicMap,
    SwissMap,
    Table,
    array_fits,
    chain_budget,
    distinct_tables,
    full_cells,
    indirect_bytes,
    live_cells,
    read_table,
)
from mapscope._kernels.reference.memory import MARKED, Slots


class _Result:
    """Sums of one map, by column."""

    def __init__(self, width: int, row: npt.NDArray[np.uint64]) -> None:
        self.sums = [0] * width
        self.row = row

    def save(self) -> None:
        self.row[: len(self.sums)] += np.array(self.sums, dtype=np.uint64)


_LIVE, _OVERFLOW, _OVERFLOW_BYTES, _EVACUATED, _OLD_OVERFLOW, _OLD_OVERFLOW_BYTES = range(6)
_INDIRECT, _UNREADABLE, _CORRUPT = 6, 7, 8


class _ClassicWalk:
    """One classic map, bucket by bucket, chain by chain."""

    def __init__(self, memory: Slots, flags: npt.NDArray[np.uint8], row: ClassicMap, result: _Result) -> None:
        self.memory, self.flags, self.row, self.sums = memory, flags, row, result.sums
        self.budget = chain_budget(memory, 1 << row.b, row.entries)
        self.occupancy: list[tuple[int, int]] = []
        """Entries (chain included) and overflow buckets of every bucket of the current array."""

    def run(self) -> None:
        for old, array, number in self.row.arrays():
            if not array:
                continue
            if not array_fits(self.memory, array, number, self.row.bucket_size):
                self.sums[_CORRUPT] = 1
                return
            if not self.array(old, array, number):
                return

    def array(self, old: bool, array: int, number: int) -> bool:
        """All buckets of one array; False when the map turned out corrupt."""
        size = self.row.bucket_size
        own = range(array, self.memory.slot_end(array) or array + number * size)
        for address in range(array, array + number * size, size):
            top = self.memory.word(address)
            if top is None:
                self.sums[_UNREADABLE] = 1
                break
            evacuated = old and top & 255 in EVACUATED
            self.sums[_EVACUATED] += evacuated
            live = 0 if evacuated else self.live(address, top)
            length, apart = 0, True
            over = self.memory.word(address + size - 8) or 0
            while over:
                if not self.budget:
                    self.sums[_CORRUPT] = 1
                    return False
                self.budget -= 1
                top = self.memory.word(over)
                if top is None:
                    self.sums[_UNREADABLE] = 1
                    break
                if old and not self.marked(over):
                    break  # freed already: an evacuated bucket's overflow word is stale
                length += 1
                if over in own:
                    apart = not old  # the rest of the chain counts at this one: see made
                self.overflow(old, evacuated, self.memory.slot_bytes(over) if apart and over not in own else 0)
                if not evacuated:
                    live += self.live(over, top)
                over = self.memory.word(over + size - 8) or 0
            self.sums[_LIVE] += live
            if not old:
                self.occupancy.append((live, length))
        return self.made(own, number) if old else True

    def made(self, own: range, number: int) -> bool:
        """What the overflow buckets keep that were made with an old array and lie in it; False for a ring.

        An evacuated chain is unlinked at its first bucket alone, so what hangs on one of these stays. There are a
        sixteenth as many as buckets, and those that the size class has room for (runtime/map.go: makeBucketArray).
        """
        size, budget = self.row.bucket_size, chain_budget(self.memory, number, self.row.entries)
        for b in range(number, min(len(own) // size, number + number // 2 + 1)):
            over = self.memory.word(own.start + (b + 1) * size - 8) or 0
            while over and over not in own and self.marked(over):
                if not budget:
                    self.sums[_CORRUPT] = 1
                    return False
                budget -= 1
                self.sums[_OLD_OVERFLOW_BYTES] += self.memory.slot_bytes(over)
                over = self.memory.word(over + size - 8) or 0
        return True

    def live(self, bucket: int, top: int) -> int:
        cells = live_cells(top)
        self.sums[_INDIRECT] += indirect_bytes(self.memory, self.row, bucket, cells)
        return len(cells)

    def overflow(self, old: bool, evacuated: bool, size: int) -> None:
        """Counts one overflow bucket; that of an evacuated bucket only adds to the bytes of the old array."""
        if old:
            self.sums[_OLD_OVERFLOW_BYTES] += size
            self.sums[_OLD_OVERFLOW] += not evacuated
        else:
            self.sums[_OVERFLOW_BYTES] += size
            self.sums[_OVERFLOW] += 1

    def marked(self, address: int) -> bool:
        place = self.memory.place(address)
        return place is not None and bool(self.flags[self.memory.first[place[0]] + place[1]] & MARKED)


def classic(h: Any, flags: npt.NDArray[np.uint8], maps: npt.NDArray[np.uint64], out: npt.NDArray[np.uint64]) -> None:
    """Walks the buckets of classic maps.

    ``flags``: uint8 by object id, bit 1 marked. ``maps``: n × 12 (ClassicMap), ``out``: n × 9: live cells; overflow
    buckets and bytes of those outside the array; evacuated old buckets; the overflow of old buckets that are not
    evacuated, and the bytes of all old overflow; bytes of keys and elems held by pointer; unreadable; corrupt. A row
    whose B is 44 or more, or whose bucket is under 16 bytes, stays zero.
    """
    memory = Slots(h)
    for values, target in zip(maps.tolist(), out, strict=True):
        row = ClassicMap(*values)
        if row.sane:
            result = _Result(9, target)
            _ClassicWalk(memory, flags, row, result).run()
            result.save()


def classic_histogram(
    h: Any,
    flags: npt.NDArray[np.uint8],
    one: npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint64],
    occupancy: npt.NDArray[np.uint64],
    chains: npt.NDArray[np.uint64],
) -> None:
    """The same for one map, with histograms of the current array.

    ``occupancy`` counts buckets by entries (chain included), ``chains`` by overflow buckets; the last cell of each
    is "or more".
    """
    row = ClassicMap(*one.tolist())
    if not row.sane:
        return
    result = _Result(9, out)
    walk = _ClassicWalk(Slots(h), flags, row, result)
    walk.run()
    result.save()
    for live, length in walk.occupancy:
        occupancy[min(live, len(occupancy) - 1)] += np.uint64(1)
        chains[min(length, len(chains) - 1)] += np.uint64(1)


_USED, _TABLES, _GROUPS, _CAPACITY, _GROWTH_LEFT, _TOMBSTONES, _TABLE_SIZE, _GROUP_SIZE, _FULL = range(9)
_SWISS_INDIRECT, _SWISS_UNREADABLE, _SWISS_CORRUPT = 9, 10, 11


class _SwissWalk:
    """One Swiss map, table by table, group by group."""

    def __init__(self, memory: Slots, lay: list[int], row: SwissMap, result: _Result) -> None:
        self.memory, self.lay, self.row, self.sums = memory, lay, row, result.sums
        self.entries: list[int] = []
        """Entries of every group."""
        self.tables: list[Table | None] = []
        """None for one that cannot be."""

    def run(self) -> None:
        memory, row, sums = self.memory, self.row, self.sums
        if not row.length:
            if row.directory:
                sums[_GROUPS], sums[_CAPACITY] = 1, 8
                sums[_GROUP_SIZE] = memory.slot_bytes(row.directory)
                self.groups(row.directory, 1)
            return
        if memory.slot_bytes(row.directory) < 8 * row.length:
            sums[_SWISS_CORRUPT] = 1
            return
        for address in distinct_tables(memory, row):
            if address is None:
                sums[_SWISS_UNREADABLE] = 1
                return
            table = read_table(memory, self.lay, address)
            if table is None:
                sums[_SWISS_UNREADABLE] = 1
                continue
            self.table(table)

    def table(self, table: Table) -> None:
        sums, slots = self.sums, table.capacity >> 3
        sums[_TABLES] += 1
        honest = table.capacity <= MAX_CAPACITY and not table.capacity & 7 and table.mask == slots - 1 & (1 << 64) - 1
        self.tables.append(table if honest else None)
        if not honest:
            sums[_SWISS_CORRUPT] = 1
            return
        sums[_USED] += table.used
        sums[_CAPACITY] += table.capacity
        sums[_GROUPS] += slots
        sums[_GROWTH_LEFT] += table.growth_left
        sums[_TOMBSTONES] += table.tombstones
        sums[_TABLE_SIZE] += self.memory.slot_bytes(table.address)
        sums[_GROUP_SIZE] += self.memory.slot_bytes(table.groups)
        self.groups(table.groups, slots)

    def groups(self, data: int, number: int) -> None:
        """The control words of an array of groups, where the row asks for them."""
        for k in range(number if self.row.scan else 0):
            group = data + k * self.row.group_size
            control = self.memory.word(group)
            if control is None:
                self.sums[_SWISS_UNREADABLE] = 1
                return
            cells = full_cells(control)
            self.sums[_SWISS_INDIRECT] += indirect_bytes(self.memory, self.row, group, cells)
            self.sums[_FULL] += len(cells)
            self.entries.append(len(cells))


def swiss(h: Any, lay: npt.NDArray[np.uint64], maps: npt.NDArray[np.uint64], out: npt.NDArray[np.uint64]) -> None:
    """Walks directories and tables of Swiss maps.

    ``lay``: offsets in the table struct of used, capacity, growthLeft, localDepth, index, groups.data,
    groups.lengthMask. ``maps``: n × 10 (SwissMap), ``out``: n × 12: used of all tables; tables; groups; capacity in
    cells; growthLeft; tombstones; bytes of tables; bytes of groups; live cells and bytes held by pointer (both only
    with ``scan``); unreadable; corrupt. A row with a directory of more than 2^36 stays zero.
    """
    memory, offsets = Slots(h), lay.tolist()
    for values, target in zip(maps.tolist(), out, strict=True):
        row = SwissMap(*values)
        if row.length <= MAX_DIRECTORY:
            result = _Result(12, target)
            _SwissWalk(memory, offsets, row, result).run()
            result.save()


def swiss_detail(
    h: Any,
    lay: npt.NDArray[np.uint64],
    one: npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint64],
    occupancy: npt.NDArray[np.uint64],
    tables: npt.NDArray[np.uint64],
) -> None:
    """The same for one map, with groups by entries and its first tables.

    ``occupancy`` has 9 cells. Rows of ``tables``: address, used, capacity, growthLeft, localDepth, index,
    tombstones, 0; a row stays zero for a table that cannot be.
    """
    row = SwissMap(*one.tolist())
    if row.length > MAX_DIRECTORY:
        return
    result = _Result(12, out)
    walk = _SwissWalk(Slots(h), lay.tolist(), row, result)
    walk.run()
    result.save()
    for entries in walk.entries:
        occupancy[entries] += np.uint64(1)
    for target, table in zip(tables, walk.tables, strict=False):
        if table is not None:
            target[:7] = (table.address, table.used, table.capacity, table.growth_left, table.depth, table.number,
                          table.tombstones)  # fmt: skip
