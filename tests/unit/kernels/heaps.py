"""Small heaps made in memory: a Memory, a HeapIndex over it, and a plain model of both that no kernel had a hand in."""

from __future__ import annotations

import bisect
import importlib
import random
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from mapscope.evidence.memory import Memory
from mapscope.goruntime.index import GO_PAGE, SPAN_DTYPE, HeapIndex, build_index

PAGE = 4096
ARENA = 0xC000000000
CHUNK = 1 << 26
STATIC = 0x500000
STATIC_PAGES = 4
ALLOCATED, MARKED, QUEUED = 1, 2, 4
SIDES = ("compiled", "reference")

SIZES = (8, 16, 24, 32, 48, 96, 112, 208, 512, 576, 1024, 1152, 2048, 4096, 8192)
"""Slot sizes of the synthetic spans, most of them Go's size classes."""


def kernel(side: str, name: str) -> ModuleType:
    """One side of a kernel module."""
    if side == "reference":
        return importlib.import_module(f"mapscope._kernels.reference.{name}")
    return pytest.importorskip(f"mapscope._kernels._{name}", reason="the kernels are not built")


@dataclass(frozen=True)
class SpanPlan:
    """One span: slot size in bytes (0: one slot over all pages), 8 KB pages, kind, gap before it in 8 KB pages.

    ``place``: ``run`` lies in one piece in the evidence, ``scattered`` page by page anywhere, ``holes`` misses the
    pages of ``missing`` (a bit mask), ``zeros`` is pages that the evidence vouches for without bytes.
    """

    size: int
    pages: int
    noscan: bool = False
    header: bool = False
    gap: int = 0
    place: str = "run"
    missing: int = 0

    @property
    def elemsize(self) -> int:
        return self.size or self.pages * GO_PAGE

    @property
    def nelems(self) -> int:
        return self.pages * GO_PAGE // self.elemsize


@dataclass
class Slot:
    """One slot, as the model knows it."""

    oid: int
    base: int
    size: int
    span: int
    index: int


@dataclass
class World:
    """A heap and its model. ``bytes_at`` holds every page that the evidence has, by address."""

    memory: Memory
    index: HeapIndex
    plans: list[SpanPlan]
    slots: list[Slot]
    pages: dict[int, bytes]
    pointers: set[int] = field(default_factory=set)
    """Addresses of pointer words."""

    def read(self, address: int, size: int) -> bytes | None:
        out = b""
        while size:
            page = self.pages.get(address & ~(PAGE - 1))
            if page is None:
                return None
            at = address & (PAGE - 1)
            part = page[at : at + size]
            out += part
            address += len(part)
            size -= len(part)
        return out

    def word(self, address: int) -> int | None:
        data = self.read(address, 8)
        return None if data is None else int.from_bytes(data, "little")

    def slot_at(self, address: int) -> Slot | None:
        at = bisect.bisect_right(self.slots, address, key=lambda slot: slot.base) - 1
        return self.slots[at] if at >= 0 and address < self.slots[at].base + self.slots[at].size else None

    def words_of(self, slot: Slot) -> list[tuple[int, int]]:
        """Address and value of the pointer words that the evidence has."""
        found = []
        for address in range(slot.base, slot.base + (slot.size & ~7), 8):
            if address in self.pointers and (value := self.word(address)) is not None:
                found.append((address, value))
        return found

    def span_of(self, slot: Slot) -> SpanPlan:
        return self.plans[slot.span]


def lay_out(plans: list[SpanPlan], start: int) -> list[int]:
    """Where the spans begin."""
    at, bases = start, []
    for plan in plans:
        at += plan.gap * GO_PAGE
        bases.append(at)
        at += plan.pages * GO_PAGE
    return bases


