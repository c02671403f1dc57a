"""Rows of text out of columns: both sides against Python's own formatting."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.report import lines
from mapscope.report.lines import Words, address, constant, number
from tests.unit.kernels.heaps import kernel

SIDES = ["reference", "compiled"]
U64, I64 = st.integers(0, (1 << 64) - 1), st.integers(-(1 << 63), (1 << 63) - 1)
EDGES = [0, 9, 10, 99, 100, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 10**19, 10**19 - 1]


def drawn(side: str, parts: list, rows: int) -> list[bytes]:
    ends = np.zeros(rows + 1, dtype=np.int64)
    out = np.zeros(kernel(side, "render").measure(parts, ends), dtype=np.uint8)
    kernel(side, "render").render(parts, rows, out)
    return list(Words(out, ends))


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=60, deadline=None)
@given(values=st.lists(U64, max_size=20), signed=st.lists(I64, max_size=20))
def test_numbers_and_addresses(side, values, signed):
    values = values + EDGES
    made = drawn(side, [number(np.array(values, dtype=np.uint64))], len(values))
    assert made == [str(v).encode() for v in values]
    made = drawn(side, [constant(b"a "), address(np.array(values, dtype=np.uint64)), constant(b";")], len(values))
    assert made == [f'a "{v:#x}";'.encode() for v in values]
    signed = [*signed, -(1 << 63), -1, 0]
    assert drawn(side, [number(np.array(signed, dtype=np.int64))], len(signed)) == [str(v).encode() for v in signed]


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=12), min_size=1, max_size=9), data=st.data())
def test_words_and_lists_of_them(side, texts, data):
    words = Words.of([json.dumps(text).encode() for text in texts])
    codes = data.draw(st.lists(st.integers(-1, len(texts) - 1), max_size=15))
    made = drawn(side, [words.chosen(np.array(codes, dtype=np.int32))], len(codes))
    assert [json.loads(row) for row in made] == [None if code < 0 else texts[code] for code in codes]
    picked = st.none() | st.lists(st.integers(0, len(texts) - 1), max_size=6)
    lists = data.draw(st.lists(picked, max_size=10))
    ends = np.cumsum([0, *(len(one or ()) for one in lists)])
    ranges = [(-1, 0) if one is None else (ends[at], ends[at + 1]) for at, one in enumerate(lists)]
    flat = np.array([code for one in lists for code in one or ()], dtype=np.int32)
    parts = [words.listed(np.array(ranges, dtype=np.int64).reshape(-1, 2), flat)]
    made = [json.loads(row) for row in drawn(side, parts, len(lists))]
    assert made == [None if one is None else [texts[code] for code in one] for one in lists]


@pytest.mark.parametrize("side", SIDES)
def test_nothing_at_all(side):
    assert drawn(side, [constant(b"x")], 0) == []
    assert drawn(side, [], 3) == [b"", b"", b""]


def test_rows_of_a_rendering_are_words():
    names = lines.render([constant(b"n"), number(np.arange(3))], 3)
    assert list(lines.render([names.chosen(np.array([2, -1, 0]))], 3)) == [b"n2", b"null", b"n0"]
