"""The walk that marks and spreads types: against the reference, against a plain search, and rule by rule."""

from __future__ import annotations

import copy
import random
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope.goruntime.typerecord import Op, descriptor
from mapscope.heap import trace as walking
from mapscope.heap.later import Later
from mapscope.heap.trace import LEAF, TraceState
from tests.unit.kernels.heaps import (
    ALLOCATED,
    ARENA,
    MARKED,
    PAGE,
    SIDES,
    STARTS,
    SpanPlan,
    kernel,
    make_world,
    random_world,
    span_plans,
)
from tests.unit.kernels.walks import (
    KEYS,
    WORDS6,
    A,
    B,
    flags_of,
    make_types,
    next_round,
    no_regions,
    public,
    random_regions,
    random_state,
    random_types,
    reached,
    root_values,
    run,
    tiny,
)

PROPERTY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=st.integers(0, 1 << 32))
def test_compiled_and_reference_agree_in_every_round(plans, start, seed):
    rng = random.Random(seed)
    world = random_world(plans, start, seed, extra=KEYS)
    types, keys = random_types(rng)
    ntypes = len(types.words)
    regions, mask = random_regions(rng, world, ntypes)
    loose = [rng.choice(world.slots).base for _ in range(rng.randint(0, 3))]
    pairs = np.array([(rng.choice((0, *KEYS)), value) for value in loose], dtype=np.uint64).reshape(-1, 2)
    ours = random_state(world, rng, ntypes)
    theirs = copy.deepcopy(ours)
    roots = [*loose, *root_values(world, types, regions, mask)]
    for _ in range(200):
        run("compiled", world, ours, types, regions, mask, pairs)
        run("reference", world, theirs, types, regions, mask, pairs)
        assert public(ours) == public(theirs)
        if not ours.npending:
            break
        regions, pairs = no_regions(), next_round(rng, ours, types, keys)
    else:
        pytest.fail("the walk does not end")
    flags = flags_of("compiled", ours)
    assert flags == flags_of("reference", ours)
    marked = {oid for oid, bits in enumerate(flags) if bits & MARKED}
    assert (ours.nqueue, ours.nplain, ours.nloose_stack) == (0, 0, 0)
    statics = [(int(ours.loose[at]), int(ours.loose_type[at])) for at in np.flatnonzero(ours.loose)]
    rows = [(address, int(types.words[kind]), kind, -1, 0) for address, kind in statics if address < ARENA]
    roots += root_values(world, types, np.array(rows, dtype=np.int64).reshape(-1, 5), mask)
    assert marked == reached(world, ours, roots)


@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=st.integers(0, 1 << 32))
def test_a_second_thread_changes_nothing(plans, start, seed):
    """Rings of two to eight places: each of the threads waits for the other, or does its work, many times."""
    rng = random.Random(seed)
    world = random_world(plans, start, seed, extra=KEYS)
    types, keys = random_types(rng)
    regions, mask = random_regions(rng, world, len(types.words))
    loose = [rng.choice(world.slots).base for _ in range(rng.randint(0, 3))]
    pairs = np.array([(0, value) for value in loose], dtype=np.uint64).reshape(-1, 2)
    ours = random_state(world, rng, len(types.words))
    theirs = copy.deepcopy(ours)
    both = kernel("compiled", "trace")
    for _ in range(200):
        ours.leaves, ours.shared[:] = np.zeros(rng.choice((2, 8)), dtype=LEAF), 0
        with ThreadPoolExecutor(1) as pool:
            helper = pool.submit(both.visit_leaves, world.index, ours, types)
            both.trace(world.index, ours, types, regions, mask, pairs)
            ours.dangling += helper.result(60)
        run("reference", world, theirs, types, regions, mask, pairs)
        assert public(ours) == public(theirs)
        if not ours.npending:
            return
        regions, pairs = no_regions(), next_round(rng, ours, types, keys)
    pytest.fail("the walk does not end")