def make_world(
    plans: list[SpanPlan],
    contents: dict[int, int] | None = None,
    *,
    start: int = ARENA,
    shuffle: int = 0,
    static: bytes = b"",
    pointers: set[int] | None = None,
) -> World:
    """The heap of these spans. ``contents``: words by address; ``static``: the bytes at STATIC; ``pointers``:
    addresses of pointer words, which go into the pointer mask."""
    bases = lay_out(plans, start)
    image: dict[int, bytearray] = {}
    for base, plan in zip(bases, plans, strict=True):
        for k in range(plan.pages * GO_PAGE // PAGE):
            if not (plan.place == "holes" and plan.missing >> k & 1):
                image[base + k * PAGE] = bytearray(PAGE)
    zeros = {
        base + k * PAGE
        for base, plan in zip(bases, plans, strict=True)
        if plan.place == "zeros"
        for k in range(plan.pages * GO_PAGE // PAGE)
    }
    for k in range(STATIC_PAGES):
        image[STATIC + k * PAGE] = bytearray(static[k * PAGE : (k + 1) * PAGE].ljust(PAGE, b"\0"))
    for address, value in (contents or {}).items():
        page = address & ~(PAGE - 1)
        if page in image and page not in zeros:
            image[page][address - page : address - page + 8] = (value & (1 << 64) - 1).to_bytes(8, "little")
    runs = {base: plan.pages * GO_PAGE // PAGE for base, plan in zip(bases, plans, strict=True) if plan.place == "run"}
    memory = _memory(image, zeros, runs, random.Random(shuffle))
    spans = np.zeros(len(plans), dtype=SPAN_DTYPE)
    for row, base, plan in zip(spans, bases, plans, strict=True):
        row["base"], row["elemsize"], row["bytes"], row["nelems"] = (
            base,
            plan.elemsize,
            plan.pages * GO_PAGE,
            plan.nelems,
        )
        row["noscan"], row["header"] = plan.noscan, plan.header
    last = bases[-1] + plans[-1].pages * GO_PAGE if plans else start
    index = build_index(memory.page_table(range(start >> 26, ((last - 1) >> 26) + 1)), spans)
    slots = []
    for s, (base, plan) in enumerate(zip(bases, plans, strict=True)):
        slots += [Slot(len(slots) + k, base + k * plan.elemsize, plan.elemsize, s, k) for k in range(plan.nelems)]
    pages = {address: bytes(page) for address, page in image.items()}
    world = World(memory, index, plans, slots, pages, set(pointers or ()))
    for address in world.pointers:
        set_pointer_bit(index, address)
    return world


def _memory(image: dict[int, bytearray], zeros: set[int], runs: dict[int, int], rng: random.Random) -> Memory:
    """Lays the pages into one buffer in an order of its own, those of a run together; address zero of it stays
    unused."""
    groups = []
    inside = set()
    for base, count in runs.items():
        groups.append([base + k * PAGE for k in range(count)])
        inside.update(groups[-1])
    groups += [[address] for address in image if address not in inside and address not in zeros]
    rng.shuffle(groups)
    buffer, where = bytearray(rng.randrange(0, 4096)), []
    for group in groups:
        for address in group:
            where.append((address, len(buffer)))
            buffer += image[address]
        buffer += bytes(rng.randrange(0, 64))
    memory = Memory()
    number = memory.add_buffer(bytes(buffer))
    for address, offset in where:
        memory.add(address, PAGE, number, offset)
    for address in zeros:
        memory.add(address, PAGE, number, -1)
    return memory


def set_pointer_bit(index: HeapIndex, address: int) -> None:
    """One bit of the pointer mask, by the definition in HeapIndex."""
    bit = (int(index.chunk_slot[address >> 26]) << 23) + (address % CHUNK >> 3)
    index.ptrmask[bit >> 6] |= np.uint64(1 << (bit & 63))


def pointer_bits(index: HeapIndex, slot: Slot) -> list[bool]:
    """The pointer mask of a slot, one flag a word."""
    out = []
    for address in range(slot.base, slot.base + (slot.size & ~7), 8):
        bit = (int(index.chunk_slot[address >> 26]) << 23) + (address % CHUNK >> 3)
        out.append(bool(int(index.ptrmask[bit >> 6]) >> (bit & 63) & 1))
    return out


@st.composite
def span_plans(draw: st.DrawFn, most: int = 6) -> list[SpanPlan]:
    """Spans of different classes, one after the other, with and without gaps."""
    plans = []
    for _ in range(draw(st.integers(1, most))):
        pages = draw(st.integers(1, 3))
        size = draw(st.sampled_from([size for size in SIZES if size <= pages * GO_PAGE] + [0]))
        noscan = draw(st.booleans())
        elemsize = size or pages * GO_PAGE
        header = not noscan and elemsize > 512 and draw(st.booleans())
        place = draw(st.sampled_from(["run", "run", "scattered", "holes", "zeros"]))
        missing = draw(st.integers(0, (1 << 2 * pages) - 1)) if place == "holes" else 0
        plans.append(SpanPlan(size, pages, noscan, header, draw(st.integers(0, 2)), place, missing))
    return plans


STARTS = st.sampled_from([ARENA, ARENA + CHUNK - 2 * GO_PAGE, 0x7F0000000000])
"""The second lets spans lie across the border of two chunks, the third is where 1.26 may put a heap."""


def interesting(world_slots: list[tuple[int, int]], rng: random.Random) -> int:
    """A word as it may lie in a heap: nil, a start, an inside, a byte behind, static data, or noise."""
    kind = rng.randrange(10)
    if kind == 0 or not world_slots:
        return rng.choice((0, 1, 4095, 4096, rng.getrandbits(64)))
    if kind == 1:
        return STATIC + rng.randrange(STATIC_PAGES * PAGE + 64)
    base, size = rng.choice(world_slots)
    if kind == 2:
        return base + size + rng.randrange(0, 3 * GO_PAGE)
    if kind <= 5:
        return base + rng.randrange(size)
    if kind == 6:
        return base + 8
    return base


def random_world(plans: list[SpanPlan], start: int, seed: int, *, extra: tuple[int, ...] = ()) -> World:
    """A heap whose words and pointer bits are drawn. ``extra``: values that shall lie here and there as well."""
    rng = random.Random(seed)
    bases = lay_out(plans, start)
    slots = [
        (base + k * plan.elemsize, plan.elemsize)
        for base, plan in zip(bases, plans, strict=True)
        for k in range(plan.nelems)
    ]
    contents, pointers = {}, set()
    density = rng.choice((0.1, 0.5, 0.9))
    full = rng.choice((0.02, 0.2, 1.0))
    for base, plan in zip(bases, plans, strict=True):
        for k in range(plan.nelems):
            slot = base + k * plan.elemsize
            for address in range(slot, slot + (plan.elemsize & ~7), 8):
                if rng.random() < full:
                    contents[address] = rng.choice(extra) if extra and rng.random() < 0.2 else interesting(slots, rng)
                if not plan.noscan and not (plan.header and address == slot) and rng.random() < density:
                    pointers.add(address)
    static = b"".join(
        (rng.choice(extra) if extra and rng.random() < 0.3 else interesting(slots, rng)).to_bytes(8, "little")
        for _ in range(STATIC_PAGES * PAGE // 8)
    )
    return make_world(plans, contents, start=start, shuffle=seed, static=static, pointers=pointers)


def allocated_flags(world: World, rng: random.Random, share: float = 0.8) -> np.ndarray:
    """Flags with bit 0 for a part of the slots."""
    return np.array([ALLOCATED if rng.random() < share else 0 for _ in world.slots], dtype=np.uint8)


def fake_types(**fields: Any) -> SimpleNamespace:
    """Something with the fields of a frozen TypeTable."""
    return SimpleNamespace(**fields)
