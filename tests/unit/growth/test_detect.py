"""Detection: strictly beyond, any of them, more than once, another level to leave, and a rest after a move."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from mapscope.growth.detect import Cause, Readings, Watch, exceeded, observe
from mapscope.growth.fleet import Fleet, Node, Shard
from mapscope.growth.measures import columns, load_ratio
from mapscope.growth.settings import DEFAULT, Settings
from tests.unit.growth.fleets import GB, fleet

ONCE = replace(DEFAULT, observations=1)


def one(load: float, free: float = 0.5) -> Fleet:
    """One node whose skew is 1."""
    return Fleet((Node("a", load, load, 1000 * GB, round((1 - free) * 1000) * GB),), ())


def causes(given: Fleet, settings: Settings = DEFAULT) -> set[str]:
    return {str(trigger.cause) for trigger in exceeded(given, settings)}


@pytest.mark.parametrize(("load", "beyond"), [(0.84, False), (0.85, False), (0.8500001, True), (1.2, True)])
def test_load_is_compared_strictly(load: float, beyond: bool):
    assert (Cause.LOAD in causes(one(load))) is beyond


@pytest.mark.parametrize(("free", "beyond"), [(0.16, False), (0.15, False), (0.149, True), (0.0, True)])
def test_free_capacity_is_compared_strictly(free: float, beyond: bool):
    assert (Cause.FREE in causes(one(0.5, free))) is beyond


@pytest.mark.parametrize("cpu_weight", [0.5, 0.7, 0.1, 3.0, 1 / 3])
def test_a_load_at_the_threshold_is_not_beyond_it_whatever_the_weights(cpu_weight: float):
    assert not causes(one(0.85), replace(DEFAULT, cpu_weight=cpu_weight, memory_weight=0.3))


def test_weights_say_what_counts():
    node = Node("a", 0.9, 0.3, GB, 0)
    assert load_ratio(node) == pytest.approx(0.6)
    assert load_ratio(node, replace(DEFAULT, cpu_weight=2.0, memory_weight=1.0)) == pytest.approx(0.7)
    assert load_ratio(node, replace(DEFAULT, cpu_weight=1.0, memory_weight=0.0)) == pytest.approx(0.9)


def test_skew_is_heaviest_over_mean_and_strict():
    at = fleet({"a": 0.5, "b": 0.5}, {"a": [(1, 9), (1, 1)], "b": [(1, 5), (1, 5)]})
    assert columns(at).shard_skew == pytest.approx(9 / 5)
    assert not causes(at)
    beyond = fleet({"a": 0.5, "b": 0.5}, {"a": [(1, 9.1), (1, 0.9)], "b": [(1, 5), (1, 5)]})
    assert causes(beyond) == {"skew_ratio"}
    nodes = fleet({"a": 0.8, "b": 0.1, "c": 0.1}, {})
    assert columns(nodes).node_skew == pytest.approx(2.4)
    assert causes(nodes) == {"node_skew"}


def test_an_idle_fleet_is_not_skewed():
    assert not causes(fleet({"a": 0.02, "b": 0.001, "c": 0.001}, {"a": [(1, 50), (1, 1)]}))
    floor = replace(DEFAULT, skew_floor=0.0)
    assert causes(fleet({"a": 0.02, "b": 0.001, "c": 0.001}, {"a": [(1, 50), (1, 1)] * 2}), floor) == {
        "node_skew",
        "skew_ratio",
    }


def test_any_of_them_is_enough():
    assert causes(one(0.9, 0.5)) == {"load_ratio"}
    assert causes(one(0.5, 0.1)) == {"free_capacity"}
    assert causes(one(0.9, 0.1)) == {"load_ratio", "free_capacity"}


def test_a_larger_node_counts_for_more_in_the_mean():
    shards = (Shard(0, "a", GB, 1.0),)
    nodes = (Node("a", 0.8, 0.8, 1000 * GB, GB), Node("b", 0.2, 0.2, 1000 * GB, 0, power=3.0))
    measured = columns(Fleet(nodes, shards))
    assert measured.mean_load == pytest.approx((0.8 + 3 * 0.2) / 4)
    assert measured.work.tolist() == pytest.approx([0.8])


def rounds(loads: list[float], settings: Settings = DEFAULT) -> list[bool]:
    """Whether the load trigger stands, round by round."""
    watch, stands = Watch(), []
    for at, load in enumerate(loads):
        watch, triggers = observe(watch, Readings.of(one(load)), 60.0 * at, settings)
        stands.append(any(trigger.cause is Cause.LOAD for trigger in triggers))
    return stands


def test_it_takes_three_rounds_one_after_the_other():
    assert rounds([0.9, 0.9, 0.9, 0.9]) == [False, False, True, True]
    assert rounds([0.9, 0.9, 0.8, 0.9, 0.9, 0.9]) == [False] * 5 + [True]


def test_once_in_it_is_left_at_the_leave_level():
    assert rounds([0.9, 0.9, 0.9, 0.8, 0.76, 0.75, 0.8, 0.9]) == [False, False, True, True, True, False, False, False]


def test_noise_around_a_threshold_enters_at_most_once():
    draw = random.Random(3)
    noisy = [0.85 + draw.uniform(-0.04, 0.04) for _ in range(2000)]
    stands = rounds(noisy)
    assert sum(b and not a for a, b in itertools.pairwise(stands)) <= 1
    bare = rounds(noisy, replace(DEFAULT, observations=1, load_leave=0.85))
    assert sum(b and not a for a, b in itertools.pairwise(bare)) > 200


def test_a_node_rests_after_a_move():
    watch, triggers = observe(Watch(), Readings.of(one(0.9)), 0.0, ONCE)
    assert triggers
    watch = watch.after_move(["a"], 10.0, ONCE)
    watch, triggers = observe(watch, Readings.of(one(0.9)), 11.0, ONCE)
    assert not triggers
    watch, triggers = observe(watch, Readings.of(one(0.9)), 10.0 + ONCE.cool_down - 1, ONCE)
    assert not triggers
    watch, triggers = observe(watch, Readings.of(one(0.9)), 10.0 + ONCE.cool_down, ONCE)
    assert triggers
    assert not watch.resting


def test_a_node_that_is_gone_is_forgotten():
    watch, _ = observe(Watch(), Readings.of(one(0.9)), 0.0, ONCE)
    watch, triggers = observe(watch, Readings.of(Fleet((), ())), 1.0, ONCE)
    assert (watch, triggers) == (Watch(), ())


def test_a_node_that_the_file_says_rests_is_no_reason_to_move():
    hot = one(0.9, 0.1)
    resting = Fleet((replace(hot.nodes[0], rests=True),), ())
    assert len(exceeded(hot)) == 2
    assert not exceeded(resting)
    assert observe(Watch(), Readings.of(hot), 0.0, ONCE)[1]
    assert not observe(Watch(), Readings.of(resting), 0.0, ONCE)[1]