def test_two_threads_take_each_leaf_once():
    """Pointers to free slots are counted, so a leaf that both take, or none, shows."""
    holders, words = 64, 1024
    plans = [SpanPlan(8 * words, 1)] * holders + [SpanPlan(16, 1, noscan=True)]
    leaves = [slot.base for slot in make_world(plans).slots[holders:]]
    places = [ARENA + 8192 * k + 8 * w for k in range(holders) for w in range(words)]
    contents = {at: leaves[k % len(leaves)] for k, at in enumerate(places)}
    world = make_world(plans, contents, pointers=set(contents))
    free = {slot.base for slot in world.slots[holders::2]}
    flags = np.array([0 if slot.base in free else ALLOCATED for slot in world.slots], dtype=np.uint8)
    types, both = make_types([[0]]), kernel("compiled", "trace")
    pairs = np.array([(0, world.slots[k].base) for k in range(holders)], dtype=np.uint64)
    for places_in_ring in (2, 16, 128, 1024) * 8:
        state = TraceState.fresh(flags.copy(), world.index)
        state.leaves = np.zeros(places_in_ring, dtype=LEAF)
        with ThreadPoolExecutor(1) as pool:
            helper = pool.submit(both.visit_leaves, world.index, state, types)
            both.trace(world.index, state, types, no_regions(), np.zeros(0, dtype=np.uint8), pairs)
            helped = helper.result(60)
        assert state.dangling + helped == sum(to in free for to in contents.values())
        assert all(bool(state.flags[slot.oid] & MARKED) == (slot.base not in free) for slot in world.slots)


@pytest.mark.parametrize("side", SIDES)
def test_who_helps_comes_home_when_the_round_is_over(side):
    types = make_types([[descriptor(Op.PTR, 0)]])
    world, state = tiny(side, [WORDS6], {}, types, roots=[A])
    assert state.shared[24] == 1
    assert kernel(side, "trace").visit_leaves(world.index, state, types) == 0


def test_who_helps_comes_home_when_the_round_fails(monkeypatch):
    def fail(*_: object) -> None:
        raise MemoryError

    types = make_types([[descriptor(Op.PTR, 0)]])
    world, state = tiny("compiled", [WORDS6], {}, types, roots=[A])
    broken = SimpleNamespace(trace=fail, visit_leaves=kernel("compiled", "trace").visit_leaves)
    monkeypatch.setattr(walking, "load", lambda _: broken)
    monkeypatch.setattr(walking, "_WORTH", 0)
    types.freeze = lambda: None
    none = np.zeros(0, dtype=np.uint64)
    with pytest.raises(MemoryError):
        walking.run_trace(world.index, state, types, no_regions(), none.view(np.uint8), none)
    assert Later(lambda: 1).start().get() == 1, "the other thread has time again"


@pytest.mark.parametrize("worth", [0, 1 << 40])
def test_flags_are_told_when_the_walk_is_over(monkeypatch, worth):
    """By one thread or by two, and of walks that go on from there."""
    monkeypatch.setattr(walking, "_WORTH", worth)
    types = make_types([[descriptor(Op.PTR, 0)]])
    types.freeze = lambda: None
    world = make_world([WORDS6, SpanPlan(16, 1, noscan=True)], {A: ARENA + PAGE * 2}, pointers={A})
    leaf, root, later = (world.slot_at(address) for address in (ARENA + PAGE * 2, A, B))
    state = TraceState.fresh(np.full(world.index.nobjects, ALLOCATED, dtype=np.uint8), world.index)
    for start, expected in (root, {root.oid, leaf.oid}), (later, {root.oid, leaf.oid, later.oid}):
        values = np.array([start.base], dtype=np.uint64)
        walking.run_trace(world.index, state, types, no_regions(), np.zeros(0, dtype=np.uint8), values)
        assert set(np.flatnonzero(state.flags == ALLOCATED | MARKED).tolist()) == expected
        assert set(np.flatnonzero(state.flags == ALLOCATED).tolist()) == set(range(world.index.nobjects)) - expected
