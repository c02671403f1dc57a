"""Which bytes of the process the evidence holds: resident ranges, and how much of other ranges lies in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.evidence.memory import PAGE, Memory

_BIG = 4 << 20
"""Extents of at least this many bytes are looked through for pages of zeros: gcore writes out whole reservations."""
_BLOCK = 16 << 20

Ranges = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Starts and ends of ascending, disjoint ranges."""


class Resident(Struct, frozen=True):
    """Ascending, disjoint ranges [start, end) of resident memory."""

    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]

    @property
    def bytes(self) -> int:
        """Their sum."""
        return int((self.end - self.start).sum())

    def within(self, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Resident bytes of each range [low, high)."""
        if not len(self.start):
            return np.zeros(len(low), dtype=np.int64)
        before = np.concatenate(([0], np.cumsum(self.end - self.start)))

        def upto(address: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
            at = np.searchsorted(self.start, address, side="right")
            last = np.maximum(at - 1, 0)
            inside = np.minimum(address, self.end[last]) - self.start[last]
            return np.where(at > 0, before[last] + inside, 0)

        return upto(high) - upto(low)


def resident_ranges(memory: Memory, buffer: int, keep: Ranges) -> Resident:
    """What ``buffer`` holds bytes for.

    Pages of zeros in large extents do not count, except in the ranges ``keep``: the heap, where a page of zeros may
    well have been touched.
    """
    starts: list[npt.NDArray[np.int64]] = []
    ends: list[npt.NDArray[np.int64]] = []
    for extent in memory.extents:
        if extent.buffer != buffer or extent.offset < 0 or extent.end > 1 << 48:  # vsyscall lies at the very top
            continue
        at = int(np.searchsorted(keep[0], extent.start, side="right")) - 1
        kept = (at >= 0 and keep[1][at] > extent.start) or (at + 1 < len(keep[0]) and keep[0][at + 1] < extent.end)
        if extent.size < _BIG or kept:
            starts.append(np.array([extent.start], dtype=np.int64))
            ends.append(np.array([extent.end], dtype=np.int64))
            continue
        for low in range(extent.start, extent.end, _BLOCK):
            size = min(_BLOCK, extent.end - low)
            view = memory.view(low, size)
            whole = size // PAGE
            touched = view[: whole * PAGE].view(np.uint64).reshape(whole, -1).any(axis=1)
            pages = np.flatnonzero(touched).astype(np.int64) * PAGE + low
            starts.append(pages)
            ends.append(pages + PAGE)
    if not starts:
        none = np.zeros(0, dtype=np.int64)
        return Resident(none, none)
    start, end = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(start, kind="stable")
    return Resident(start[order], end[order])


def disjoint(rows: list[tuple[int, int]]) -> Ranges:
    """Ascending, disjoint ranges from any; of two that overlap the later is cut."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(rows):
        start = max(low, out[-1][1]) if out else low
        if start < high:
            out.append((start, high))
    return (np.array([a for a, _ in out], dtype=np.int64), np.array([b for _, b in out], dtype=np.int64))
