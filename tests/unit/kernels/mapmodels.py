"""Maps made by hand: images of classic and Swiss maps in memory, and what was put into them."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from tests.unit.kernels.heaps import ALLOCATED, ARENA, GO_PAGE, MARKED, SpanPlan, World, lay_out, make_world

KEY, ELEM = 16, 8
"""A string, and a pointer or a number."""
BUCKET = 8 + 8 * KEY + 8 * ELEM + 8
GROUP = 8 + 8 * (KEY + ELEM)
STRINGS = 64
"""Bytes of the objects that keys and elems lie in."""
LAY = np.array([0, 2, 4, 6, 8, 16, 24], dtype=np.uint64)
"""Offsets in ``maps.table`` of used, capacity, growthLeft, localDepth, index, groups.data, groups.lengthMask (64
bit)."""


def pages_for(size: int) -> int:
    return max(1, -(-size // GO_PAGE))


class Space:
    """Spans that are filled from their start. Spans: 0 current arrays, 1 old array, 2 overflow buckets or tables, 3
    objects, 4 directory."""

    def __init__(self, plans: list[SpanPlan]) -> None:
        self.plans = plans
        self.bases = lay_out(plans, ARENA)
        self.used = [0] * len(plans)
        self.words: dict[int, int] = {}

    def take(self, span: int) -> int:
        """A slot that nobody has."""
        plan = self.plans[span]
        assert self.used[span] < plan.nelems, "the span of the test is too small"
        self.used[span] += 1
        return self.bases[span] + (self.used[span] - 1) * plan.elemsize

    def put(self, address: int, *words: int) -> None:
        for k, word in enumerate(words):
            self.words[address + 8 * k] = word & (1 << 64) - 1

    def world(self) -> World:
        return make_world(self.plans, self.words)


@dataclass
class Strings:
    """What the string keys of a map should add up to."""

    keys: int = 0
    length: int = 0
    objects: set[int] = field(default_factory=set)
    copies: int = 0

    def put(self, space: Space, rng: random.Random, pool: list[int], address: int) -> None:
        """One string header: of a heap object, of static data, or empty."""
        kind = rng.randrange(6)
        if kind == 0:
            space.put(address, 0x500000 + rng.randrange(64), rng.randrange(1, 16))
        elif kind == 1:
            space.put(address, rng.choice(pool), 0)
        elif kind == 2:
            space.put(address, rng.choice(pool) + 50, 15)  # runs out of its object: not believed
        else:
            base, inside = rng.choice(pool), rng.randrange(32)
            length = rng.randint(1, 32)
            space.put(address, base + inside, length)
            self.keys += 1
            self.length += length
            self.objects.add(base)
            self.copies += -(-length // 8) * 8

    def sums(self) -> list[int]:
        return [self.keys, self.length, STRINGS * len(self.objects), len(self.objects), self.copies]


ROUNDED = (np.arange(4097) * 8).astype(np.uint32)
"""Size classes of a runtime that has one every eight bytes."""


@dataclass
class Classic:
    """A classic map in memory, and its truth by the names of CLASSIC_OUT."""

    world: World
    flags: np.ndarray
    row: np.ndarray
    truth: Counter[str]
    occupancy: Counter[int]
    chains: Counter[int]
    strings: Strings


def classic_row(
    b: int,
    same: int,
    buckets: int,
    old: int,
    count: int,
    *,
    indirect_key: int = 0,
    indirect_elem: int = 0,
    size: int = BUCKET,
) -> np.ndarray:
    return np.array(
        [b, same, buckets, old, count, size, 8, KEY, indirect_key, 8 + 8 * KEY, ELEM, indirect_elem], dtype=np.uint64
    )


class ClassicBuilder:
    """Fills buckets, cell by cell."""

    def __init__(self, rng: random.Random, b: int, *, growing: bool, same: bool, indirect: bool) -> None:
        self.rng, self.b, self.same, self.indirect = rng, b, same, indirect
        self.number = 1 << b
        self.old_number = (self.number if same else self.number >> 1) if growing else 0
        self.tail = max(1, self.number >> 2)
        plans = [
            SpanPlan(0, pages_for((self.number + self.tail) * BUCKET), place=rng.choice(("run", "scattered"))),
            SpanPlan(0, pages_for(max(1, self.old_number + self.tail) * BUCKET), gap=1),
            SpanPlan(
                BUCKET + BUCKET % 16, pages_for(4 * (self.number + self.old_number + 4) * BUCKET), place="scattered"
            ),
            SpanPlan(STRINGS, 8, noscan=True),
        ]
        self.space = Space(plans)
        self.array, self.old = self.space.take(0), self.space.take(1)
        self.pool = [self.space.take(3) for _ in range(200)]
        self.truth: Counter[str] = Counter()
        self.occupancy: Counter[int] = Counter()
        self.chains: Counter[int] = Counter()
        self.strings = Strings()
        self.freed: set[int] = set()

    def cells(self, address: int) -> int:
        """A bucket that is not evacuated; how many entries it got."""
        rng, live, top = self.rng, 0, 0
        for k in range(8):
            byte = rng.choice((0, 1, 4 if k else 0, 5, 6, 127, 128, 200, 255))  # 4 as the first: evacuated
            top |= byte << 8 * k
            key, elem = address + 8 + KEY * k, address + 8 + 8 * KEY + ELEM * k
            if byte < 5:
                self.space.put(key, rng.choice(self.pool), 3)  # left behind by a delete: must not count
                continue
            live += 1
            if self.indirect:
                self.space.put(key, rng.choice((rng.choice(self.pool), 0, 0x500000)))
                self.truth["indirect"] += STRINGS if self.space.words[key] in self.pool else 0
                self.space.put(elem, rng.choice(self.pool) + 3)
                self.truth["indirect"] += STRINGS
            else:
                self.strings.put(self.space, rng, self.pool, key)
        self.space.put(address, top)
        return live

    def overflow(self, tails: list[int]) -> tuple[int, int]:
        """An overflow bucket: address, and bytes outside the array."""
        if tails and self.rng.random() < 0.5:
            return tails.pop(), 0
        return self.space.take(2), self.space.plans[2].elemsize

    def current(self) -> None:
        tails = [self.array + (self.number + k) * BUCKET for k in range(self.tail)]
        for b in range(self.number):
            at = self.array + b * BUCKET
            live, length = self.cells(at), self.rng.choice((0, 0, 0, 1, 2, 3))
            for _ in range(length):
                over, size = self.overflow(tails)
                self.space.put(at + BUCKET - 8, over)
                self.truth["overflow"] += 1
                self.truth["overflow_bytes"] += size
                live += self.cells(over)
                at = over
            self.truth["live"] += live
            self.occupancy[live] += 1
            self.chains[length] += 1

    def former(self) -> None:
        tails = [self.old + (self.old_number + k) * BUCKET for k in range(self.tail)]
        for b in range(self.old_number):
            at = self.old + b * BUCKET
            evacuated = self.rng.random() < 0.5
            freed = evacuated and self.rng.random() < 0.3
            unlinked = evacuated and not freed and self.rng.random() < 0.5  # by Go, at the first bucket
            self.truth["live"] += 0 if evacuated else self.cells(at)
            if evacuated:
                self.truth["evacuated"] += 1
                self.space.put(at, int.from_bytes(bytes(self.rng.choice((2, 3, 4)) for _ in range(8)), "little"))
            held = not unlinked
            for _ in range(self.rng.choice((0, 0, 1, 2))):
                over, size = self.overflow([] if freed else tails)
                self.space.put(at + BUCKET - 8, 0 if unlinked and at == self.old + b * BUCKET else over)
                if freed:
                    self.freed.add(over)
                elif evacuated:
                    held = held or size == 0  # it lies in the array: nobody clears it
                    if held:
                        self.truth["old_overflow_bytes"] += size
                    else:
                        self.freed.add(over)
                    self.space.put(over, 0x0404040404040404)
                else:
                    self.truth["old_overflow"] += 1
                    self.truth["old_overflow_bytes"] += size
                    self.truth["live"] += self.cells(over)
                at = over

    def build(self) -> Classic:
        self.current()
        self.former()
        world = self.space.world()
        flags = np.full(world.index.nobjects, ALLOCATED | MARKED, dtype=np.uint8)
        for address in self.freed:
            slot = world.slot_at(address)
            assert slot is not None
            flags[slot.oid] = ALLOCATED
        row = classic_row(
            self.b,
            self.same,
            self.array,
            self.old if self.old_number else 0,
            self.truth["live"],
            indirect_key=self.indirect,
            indirect_elem=self.indirect,
        )
        return Classic(world, flags, row, self.truth, self.occupancy, self.chains, self.strings)


@dataclass
class Swiss:
    """A Swiss map in memory, and its truth by the names of SWISS_OUT."""

    world: World
    row: np.ndarray
    truth: Counter[str]
    occupancy: Counter[int]
    tables: list[tuple[int, ...]]
    strings: Strings


def swiss_row(directory: int, length: int, *, indirect: int = 0, scan: int = 1) -> np.ndarray:
    return np.array(
        [directory, length, GROUP, 8, KEY + ELEM, indirect, 8 + KEY, KEY + ELEM, indirect, scan], dtype=np.uint64
    )


class SwissBuilder:
    """Fills groups, cell by cell."""

    def __init__(self, rng: random.Random, depth: int, *, indirect: bool) -> None:
        self.rng, self.depth, self.indirect = rng, depth, indirect
        entries = 1 << depth
        self.capacities = [rng.choice((8, 16, 32, 64)) for _ in range(entries)]
        plans = [
            *(SpanPlan(0, pages_for(capacity // 8 * GROUP), gap=k % 2) for k, capacity in enumerate(self.capacities)),
            SpanPlan(32, 1),
            SpanPlan(STRINGS, 8, noscan=True),
            SpanPlan(0, pages_for(8 * entries)),
        ]
        self.space = Space(plans)
        self.table_span, self.object_span, self.directory_span = entries, entries + 1, entries + 2
        self.pool = [self.space.take(self.object_span) for _ in range(200)]
        self.truth: Counter[str] = Counter()
        self.occupancy: Counter[int] = Counter()
        self.tables: list[tuple[int, ...]] = []
        self.strings = Strings()

    def group(self, address: int) -> tuple[int, int]:
        """One group; its full and deleted cells."""
        rng, control, full, deleted = self.rng, 0, 0, 0
        for k in range(8):
            byte = rng.choice((0x80, 0x80, 0xFE, 0, 1, 0x7F))
            control |= byte << 8 * k
            key = address + 8 + k * (KEY + ELEM)
            if byte & 0x80:
                deleted += byte == 0xFE
                self.space.put(key, rng.choice(self.pool), 3)  # left behind by a delete: must not count
                continue
            full += 1
            if self.indirect:
                self.space.put(key, rng.choice(self.pool) + rng.randrange(STRINGS))
                self.space.put(key + KEY, rng.choice((rng.choice(self.pool), 0)))
                self.truth["indirect"] += STRINGS * (1 + (self.space.words[key + KEY] != 0))
            else:
                self.strings.put(self.space, rng, self.pool, key)
        self.space.put(address, control)
        self.truth["live"] += full
        self.occupancy[full] += 1
        return full, deleted

    def table(self, k: int, depth: int, index: int) -> int:
        """A table with its groups; its address."""
        capacity, data, address = self.capacities[k], self.space.take(k), self.space.take(self.table_span)
        cells = [self.group(data + g * GROUP) for g in range(capacity // 8)]
        used, deleted = sum(full for full, _ in cells), sum(gone for _, gone in cells)
        limit = capacity * 7 // 8 if capacity > 8 else capacity - 1
        growth = max(0, limit - used - deleted)
        tombs = max(0, limit - used - growth)
        self.space.put(address, used | capacity << 16 | growth << 32 | depth << 48, index, data, capacity // 8 - 1)
        for name, value in (
            ("used", used), ("tables", 1), ("groups", capacity // 8), ("capacity", capacity), ("growth_left", growth),
            ("tombstones", tombs), ("table_bytes", 32), ("group_bytes", self.space.plans[k].elemsize),
        ):  # fmt: skip
            self.truth[name] += value
        self.tables.append((address, used, capacity, growth, depth, index & (1 << 64) - 1, tombs, 0))
        return address

    def small(self) -> Swiss:
        """A map of one group, without a directory."""
        data = self.space.take(0)
        self.group(data)
        self.truth.update(groups=1, capacity=8, group_bytes=self.space.plans[0].elemsize)
        return self._done(swiss_row(data, 0, indirect=self.indirect))

    def large(self) -> Swiss:
        """A directory in which each table fills a run whose length is a power of two."""
        directory, k = self.space.take(self.directory_span), 0
        while k < 1 << self.depth:
            run = 1 << self.rng.choice([bits for bits in range(self.depth + 1) if k % (1 << bits) == 0])
            table = self.table(k, self.depth - run.bit_length() + 1, self.rng.choice((k, -1)))
            self.space.put(directory + 8 * k, *[table] * run)
            k += run
        return self._done(swiss_row(directory, 1 << self.depth, indirect=self.indirect))

    def _done(self, row: np.ndarray) -> Swiss:
        return Swiss(self.space.world(), row, self.truth, self.occupancy, self.tables, self.strings)
