"""Objects, allocation bits and pointer masks, against loops over single words."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope.goruntime.index import GO_PAGE, build_index
from tests.unit.kernels.heaps import (
    ARENA,
    CHUNK,
    PAGE,
    SIDES,
    STARTS,
    STATIC,
    SpanPlan,
    World,
    allocated_flags,
    kernel,
    make_world,
    pointer_bits,
    random_world,
    span_plans,
)

SEEDS = st.integers(0, 1 << 32)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BITMAP = 0xD000000000
"""Where the tests put bitmaps: an arena of their own."""


def addresses(world: World, rng: random.Random, count: int) -> np.ndarray:
    """Addresses inside slots, at borders, in gaps, in static data and nowhere."""
    out = []
    for _ in range(count):
        slot = rng.choice(world.slots)
        out.append(
            rng.choice(
                (
                    slot.base,
                    slot.base + rng.randrange(slot.size),
                    slot.base + slot.size,
                    slot.base - 1,
                    slot.base & ~(GO_PAGE - 1),
                    STATIC + rng.randrange(5 * PAGE),
                    rng.getrandbits(64),
                    0,
                    slot.base + rng.randrange(4 * GO_PAGE),
                    (1 << 48) - 1,
                    1 << 48,
                )
            )
        )
    return np.array(out, dtype=np.uint64)


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS, size=st.sampled_from([0, 1, 7, 8, 24, 160, 5000]))
def test_gather_copies_what_is_there(side, plans, start, seed, size):
    world = random_world(plans, start, seed)
    wanted = addresses(world, random.Random(seed), 40)
    rows, ok = np.zeros((40, size), dtype=np.uint8), np.zeros(40, dtype=np.uint8)
    kernel(side, "spans").gather(world.index, wanted, rows, ok)
    for address, row, fine in zip(wanted.tolist(), rows, ok, strict=True):
        truth = world.read(address, size)
        assert bool(fine) == (truth is not None and size > 0)
        if fine:
            assert row.tobytes() == truth


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS, size=st.sampled_from([1, 8, 24, 160, 4096]))
def test_gather_fields_are_columns_of_structs(side, plans, start, seed, size):
    world, rng = random_world(plans, start, seed), random.Random(seed)
    wanted = addresses(world, rng, 40)
    fields = [(rng.randrange(size), rng.randint(1, 8)) for _ in range(6)]
    fields = [(offset, min(count, size - offset)) for offset, count in fields]
    out, ok = np.full((6, 40), 77, dtype=np.uint64), np.full(40, 77, dtype=np.uint8)
    kernel(side, "spans").gather_fields(world.index, wanted, size, np.array(fields, dtype=np.int64), out, ok)
    for address, column, fine in zip(wanted.tolist(), out.T.tolist(), ok.tolist(), strict=True):
        truth = world.read(address, size)
        assert fine == (truth is not None)
        parts = [int.from_bytes((truth or bytes(size))[at : at + count], "little") for at, count in fields]
        assert column == parts


@pytest.mark.parametrize("side", SIDES)
def test_gather_fields_refuses_structs_beyond_a_page(side):
    world, none = make_world([SpanPlan(8, 1)]), np.zeros(0, dtype=np.uint64)
    fields, out = np.array([(0, 8)], dtype=np.int64), np.zeros((1, 0), dtype=np.uint64)
    with pytest.raises(ValueError, match="structs of 4097 bytes"):
        kernel(side, "spans").gather_fields(world.index, none, 4097, fields, out, np.zeros(0, dtype=np.uint8))


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_find_objects_finds_the_slot(side, plans, start, seed):
    world = random_world(plans, start, seed)
    wanted = addresses(world, random.Random(seed), 200)
    ids, bases = np.empty(200, dtype=np.int64), np.empty(200, dtype=np.uint64)
    kernel(side, "spans").find_objects(world.index, wanted, ids, bases)
    for address, oid, base in zip(wanted.tolist(), ids.tolist(), bases.tolist(), strict=True):
        slot = world.slot_at(address)
        assert (oid, base) == ((slot.oid, slot.base) if slot else (-1, 0))


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_slots_have_their_address_and_size(side, plans, start, seed):
    world, rng = random_world(plans, start, seed), random.Random(seed)
    wanted = addresses(world, rng, 200)
    sizes = np.full(200, 77, dtype=np.uint64)
    kernel(side, "spans").slot_sizes(world.index, wanted, sizes)
    slots = [world.slot_at(address) for address in wanted.tolist()]
    assert sizes.tolist() == [slot.size if slot else 0 for slot in slots]
    known = {slot.oid: (slot.base, slot.size) for slot in world.slots}
    ids = [rng.choice((*known, -1, world.index.nobjects, rng.getrandbits(40))) for _ in range(200)]
    base, size = np.full(200, 77, dtype=np.uint64), np.full(200, 77, dtype=np.uint64)
    kernel(side, "spans").slots_of(world.index, np.array(ids, dtype=np.int64), base, size)
    assert list(zip(base.tolist(), size.tolist(), strict=True)) == [known.get(oid, (0, 0)) for oid in ids]


GO_CLASSES = [(8, 1), (24, 1), (48, 1), (80, 1), (416, 1), (1152, 1), (1408, 2), (2688, 1), (4864, 2), (6784, 6),
              (9472, 7), (9728, 1), (18432, 9), (20480, 5), (27264, 10), (28672, 7), (32768, 4)]  # fmt: skip
"""Size classes of runtime/sizeclasses.go: slot bytes and 8 KB pages, the hardest to divide by among them."""


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("size", "pages"), [(size, pages) for size, pages in GO_CLASSES if size <= pages * GO_PAGE])
def test_every_byte_of_a_span_belongs_to_its_slot(side, size, pages):
    world = make_world([SpanPlan(size, pages)])
    wanted = np.arange(ARENA, ARENA + pages * GO_PAGE, dtype=np.uint64)
    ids, bases = np.empty(len(wanted), dtype=np.int64), np.empty(len(wanted), dtype=np.uint64)
    kernel(side, "spans").find_objects(world.index, wanted, ids, bases)
    slot = (wanted - np.uint64(ARENA)).astype(np.int64) // size
    truth = np.where(slot < pages * GO_PAGE // size, slot, -1)
    assert (ids == truth).all()


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), seed=SEEDS)
def test_alloc_flags_are_freeindex_and_bits(side, plans, seed):
    rng = random.Random(seed)
    # the bitmaps lie in a span of their own, whose last page is missing
    keeper = SpanPlan(0, 2, noscan=True, place="holes", missing=0b1000)
    noise = {ARENA + 8 * k: rng.getrandbits(64) for k in range(2 * GO_PAGE // 8)}
    world = make_world([keeper, *plans], noise, shuffle=seed)
    freeindex = np.array([rng.choice((0, 1, 7, 8, 100, 1 << 60, plan.nelems)) for plan in world.plans], dtype=np.uint64)
    bits = np.array([ARENA + rng.randrange(4 * PAGE) for _ in world.plans], dtype=np.uint64)
    flags = np.full(world.index.nobjects, 4, dtype=np.uint8)
    unreadable = kernel(side, "spans").alloc_flags(world.index, freeindex, bits, flags)
    truth, bad = [], 0
    for plan, free, at in zip(world.plans, freeindex.tolist(), bits.tolist(), strict=True):
        missing = False
        for k in range(plan.nelems):
            byte = world.read(at + k // 8, 1)
            missing |= k >= free and byte is None
            truth.append(k < free or (not missing and byte is not None and byte[0] >> k % 8 & 1 == 1))
        bad += missing
    assert unreadable == bad
    assert flags.tolist() == [4 | one for one in truth]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_mask_from_span_end(side, plans, start, seed):
    rng = random.Random(seed)
    world = random_world(plans, start, seed)
    world.index.ptrmask[:] = 0
    which = sorted(rng.sample(range(len(plans)), rng.randint(0, len(plans))))
    spans = world.index.spans[which]
    at = spans["base"] + spans["bytes"] - spans["bytes"] // 64
    unreadable = kernel(side, "spans").mask_from_span_end(
        world.index, np.array(which, dtype=np.int64), at.astype(np.uint64), world.index.ptrmask
    )
    bad = 0
    for k, address in zip(which, at.tolist(), strict=True):
        size = int(world.index.spans["bytes"][k]) // 64
        bits = world.read(address, size)
        bad += bits is None
        for slot in world.slots:
            if slot.span == k and bits is not None:
                first = (slot.base - int(world.index.spans["base"][k])) // 8
                assert pointer_bits(world.index, slot) == [
                    bool(bits[w // 8] >> w % 8 & 1) for w in range(first, first + slot.size // 8)
                ]
    assert unreadable == bad
    others = [slot for slot in world.slots if slot.span not in which]
    assert not any(any(pointer_bits(world.index, slot)) for slot in others)


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS, sizes=st.lists(st.integers(0, 150), min_size=1, max_size=5))
def test_mask_from_types_repeats_the_mask(side, plans, start, seed, sizes):
    rng = random.Random(seed)
    world = make_world(plans, start=start)
    masks = [[rng.random() < 0.5 for _ in range(size)] for size in sizes]
    flat = [bit for mask in masks for bit in mask]
    flat += [False] * (64 - len(flat) % 64 + 64)
    pool = np.packbits(np.array(flat, dtype=np.bool_), bitorder="little").view("<u8")
    words = np.array(sizes, dtype=np.int64)
    kinds = np.array([rng.randint(-1, len(sizes) - 1) for _ in world.slots], dtype=np.int32)
    which = rng.sample(range(len(kinds)), rng.randint(0, len(kinds)))  # in no order
    kernel(side, "spans").mask_from_types(
        world.index, np.array(which, dtype=np.int64), kinds[which], words, np.cumsum(words) - words, pool,
        world.index.ptrmask,
    )  # fmt: skip
    for slot in world.slots:
        kind = int(kinds[slot.oid])
        header = world.span_of(slot).header
        mask = masks[kind] if kind >= 0 and slot.oid in which else []
        truth = [bool(mask) and w >= header and mask[(w - header) % len(mask)] for w in range(slot.size // 8)]
        assert pointer_bits(world.index, slot) == truth


def with_bitmaps(plans: list[SpanPlan], start: int, seed: int, shift: int) -> tuple[World, np.ndarray, dict[int, int]]:
    """A heap beside pages of random bits that stand for heapArena.bitmap; ``shift``: bytes of heap to a byte, log2.

    Answers the heap, the dense table of bitmap addresses, and the bytes by address. Some arenas have no bitmap, some
    pages of bitmaps are missing.
    """
    rng = random.Random(seed)
    world = make_world(plans, start=start)
    numbers = {slot.base >> 26 for slot in world.slots}
    first = min(numbers) - 1
    by_arena = {
        number: BITMAP + (number - first) * (CHUNK >> shift) if number in numbers and rng.random() < 0.9 else 0
        for number in range(first, max(numbers) + 1)
    }
    data: dict[int, int] = {}
    for base in {slot.base & ~(PAGE - 1) for slot in world.slots}:
        bitmap = by_arena[base >> 26]
        page = bitmap + (base % CHUNK >> shift) & ~(PAGE - 1) if bitmap else 0
        if page and page not in data and rng.random() < 0.9:
            content = rng.randbytes(PAGE)
            world.memory.add(page, PAGE, world.memory.add_buffer(content), 0)
            data.update({page + k: byte for k, byte in enumerate(content)})
    world.index = build_index(world.memory.page_table(numbers), world.index.spans)
    return world, np.array([first, *by_arena.values()], dtype=np.uint64), data


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_mask_from_arena_words(side, plans, start, seed):
    world, table, data = with_bitmaps(plans, start, seed, 6)
    which = [k for k, plan in enumerate(plans) if not plan.noscan]
    unreadable = kernel(side, "spans").mask_from_arena_words(
        world.index, np.array(which, dtype=np.int64), table, world.index.ptrmask
    )
    first, *by_arena = table.tolist()

    def byte(address: int) -> int | None:
        at = (address >> 26) - first
        bitmap = by_arena[at] if at < len(by_arena) else 0  # a span can reach into an arena without slots
        return data.get(bitmap + (address % CHUNK >> 6)) if bitmap else None

    for slot in world.slots:
        if slot.span in which:
            truth = []
            for address in range(slot.base, slot.base + slot.size, 8):
                truth.append(bool((byte(address) or 0) >> (address >> 3 & 7) & 1))
            assert pointer_bits(world.index, slot) == truth
    pages = [int(world.index.spans["base"][k]) + p * GO_PAGE for k in which for p in range(plans[k].pages)]
    assert unreadable == sum(byte(page) is None for page in pages)


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_mask_from_nibbles(side, plans, start, seed):
    world, table, data = with_bitmaps(plans, start, seed, 5)
    which = [k for k, plan in enumerate(plans) if not plan.noscan]
    unreadable = kernel(side, "spans").mask_from_nibbles(
        world.index, np.array(which, dtype=np.int64), table, world.index.ptrmask
    )
    first, *by_arena = table.tolist()
    bad = 0
    for slot in world.slots:
        if slot.span not in which:
            continue
        truth = [False] * (slot.size // 8)
        for w in range(slot.size // 8):
            address = slot.base + 8 * w
            at = (address >> 26) - first
            bitmap = by_arena[at] if at < len(by_arena) else 0  # a span can reach into an arena without slots
            byte = data.get(bitmap + (address % CHUNK >> 5)) if bitmap else None
            if byte is None:
                bad += 1
                break
            low = address >> 3 & 3
            if not byte >> 4 + low & 1:
                break
            truth[w] = bool(byte >> low & 1)
        assert pointer_bits(world.index, slot) == truth
    assert unreadable == bad


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_slots_like_are_those_with_the_bits(side, plans, start, seed):
    world = random_world(plans, start, seed)
    rng = random.Random(seed)
    flags = np.array([rng.choice((0, 1, 3)) for _ in world.slots], dtype=np.uint8)
    which = rng.sample(range(len(plans)), rng.randint(1, len(plans)))
    need, shifts = rng.choice((0, 1, 2)), rng.randint(1, 5)
    every = rng.choice(((1 << 64) - 1, 0b1111, 0b1))
    pointing = [[slot.base + 8 * w in world.pointers for w in range(min(slot.size // 8, 64))] for slot in world.slots]
    masks = [sum(bit << w for w, bit in enumerate(bits)) for bits in pointing]
    want = rng.choice([0, *masks]) & every
    truth = [
        (slot.oid, shift)
        for k in which
        for slot in world.slots
        if slot.span == k and flags[slot.oid] & need == need
        for shift in range(shifts)
        if masks[slot.oid] >> shift & every == want
    ]
    for room in (len(truth), len(truth) // 2):
        ids, at = np.full(room, -7, dtype=np.int64), np.full(room, 77, dtype=np.uint8)
        asked = (np.array(which, dtype=np.int64), flags, need, want, every, shifts, ids, at)
        assert kernel(side, "spans").slots_like(world.index, *asked) == len(truth)
        assert list(zip(ids.tolist(), at.tolist(), strict=True)) == truth[:room]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), seed=SEEDS)
def test_sum_marked_counts_slots(side, plans, seed):
    rng = random.Random(seed)
    world = make_world(plans)
    flags = allocated_flags(world, rng) | np.array([rng.choice((0, 2, 6)) for _ in world.slots], dtype=np.uint8)
    out = np.full(2 * len(plans), -7, dtype=np.int64)
    kernel(side, "spans").sum_marked(world.index, flags, out)
    for k in range(len(plans)):
        mine = [int(flags[slot.oid]) for slot in world.slots if slot.span == k]
        assert out[2 * k] == sum(flag & 1 for flag in mine)
        assert out[2 * k + 1] == sum(flag >> 1 & 1 for flag in mine)


def test_both_sides_have_the_same_functions():
    for name in ("spans", "trace", "mark", "maps"):
        compiled, reference = kernel("compiled", name), kernel("reference", name)
        public = {key for key, value in vars(compiled).items() if callable(value) and not key.startswith("_")}
        own = {key for key, value in vars(reference).items() if getattr(value, "__module__", "") == reference.__name__}
        assert public <= own, public - own
