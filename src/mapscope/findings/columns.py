"""What several rules ask of the columns: slots that are needed, bytes of the current arrays, traces of history.

Header fields come from hostile evidence, so sums and shifts are done in float64 or on clipped values: nothing wraps.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mapscope.maps.model import Generation, MapTable

Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_LARGEST = np.uint64(2**48)
GROUP_SLOTS = 8
"""Slots of a bucket (``bucketCnt``) and of a group (``abi.MapGroupSlots``)."""

_MAX_TABLE_SLOTS = 1024
"""``maxTableCapacity`` of internal/runtime/maps/table.go."""


def ints(maps: MapTable, name: str) -> Ints:
    """Column ``name`` as int64, clipped to 2^48 (the address space) so that sums of a few cannot wrap."""
    column = maps.columns[name]
    if column.dtype == np.uint64:
        column = np.minimum(column, _LARGEST)
    return column.astype(np.int64)


def is_swiss(maps: MapTable) -> Bools:
    """Rows that are maps of internal/runtime/maps."""
    return np.asarray(maps.columns["generation"] == Generation.SWISS)


def slots_for(count: Ints, swiss: Bools, go_release: tuple[int, int]) -> Ints:
    """Slots of the arrays of a map made for ``count`` entries (at most 2^48).

    Classic: 8·2^B with the smallest B for which ``overLoadFactor`` (runtime/map.go) is false: 13·(2^B/2) entries, on
    Go 1.21 12·(2^B/2). Swiss: ``NewMap`` (internal/runtime/maps/map.go), count·8/7 slots in a power of two of tables
    of at most 1024 slots each. Both: one bucket or group up to 8 entries.
    """
    load = 12 if go_release == (1, 21) else 13
    halves = _power_of_two(np.maximum(-(-count // load), 1))
    target = np.maximum(count * 8 // 7, GROUP_SLOTS)
    directory = _power_of_two(-(-target // _MAX_TABLE_SLOTS))
    tables = directory * np.maximum(_power_of_two(target // directory), GROUP_SLOTS)
    return np.where(count <= GROUP_SLOTS, GROUP_SLOTS, np.where(swiss, tables, 2 * GROUP_SLOTS * halves))


def _power_of_two(values: Ints) -> Ints:
    """The power of two at or above each of ``values``, which are 1 to 2^52."""
    _, exponent = np.frexp((values - 1).astype(np.float64))
    return np.left_shift(np.int64(1), exponent.astype(np.int64))


def old_bytes(maps: MapTable) -> Ints:
    """Bytes of the old bucket array and of its overflow buckets, with the slice that keeps them."""
    return ints(maps, "old_array_bytes") + ints(maps, "old_overflow_bytes")


def current_waste(maps: MapTable) -> Ints:
    """Bytes beyond ``needed_bytes`` once the old array is set aside: what the current arrays hold for nothing."""
    beyond: Ints = ints(maps, "total_bytes") - old_bytes(maps) - ints(maps, "needed_bytes")
    return beyond.clip(0)


def was_fuller(maps: MapTable) -> Bools:
    """Rows with a trace of having held more entries than now.

    Classic: more overflow buckets than the entries of today explain, and no less than a quarter of those that a map had
    which grew into its arrays; they stay until the map grows or is cleared. The second bound is for unlucky hash seeds:
    a map that was presized for 200,000 entries and held 70,000 had 26 of them where chance gives 0.1.
    Swiss: a tombstone; ``table.Delete`` leaves one only in a group that was full, and it stays until the table grows,
    is pruned or cleared.
    """
    fuller = np.asarray(is_swiss(maps) & (maps.columns["tombstones"] != 0))
    rows = np.flatnonzero(~is_swiss(maps) & (ints(maps, "overflow_count") > 1))
    buckets, overflow_count = ints(maps, "capacity")[rows] // GROUP_SLOTS, ints(maps, "overflow_count")[rows]
    expected = expected_overflow(ints(maps, "count")[rows], buckets)
    grown = expected_overflow(buckets * 13 // 4, buckets)  # half the load factor: just after a doubling
    fuller[rows] = (overflow_count > expected + 4 * np.sqrt(expected) + 1) & (overflow_count >= grown / 4)
    return fuller


def expected_overflow(count: Ints, buckets: Ints) -> npt.NDArray[np.float64]:
    """How many of ``buckets`` get more than eight of ``count`` entries by chance (Poisson), so need one more bucket."""
    load = count / np.maximum(buckets, 1)
    within = np.zeros(len(load))
    term = np.exp(-np.minimum(load, 700.0))
    for k in range(GROUP_SLOTS + 1):
        within += term
        term = term * load / (k + 1)
    return np.asarray(buckets * np.clip(1.0 - within, 0.0, 1.0))


def would_show_history(maps: MapTable, buckets: int, groups: int) -> Bools:
    """Rows so large that a map which was filled once would show it (see :func:`was_fuller`), all but certainly."""
    capacity = ints(maps, "capacity")
    return np.asarray(capacity >= GROUP_SLOTS * np.where(is_swiss(maps), groups, buckets))


def is_sparse(maps: MapTable, go_release: tuple[int, int], factor: float) -> Bools:
    """Rows whose current arrays have at least ``factor`` times the slots that their entries need."""
    capacity = ints(maps, "capacity")
    sparse: Bools = capacity >= factor * GROUP_SLOTS  # no map needs less; most are small, and are not asked further
    rows = np.flatnonzero(sparse)
    needed = slots_for(ints(maps, "count")[rows], is_swiss(maps)[rows], go_release)
    sparse[rows] = capacity[rows] >= factor * needed
    return sparse
