"""Deleted entries of drawn sync.Maps and what only they keep, against a plain search over the same heap."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.heap.graph import RootKind
from mapscope.maps.deadentries import dead_entries
from mapscope.maps.facts import DeadEntries, SyncMap
from mapscope.units import Addr
from tests.unit.kernels.heaps import ALLOCATED, ARENA, GO_PAGE, MARKED, STATIC, SpanPlan, World, make_world

PROPERTY = settings(max_examples=60, deadline=None)
PLANS = [SpanPlan(0, 1), SpanPlan(0, 1), SpanPlan(208, 1), SpanPlan(8, 1), SpanPlan(16, 1)]
"""Current array, old array, overflow buckets, entries, and what takes 16 bytes: keys, values, the one of expunged."""
CURRENT, OLD, OVERFLOW, ENTRIES, BOXES = (ARENA + k * GO_PAGE for k in range(5))
EXPUNGED = BOXES
SHARED = [BOXES + 16 * k for k in range(1, 4)]
"""Keys that something else holds, too."""
READ = Addr(0xDEAD0000)
B = 4


@dataclass
class Drawn:
    """The words of a map, and what is true about it by the way it was made."""

    rng: random.Random
    words: dict[int, int] = field(default_factory=dict)
    pointers: set[int] = field(default_factory=set)
    dead_words: set[int] = field(default_factory=set)
    entries: int = 0
    dead: int = 0
    expunged: int = 0
    slots: int = 0
    boxes: int = 4
    overflow: int = 0

    def point(self, at: int, to: int) -> None:
        """A pointer word."""
        self.pointers.add(at)
        self.words[at] = to

    def box(self) -> int:
        """Another 16 bytes."""
        self.boxes += 1
        return BOXES + 16 * self.boxes

    def chain(self, bucket: int, current: bool) -> None:
        """A bucket and up to two overflow buckets; in the old array it may be evacuated."""
        evacuated = not current and self.rng.random() < 0.5
        more = self.rng.choice((0, 0, 0, 1, 2))
        for left in range(more, -1, -1):
            tops = [self.rng.choice((2, 3, 4)) if evacuated else self.top() for _ in range(8)]
            self.words[bucket] = int.from_bytes(bytes(tops), "little")
            for k, top in enumerate(tops):
                self.pointers |= {bucket + 8 + 16 * k, bucket + 16 + 16 * k, bucket + 136 + 8 * k}
                if top >= 5:
                    self.slot(bucket + 8 + 16 * k, bucket + 136 + 8 * k, current)
            if left:
                self.point(bucket + 200, OVERFLOW + 208 * self.overflow)
                bucket = OVERFLOW + 208 * self.overflow
                self.overflow += 1

    def top(self) -> int:
        return self.rng.choice((0, 1, 5, 77, 255)) if self.overflow < 30 and self.entries < 150 else 0

    def slot(self, key: int, elem: int, current: bool) -> None:
        """An entry: alive, deleted, or expunged; with a key of its own or a shared one."""
        entry = ENTRIES + 8 * self.entries
        self.entries += 1
        kind = self.rng.choice(("alive", "nil", "expunged"))
        self.point(key + 8, self.rng.choice(SHARED) if self.rng.random() < 0.3 else self.box())
        self.point(elem, entry)
        self.point(entry, {"alive": self.box(), "nil": 0, "expunged": EXPUNGED}[kind])
        if kind != "alive":
            self.dead += 1
            self.expunged += kind == "expunged"
            self.slots += current
            self.dead_words |= {key + 8, elem}


def draw(seed: int, growing: bool) -> Drawn:
    drawn = Drawn(random.Random(seed))
    for k in range(1 << B):
        drawn.chain(CURRENT + 208 * k, True)
    for k in range(1 << B - 1 if growing else 0):
        drawn.chain(OLD + 208 * k, False)
    return drawn


def reached(world: World, without: set[int]) -> set[int]:
    """Objects that the roots reach when some words point nowhere."""
    slots = {slot.base: slot for slot in world.slots}
    seen: set[int] = set()
    work = [CURRENT, OLD, EXPUNGED, *SHARED]
    while work:
        base = work.pop()
        if base not in seen:
            seen.add(base)
            work += [value for at, value in world.words_of(slots[base]) if value in slots and at not in without]
    return {slots[base].oid for base in seen}


def ask(drawn: Drawn, growing: bool, least: float = 0.0) -> tuple[DeadEntries | None, World]:
    """What the module says."""
    world = make_world(PLANS, drawn.words, static=EXPUNGED.to_bytes(8, "little"), pointers=drawn.pointers)
    flags = np.full(len(world.slots), ALLOCATED, dtype=np.uint8)
    flags[sorted(reached(world, set()))] |= MARKED
    roots = SimpleNamespace(
        regions=np.zeros((0, 5), dtype=np.int64),
        mask=np.zeros(1, dtype=np.uint8),
        loose=np.array([CURRENT, OLD, EXPUNGED, *SHARED], dtype=np.uint64),
    )
    heap: Any = SimpleNamespace(index=world.index, state=SimpleNamespace(flags=flags), roots=roots)
    (expunged,) = world.index.find(np.array([EXPUNGED], dtype=np.uint64))[0]
    graph: Any = SimpleNamespace(
        node_of=lambda ids: ids,
        roots=SimpleNamespace(
            kind=np.array([0, RootKind.GLOBAL]), word_group=np.array([1]), word_target=np.array([expunged]),
            word_address=np.array([STATIC], dtype=np.uint64),
        ),
    )  # fmt: skip
    header = SimpleNamespace(
        address=READ, B=B, buckets=CURRENT, oldbuckets=OLD if growing else 0, noldbuckets=1 << B - 1 if growing else 0
    )
    maps: Any = SimpleNamespace(table=SimpleNamespace(at=lambda address: header if address == READ else None))
    return dead_entries(heap, maps, graph, SyncMap(Addr(0x5000), READ, Addr(0), False), least), world


@PROPERTY
@given(st.integers(0, 1 << 32), st.booleans())
def test_what_dead_entries_keep_is_what_a_search_without_their_slots_does_not_find(seed: int, growing: bool) -> None:
    drawn = draw(seed, growing)
    found, world = ask(drawn, growing)
    lost = reached(world, set()) - reached(world, drawn.dead_words)
    assert found is not None
    assert (found.entries, found.dead, found.expunged) == (drawn.entries, drawn.dead, drawn.expunged)
    assert (found.slots, found.slot_bytes) == (drawn.slots, 25 * drawn.slots)
    assert found.objects == len(lost)
    assert found.object_bytes == sum(world.slots[oid].size for oid in lost)
    assert found.bytes == found.slot_bytes + found.object_bytes


def test_the_words_of_the_heap_stay_as_they_are() -> None:
    """The other marking works on a mask of its own."""
    drawn = draw(1, True)
    first, world = ask(drawn, True)
    again, other = ask(drawn, True)
    assert first == again
    assert np.array_equal(world.index.ptrmask, other.index.ptrmask)
    untouched = make_world(PLANS, drawn.words, static=EXPUNGED.to_bytes(8, "little"), pointers=drawn.pointers)
    assert np.array_equal(world.index.ptrmask, untouched.index.ptrmask)


def test_few_dead_entries_are_not_worth_a_marking() -> None:
    drawn = draw(2, False)
    share = drawn.dead / drawn.entries
    assert ask(drawn, False, share)[0] is not None
    assert ask(drawn, False, share + 0.01)[0] is None


@pytest.mark.parametrize("start", [CURRENT, OVERFLOW])
def test_a_ring_of_overflow_buckets_ends(start: int) -> None:
    """Each entry still counts once."""
    drawn = draw(3, False)
    drawn.words = {at: value for at, value in drawn.words.items() if (at - CURRENT) % 208 != 200 or at >= OVERFLOW}
    drawn.point(CURRENT + 200, OVERFLOW)
    drawn.point(OVERFLOW + 200, start)
    found, _ = ask(drawn, False)
    assert found is not None
    assert found.dead <= found.entries <= drawn.entries
