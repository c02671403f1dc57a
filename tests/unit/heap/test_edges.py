"""Edges that are found in parts, by one thread or two, are those that are found at once."""

from __future__ import annotations

import random
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope.goruntime.targets import build_targets
from mapscope.heap import edges
from mapscope.heap.edges import EdgeSearch, ObjectGraph, live_before
from tests.unit.kernels.heaps import MARKED, PAGE, STARTS, random_world, span_plans

SEEDS = st.integers(0, 1 << 32)


def flat(found: ObjectGraph) -> list[list[int]]:
    """The ends of the edges of each object. Uses up the graph."""
    out = []
    for part in found.take():
        ends = part.offsets.tolist()
        out += [part.targets[low:high].tolist() for low, high in pairwise(ends)]
    return out


@pytest.mark.parametrize("begun", [False, True])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans=span_plans(), start=STARTS, seed=SEEDS, part=st.sampled_from([1, PAGE, 3 * PAGE]))
def test_parts_are_the_whole(monkeypatch, begun, plans, start, seed, part):
    world = random_world(plans, start, seed)
    rng = random.Random(seed)
    flags = np.array([rng.choice((0, MARKED)) for _ in world.slots], np.uint8)
    monkeypatch.setattr(edges, "_PART", 1 << 40)
    whole = EdgeSearch(world.index, build_targets(world.index), flags).take()
    assert len(whole.parts) == 1
    monkeypatch.setattr(edges, "_PART", part)
    search = EdgeSearch(world.index, build_targets(world.index), flags)
    if begun:
        search.start()
    found = search.take()
    scanned = [int(span["bytes"]) for span in world.index.spans if not span["noscan"]]
    sums = [at // part for at in accumulate(scanned)]
    assert len(found.parts) - 1 in (len(set(sums)), len(set(sums)) - 1)  # whether the first span fills a part
    assert len(found) == len(whole) == np.count_nonzero(flags)
    assert found.edges == whole.edges
    assert flat(found) == flat(whole)
    assert flat(search.take()) != [] or not flags.any()  # a second time it is found anew


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=300))
def test_how_many_come_before(live):
    directory = np.zeros(2 * (len(live) // 64 + 1), dtype=np.uint64)
    for at, one in enumerate(live):
        directory[2 * (at // 64)] |= np.uint64(one) << np.uint64(at % 64)
    directory[3::2] = np.cumsum([sum(live[at : at + 64]) for at in range(0, len(live) - 63, 64)])
    found = live_before(directory, np.arange(len(live) + 1))
    assert found.tolist() == [0, *accumulate(map(int, live))]
