"""Distinct rows of columns, without sorting them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mapscope._kernels import load

I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]


def distinct(values: npt.NDArray[np.generic]) -> tuple[I4, I8]:
    """By row which distinct value it has (int32), and the first row of each (int64), in the order of these."""
    keys = np.ascontiguousarray(values, dtype=np.int64 if values.dtype.kind == "i" else np.uint64).view(np.uint64)
    codes, first = np.empty(len(keys), dtype=np.int32), np.empty(len(keys), dtype=np.int64)
    return codes, first[: load("distinct").distinct(keys, codes, first)]


def distinct_rows(columns: Sequence[npt.NDArray[np.generic]]) -> tuple[I4, I8]:
    """The same for rows over several columns."""
    codes, first = distinct(columns[0])
    for column in columns[1:]:
        more, _ = distinct(column)
        codes, first = distinct(codes.astype(np.int64) << 32 | more)
    return codes, first


def distinct_sorted(values: I8) -> tuple[I8, I4]:
    """The distinct values in ascending order, and by row which of them it has."""
    codes, first = distinct(values)
    found = values[first]
    order = np.argsort(found)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return found[order], rank[codes]
