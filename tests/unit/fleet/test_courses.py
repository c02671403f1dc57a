"""Courses of places, against a service whose every profile is known whole."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mapscope.fleet.courses import NANOS, courses

PLACES = ("a", "b", "c", "d")
HISTORY = st.lists(st.fixed_dictionaries({name: st.sampled_from([0, 0, 5, 7, 7, 900]) for name in PLACES}), max_size=8)


def rows(history: list[dict[str, int]], kept: int) -> tuple[list[Any], list[Any]]:
    """What a store has of these profiles when it keeps ``kept`` places of each."""
    places, indicators = [], []
    for at, held in enumerate(history):
        one = {"instance": "i", "taken_us": 10 * at, "profile_id": at}
        largest = sorted(((size, name) for name, size in held.items() if size), reverse=True)
        for size, name in largest[:kept]:
            places.append({**one, "function": name, "type": None, "file": name, "line": 1, "inuse_bytes": size})
        indicators.append({**one, "name": "P1", "value": float(sum(held.values()))})
        indicators.append({**one, "name": "P1s", "value": 0.0})
    return places, indicators


@given(HISTORY, st.integers(1, 4))
def test_nothing_is_said_where_it_is_known_and_only_there(history: list[dict[str, int]], kept: int) -> None:
    found = courses(*rows(history, kept))
    seen = {name for held in history for _, name in sorted(((s, n) for n, s in held.items() if s), reverse=True)[:kept]}
    assert {one.function for one in found} == seen
    for one in found:
        course = dict(zip(one.time_nanos, one.inuse_bytes, strict=True))
        assert list(course) == sorted(course)
        for at, held in enumerate(history):
            whole = sum(size > 0 for size in held.values()) <= kept
            if whole:
                assert course[10 * at * NANOS] == held[one.function]
            else:  # it was cut: what is said is true all the same
                assert course.get(10 * at * NANOS, held[one.function]) == held[one.function]
    lasts = [one.inuse_bytes[-1] for one in found]
    assert lasts == sorted(lasts, reverse=True)


def test_what_was_freed_is_not_the_largest_at_last() -> None:
    (now, gone) = courses(*rows([{"a": 3_000_000_000}, {"b": 10}], 4))
    assert (now.function, now.inuse_bytes) == ("b", [0, 10])
    assert (gone.function, gone.inuse_bytes) == ("a", [3_000_000_000, 0])


def test_another_instance_says_nothing_of_this_one() -> None:
    places, indicators = rows([{"a": 5}, {"a": 0}], 4)
    indicators[-2]["instance"] = "other"
    (one,) = courses(places, indicators)
    assert one.inuse_bytes == [5]


def test_beyond_the_bound_only_the_end_is_told() -> None:
    history = [{"a": 0}, {"a": 9}, {"a": 0}, {"a": 0}]
    (one,) = courses(*rows(history, 4), entries=3)
    assert (one.time_nanos, one.inuse_bytes) == ([10 * NANOS, 30 * NANOS], [9, 0])
