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

from mapscope.goruntime.typehash import fill_hash
from mapscope.goruntime.typerecord import Op, descriptor
from mapscope.heap import trace as walking
from mapscope.heap.later import Later
from mapscope.heap.trace import COVER_ELEM, COVER_FILL, COVER_HEADER, LEAF, TraceState
from tests.unit.kernels.heaps import (
    ALLOCATED,
    ARENA,
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

PROPERTY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TYPES, TEXT, ITABS = STATIC + 0x100000, STATIC + 0x200000, STATIC + 0x300000
"""Addresses that stand for descriptors, code and itabs; nothing lies there, the kernels only look them up."""


def make_types(
    words: list[list[int]],
    iface: list[int] | None = None,
    pseudo: list[int] | None = None,
    keys: dict[int, int] | None = None,
) -> SimpleNamespace:
    """A frozen TypeTable of types with these descriptors. An empty list stands for a type without any."""
    lengths = [len(part) if part else -1 for part in words]
    sizes = np.maximum(np.array(lengths, dtype=np.int64), 0)
    known = keys or {}
    size = 1 << max(4, (2 * len(known)).bit_length())
    types = SimpleNamespace(
        offsets=np.cumsum(sizes) - sizes,
        words=np.array(lengths, dtype=np.int32),
        iface=np.array(iface or [descriptor(Op.PTR, k) for k in range(len(words))], dtype=np.uint64),
        pseudo=np.array(pseudo or [0] * len(words), dtype=np.uint8),
        descriptors=np.array([word for part in words for word in part] + [0], dtype=np.uint64),
        hash_keys=np.zeros(size, dtype=np.uint64),
        hash_values=np.full(size, -1, dtype=np.int32),
        types_range=(TYPES, TYPES + 0x100000),
        text_range=(TEXT, TEXT + 0x100000),
        module_range=(STATIC, ITABS + 0x100000),
    )
    fill_hash(
        types.hash_keys,
        types.hash_values,
        np.array(list(known), dtype=np.uint64),
        np.array(list(known.values()), dtype=np.int32),
    )
    return types


def no_regions() -> np.ndarray:
    return np.zeros((0, 5), dtype=np.int64)


def run(
    side: str,
    world: World,
    state: TraceState,
    types: SimpleNamespace,
    regions: np.ndarray,
    mask: np.ndarray,
    pairs: np.ndarray,
) -> None:
    state.shared[:] = 0
    kernel(side, "trace").trace(world.index, state, types, regions, mask, pairs)


def public(state: TraceState) -> dict[str, object]:
    """Everything of the state that counts."""
    return {
        "flags": state.flags.tolist(),
        "known": state.known.tolist(),
        "queue": np.roll(state.queue, -state.queue_head)[: state.nqueue].tolist(),
        "in queue": state.in_queue.tolist(),
        "plain": state.plain_stack[: state.nplain].tolist(),
        "pending": state.pending[: 2 * state.npending].tolist(),
        "loose": (state.loose.tolist(), state.loose_type.tolist(), state.loose_stack[: state.nloose_stack].tolist()),
        "counts": (state.npending, state.nloose, state.dangling),
    }


def random_types(rng: random.Random) -> tuple[SimpleNamespace, dict[int, int]]:
    """Types with any descriptors and some keys. No descriptor names the last id: some mean the next one too."""
    count = rng.randint(2, 8)

    def word() -> int:
        if rng.random() < 0.3:
            return 0
        return descriptor(rng.choice(list(Op)), rng.randrange(count - 1))

    words = [[word() for _ in range(rng.choice((0, 1, 1, 2, 3, 6, 14, 70)))] for _ in range(count)]
    iface = [
        descriptor(rng.choice((Op.NONE, Op.PTR, Op.PTR, Op.FILL, Op.FUNC)), rng.randrange(count)) for _ in range(count)
    ]
    pseudo = [int(rng.random() < 0.3) for _ in range(count)]
    keys = {}
    for base in (TYPES, ITABS, TEXT):
        for k in range(6):
            keys[base + 32 * k] = rng.choice((-2, *range(count)))
    return make_types(words, iface, pseudo, keys), keys


KEYS = tuple(base + 32 * k for base in (TYPES, ITABS, TEXT) for k in range(9))
"""Values that lie in random heaps: six of each nine are known."""


def random_regions(rng: random.Random, world: World, ntypes: int) -> tuple[np.ndarray, np.ndarray]:
    """Variables, data segments with masks, stacks, some of them over missing memory."""
    rows, mask = [], bytearray()
    for _ in range(rng.randint(0, 5)):
        address = rng.choice((STATIC, STATIC + PAGE + 8, STATIC + STATIC_PAGES * PAGE - 16, 0x900000, ARENA + 64))
        words = rng.randint(0, 60)
        kind = rng.randrange(3)
        if kind == 0 and address != ARENA + 64:  # variables lie outside the heap
            rows.append((address, words, rng.randrange(ntypes), -1, 0))
        elif kind == 1:
            rows.append((address, words, -1, len(mask), 0))
            mask += rng.randbytes(words // 8 + 1)
        else:
            rows.append((address, words, -1, -1, 1))
    return np.array(rows, dtype=np.int64).reshape(-1, 5), np.frombuffer(bytes(mask), dtype=np.uint8)


def random_state(world: World, rng: random.Random, ntypes: int) -> TraceState:
    state = TraceState.fresh(allocated_flags(world, rng), world.index)
    for slot in world.slots:
        if rng.random() < 0.1:
            state.give(np.array([slot.oid]), rng.randrange(-1, ntypes), COVER_HEADER)
    state.pending = np.zeros(2 * rng.choice((1, 4, 1024)), dtype=np.uint64)
    places = rng.choice((2, 16, 1024))
    state.loose = np.zeros(places, dtype=np.uint64)
    state.loose_type = np.zeros(places, dtype=np.int32)
    state.loose_stack = np.zeros(places, dtype=np.uint64)
    state.leaves = np.zeros(rng.choice((2, 8, 1024)), dtype=LEAF)
    state.at_once = rng.random() < 0.5
    if rng.random() < 0.3:  # no page tells its kind: all is read from the spans
        state.targets.pages[:] &= np.uint64(0xFFFFFFFF << 32)
    return state


def flags_of(side: str, state: TraceState) -> list[int]:
    """What the walk says of objects, once it is over."""
    flags = state.flags.copy()
    kernel(side, "trace").settle(state.known, flags)
    assert not state.at_once or flags.tolist() == state.flags.tolist()
    return flags.tolist()


def next_round(rng: random.Random, state: TraceState, types: SimpleNamespace, keys: dict[int, int]) -> np.ndarray:
    """What run_trace does between rounds: the types that were met get known."""
    pairs = state.pending[: 2 * state.npending].reshape(-1, 2).copy()
    known = dict(keys)
    for address in pairs[:, 0].tolist():
        known.setdefault(address, rng.choice((-2, rng.randrange(len(types.words)))))
    keys.update(known)
    size = 1 << (2 * len(keys)).bit_length()
    types.hash_keys, types.hash_values = np.zeros(size, dtype=np.uint64), np.full(size, -1, dtype=np.int32)
    fill_hash(
        types.hash_keys,
        types.hash_values,
        np.array(list(keys), dtype=np.uint64),
        np.array(list(keys.values()), dtype=np.int32),
    )
    return pairs


def reached(world: World, state: TraceState, roots: list[int]) -> set[int]:
    """Ids of the objects that a plain search finds from these values."""
    seen: set[int] = set()
    work = list(roots)
    while work:
        slot = world.slot_at(work.pop())
        if slot is None or not state.flags[slot.oid] & ALLOCATED or slot.oid in seen:
            continue
        seen.add(slot.oid)
        if not world.span_of(slot).noscan:
            work += [value for _, value in world.words_of(slot) if value >= 4096]
    return seen


def root_values(world: World, types: SimpleNamespace, regions: np.ndarray, mask: np.ndarray) -> list[int]:
    """The pointers that regions hold."""
    out = []
    for address, words, kind, at, _ in regions.tolist():
        for w in range(words):
            if kind >= 0:
                count = int(types.words[kind])
                if count <= 0 or types.descriptors[int(types.offsets[kind]) + w % count] == 0:
                    continue
            elif at >= 0 and not mask[at + w // 8] >> w % 8 & 1:
                continue
            value = world.word(address + 8 * w)
            if value is not None and value >= 4096:
                out.append(value)
    return out


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


# -- rule by rule, on heaps of a few objects

WORDS2, WORDS4, WORDS6 = SpanPlan(16, 1), SpanPlan(32, 1), SpanPlan(48, 1)


def tiny(
    side: str,
    plans: list[SpanPlan],
    contents: dict[int, int],
    types: SimpleNamespace,
    *,
    roots: list[int] = (),
    typed: list[tuple[int, int, int]] = (),
    start: dict[int, tuple[int, int]] | None = None,
    static: dict[int, int] | None = None,
) -> tuple[World, TraceState]:
    """Walks a heap where every word with contents is a pointer word, all slots are allocated.

    ``roots``: loose values. ``typed``: regions as (address, words, type). ``start``: types before the walk, by address.
    ``static``: words of static data.
    """
    data = bytearray(STATIC_PAGES * PAGE)
    for address, value in (static or {}).items():
        data[address - STATIC : address - STATIC + 8] = value.to_bytes(8, "little")
    scalars = {address for address, value in contents.items() if value >> 63}
    plain = {address: value & ~(1 << 63) for address, value in contents.items()}
    world = make_world(plans, plain, static=bytes(data), pointers=set(contents) - scalars)
    state = TraceState.fresh(np.full(world.index.nobjects, ALLOCATED, dtype=np.uint8), world.index)
    for address, (kind, cover) in (start or {}).items():
        slot = world.slot_at(address)
        assert slot is not None
        state.give(np.array([slot.oid]), kind, cover)
    pairs = np.array([(0, value) for value in roots], dtype=np.uint64).reshape(-1, 2)
    regions = np.array([(a, n, kind, -1, 0) for a, n, kind in typed], dtype=np.int64).reshape(-1, 5)
    run(side, world, state, types, regions, np.zeros(0, dtype=np.uint8), pairs)
    return world, state


SCALAR = 1 << 63
"""Marks a word of ``contents`` as no pointer word."""


def kind_at(world: World, state: TraceState, address: int) -> int:
    slot = world.slot_at(address)
    assert slot is not None
    assert state.flags[slot.oid] & MARKED, f"{address:#x} is not marked"
    return state.type_of(slot.oid)


def cover_at(world: World, state: TraceState, address: int) -> int:
    slot = world.slot_at(address)
    assert slot is not None
    return state.cover_of(slot.oid)


A, B, C, D = ARENA, ARENA + 48, ARENA + 96, ARENA + 144
"""Slots of a span of 48-byte objects."""


@pytest.mark.parametrize("side", SIDES)
class TestRules:
    def test_a_pointer_gives_its_type_to_the_target(self, side):
        types = make_types([[descriptor(Op.PTR, 1)], [0, descriptor(Op.PTR, 0)]])
        world, state = tiny(side, [WORDS6], {B + 8: C}, types, typed=[(STATIC, 1, 1)])
        assert not (state.flags & MARKED).any(), "nil leads nowhere"
        world, state = tiny(side, [WORDS6], {B + 8: C}, types, typed=[(STATIC, 1, 0)], static={STATIC: B})
        assert kind_at(world, state, B) == 1
        assert kind_at(world, state, C) == 0
        assert cover_at(world, state, B) == COVER_ELEM

    def test_an_inner_pointer_marks_but_gives_no_type(self, side):
        types = make_types([[descriptor(Op.PTR, 0)]])
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 1, 0)], static={STATIC: B + 8})
        assert kind_at(world, state, B) == -1

    def test_a_slice_gives_its_type_from_any_element(self, side):
        types = make_types([[descriptor(Op.FILL, 1)], [descriptor(Op.PTR, 0), 0]])
        for inner, kind in ((0, 1), (16, 1), (32, 1), (8, -1), (17, -1)):
            world, state = tiny(side, [WORDS6], {B + 32: D}, types, typed=[(STATIC, 1, 0)], static={STATIC: B + inner})
            assert kind_at(world, state, B) == kind
            assert kind_at(world, state, D) == (0 if kind == 1 else -1), (
                "the third element's word is a pointer like the first's"
            )

    def test_behind_the_malloc_header_lies_word_zero(self, side):
        plan = SpanPlan(1024, 1, header=True)
        types = make_types([[descriptor(Op.PTR, 1)], [0, descriptor(Op.PTR, 0)]])
        world, state = tiny(
            side, [plan], {ARENA + 16: ARENA + 2048 + 8}, types, typed=[(STATIC, 1, 0)], static={STATIC: ARENA + 8}
        )
        assert kind_at(world, state, ARENA) == 1
        assert kind_at(world, state, ARENA + 2048) == 0

    def test_a_struct_wins_over_its_first_field(self, side):
        small, large = [descriptor(Op.NONE, 0)], [descriptor(Op.PTR, 0), descriptor(Op.PTR, 0)]
        types = make_types([small, large, [descriptor(Op.PTR, 0), descriptor(Op.PTR, 1)]])
        for static in ({STATIC: B, STATIC + 8: B}, {STATIC: 0, STATIC + 8: B}):
            world, state = tiny(side, [WORDS6], {B + 8: C}, types, typed=[(STATIC, 2, 2)], static=static)
            assert kind_at(world, state, B) == 1
            assert kind_at(world, state, C) == 0
        types = make_types([small, large, [descriptor(Op.PTR, 1), descriptor(Op.PTR, 0)]])
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 2, 2)], static={STATIC: B, STATIC + 8: B})
        assert kind_at(world, state, B) == 1, "and the order does not matter"

    def test_the_runtime_is_believed_but_for_a_pseudo_type(self, side):
        types = make_types(
            [[0], [0, 0], [0, 0, 0], [descriptor(Op.PTR, 1), descriptor(Op.PTR, 2)]], pseudo=[0, 0, 1, 0]
        )
        first = {STATIC: B}
        world, state = tiny(
            side, [WORDS6], {}, types, typed=[(STATIC, 2, 3)], static=first, start={B: (0, COVER_HEADER)}
        )
        assert (kind_at(world, state, B), cover_at(world, state, B)) == (0, COVER_HEADER)
        both = {STATIC: B, STATIC + 8: B}
        world, state = tiny(
            side, [WORDS6], {}, types, typed=[(STATIC, 2, 3)], static=both, start={B: (0, COVER_HEADER)}
        )
        assert (kind_at(world, state, B), cover_at(world, state, B)) == (2, COVER_ELEM)

    def test_a_pseudo_type_stays(self, side):
        types = make_types([[0], [0, 0, 0, 0], [descriptor(Op.PTR, 0), descriptor(Op.FILL, 1)]], pseudo=[1, 0, 0])
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 2, 2)], static={STATIC: B, STATIC + 8: B})
        assert kind_at(world, state, B) == 0

    def test_a_type_gets_better_six_times_at_most(self, side):
        words = [[0] * (k + 1) for k in range(9)]
        types = make_types([*words, [descriptor(Op.PTR, k) for k in range(9)]])
        static = {STATIC + 8 * k: B for k in range(9)}
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 9, 9)], static=static)
        assert kind_at(world, state, B) == 5

    def test_a_type_without_words_says_nothing_of_its_object(self, side):
        # the descriptors of the next type must not be taken for its own
        types = make_types([[descriptor(Op.PTR, 1)], [], [descriptor(Op.PTR, 0)] * 6])
        world, state = tiny(side, [WORDS6], {B: C}, types, typed=[(STATIC, 1, 0)], static={STATIC: B})
        assert kind_at(world, state, B) == 1
        assert kind_at(world, state, C) == -1
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 1, 1)], static={STATIC: B})
        assert not (state.flags & MARKED).any()

    def test_words_behind_one_value_have_no_meaning(self, side):
        types = make_types([[descriptor(Op.PTR, 1)], [descriptor(Op.PTR, 0), 0]])
        world, state = tiny(side, [WORDS6], {B: C, B + 16: D}, types, typed=[(STATIC, 1, 0)], static={STATIC: B})
        assert kind_at(world, state, C) == 0
        assert kind_at(world, state, D) == -1

    def test_interfaces_name_their_type(self, side):
        types = make_types(
            [[0, descriptor(Op.EFACE), 0, descriptor(Op.IFACE)], [0]],
            keys={TYPES: 1, ITABS: 1},
            iface=[0, descriptor(Op.PTR, 1)],
        )
        contents = {A: TYPES | SCALAR, A + 8: B, A + 16: ITABS | SCALAR, A + 24: C}
        world, state = tiny(side, [WORDS6], contents, types, start={A: (0, COVER_ELEM)}, roots=[A])
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (1, 1)

    def test_an_untyped_pair_is_an_interface_when_its_first_word_is_a_type(self, side):
        types = make_types([[0]], keys={TYPES: 0})
        world, state = tiny(side, [WORDS6], {A: TYPES | SCALAR, A + 8: B, A + 16: C}, types, roots=[A])
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (0, -1)

    def test_an_unknown_type_is_handed_to_the_caller(self, side):
        types = make_types([[0]], keys={TYPES: -2})
        contents = {A: TYPES + 64 | SCALAR, A + 8: B, B: TYPES | SCALAR, B + 8: C}
        world, state = tiny(side, [WORDS6], contents, types, roots=[A, B])
        assert state.pending[: 2 * state.npending].tolist() == [TYPES + 64, B], "and what is no type is not asked twice"
        assert kind_at(world, state, C) == -1

    def test_a_closure_is_known_by_its_entry(self, side):
        types = make_types([[0, descriptor(Op.PTR, 1)], [0], [descriptor(Op.FUNC)]], keys={TEXT: 0})
        contents = {B: TEXT | SCALAR, B + 8: C}
        world, state = tiny(side, [WORDS6], contents, types, typed=[(STATIC, 1, 2)], static={STATIC: B})
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (0, 1)
        world, state = tiny(side, [WORDS6], contents, types, roots=[B])
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (0, 1), "also where no type leads to it"

    def test_a_swiss_directory_is_told_from_a_group(self, side):
        types = make_types([[0, 0, descriptor(Op.SWISSDIR, 1), 0], [0], [descriptor(Op.PTR, 3)], [0]])
        for length, kind in ((0, 1), (4, 2)):
            contents = {A + 16: B, A + 24: length | SCALAR, B + 16: C}
            world, state = tiny(side, [WORDS6], contents, types, start={A: (0, COVER_ELEM)}, roots=[A])
            assert kind_at(world, state, B) == kind
            assert cover_at(world, state, B) == (COVER_FILL if length else COVER_ELEM)
            assert kind_at(world, state, C) == (3 if length else -1), "any entry of a directory is a table"

    def test_a_trie_node_says_what_it_is(self, side):
        types = make_types([[descriptor(Op.TRIENODE, 1)], [0], [0, 0]])
        for first, kind in ((1, 1), (0, 2)):
            world, state = tiny(side, [WORDS6], {B: first | SCALAR}, types, typed=[(STATIC, 1, 0)], static={STATIC: B})
            assert kind_at(world, state, B) == kind

    def test_typed_static_data_is_followed_once(self, side):
        first = [descriptor(Op.PTR, 1), descriptor(Op.FILL, 2), descriptor(Op.PTR, 2)]
        types = make_types([first, [0, descriptor(Op.PTR, 3)], [descriptor(Op.PTR, 1)], [0]])
        static = {STATIC: STATIC + 64, STATIC + 8: STATIC + 128, STATIC + 16: STATIC + 64}
        static.update({STATIC + 72: B, STATIC + 128: C, STATIC + 136: D})
        world, state = tiny(side, [WORDS6], {}, types, typed=[(STATIC, 3, 0)], static=static)
        found = {(int(state.loose[k]), int(state.loose_type[k])) for k in np.flatnonzero(state.loose)}
        assert found == {(STATIC + 64, 1), (STATIC + 128, 2)}, "the first type of an address"
        assert (state.nloose, state.nloose_stack) == (2, 0)
        assert kind_at(world, state, B) == 3
        assert kind_at(world, state, C) == 1
        assert not state.flags[world.slot_at(D).oid] & MARKED, "an array of static data has one known element"

    def test_a_typed_value_inside_an_untyped_slot_is_followed(self, side):
        types = make_types([[descriptor(Op.PTR, 1)], [0, descriptor(Op.PTR, 2)], [0]])
        world, state = tiny(side, [WORDS6], {B + 24: C}, types, typed=[(STATIC, 1, 0)], static={STATIC: B + 16})
        assert (kind_at(world, state, B), kind_at(world, state, C)) == (-1, 2)

    def test_a_wrong_type_inside_a_slot_marks_nothing_more(self, side):
        types = make_types([[descriptor(Op.PTR, 1)], [descriptor(Op.PTR, 2)] * 4, [0]])
        contents = {B + 32: C | SCALAR, B + 40: 0, C: D}
        world, state = tiny(side, [WORDS6], contents, types, typed=[(STATIC, 1, 0)], static={STATIC: B + 32})
        assert kind_at(world, state, B) == -1
        assert int((state.flags & MARKED != 0).sum()) == 1, "neither a scalar nor the next slot's words keep anything"

    def test_free_slots_are_counted_not_marked(self, side):
        world = make_world([WORDS6], {})
        state = TraceState.fresh(np.zeros(world.index.nobjects, dtype=np.uint8), world.index)
        pairs = np.array([(0, A), (0, B + 3)], dtype=np.uint64)
        run(side, world, state, make_types([[0]]), no_regions(), np.zeros(0, dtype=np.uint8), pairs)
        assert (state.dangling, int(state.flags.sum())) == (2, 0)

    def test_a_heap_without_spans_is_no_heap(self, side):
        world = make_world([], {})
        state = TraceState.fresh(np.zeros(0, dtype=np.uint8), world.index)
        pairs = np.array([(0, A)], dtype=np.uint64)
        run(side, world, state, make_types([[0]]), no_regions(), np.zeros(0, dtype=np.uint8), pairs)
        assert state.dangling == 0
