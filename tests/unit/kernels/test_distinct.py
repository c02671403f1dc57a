"""Distinct numbers and rows: both sides against a dict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mapscope.heap.distinct import distinct_rows, distinct_sorted
from tests.unit.kernels.heaps import kernel

KEYS = st.lists(st.integers(0, 6) | st.integers(0, (1 << 64) - 1), max_size=200)


@pytest.mark.parametrize("side", ["reference", "compiled"])
@settings(max_examples=100, deadline=None)
@given(keys=KEYS)
@example(keys=[k << 32 for k in range(5000)])
@example(keys=[k << 58 | 5 for k in range(64)] * 3)
def test_codes_count_in_the_order_of_the_first(side, keys):
    codes, first = np.empty(len(keys), dtype=np.int32), np.empty(len(keys), dtype=np.int64)
    known: dict[int, int] = {}
    expected = [known.setdefault(key, len(known)) for key in keys]
    assert kernel(side, "distinct").distinct(np.array(keys, dtype=np.uint64), codes, first) == len(known)
    assert codes.tolist() == expected
    assert first[: len(known)].tolist() == [keys.index(key) for key in known]


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 1 << 40)), max_size=50))
def test_rows_over_several_columns(rows):
    columns = [np.array([row[at] for row in rows]).astype(kind) for at, kind in enumerate(("i4", "?", "u8"))]
    codes, first = distinct_rows(columns)
    assert [rows[at] for at in first[codes].tolist()] == rows
    assert len(first) == len(set(rows))


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.integers(-5, 5) | st.integers(-(1 << 63), (1 << 63) - 1), max_size=60))
def test_sorted(values):
    found, codes = distinct_sorted(np.array(values, dtype=np.int64))
    assert found.tolist() == sorted(set(values))
    assert found[codes].tolist() == values
