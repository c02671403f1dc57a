"""The rules of what stays, against the same rules said word by word over heaps that were drawn."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.redact.words import BYTE, CODE, HALF, KNOWN, LOOSE, POINTER, SET, STAYS, Words, spread
from tests.unit.kernels.heaps import (
    ARENA,
    CHUNK,
    MARKED,
    PAGE,
    STARTS,
    STATIC,
    SpanPlan,
    World,
    allocated_flags,
    random_world,
    span_plans,
)

TYPES = (STATIC + 64, STATIC + 320, ARENA + 24)
"""Words that are types; one lies in the heap, as those of reflect do."""
TEXT = (STATIC + PAGE, STATIC + 2 * PAGE)
EXTRA = (*TYPES, TEXT[0], TEXT[1] - 1, TEXT[1], int.from_bytes(b"abc", "little"), int.from_bytes(b"password", "little"))


def words_of(world: World, flags: np.ndarray) -> Words:
    """The marks of a heap, with one key that is known to be no type."""
    keys = np.array([*TYPES, STATIC + 8], dtype=np.uint64)
    types = SimpleNamespace(hash_keys=keys, hash_values=np.array([0, 1, 2, -2], dtype=np.int32))
    chunks = np.unique(np.array([slot.base >> 26 for slot in world.slots], dtype=np.int64))
    process = SimpleNamespace(modules=[SimpleNamespace(text=TEXT[0], etext=TEXT[1])])
    return Words(
        SimpleNamespace(
            index=world.index,
            state=SimpleNamespace(flags=flags),
            types=types,
            arenas=SimpleNamespace(number=chunks),
            process=process,
        )  # type: ignore[arg-type]
    )


class Rules:
    """What stays, by the words of the rules."""

    def __init__(self, world: World, flags: np.ndarray) -> None:
        self.world = world
        self.arenas = {slot.base >> 26 for slot in world.slots}
        self.scanned = {
            at
            for slot in world.slots
            if flags[slot.oid] & MARKED and not world.span_of(slot).noscan
            for at in range(slot.base, slot.base + (slot.size & ~7), 8)
        }

    def expected(self, address: int, rules: int) -> int:
        """What stays of the word at ``address``, which has these marks."""
        value = self.world.word(address) or 0
        if address in self.scanned:
            rules |= POINTER if address in self.world.pointers else KNOWN
        known = value in TYPES
        stays = bool(rules & STAYS)
        stays |= bool(rules & POINTER) and value >= 4096 and value & ~(PAGE - 1) in self.world.pages
        stays |= bool(rules & KNOWN) and known
        stays |= bool(rules & LOOSE) and (known or value >> 26 in self.arenas)
        stays |= bool(rules & CODE) and TEXT[0] <= value < TEXT[1]
        if stays:
            return value
        part = 0xFFFFFFFF if rules & HALF else 0xFF if rules & BYTE else 0
        return value & part or int(bool(rules & SET and value))


@settings(max_examples=15, deadline=None)
@given(span_plans(3), STARTS, st.integers(0, 1 << 32))
def test_every_word(plans, start, seed):
    rng = random.Random(seed)
    world = random_world(plans, start, seed, extra=EXTRA)
    flags = allocated_flags(world, rng)
    flags[np.array([rng.random() < 0.6 for _ in flags])] |= MARKED
    words, rules, marks = words_of(world, flags), Rules(world, flags), {}
    everywhere = [page + 8 * k for page in world.pages for k in range(PAGE // 8)]
    for rule in (STAYS, POINTER, KNOWN, LOOSE, CODE, SET, BYTE, HALF):
        chosen = rng.sample(everywhere, len(everywhere) // 30)
        words.mark(np.array(chosen, dtype=np.uint64) + np.uint64(rng.randrange(8)), rule)
        for address in chosen:
            marks[address] = marks.get(address, 0) | rule
    stays = np.array(everywhere, dtype=np.uint64)
    assert words.marked(stays).tolist() == [bool(marks.get(a, 0) & STAYS) for a in everywhere]
    for first in (*world.pages, STATIC):
        length = PAGE * rng.choice((1, 2, 3))
        while first + length > (first // CHUNK + 1) * CHUNK:
            length -= PAGE
        skip = 8 * rng.randrange(PAGE // 8)
        data = b"".join(world.pages.get(first + k, bytes(PAGE)) for k in range(0, length, PAGE))[skip:]
        got = words.filtered(first + skip, np.frombuffer(data, dtype="<u8")).tolist()
        places = range(first + skip, first + length, 8)
        assert got == [rules.expected(at, marks.get(at, 0)) for at in places]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(-3, 50)), max_size=20), st.sampled_from([1, 8, 208]))
def test_spread(runs, step):
    starts = np.array([start for start, _ in runs], dtype=np.uint64)
    counts = np.array([count for _, count in runs], dtype=np.int64)
    want = [(start + step * k, row) for row, (start, count) in enumerate(runs) for k in range(count)]
    parts = list(spread(starts, counts, step))
    got = [(int(at), int(row)) for addresses, rows in parts for at, row in zip(addresses, rows, strict=True)]
    assert got == want


def test_what_no_process_has_is_passed_over():
    world = random_world([SpanPlan(48, 1)], ARENA, 1)
    words = words_of(world, allocated_flags(world, random.Random(1)))
    odd = np.array([1 << 47, (1 << 48) - 8, 1 << 48, (1 << 64) - 8, STATIC + 64 * CHUNK], dtype=np.uint64)
    for rule in (STAYS, POINTER):
        words.mark(odd, rule)
    assert not words.marked(odd).any()
    assert not words.mapped(odd).any()
    assert not words.in_arena(odd).any()
    assert words.filtered(5 * CHUNK, odd).tolist() == [0] * len(odd)
