"""Walks of small heaps, for the tests of the walk that marks and spreads types."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np

from mapscope.goruntime.typehash import fill_hash
from mapscope.goruntime.typerecord import Op, descriptor
from mapscope.heap.trace import COVER_HEADER, LEAF, TraceState
from tests.unit.kernels.heaps import (
    ALLOCATED,
    ARENA,
    MARKED,
    PAGE,
    STATIC,
    STATIC_PAGES,
    SpanPlan,
    World,
    allocated_flags,
    kernel,
    make_world,
)

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
