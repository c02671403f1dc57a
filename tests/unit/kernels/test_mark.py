"""Marking with a part left out, against a plain search over a graph without that part; stale buckets against a
model."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.kernels.heaps import (
    ALLOCATED,
    ARENA,
    GO_PAGE,
    MARKED,
    PAGE,
    SIDES,
    STARTS,
    STATIC,
    STATIC_PAGES,
    SpanPlan,
    World,
    allocated_flags,
    kernel,
    make_world,
    random_world,
    span_plans,
)

PROPERTY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def graph_of(world: World, flags: np.ndarray, left_out: int, skip: list[tuple[int, int]]) -> dict[int, set[int]]:
    """Edges between allocated objects, without the words of object ``left_out`` that lie in ``skip``."""
    edges: dict[int, set[int]] = {}
    for slot in world.slots:
        targets = edges.setdefault(slot.oid, set())
        if world.span_of(slot).noscan or not flags[slot.oid] & ALLOCATED:
            continue
        for address, value in world.words_of(slot):
            if slot.oid == left_out and any(low <= address < high for low, high in skip):
                continue
            target = world.slot_at(value) if value >= PAGE else None
            if target is not None and flags[target.oid] & ALLOCATED:
                targets.add(target.oid)
    return edges


def search(edges: dict[int, set[int]], roots: set[int]) -> set[int]:
    seen, work = set(roots), list(roots)
    while work:
        new = edges[work.pop()] - seen
        seen |= new
        work += new
    return seen


def ranges_in(world: World, oid: int, rng: random.Random) -> list[tuple[int, int]]:
    """Ascending, disjoint ranges of addresses in one object, some of them back to back, some reaching out of it."""
    slot = world.slots[oid]
    step = rng.choice((1, 8))
    cuts = sorted(rng.randrange(slot.base - 16, slot.base + slot.size + 16, step) for _ in range(2 * rng.randint(0, 5)))
    return [(low, high) for low, high in zip(cuts[::2], cuts[1::2], strict=True) if low < high]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=st.integers(0, 1 << 32))
def test_what_only_the_skipped_words_keep_stays_unmarked(side, plans, start, seed):
    rng = random.Random(seed)
    world = random_world(plans, start, seed)
    flags = allocated_flags(world, rng)
    left_out = rng.choice((-1, rng.randrange(len(world.slots))))
    skip = ranges_in(world, left_out, rng) if left_out >= 0 else []
    edges = graph_of(world, flags, left_out, skip)
    loose = [rng.choice(world.slots).base + rng.randrange(8) for _ in range(rng.randint(0, 3))]
    rows, mask, values = [], bytearray(), list(loose)
    for _ in range(rng.randint(0, 3)):
        address = rng.choice((STATIC, STATIC + PAGE - 8, STATIC + STATIC_PAGES * PAGE - 24, 0x900000))
        words = rng.randint(0, 40)
        bits = rng.randbytes(words // 8 + 1) if rng.random() < 0.6 else None
        rows.append((address, words, -1, len(mask) if bits else -1, 0))
        mask += bits or b""
        for w in range(words):
            value = world.word(address + 8 * w)
            if value is not None and value >= PAGE and (bits is None or bits[w // 8] >> w % 8 & 1):
                values.append(value)
    found = [world.slot_at(value) for value in values]
    roots = {slot.oid for slot in found if slot is not None and flags[slot.oid] & ALLOCATED}
    kernel(side, "mark").mark(
        world.index, flags, np.array(rows, dtype=np.int64).reshape(-1, 5), np.frombuffer(bytes(mask), dtype=np.uint8),
        np.array(loose, dtype=np.uint64), left_out, np.array(skip, dtype=np.uint64).reshape(-1, 2),
    )  # fmt: skip
    assert set(np.flatnonzero(flags & MARKED).tolist()) == search(edges, roots)


@pytest.mark.parametrize("side", SIDES)
def test_only_the_named_object_is_read_in_part(side):
    first, second = ARENA, ARENA + 48
    contents = {
        first: second,
        first + 8: ARENA + 96,
        second: ARENA + 144,
        second + 8: ARENA + 192,
        first + 16: ARENA + 240,
    }
    world = make_world([SpanPlan(48, 1)], contents, pointers=set(contents))
    skip = np.array([(first + 8, first + 16), (second, second + 48)], dtype=np.uint64)
    flags = np.full(world.index.nobjects, ALLOCATED, dtype=np.uint8)
    kernel(side, "mark").mark(
        world.index, flags, np.zeros((0, 5), dtype=np.int64), np.zeros(0, dtype=np.uint8),
        np.array([first], dtype=np.uint64), 0, skip,
    )  # fmt: skip
    assert np.flatnonzero(flags & MARKED).tolist() == [0, 1, 3, 4, 5], "a range ends before its high address"


BUCKET = 8 + 8 * 8 + 8
"""Tophash, eight pointers, overflow."""


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 220), seed=st.integers(0, 1 << 32), missing=st.integers(0, 15))
def test_stale_buckets_are_the_evacuated_ones(side, count, seed, missing):
    rng = random.Random(seed)
    contents, pointers, rows, full = {}, set(), [], 0
    for b in range(count):
        address = ARENA + b * BUCKET
        top = rng.choice((0, 1, 2, 3, 4, 5, 77, 255))
        contents[address] = top | rng.getrandbits(48) << 8
        values = [rng.choice((0, 0, 0, ARENA, 1)) for _ in range(8)]
        for k, value in enumerate(values):
            contents[address + 8 + 8 * k] = value
            if rng.random() < 0.9:
                pointers.add(address + 8 + 8 * k)
        contents[address + BUCKET - 8] = rng.choice((0, ARENA))
        pointers.add(address + BUCKET - 8)
    plan = SpanPlan(0, 2, place="holes", missing=missing)
    world = make_world([plan], contents, pointers=pointers)
    for b in range(count):
        address = ARENA + b * BUCKET
        top = world.word(address) if address < ARENA + 2 * GO_PAGE else None
        if top is not None and top & 255 in (2, 3, 4):
            rows.append((address + 8, address + BUCKET))
            words = [address + 8 + 8 * k for k in range(8)]
            full += any(
                word in world.pointers and (world.word(word) or 0) for word in words if word < ARENA + 2 * GO_PAGE
            )
    skip, out = np.zeros((count, 2), dtype=np.uint64), np.zeros(1, dtype=np.uint64)
    got = kernel(side, "mark").stale_buckets(world.index, ARENA, count, BUCKET, skip, out)
    assert [tuple(row) for row in skip[:got].tolist()] == rows
    assert out[0] == full


@pytest.mark.parametrize("side", SIDES)
def test_a_bucket_that_runs_out_of_the_heap_is_read_to_its_end(side):
    last = ARENA + (1 << 26) - 16  # the last words of the last chunk: no pointer bits lie behind
    world = make_world(
        [SpanPlan(0, 1)], {last: 2, last + 8: ARENA}, start=ARENA + (1 << 26) - GO_PAGE, pointers={last + 8}
    )
    skip, out = np.zeros((1, 2), dtype=np.uint64), np.zeros(1, dtype=np.uint64)
    assert kernel(side, "mark").stale_buckets(world.index, last, 1, 65528, skip, out) == 1
    assert out[0] == 1
