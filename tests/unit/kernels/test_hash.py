"""The hash table of type addresses, against a dict."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mapscope.goruntime.typehash import fill_hash

U64 = (1 << 64) - 1


def lookup(keys: memoryview, values: memoryview, key: int) -> int:
    """The kernel's search, in three lines."""
    at = (key * 0x9E3779B97F4A7C15 & U64) >> 20
    while keys[at % len(keys)] not in (0, key):
        at += 1
    return values[at % len(keys)]


def colliding(count: int) -> dict[int, int]:
    """Keys that all want the same place of a table of 16: the worst that can lie in a core."""
    found = {}
    key = 1
    while len(found) < count:
        if (key * 0x9E3779B97F4A7C15 & U64) >> 20 & 15 == 14:
            found[key] = len(found)
        key += 1
    return found


@settings(max_examples=200, deadline=None)
@given(known=st.dictionaries(st.integers(0, U64), st.integers(-2, (1 << 31) - 1), max_size=300))
@example(known=colliding(7))
@example(known={0: 5, 8: 6})
@example(known={0x500000 + 32 * k: k for k in range(3000)})
def test_every_key_is_found_and_no_other(known):
    size = 1 << max(4, (2 * len(known)).bit_length())
    keys, values = np.zeros(size, dtype=np.uint64), np.full(size, -1, dtype=np.int32)
    fill_hash(keys, values, np.array(list(known), dtype=np.uint64), np.array(list(known.values()), dtype=np.int32))
    rng = random.Random(len(known))
    for key in [*known, *(rng.getrandbits(64) for _ in range(50)), *(key + 32 & U64 for key in known)]:
        assert lookup(keys.data, values.data, key) == (known.get(key, -1) if key else -1)
    assert sorted(keys[keys != 0].tolist()) == sorted(key for key in known if key)
