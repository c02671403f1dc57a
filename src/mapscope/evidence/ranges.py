"""Sets of address ranges as arrays: what is in one and not in another, without a loop over ranges.

A set is an int64 array of shape (n, 2): start and end of each range, in order, none of them touching another.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Ranges = NDArray[np.int64]


def ranges_of(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """The set of these ranges, which are in order and do not overlap; neighbours become one."""
    found = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    return _joined(found[:, 0], found[:, 1])


def pages(mask: NDArray[np.bool_], base: int, page: int) -> Ranges:
    """The pages that ``mask`` is true for, the first of them at address ``base``."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False)).reshape(-1, 2)
    return base + edges.astype(np.int64) * page


def union(sets: Iterable[Ranges]) -> Ranges:
    """All of several sets that lie one behind the other."""
    found = np.concatenate([np.empty((0, 2), dtype=np.int64), *sets])
    return _joined(found[:, 0], found[:, 1])


def intersect(first: Ranges, second: Ranges) -> Ranges:
    """What is in both."""
    points, in_first, in_second = _states(first, second)
    return _where(points, in_first & in_second)


def subtract(first: Ranges, second: Ranges) -> Ranges:
    """What is in the first and not in the second."""
    points, in_first, in_second = _states(first, second)
    return _where(points, in_first & ~in_second)


def within(found: Ranges, start: int, end: int) -> Ranges:
    """The part of it in [start, end)."""
    first = int(np.searchsorted(found[:, 1], start, side="right"))
    last = int(np.searchsorted(found[:, 0], end, side="left")) if start < end else first
    return np.clip(found[first:last], start, end)


def near(found: Ranges, gap: int) -> Ranges:
    """The same with all gaps of at most ``gap`` bytes closed."""
    return _joined(found[:, 0], found[:, 1], gap)


def size(found: Ranges) -> int:
    """Bytes in it."""
    return int((found[:, 1] - found[:, 0]).sum())


def _states(first: Ranges, second: Ranges) -> tuple[Ranges, NDArray[np.bool_], NDArray[np.bool_]]:
    """The places where either changes, and whether each holds from there on."""
    points = np.concatenate([first[:, 0], first[:, 1], second[:, 0], second[:, 1]])
    step = np.zeros((2, len(points)), dtype=np.int64)
    step[0, : len(first)], step[0, len(first) : 2 * len(first)] = 1, -1
    step[1, 2 * len(first) : 2 * len(first) + len(second)], step[1, 2 * len(first) + len(second) :] = 1, -1
    order = np.argsort(points, kind="stable")
    points = points[order]
    inside = np.cumsum(step[:, order], axis=1) > 0
    last = np.append(points[1:] != points[:-1], True)[: len(points)]  # of several changes in one place
    return points[last], inside[0, last], inside[1, last]


def _where(points: Ranges, held: NDArray[np.bool_]) -> Ranges:
    return points[np.flatnonzero(np.diff(held, prepend=False))].reshape(-1, 2)


def _joined(starts: Ranges, ends: Ranges, gap: int = 0) -> Ranges:
    if not len(starts):
        return np.empty((0, 2), dtype=np.int64)
    apart = starts[1:] - ends[:-1] > gap
    return np.stack([starts[np.append(True, apart)], ends[np.append(apart, True)]], axis=1)
