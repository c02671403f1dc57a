"""Bucket by bucket, group by group: how full the arrays of one map are, and where. Counts only, no contents."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.goruntime.index import HeapIndex, column, gather
from mapscope.maps.find import MapSet
from mapscope.maps.model import Map
from mapscope.maps.types import MapShape

U1 = npt.NDArray[np.uint8]
I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]

MOST_UNITS = 1 << 20
"""Buckets or groups of one array that are looked at; of more, so many at even distances."""
_MOST_CHAIN = 255
_SPARE = 4096
_MOST_B = 40
_MOST_DIRECTORY = 1 << 20
_MAX_GROUPS = 128
"""``maxTableCapacity`` / 8 of internal/runtime/maps/table.go."""
_GROUP_SLOTS = 8
_MIN_TOPHASH = 5
"""``minTopHash`` of runtime/map.go: below it are the marks of empty and evacuated cells."""
_EVACUATED = (2, 4)
"""``evacuatedX`` to ``evacuatedEmpty`` of runtime/map.go."""
_DELETED = 0xFE
"""``ctrlDeleted`` of internal/runtime/maps/group.go; a full slot has the high bit clear."""


class CellArray(Struct, frozen=True):
    """Buckets or groups of one array in its order, each ``step``-th of ``units``.

    ``entries``: live entries of each, those of its overflow buckets included. ``extra``: overflow buckets behind it
    (classic, at most 255) or tombstones in it (Swiss). ``gone``: classic, old array: the bucket is evacuated.
    """

    name: str
    """``buckets``, ``oldbuckets`` or ``groups``."""
    units: int
    step: int
    entries: npt.NDArray[np.int64]
    extra: npt.NDArray[np.int64]
    gone: npt.NDArray[np.bool_]
    complete: bool
    """False: some of it is not in the evidence and reads as empty."""


def map_cells(maps: MapSet, found: Map) -> tuple[CellArray, ...]:
    """The arrays of a map: buckets and, during a growth, old buckets; or groups. Empty where no type leads."""
    at = int(maps.shape_of[found.row])
    if at < 0:
        return ()
    index, shape = maps.decoder.index, maps.shapes[at]
    if maps.swiss:
        return _swiss(index, maps, found, shape)
    if found.B > _MOST_B:
        return ()
    arrays = [("buckets", found.buckets, 1 << found.B)]
    if found.growing:
        arrays.append(("oldbuckets", found.oldbuckets, found.noldbuckets))
    return tuple(_classic(index, shape, *one) for one in arrays if one[1] and one[2])


def _classic(index: HeapIndex, shape: MapShape, name: str, array: int, units: int) -> CellArray:
    size = shape.fields.bucket_size
    step = -(-units // MOST_UNITS)
    address = np.uint64(array) + np.arange(0, units, step, dtype=np.uint64) * np.uint64(size)
    top, ok = gather(index, address, 8)
    top[~ok] = 0
    gone = (
        (top[:, 0] >= _EVACUATED[0]) & (top[:, 0] <= _EVACUATED[1]) if name == "oldbuckets" else np.zeros(len(ok), bool)
    )
    entries = np.where(gone, 0, (top >= _MIN_TOPHASH).sum(axis=1))
    length = np.zeros(len(ok), dtype=np.int64)
    complete = bool(ok.all())
    rows = np.arange(len(ok))
    link = address + np.uint64(size - 8)
    left = 4 * len(ok) + _SPARE  # a chain in a damaged heap may be a ring
    for _ in range(_MOST_CHAIN):
        words, there = gather(index, link, 8)
        over = np.where(there, column(words, 0, 8), np.uint64(0))
        rows, over = rows[over != 0], over[over != 0]
        if not len(rows):
            break
        left -= len(rows)
        if left < 0:
            complete = False
            break
        top, ok = gather(index, over, 8)
        complete &= bool(ok.all())
        rows, over, top = rows[ok], over[ok], top[ok]
        length[rows] += 1
        entries[rows] += np.where(gone[rows], 0, (top >= _MIN_TOPHASH).sum(axis=1))
        link = over + np.uint64(size - 8)
    return CellArray(name, units, step, entries, length, gone, complete)


def _swiss(index: HeapIndex, maps: MapSet, found: Map, shape: MapShape) -> tuple[CellArray, ...]:
    if found.dirPtr == 0 or not 0 <= found.dirLen <= _MOST_DIRECTORY:
        return ()
    if found.dirLen == 0:
        groups, step, complete = np.array([found.dirPtr], dtype=np.uint64), 1, True
        units = 1
    else:
        words, there = gather(
            index, np.uint64(found.dirPtr) + np.arange(found.dirLen, dtype=np.uint64) * np.uint64(8), 8
        )
        pointers = column(words, 0, 8)[there]
        first = np.unique(pointers, return_index=True)[1]
        tables = pointers[np.sort(first)]  # in the order of the directory
        data, count, seen = _tables(index, maps, tables)
        units, complete = int(count.sum()), bool(there.all()) and seen
        step = -(-units // MOST_UNITS)
        groups = _groups(data, count, step, shape.fields.bucket_size)
    control, ok = gather(index, groups, _GROUP_SLOTS)
    control[~ok] = 0x80
    full, deleted = (control < 0x80).sum(axis=1), (control == _DELETED).sum(axis=1)
    none = np.zeros(len(ok), dtype=np.bool_)
    return (CellArray("groups", units, step, full, deleted, none, complete and bool(ok.all())),)


def _tables(index: HeapIndex, maps: MapSet, tables: U8) -> tuple[U8, I8, bool]:
    """Address of the groups of each table, how many, and whether all could be read."""
    layout = maps.decoder.layouts.struct("table")
    rows, ok = gather(index, tables, layout.size)
    data = column(rows, layout.offset("groups.data"), 8)
    count = column(rows, layout.offset("groups.lengthMask"), 8) + np.uint64(1)
    sane = ok & (count >= 1) & (count <= _MAX_GROUPS)
    return data[sane], count[sane].astype(np.int64), bool(sane.all())


def _groups(data: U8, count: I8, step: int, size: int) -> U8:
    """Address of each ``step``-th group of all tables."""
    ends = np.cumsum(count)
    wanted = np.arange(0, int(ends[-1]) if len(ends) else 0, step)
    table = np.searchsorted(ends, wanted, side="right")
    within = (wanted - (ends - count)[table]).astype(np.uint64)
    out: U8 = data[table] + within * np.uint64(size)
    return out
