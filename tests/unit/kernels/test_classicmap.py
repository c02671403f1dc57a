"""The life of a classic map: the compiled kernel against the plain one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.kernels.heaps import SIDES, kernel

MADE = np.array([1, 2, 4, 8, 17, 35, 68, 140, 272, 600, 1100, 2200], dtype=np.int64)
"""Arrays of some type whose size classes leave room for a few more overflow buckets than a sixteenth."""
HASHES = st.integers(0, (1 << 64) - 1) | st.integers(0, 40).map(lambda n: n << 56 | n % 3)
LIVES = st.lists(st.tuples(st.sampled_from([0, 0, 0, 0, 1, 1, 1]), st.integers(0, 300)), max_size=600)


def life(side, ops, hashes, at, b=0, scanned=False, seed=5, made=MADE, load=13):
    rows = np.zeros((len(at), 11), dtype=np.int64)
    memory = kernel(side, "classicmap").run(
        np.array(ops, dtype=np.uint8),
        np.array(hashes, dtype=np.uint64),
        np.array(at, dtype=np.int64),
        b,
        load,
        scanned,
        made,
        seed,
        rows,
        True,
    )
    return rows.tolist(), [part.tolist() for part in memory]


@settings(max_examples=150, deadline=None)
@given(
    known=st.lists(HASHES, min_size=1, max_size=300),
    steps=LIVES,
    clears=st.sets(st.integers(0, 599), max_size=3),
    b=st.integers(0, 5),
    scanned=st.booleans(),
    load=st.sampled_from([12, 13]),
)
def test_both_sides(known, steps, clears, b, scanned, load):
    ops = [2 if number in clears else op for number, (op, _) in enumerate(steps)]
    hashes = [known[at % len(known)] for _, at in steps]
    at = sorted({0, *range(0, len(steps), 7), len(steps)})
    assert life("compiled", ops, hashes, at, b, scanned, load=load) == life(
        "reference", ops, hashes, at, b, scanned, load=load
    )


@pytest.mark.parametrize("scanned", [False, True])
def test_both_sides_through_many_growths(scanned):
    dice = np.random.default_rng(3)
    hashes = dice.integers(0, 1 << 63, 9000, dtype=np.uint64)
    hashes[4000:6000] = hashes[:2000]  # deleted
    ops = np.zeros(9000, dtype=np.uint8)
    ops[4000:6000] = 1
    at = range(0, 9001, 100)
    both = [life(side, ops, hashes, at, scanned=scanned) for side in SIDES]
    assert both[0] == both[1]
    assert max(row[1] for row in both[0][0]) == 10
    assert any(row[2] for row in both[0][0])


@pytest.mark.parametrize("side", SIDES)
def test_counts_are_random_from_16_bits_on(side):
    """Of 2,000 keys in one bucket of 2^17 every fourth overflow bucket is counted, by chance."""
    made = np.array([1 << b for b in range(18)], dtype=np.int64)
    hashes = [number << 40 for number in range(1, 2001)]
    counts = [life(side, [0] * 2000, hashes, [2000], 17, made=made, seed=seed)[0][0][4] for seed in (1, 2)]
    assert counts == [life("reference", [0] * 2000, hashes, [2000], 17, made=made, seed=s)[0][0][4] for s in (1, 2)]
    assert all(30 < count < 100 for count in counts)


@pytest.mark.parametrize("side", SIDES)
def test_no_room_in_the_table_of_sizes(side):
    with pytest.raises(MemoryError):
        life(side, [0] * 100, range(100), [100], made=MADE[:3])


@pytest.mark.parametrize("side", SIDES)
def test_lengths_must_fit(side):
    with pytest.raises(ValueError, match="differ in length"):
        life(side, [0, 0], [1], [1])
