"""Turns, back-off, and what an hour of profiles says."""

from __future__ import annotations

import itertools
import random

import pytest

from mapscope.fleet.targets import Target, backed_off, next_turn
from mapscope.fleet.window import MAX_POINTS, Point, Window


def test_turns_are_even_and_stay():
    """Each target has one turn in each interval, at the same place of it; many targets are spread evenly."""
    target = Target("job", "shop", "one:6060")
    now, turns = 1234.5, []
    for _ in range(5):
        now = next_turn(now, 60.0, target.phase)
        turns.append(now)
    assert [round(b - a, 6) for a, b in itertools.pairwise(turns)] == [60.0] * 4
    assert next_turn(turns[0] + 200.0, 60.0, target.phase) == pytest.approx(
        turns[4]
    )  # turns that were missed are left out
    phases = sorted(Target("job", "shop", f"{n}:1").phase for n in range(1000))
    assert all(abs(phase - n / 1000) < 0.06 for n, phase in enumerate(phases))


def test_back_off_doubles_up_to_its_bound():
    waits = [backed_off(n, 60.0, 600.0, 1.0) for n in range(1, 8)]
    assert waits == [60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0]
    assert backed_off(10**6, 60.0, 600.0, 0.0) == 300.0
    assert backed_off(5, 900.0, 600.0, 1.0) == 900.0


def point(at: float, complete: bool = True, **places: int) -> Point:
    """A profile with these places."""
    return Point(at, sum(places.values()), {(name, "map[int]int"): size for name, size in places.items()}, complete)


def test_growth_and_rising_places():
    window = Window(3600.0)
    for minute in range(30):
        window.add(point(60.0 * minute, leak=10_000_000 + 1_000_000 * minute, cache=5_000_000))
    growth = window.growth()
    assert growth is not None
    assert growth.value == pytest.approx(60_000_000)
    assert growth.low is not None
    assert growth.low > 0
    assert [rise.function for rise in window.rises()] == ["leak"]


def test_noise_is_no_growth():
    chance, window = random.Random(1), Window(3600.0)
    for minute in range(40):
        window.add(point(60.0 * minute, cache=5_000_000 + chance.randrange(-500_000, 500_000)))
    growth = window.growth()
    assert growth is not None
    assert growth.low is not None
    assert growth.high is not None
    assert growth.low < 0 < growth.high
    assert not window.rises()


def test_old_and_close_profiles_are_left_out():
    window = Window(600.0)
    for second in range(5000):
        window.add(point(float(second), a=second))
    assert len(window.points) <= MAX_POINTS + 2
    assert window.points[-1].at == 4999.0
    assert window.points[0].at >= 4399.0
    assert [one.at for one in window.points] == sorted(one.at for one in window.points)


def test_a_place_that_may_have_been_left_out_is_not_judged():
    """Only the largest places of a profile are kept: that one is missing does not say that it had nothing."""
    window = Window(3600.0)
    for minute in range(5):
        window.add(
            point(60.0 * minute, complete=minute > 2, big=50_000_000, **({"late": 9_000_000} if minute > 2 else {}))
        )
    assert not window.rises()
    whole = Window(3600.0)
    for minute in range(5):
        whole.add(point(60.0 * minute, big=50_000_000, **({"late": 9_000_000} if minute > 2 else {})))
    assert [rise.function for rise in whole.rises()] == ["late"]


def test_too_few_profiles_say_nothing():
    window = Window(3600.0)
    window.add(point(0.0, a=1))
    window.add(point(60.0, a=9_000_000))
    assert window.growth() is None
    assert not window.rises()
