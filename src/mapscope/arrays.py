"""Set operations on arrays of numbers, and zeros for large tables.

``np.unique`` and what NumPy builds on it (``isin``, ``intersect1d``) import ``numpy.ma`` when they are first called, to
ask whether the array is a masked one: that takes as long as reading the spans of a large heap.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)

_LARGE = 1 << 20
"""Bytes from which on zeros get memory of their own: half a huge page."""


def unique(values: npt.NDArray[T]) -> npt.NDArray[T]:
    """The distinct values in ascending order, one dimension whatever that of ``values``."""
    ordered = np.sort(values, axis=None)
    return ordered[_changes(ordered)]


def common(one: npt.NDArray[T], other: npt.NDArray[T]) -> npt.NDArray[T]:
    """The distinct values that are in both, in ascending order."""
    ordered = unique(one)
    return ordered[among(ordered, other)]


def among(values: npt.NDArray[T], wanted: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which of ``values`` (any shape) are one of ``wanted``."""
    known = unique(np.asarray(wanted, dtype=values.dtype))
    if not len(known):
        return np.zeros(values.shape, dtype=np.bool_)
    at = np.minimum(np.searchsorted(known, values), len(known) - 1)
    hit: npt.NDArray[np.bool_] = known[at] == values
    return hit


def zeros(count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """``count`` zeros for a table in which kernels look here and there; a large one lies in huge pages.

    NumPy asks for huge pages where it makes memory, not where it makes zeros (``np.zeros`` takes pages that the kernel
    has not touched, one by one as they are used): a large table costs thousands of page faults, two a page where it is
    read before it is written, and later misses of the processor's table of pages. Raises MemoryError.
    """
    size = count * np.dtype(dtype).itemsize
    if size < _LARGE:
        return np.zeros(count, dtype=dtype)
    try:
        area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError from error
    with contextlib.suppress(OSError, AttributeError):  # a kernel without huge pages gives small ones
        area.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(area, dtype=dtype, count=count)


def _changes(ordered: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Where another value begins."""
    out = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=out[1:])
    return out
