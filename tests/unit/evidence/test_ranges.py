"""Sets of ranges against sets of numbers."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapscope.evidence import ranges

MOST = 40
numbers = st.sets(st.integers(0, MOST))


def as_ranges(found: set[int]) -> ranges.Ranges:
    mask = np.array([number in found for number in range(MOST + 1)])
    return ranges.pages(mask, 0, 1)


def as_numbers(found: ranges.Ranges) -> set[int]:
    """Its numbers; ranges must be in order, and apart."""
    flat = found.ravel().tolist()
    assert all(before < behind for before, behind in itertools.pairwise(flat)), flat
    return {number for start, end in found.tolist() for number in range(start, end)}


@given(numbers, numbers)
def test_they_are_sets(first: set[int], second: set[int]):
    one, two = as_ranges(first), as_ranges(second)
    assert as_numbers(one) == first
    assert as_numbers(ranges.intersect(one, two)) == first & second
    assert as_numbers(ranges.subtract(one, two)) == first - second
    assert ranges.size(one) == len(first)
    assert as_numbers(ranges.ranges_of((number, number + 1) for number in sorted(first))) == first


@given(numbers, st.integers(0, MOST), st.integers(0, MOST))
def test_a_part_of_one(found: set[int], start: int, end: int):
    start, end = sorted((start, end))
    part = ranges.within(as_ranges(found), start, end)
    assert as_numbers(part) == found & set(range(start, end))


@given(numbers, st.integers(0, 6))
def test_gaps_are_closed(found: set[int], gap: int):
    expected = set(found)
    ordered = sorted(found)
    for before, behind in itertools.pairwise(ordered):
        if behind - before - 1 <= gap:
            expected |= set(range(before, behind))
    assert as_numbers(ranges.near(as_ranges(found), gap)) == expected


@given(numbers, st.integers(0, MOST))
def test_one_behind_the_other(found: set[int], border: int):
    halves = [{number for number in found if number < border}, {number for number in found if number >= border}]
    assert as_numbers(ranges.union(as_ranges(half) for half in halves)) == found


def test_pages_have_addresses():
    assert ranges.pages(np.array([False, True, True, False, True]), 0x7000, 0x1000).tolist() == [
        [0x8000, 0xA000],
        [0xB000, 0xC000],
    ]
