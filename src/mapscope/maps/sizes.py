"""What the allocator gives for a size, and what a map made for a count takes (so that waste can be said in bytes).

Size classes: runtime/msize.go (roundupsize), with the malloc header from Go 1.22 on. Maps: runtime/map.go (makemap,
makeBucketArray, overLoadFactor), internal/runtime/maps/map.go (NewMap) and table.go (newTable).
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.arrays import unique

_MAX_SMALL = 32768
_PAGE = 8192
_HEADER = 8
_HEADER_MIN = 512
_GROUP_SLOTS = 8
_MAX_TABLE = 1024
_AVG_GROUP_LOAD = 7
_MAX_COUNT = np.uint64(1 << 40)
"""No map has so many entries: what a damaged header says beyond it counts as this many."""


class Allocator(Struct, frozen=True):
    """Size classes of one release. ``classes``: ascending sizes, ``headers``: malloc headers exist (Go 1.22 on)."""

    classes: tuple[int, ...]
    headers: bool

    def slot(self, size: int, noscan: bool) -> int:
        """Bytes of the slot that ``mallocgc(size)`` hands out."""
        if size <= 0:
            return 0
        if self.headers and not noscan and _HEADER_MIN < size <= _MAX_SMALL - _HEADER:
            size += _HEADER
        if size <= _MAX_SMALL:
            return self.classes[bisect_left(self.classes, size)]
        return -(-size // _PAGE) * _PAGE

    def usable(self, size: int, noscan: bool) -> int:
        """``roundupsize(size, noscan)``: bytes that a growslice-like caller may use of that slot."""
        slot = self.slot(size, noscan)
        header = self.headers and not noscan and _HEADER_MIN < size <= _MAX_SMALL - _HEADER
        return slot - _HEADER if header else slot

    def rounded(self) -> npt.NDArray[np.uint32]:
        """Slot size of 8*k bytes without pointers, k from 0 to 4096."""
        sizes = np.arange(0, _MAX_SMALL + 1, 8)
        classes = np.array([c for c in self.classes if c], dtype=np.int64)
        out = classes[np.minimum(np.searchsorted(classes, sizes), len(classes) - 1)]
        out[0] = 0
        return out.astype(np.uint32)


def load_factor(release: tuple[int, int]) -> float:
    """Average entries a bucket at which a classic map grows: 6.5, but 6 in Go 1.21 (golang/go#63438)."""
    return 6.0 if release == (1, 21) else 6.5


def classic_buckets_log2(counts: npt.NDArray[np.uint64], release: tuple[int, int]) -> npt.NDArray[np.int64]:
    """B of ``make(map, count)`` (makemap: grow B until not overLoadFactor), for each count."""
    num = 12 if release == (1, 21) else 13
    limits = np.array([8] + [num * (1 << b) // 2 for b in range(1, 48)], dtype=np.uint64)
    return np.searchsorted(limits, counts, side="left").astype(np.int64)


def classic_array(allocator: Allocator, b: int, bucket_size: int, noscan: bool) -> tuple[int, int]:
    """Slot bytes of the bucket array for B and its preallocated overflow buckets (makeBucketArray)."""
    base = count = 1 << b
    if b >= 4:
        count += 1 << (b - 4)
        usable = allocator.usable(bucket_size * count, noscan)
        if usable != bucket_size * count:
            count = usable // bucket_size
    return allocator.slot(count * bucket_size, noscan), count - base


def classic_needed(
    allocator: Allocator,
    release: tuple[int, int],
    header: int,
    counts: npt.NDArray[np.uint64],
    bucket_size: int,
    noscan: bool,
) -> npt.NDArray[np.uint64]:
    """Slot bytes of classic maps made for each count: header, bucket array, mapextra where there is one.

    ``mapextra`` comes with the first overflow bucket or with preallocated ones (makemap, newoverflow).
    """
    counts = np.minimum(counts, _MAX_COUNT)
    out = np.full(len(counts), allocator.slot(header, False), dtype=np.uint64)
    logs = classic_buckets_log2(counts, release)
    for b in unique(logs[counts > 0]).tolist():
        array, spare = classic_array(allocator, b, bucket_size, noscan)
        out[(logs == b) & (counts > 0)] += np.uint64(array + (allocator.slot(24, False) if spare else 0))
    return out


def swiss_needed(
    allocator: Allocator,
    header: int,
    table: int,
    counts: npt.NDArray[np.uint64],
    group_size: int,
    noscan: bool,
) -> npt.NDArray[np.uint64]:
    """Slot bytes of Swiss maps made for each count: header, directory, tables, groups (NewMap, newTable)."""
    counts = np.minimum(counts, _MAX_COUNT)
    out = np.full(len(counts), allocator.slot(header, False), dtype=np.uint64)
    small = (counts > 0) & (counts <= _GROUP_SLOTS)
    out[small] += np.uint64(allocator.slot(group_size, noscan))
    large = counts > _GROUP_SLOTS
    target = counts.astype(np.int64) * _GROUP_SLOTS // _AVG_GROUP_LOAD
    directory = _pow2(-(-target // _MAX_TABLE))
    capacity = np.maximum(_GROUP_SLOTS, _pow2(target // directory))
    keys = directory * (2 * _MAX_TABLE) + capacity
    for key in unique(keys[large]).tolist():
        tables, slots = divmod(key, 2 * _MAX_TABLE)
        groups = allocator.slot(slots // _GROUP_SLOTS * group_size, noscan)
        cost = allocator.slot(8 * tables, False) + tables * (allocator.slot(table, False) + groups)
        out[large & (keys == key)] += np.uint64(cost)
    return out


def _pow2(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The power of two at or above each value (1 for 0)."""
    below = np.maximum(values - 1, 0)
    bits = np.zeros(len(values), dtype=np.int64)
    for shift in (32, 16, 8, 4, 2, 1):
        step = below >> shift > 0
        bits[step] += shift
        below = np.where(step, below >> shift, below)
    return np.int64(1) << (bits + (below > 0))
