"""Ranges laid out by page: every byte where it belongs, and nothing known of what lies between."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.evidence.memory import PAGE, Memory
from mapscope.evidence.paged import Paged, joined
from mapscope.goruntime.index import gather

_BASE = 0xC000000000


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 20))
def test_bytes_lie_where_they_belong(seed: int, count: int) -> None:
    rng = random.Random(seed)
    runs = [(_BASE + rng.randrange(1 << 16), rng.randrange(1, 5000)) for _ in range(count)]
    there = {at for start, size in runs for at in range(start, start + size)}
    starts, sizes = (np.array(column, dtype=np.int64) for column in zip(*runs, strict=True))
    paged = Paged(starts, sizes)
    value = {at: rng.randrange(1, 256) for at in there}
    addresses = np.array(sorted(there), dtype=np.int64)
    paged.bytes[paged.places(addresses)] = [value[at] for at in addresses.tolist()]
    memory = Memory()
    paged.lay(memory)
    for start, size in runs:
        assert memory.read(start, size) == bytes(value[at] for at in range(start, start + size))
    for at in rng.sample(range(_BASE, _BASE + (1 << 16) + 5000), 50):
        assert memory.read(at, 1) == (bytes([value[at]]) if at in there else None)
    # kernels see whole pages: zeros where nothing is known, nothing where no range touches the page
    touched = {at // PAGE for at in there}
    some = np.array(rng.sample(range(_BASE, _BASE + (1 << 17)), 50), dtype=np.uint64)
    rows, ok = gather(memory.page_table(), some, 1)
    for at, row, fine in zip(some.tolist(), rows[:, 0].tolist(), ok.tolist(), strict=True):
        assert fine == (at // PAGE in touched)
        assert not fine or row == value.get(at, 0)


@settings(max_examples=100, deadline=None)
@given(ranges=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)), max_size=12))
def test_joined_ranges_cover_the_same(ranges: list[tuple[int, int]]) -> None:
    starts = np.array([low for low, _ in ranges], dtype=np.int64)
    low, high = joined(starts, starts + np.array([size for _, size in ranges], dtype=np.int64))
    covered = [at for start, end in zip(low.tolist(), high.tolist(), strict=True) for at in range(start, end)]
    assert covered == sorted({at for start, size in ranges for at in range(start, start + size)})
    assert (low[1:] > high[:-1]).all()


def test_more_than_there_is_room_for() -> None:
    with pytest.raises(MemoryError):
        Paged(np.array([0], dtype=np.int64), np.array([1 << 47], dtype=np.int64))
