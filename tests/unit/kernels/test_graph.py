"""Numbers, roots and edges of small heaps, against loops over single words; paths against a plain search."""

from __future__ import annotations

import random
from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope.goruntime.targets import build_targets
from tests.unit.kernels.heaps import (
    ALLOCATED,
    MARKED,
    PAGE,
    SIDES,
    STARTS,
    STATIC,
    STATIC_PAGES,
    Slot,
    World,
    kernel,
    random_world,
    span_plans,
)
from tests.unit.kernels.test_dominators import csr, graphs

SEEDS = st.integers(0, 1 << 32)
PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def marked_flags(world: World, rng: random.Random) -> np.ndarray:
    return np.array([rng.choice((0, ALLOCATED, ALLOCATED | MARKED, ALLOCATED | MARKED)) for _ in world.slots], np.uint8)


def directory_of(side: str, flags: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
    """The directory, and the rank of each marked object as counted here."""
    directory = np.zeros(2 * (len(flags) // 64 + 1), dtype=np.uint64)
    ranks = {int(oid): rank for rank, oid in enumerate(np.flatnonzero(flags & MARKED))}
    assert kernel(side, "graph").number(flags, directory) == len(ranks)
    return directory, ranks


def pointees(world: World, slot: Slot) -> list[tuple[int, int]]:
    """Byte offset and object id for each pointer word of a slot that points to a slot."""
    if world.span_of(slot).noscan:
        return []
    words = ((address, value) for address, value in world.words_of(slot) if value >= 4096)
    found = ((address - slot.base, world.slot_at(value)) for address, value in words)
    return [(at, to.oid) for at, to in found if to is not None]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_edges_are_the_pointers_between_marked_objects(side, plans, start, seed):
    world = random_world(plans, start, seed)
    flags = marked_flags(world, random.Random(seed))
    directory, ranks = directory_of(side, flags)
    kernels = kernel(side, "graph")
    spans = world.index.spans
    cut = sorted((0, len(spans), *random.Random(seed + 1).choices(range(len(spans) + 1), k=2)))
    found: dict[int, list[int]] = {}
    for low, high in pairwise(cut):
        mine = [rank for oid, rank in ranks.items() if low <= world.index.span_of_object(np.array([oid]))[0] < high]
        offsets = np.full(len(mine) + 1, 7, dtype=np.uint32)
        targets = np.full(len(world.pointers), -9, dtype=np.int32)
        count = kernels.edges(world.index, build_targets(world.index), directory, low, high, offsets, targets)
        assert (offsets[0], offsets[-1]) == (0, count)
        assert (targets[count:] == -9).all()
        ends = offsets.tolist()
        found |= {rank: targets[ends[at] : ends[at + 1]].tolist() for at, rank in enumerate(mine)}
    for oid, rank in ranks.items():
        wanted: list[int] = []
        for _, to in pointees(world, world.slots[oid]):
            if to in ranks and to != oid and wanted[-1:] != [ranks[to]]:
                wanted.append(ranks[to])
        assert found[rank] == wanted
    sizes = np.zeros(len(ranks), dtype=np.uint64)
    kernels.sizes(world.index, directory, sizes)
    assert sizes.tolist() == [world.slots[oid].size for oid in ranks]


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=200, deadline=None)
@given(runs=st.lists(st.tuples(st.integers(1, 300), st.booleans()), max_size=12), seed=SEEDS, ordered=st.booleans())
def test_the_object_with_a_rank(side, runs, seed, ordered):
    flags = np.repeat(np.array([MARKED * live for _, live in runs], np.uint8), [count for count, _ in runs])
    directory, _ = directory_of(side, flags)
    ids = np.flatnonzero(flags & MARKED).tolist()
    asked = random.Random(seed).choices(range(-2, len(ids) + 70), k=100)
    asked = sorted(asked) if ordered else asked
    out = np.full(len(asked), -7, dtype=np.int64)
    kernel(side, "graph").objects_at(directory, np.array(asked, dtype=np.int64), out)
    assert out.tolist() == [ids[rank] if 0 <= rank < len(ids) else -1 for rank in asked]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_where_a_pointer_lies(side, plans, start, seed):
    world = random_world(plans, start, seed)
    rng = random.Random(seed)
    pairs: dict[tuple[int, int], list[int]] = {}
    for slot in rng.sample(world.slots, min(12, len(world.slots))):
        for at, to in pointees(world, slot):
            pairs.setdefault((slot.oid, to), []).append(at)
        pairs.setdefault((slot.oid, rng.choice(world.slots).oid), [])
    rows = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    sources, targets = np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1])
    out, leads = np.full(len(rows), -7, dtype=np.int64), build_targets(world.index)
    kernel(side, "graph").locate(world.index, leads, sources, targets, out)
    assert out.tolist() == [pairs[pair][0] if pairs[pair] else -1 for pair in sorted(pairs)]
    for source, target in sorted(pairs)[:20]:
        few = np.full(3, -7, dtype=np.int64)
        assert kernel(side, "graph").words_to(world.index, leads, source, target, few) == len(pairs[source, target])
        assert few.tolist() == [*pairs[source, target][:3], -7, -7, -7][:3]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(most=3), start=STARTS, seed=SEEDS)
