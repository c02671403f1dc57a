"""The slope of a series against all pairs and by simulation; places that only rise."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.profiles.indicators import Group, Sums
from mapscope.profiles.series import rising, slope
from mapscope.profiles.settings import DEFAULT
from mapscope.profiles.sites import Site


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(-1000, 1000)), max_size=30))
def test_the_median_of_all_pairs(points: list[tuple[int, int]]):
    found = slope([float(x) for x, _ in points], [float(y) for _, y in points])
    pairs = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1 :] if x1 != x2]
    if not pairs:
        assert found is None
        return
    assert found is not None
    assert found.per_hour == pytest.approx(statistics.median(pairs))
    if found.low is not None and found.high is not None:
        assert found.low <= found.per_hour <= found.high


def test_the_interval_holds_the_truth_in_95_of_100_series():
    chance = random.Random(7)
    inside = 0
    for _ in range(400):
        hours = [i / 4 for i in range(20)]
        found = slope(hours, [3.0 * hour + chance.gauss(0, 2) for hour in hours])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 3.0 <= found.high
    assert 365 <= inside <= 395


def test_two_profiles_have_a_slope_and_no_interval():
    found = slope([0.0, 2.0], [10.0, 30.0])
    assert found is not None
    assert (found.per_hour, found.low, found.high) == (10.0, None, None)


def group(function: str, megabytes: float) -> Group:
    sums = Sums(inuse_bytes=int(megabytes * (1 << 20)))
    return Group(Site(function, "/f.go", 1), "map[int]int", "map growth", "exact", "runtime.mapassign", sums)


def test_only_what_never_falls_is_rising():
    series = [
        [group("main.leak", 1), group("main.wave", 1), group("main.flat", 8)],
        [group("main.leak", 1), group("main.wave", 9), group("main.flat", 8), group("main.late", 1)],
        [*[group("main.leak", 2)] * 2, group("main.wave", 8), group("main.flat", 8.5), group("main.late", 2)],
    ]  # fmt: skip
    found = rising(series, DEFAULT)
    assert [(one.function, one.first, one.last) for one in found] == [
        ("main.leak", 1 << 20, 4 << 20),
        ("main.late", 0, 2 << 20),
    ]
    assert rising(series[:2], DEFAULT) == []
