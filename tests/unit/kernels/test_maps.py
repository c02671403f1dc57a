"""What lies below map headers: hand-made maps whose contents are known, and headers that lie."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope.maps.decode import CLASSIC_OUT, SWISS_OUT
from tests.unit.kernels.heaps import (
    ALLOCATED,
    ARENA,
    MARKED,
    PAGE,
    SIDES,
    STARTS,
    SpanPlan,
    World,
    kernel,
    make_world,
    random_world,
    span_plans,
)
from tests.unit.kernels.mapmodels import (
    BUCKET,
    GROUP,
    KEY,
    LAY,
    ROUNDED,
    ClassicBuilder,
    SwissBuilder,
    classic_row,
    swiss_row,
)

PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 1 << 32)


def classic(side: str, world: World, flags: np.ndarray, *rows: np.ndarray) -> list[dict[str, int]]:
    out = np.zeros((len(rows), len(CLASSIC_OUT)), dtype=np.uint64)
    kernel(side, "maps").classic(world.index, flags, np.array(rows, dtype=np.uint64), out)
    return [dict(zip(CLASSIC_OUT, row, strict=True)) for row in out.tolist()]


def swiss(side: str, world: World, *rows: np.ndarray) -> list[dict[str, int]]:
    out = np.zeros((len(rows), len(SWISS_OUT)), dtype=np.uint64)
    kernel(side, "maps").swiss(world.index, LAY, np.array(rows, dtype=np.uint64), out)
    return [dict(zip(SWISS_OUT, row, strict=True)) for row in out.tolist()]


def strings(side: str, world: World, row: np.ndarray, is_swiss: bool, most: int = 1000) -> list[int]:
    seen, touched = np.zeros(world.index.nobjects, dtype=np.uint8), np.zeros(most, dtype=np.int64)
    rows, out = np.stack([row, row]), np.zeros((2, 5), dtype=np.uint64)
    kernel(side, "mapkeys").string_keys(world.index, rows, is_swiss, LAY, seen, touched, ROUNDED, out)
    assert not seen.any()
    assert out[0].tolist() == out[1].tolist(), "one map leaves nothing behind that the next one sees"
    return out[0].tolist()


def everything(world: World) -> np.ndarray:
    return np.full(world.index.nobjects, ALLOCATED | MARKED, dtype=np.uint8)


# -- honest maps


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS, b=st.integers(0, 6), growing=st.booleans(), same=st.booleans(), indirect=st.booleans())
def test_a_classic_map_is_counted_cell_by_cell(side, seed, b, growing, same, indirect):
    made = ClassicBuilder(random.Random(seed), b, growing=growing, same=same, indirect=indirect).build()
    truth = {name: made.truth[name] for name in CLASSIC_OUT}
    assert classic(side, made.world, made.flags, made.row, made.row) == [truth, truth]
    out = np.zeros(len(CLASSIC_OUT), dtype=np.uint64)
    occupancy, chains = np.zeros(33, dtype=np.uint64), np.zeros(3, dtype=np.uint64)
    kernel(side, "maps").classic_histogram(made.world.index, made.flags, made.row, out, occupancy, chains)
    assert dict(zip(CLASSIC_OUT, out.tolist(), strict=True)) == truth
    assert occupancy.tolist() == [made.occupancy[k] for k in range(33)]
    assert chains.tolist() == [made.chains[0], made.chains[1], made.chains[2] + made.chains[3]], "the last is 'or more'"


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS, depth=st.integers(0, 4), small=st.booleans(), indirect=st.booleans())
def test_a_swiss_map_is_counted_cell_by_cell(side, seed, depth, small, indirect):
    builder = SwissBuilder(random.Random(seed), depth, indirect=indirect)
    made = builder.small() if small else builder.large()
    truth = {name: made.truth[name] for name in SWISS_OUT}
    unread = made.row.copy()
    unread[-1] = 0
    assert swiss(side, made.world, made.row, unread) == [truth, {**truth, "live": 0, "indirect": 0}]
    out, occupancy = np.zeros(len(SWISS_OUT), dtype=np.uint64), np.zeros(9, dtype=np.uint64)
    tables = np.zeros((3, 8), dtype=np.uint64)
    kernel(side, "maps").swiss_detail(made.world.index, LAY, made.row, out, occupancy, tables)
    assert dict(zip(SWISS_OUT, out.tolist(), strict=True)) == truth
    assert occupancy.tolist() == [made.occupancy[k] for k in range(9)]
    assert [tuple(row) for row in tables.tolist()] == [*made.tables[:3], *[(0,) * 8] * (3 - len(made.tables))]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS, b=st.integers(0, 5), growing=st.booleans(), same=st.booleans())
def test_string_keys_of_a_classic_map(side, seed, b, growing, same):
    made = ClassicBuilder(random.Random(seed), b, growing=growing, same=same, indirect=False).build()
    assert strings(side, made.world, made.row, False) == made.strings.sums()


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS, depth=st.integers(0, 4), small=st.booleans())
def test_string_keys_of_a_swiss_map(side, seed, depth, small):
    builder = SwissBuilder(random.Random(seed), depth, indirect=False)
    made = builder.small() if small else builder.large()
    assert strings(side, made.world, made.row, True) == made.strings.sums()


@pytest.mark.parametrize("side", SIDES)
def test_string_keys_tell_no_more_objects_apart_than_there_is_room(side):
    made = ClassicBuilder(random.Random(5), 5, growing=False, same=False, indirect=False).build()
    keys, length, _, objects, copies = made.strings.sums()
    assert objects > 3
    got = strings(side, made.world, made.row, False, most=3)
    assert (got[0], got[1], got[3], got[4]) == (keys, length, 3, copies)


@pytest.mark.parametrize("side", SIDES)
def test_large_strings_round_to_pages(side):
    # one group, two keys: 32768 and 32769 bytes in an object of eight pages
    text = ARENA + 8192
    words = {
        ARENA: 0x8080808080800000 | 0x0101,
        ARENA + 8: text,
        ARENA + 16: 32768,
        ARENA + 32: text,
        ARENA + 40: 32769,
    }
    world = make_world([SpanPlan(0, 1), SpanPlan(0, 8, noscan=True)], words)
    assert strings(side, world, swiss_row(ARENA, 0), True) == [2, 65537, 65536, 1, 32768 + 40960]


@pytest.mark.parametrize("side", SIDES)
def test_an_array_behind_a_malloc_header_owns_its_tail(side):
    plan = SpanPlan(2048, 1, header=True)
    array = ARENA + 8
    last = array + 8 * BUCKET  # of nine buckets that fit the slot, one of B=3 and one for overflow
    world = make_world([plan], {array + BUCKET - 8: last, last: 0x0505})
    [got] = classic(side, world, everything(world), classic_row(3, 0, array, 0, 2))
    assert (got["live"], got["overflow"], got["overflow_bytes"], got["corrupt"]) == (2, 1, 0, 0)


# -- headers that lie


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("count", [3, 1 << 40, (1 << 64) - 1])
@pytest.mark.timeout(20)
def test_a_ring_of_overflow_buckets_ends(side, count):
    ring = [ARENA + 8192 + k * 224 for k in range(3)]
    words = {ARENA + BUCKET - 8: ring[0], ARENA: 0x05}
    for here, there in zip(ring, [*ring[1:], ring[0]], strict=True):
        words.update({here: 0x0505, here + BUCKET - 8: there})
    world = make_world([SpanPlan(0, 1), SpanPlan(224, 1)], words)
    row = classic_row(0, 0, ARENA, 0, count)
    [got] = classic(side, world, everything(world), row)
    assert got["corrupt"] == 1
    out, occupancy, chains = (np.zeros(n, dtype=np.uint64) for n in (len(CLASSIC_OUT), 9, 9))
    kernel(side, "maps").classic_histogram(world.index, everything(world), row, out, occupancy, chains)
    assert out[CLASSIC_OUT.index("corrupt")] == 1
    assert strings(side, world, row, False) == [0] * 5


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.timeout(20)
def test_arrays_that_cannot_be_are_not_walked(side):
    world = make_world([SpanPlan(0, 1)], {ARENA: 0x05})
    flags = everything(world)
    for b in (6, 20, 43):  # more buckets than the slot, or than a stack, can hold
        for array in (ARENA, ARENA + 5000, 0x500000 if b > 6 else ARENA):
            row = classic_row(b, 0, array, 0, 1)
            assert classic(side, world, flags, row)[0]["corrupt"] == 1
            assert strings(side, world, row, False) == [0] * 5
    wrapped = classic_row(43, 0, ARENA, 0, 1, size=1 << 21)  # 2^64 bytes, which is 0 in 64 bits
    assert classic(side, world, flags, wrapped)[0]["corrupt"] == 1
    assert strings(side, world, wrapped, False) == [0] * 5
    for b, size in ((44, BUCKET), (64, BUCKET), (1 << 63, BUCKET), (0, 8), (0, 0)):
        row = classic_row(b, 0, ARENA, ARENA, 1, size=size)
        assert set(classic(side, world, flags, row)[0].values()) == {0}
        assert strings(side, world, row, False) == [0] * 5


@pytest.mark.parametrize("side", SIDES)
def test_missing_pages_are_said(side):
    plan = SpanPlan(0, 2, place="holes", missing=0b0100)
    full = {ARENA + b * BUCKET: 0x05 for b in range(64)}
    world = make_world([plan], full)
    [got] = classic(side, world, everything(world), classic_row(6, 0, ARENA, 0, 64))
    assert (got["unreadable"], got["corrupt"]) == (1, 0)
    assert got["live"] == sum(1 for address in full if address < ARENA + 2 * PAGE)
    words = {ARENA: 0x05, ARENA + BUCKET - 8: ARENA + 2 * PAGE + 64}
    world = make_world([plan], words)
    [got] = classic(side, world, everything(world), classic_row(0, 0, ARENA, 0, 1))
    assert (got["live"], got["unreadable"]) == (1, 1)
    [got] = swiss(side, world, swiss_row(ARENA + 2 * PAGE, 0))
    assert (got["live"], got["unreadable"]) == (0, 1)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.timeout(20)
def test_directories_and_tables_that_cannot_be(side):
    table, missing = ARENA + 8192, ARENA + 3 * 8192
    spans = [SpanPlan(0, 1), SpanPlan(32, 1), SpanPlan(0, 1), SpanPlan(0, 1, place="holes", missing=3)]
    good = {table: 3 | 8 << 16 | 4 << 32, table + 8: 0, table + 16: ARENA + 2 * 8192, table + 24: 0}

    def judge(words: dict[int, int], length: int, directory: int = ARENA) -> dict[str, int]:
        world = make_world(spans, words)
        row = swiss_row(directory, length)
        assert strings(side, world, row, True) is not None
        return swiss(side, world, row)[0]

    assert judge({ARENA: table, **good}, 1) == {
        **dict.fromkeys(SWISS_OUT, 0), "used": 3, "tables": 1, "groups": 1, "capacity": 8, "growth_left": 4,
        "table_bytes": 32, "group_bytes": 8192, "live": 8,
    }  # fmt: skip
    assert judge({ARENA: table, **good}, 1025)["corrupt"] == 1, "a directory beyond its slot"
    assert judge({}, 1 << 36)["corrupt"] == 1
    assert set(judge({}, (1 << 36) + 1).values()) == {0}
    assert judge({}, 1, 0x500000)["corrupt"] == 1, "a directory outside the heap"
    assert judge({}, 1, missing)["unreadable"] == 1
    assert judge({ARENA: missing}, 1)["unreadable"] == 1
    assert judge({ARENA: ARENA + PAGE - 16}, 1)["unreadable"] == 1, "a table across pages"
    for capacity, mask in ((2048, 255), (12, 0), (16, 0), (8, 1), (8, (1 << 64) - 1)):
        words = {ARENA: table, **good, table: 3 | capacity << 16, table + 24: mask}
        got = judge(words, 1)
        assert (got["corrupt"], got["tables"], got["used"]) == (1, 1, 0), (capacity, mask)
    overfull = {ARENA: table, **good, table: 60000 | 8 << 16 | 60000 << 32}
    assert judge(overfull, 1)["tombstones"] == 0


def hostile_word(rng: random.Random, world: World) -> int:
    slot = rng.choice(world.slots)
    return rng.choice(
        (0, 1, slot.base, slot.base + 8, slot.base + rng.randrange(slot.size), rng.getrandbits(64), 0x500000)
    )


@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
@pytest.mark.timeout(120)
def test_compiled_and_reference_agree_on_noise(plans, start, seed):
    rng = random.Random(seed)
    world = random_world(plans, start, seed)
    flags = np.array([rng.choice((1, 3)) for _ in world.slots], dtype=np.uint8)
    rows, others = [], []
    for _ in range(20):
        rows.append(
            classic_row(
                rng.choice((0, 0, 1, 2, 3, 5, 9, 43, 44, 200)), rng.randrange(2), hostile_word(rng, world),
                hostile_word(rng, world), rng.choice((0, 5, rng.getrandbits(64))), indirect_key=rng.randrange(2),
                indirect_elem=rng.randrange(2), size=rng.choice((BUCKET, 16, 72, 80, 8)),
            )
        )  # fmt: skip
        others.append(
            swiss_row(
                hostile_word(rng, world), rng.choice((0, 0, 1, 2, 8, 64, 1 << 20, 1 << 60)),
                indirect=rng.randrange(2), scan=rng.randrange(2),
            )
        )  # fmt: skip
    assert classic("compiled", world, flags, *rows) == classic("reference", world, flags, *rows)
    assert swiss("compiled", world, *others) == swiss("reference", world, *others)
    for row, other in zip(rows, others, strict=True):
        assert strings("compiled", world, row, False) == strings("reference", world, row, False)
        assert strings("compiled", world, other, True) == strings("reference", world, other, True)
        seen = []
        for side in SIDES:
            out, occupancy, chains = (np.zeros(n, dtype=np.uint64) for n in (len(CLASSIC_OUT), 9, 5))
            kernel(side, "maps").classic_histogram(world.index, flags, row, out, occupancy, chains)
            more, groups, tables = (np.zeros(n, dtype=np.uint64) for n in (len(SWISS_OUT), 9, (4, 8)))
            kernel(side, "maps").swiss_detail(world.index, LAY, other, more, groups, tables)
            seen.append([part.tolist() for part in (out, occupancy, chains, more, groups, tables)])
        assert seen[0] == seen[1]


def test_the_model_is_as_large_as_the_sizes_say():
    assert (BUCKET, GROUP) == (208, 200), "map[string]int, as runtime/map.go and internal/runtime/maps lay it out"
    assert KEY == 16