def test_root_words_are_the_masked_words_that_point_to_marked_objects(side, plans, start, seed):
    world = random_world(plans, start, seed)
    rng = random.Random(seed)
    directory, ranks = directory_of(side, marked_flags(world, rng))
    mask = np.frombuffer(rng.randbytes(1100), dtype=np.uint8)
    regions, wanted = [], []
    for r in range(rng.randrange(5)):
        first, words = rng.randrange(1000), rng.randrange(1500)
        bits = rng.choice((-1, rng.randrange(8)))
        regions.append((STATIC + 8 * first, words, -1, bits, 0))
        for w in range(words):
            address = STATIC + 8 * (first + w)
            if bits >= 0 and not mask[bits + w // 8] >> w % 8 & 1:
                continue
            value = world.word(address) if address < STATIC + STATIC_PAGES * PAGE else None
            to = world.slot_at(value) if value is not None and value >= 4096 else None
            if to is not None and to.oid in ranks:
                wanted.append((address, to.oid, r))
    rows = np.array(regions, dtype=np.int64).reshape(-1, 5)
    for room in (0, len(wanted) // 2, len(wanted) + 3):
        address, target, region = np.zeros(room, np.uint64), np.zeros(room, np.int64), np.zeros(room, np.int64)
        found = kernel(side, "graph").root_words(world.index, rows, mask, directory, address, target, region)
        assert found == len(wanted)
        got = list(zip(address.tolist(), target.tolist(), region.tolist(), strict=True))
        assert got[: len(wanted)] == wanted[:room]


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=300, deadline=None)
@given(edges=graphs(), data=st.data())
def test_shortest_paths_and_reversed_edges(side, edges, data):
    offsets, targets = csr(edges)
    nodes = len(edges)
    start, blocked = data.draw(st.integers(0, nodes - 1)), data.draw(st.integers(-1, nodes - 1))
    before, queue = np.full(nodes, -1, dtype=np.int32), np.zeros(nodes, dtype=np.int32)
    count = kernel(side, "graph").shortest(offsets, targets, start, blocked, before, queue)
    far = {start: 0}
    work = deque([start])
    while work:
        node = work.popleft()
        for t in edges[node]:
            if t not in far and t != blocked:
                far[t] = far[node] + 1
                work.append(t)
    assert set(queue[:count].tolist()) == set(far) == set(np.flatnonzero(before >= 0).tolist())
    assert before[start] == start
    for node in far.keys() - {start}:
        assert node in edges[before[node]]
        assert far[node] == far[int(before[node])] + 1
    assert [far[node] for node in queue[:count].tolist()] == sorted(far.values())
    back, sources = np.full(nodes + 1, 9, dtype=np.uint32), np.zeros(len(targets), dtype=np.int32)
    kernel(side, "graph").reverse(offsets, targets, back, sources)
    for node in range(nodes):
        wanted = [source for source in range(nodes) for t in edges[source] if t == node]
        assert sources[back[node] : back[node + 1]].tolist() == wanted
