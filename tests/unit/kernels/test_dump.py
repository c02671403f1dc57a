"""Walking and laying out heap dumps, on dumps that the test itself writes: what was written must be found."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope._kernels.reference.dump import CUT, DONE, FULL, NEXT, OTHERS, POSITION, SPANS, SPOILED
from mapscope.evidence.heapdump import CLASS_TO_PAGES, CLASS_TO_SIZE, SHAPES, class_pages
from mapscope.evidence.memory import Memory
from mapscope.evidence.paged import Paged
from mapscope.goruntime.index import GO_PAGE, SPAN_DTYPE, build_index
from mapscope.lab import toolchains
from tests.groundtruth.variants import SERIES
from tests.unit.kernels.heaps import ARENA, SIDES, kernel

PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 1 << 32)
KEPT = bytes(1 if 2 <= tag <= 13 else 0 for tag in range(len(SHAPES)))
PAGES = dict(zip(CLASS_TO_SIZE, CLASS_TO_PAGES, strict=True))


def number(value: int) -> bytes:
    """A varint, as encoding/binary writes it."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def run(data: bytes) -> bytes:
    return number(len(data)) + data


def pointers(offsets: list[int]) -> bytes:
    return b"".join(number(1) + number(offset) for offset in offsets) + number(0)


@dataclass
class Thing:
    """An object as written."""

    address: int
    data: bytes
    fields: list[int]

    @property
    def record(self) -> bytes:
        return number(1) + number(self.address) + run(self.data) + pointers(self.fields)


@dataclass
class Laid:
    """A span as written: ``objects`` by slot."""

    base: int
    size: int
    pages: int
    objects: dict[int, Thing]


@dataclass
class Written:
    """A dump and what it holds. ``others``: (tag, offset of its body, numbers of its fields)."""

    data: bytearray = field(default_factory=bytearray)
    spans: list[Laid] = field(default_factory=list)
    others: list[tuple[int, int, list[int]]] = field(default_factory=list)

    @property
    def array(self) -> np.ndarray:
        return np.frombuffer(bytes(self.data), dtype=np.uint8)


def other_record(rng: random.Random, written: Written) -> None:
    """A record of another kind, with the numbers that ``decode`` shall give."""
    tag = rng.randrange(2, len(SHAPES))
    written.data += number(tag)
    body, found = len(written.data), []
    for letter in SHAPES[tag].decode():
        if letter == "v":
            found.append(rng.choice((0, 1, 127, 128, rng.getrandbits(64), (1 << 64) - 1)))
            written.data += number(found[-1])
        elif letter == "s":
            text = rng.randbytes(rng.choice((0, 1, 200)))
            written.data += run(text)
            found += [len(written.data) - len(text), len(text)]
        elif letter == "f":
            found.append(len(written.data))
            written.data += pointers([8 * rng.randrange(1 << 20) for _ in range(rng.randrange(4))])
        else:
            count = rng.randrange(3)
            written.data += number(count)
            for _ in range(count):
                written.data += run(rng.randbytes(rng.randrange(9))) + run(b"file.go") + number(rng.getrandbits(20))
    if KEPT[tag]:
        written.others.append((tag, body, found))


def write(rng: random.Random, spans: int) -> Written:
    """A dump of this many spans, in any order of addresses, with other records behind them."""
    written = Written()
    sizes = [rng.choice((*CLASS_TO_SIZE, 8, 16, 48, 5 * GO_PAGE, 40 * GO_PAGE)) for _ in range(spans)]
    bases, at = [], ARENA + rng.randrange(4) * GO_PAGE
    for size in sizes:
        at += rng.choice((0, 0, 1, 7)) * GO_PAGE
        bases.append(at)
        at += PAGES.get(size, size // GO_PAGE) * GO_PAGE
    order = list(zip(bases, sizes, strict=True))
    rng.shuffle(order)
    for base, size in order:
        count = PAGES.get(size, size // GO_PAGE)
        slots = sorted(rng.sample(range(n := count * GO_PAGE // size), rng.randint(1, min(n, 40))))
        scan = rng.random() < 0.6
        laid = Laid(base, size, count, {})
        for slot in slots:
            words = sorted(rng.sample(range(size // 8), rng.randrange(min(size // 8, 6) + 1))) if scan else []
            thing = Thing(base + slot * size, rng.randbytes(size), [8 * word for word in words])
            laid.objects[slot] = thing
            written.data += thing.record
        written.spans.append(laid)
    for _ in range(rng.randrange(12)):
        other_record(rng, written)
    written.data += number(0)
    return written


def walk(side: str, data: np.ndarray, room: int = 4096) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Answer, state and filled rows; outputs grow by ``room`` rows when they are full."""
    state = np.zeros(5, dtype=np.int64)
    spans, others = np.zeros((room, 5), dtype=np.int64), np.zeros((room, 2), dtype=np.int64)
    while (answer := kernel(side, "dump").scan(data, SHAPES, KEPT, class_pages(), state, spans, others)) == FULL:
        spans = np.concatenate([spans, np.zeros((room, 5), dtype=np.int64)])
        others = np.concatenate([others, np.zeros((room, 2), dtype=np.int64)])
    return answer, state, spans[: state[SPANS]], others[: state[OTHERS]]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS, spans=st.integers(1, 12), room=st.integers(1, 9))
def test_every_span_and_record_is_found(side: str, seed: int, spans: int, room: int) -> None:
    written = write(random.Random(seed), spans)
    answer, state, rows, others = walk(side, written.array, room)
    assert answer == DONE
    assert state[POSITION] == len(written.data)
    found = [(base, size, count, bool(pointing)) for base, size, _, count, pointing in rows.tolist()]
    assert found == [
        (one.base, one.size, len(one.objects), any(thing.fields for thing in one.objects.values()))
        for one in written.spans
    ]
    for one, (_, _, at, _, _) in zip(written.spans, rows.tolist(), strict=True):
        first = min(one.objects)
        assert written.data[at:].startswith(one.objects[first].record)
    assert others.tolist() == [[tag, body] for tag, body, _ in written.others]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS)
def test_records_are_decoded(side: str, seed: int) -> None:
    written = write(random.Random(seed), 1)
    for tag, body, numbers in written.others:
        out = np.zeros((1, len(numbers)), dtype=np.uint64)
        assert kernel(side, "dump").decode(written.array, SHAPES[tag], np.array([body]), out) == 1
        assert out[0].tolist() == numbers


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS, spans=st.integers(1, 12), lost=st.integers(0, 3))
def test_objects_are_laid_out(side: str, seed: int, spans: int, lost: int) -> None:
    """Contents, allocated slots and pointer bits; what lies behind the last slot of a span is dropped and counted."""
    written = write(random.Random(seed), spans)
    _, _, rows, _ = walk("reference", written.array)
    order = np.argsort(rows[:, 0], kind="stable")
    rows, laid = np.ascontiguousarray(rows[order]), sorted(written.spans, key=lambda one: one.base)
    table = np.zeros(len(rows), dtype=SPAN_DTYPE)
    table["base"], table["elemsize"] = rows[:, 0], rows[:, 1]
    table["bytes"] = [one.pages * GO_PAGE for one in laid]
    table["nelems"] = [max(1, one.pages * GO_PAGE // one.size - lost) for one in laid]
    paged = Paged(rows[:, 0], table["bytes"].astype(np.int64))
    memory = Memory()
    paged.lay(memory)
    index = build_index(memory.page_table(), table)
    flags = np.zeros(index.nobjects, dtype=np.uint8)
    places = paged.places(rows[:, 0])
    dropped = kernel(side, "dump").fill(written.array, rows, paged.bytes, places, index, flags, index.ptrmask)
    gone = 0
    bits: set[int] = set()
    for one, row in zip(laid, index.spans, strict=True):
        for slot in range(one.pages * GO_PAGE // one.size):
            thing = one.objects.get(slot)
            if slot >= row["nelems"]:
                gone += thing is not None
                continue
            assert flags[row["first"] + slot] == (thing is not None)
            if thing is not None:
                assert memory.read(thing.address, one.size) == thing.data
                bits.update(int(row["maskbit"]) + slot * (one.size // 8) + offset // 8 for offset in thing.fields)
    assert dropped == gone
    assert set(np.flatnonzero(np.unpackbits(index.ptrmask.view(np.uint8), bitorder="little")).tolist()) == bits


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS)
def test_a_dump_cut_anywhere_is_said_to_be_cut(side: str, seed: int) -> None:
    rng = random.Random(seed)
    written = write(rng, 3)
    at = rng.randrange(len(written.data))
    answer, state, _, _ = walk(side, written.array[:at])
    assert answer == CUT
    assert state[POSITION] <= at


@PROPERTY
@given(seed=SEEDS, changes=st.integers(1, 6))
def test_spoiled_dumps_are_read_the_same_by_both(seed: int, changes: int) -> None:
    rng = random.Random(seed)
    written = write(rng, 3)
    for _ in range(changes):
        written.data[rng.randrange(len(written.data))] = rng.choice((0, 1, 8, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    sides = [walk(side, written.array, 7) for side in SIDES]
    for ours, theirs in zip(*sides, strict=True):
        assert np.array_equal(ours, theirs)
    assert sides[0][0] in (DONE, CUT, SPOILED)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "record",
    [
        number(18) + number(0),
        number(1 << 40),
        b"\xff" * 9 + b"\x02",
        Thing(ARENA + 4, bytes(8), []).record,
        Thing(ARENA, bytes(12), []).record,
        Thing(ARENA, bytes(56), []).record,
        Thing(ARENA, b"", []).record,
        Thing(0, bytes(8), []).record,
        Thing(1 << 48, bytes(8), []).record,
        Thing(ARENA + 8192 - 8, bytes(16), []).record,
        Thing(ARENA + 8, bytes(40960), []).record,
        Thing(ARENA, bytes(48), [48]).record,
        Thing(ARENA, bytes(48), [4]).record,
        Thing(ARENA, bytes(48), [1 << 62]).record,
        number(1) + number(ARENA) + run(bytes(8)) + number(2) + number(0) + number(0),
    ],
    ids=[
        "tag",
        "large tag",
        "long number",
        "address",
        "odd size",
        "no class",
        "empty",
        "nil",
        "too high",
        "border",
        "large",
        "behind",
        "odd",
        "far",
        "kind",
    ],
)
def test_what_no_writer_writes_is_spoiled(side: str, record: bytes) -> None:
    good = Thing(ARENA + (1 << 20), bytes(48), [0]).record
    answer, state, rows, _ = walk(side, np.frombuffer(good + record + number(0), dtype=np.uint8))
    assert answer == SPOILED
    assert state[POSITION] == state[NEXT] == len(good)
    assert len(rows) == 1


@pytest.mark.parametrize("side", SIDES)
def test_pointer_fields_of_a_segment(side: str) -> None:
    rng = random.Random(1)
    offsets = sorted(8 * word for word in rng.sample(range(1000), 77))
    bits = np.zeros(126, dtype=np.uint8)
    data = np.frombuffer(b"xyz" + pointers(offsets), dtype=np.uint8)
    assert kernel(side, "dump").field_bits(data, 3, 8000, bits) == 0
    assert (8 * np.flatnonzero(np.unpackbits(bits, bitorder="little"))).tolist() == offsets
    assert kernel(side, "dump").field_bits(data, 3, max(offsets), np.zeros(126, dtype=np.uint8)) == 1


@pytest.mark.parametrize("side", SIDES)
def test_copies_stay_inside(side: str) -> None:
    data = np.arange(100, dtype=np.uint8)
    target = np.zeros(64, dtype=np.uint8)
    runs = [(10, 8, 0), (0, 64, 0), (95, 5, 59), (95, 6, 8), (10, 8, 60), (-1, 8, 8), (10, -8, 8), (1 << 62, 8, 8)]
    offsets, sizes, places = (np.array(column, dtype=np.int64) for column in zip(*runs, strict=True))
    kernel(side, "dump").copy(data, offsets, sizes, target, places)
    assert target.tolist() == [*range(59), *range(95, 100)]


@pytest.mark.parametrize("size", CLASS_TO_SIZE)
def test_no_object_fits_two_spans(size: int) -> None:
    """Size and address of an object leave one place for its span: what ``scan`` stands on."""
    pages = PAGES[size]
    base = 64 * GO_PAGE
    for slot in range(pages * GO_PAGE // size):
        address = base + slot * size
        fits = [
            page
            for page in range(address // GO_PAGE - pages, address // GO_PAGE + 1)
            if (within := address - page * GO_PAGE) >= 0 and within % size == 0 and within + size <= pages * GO_PAGE
        ]
        assert fits == [64]


@pytest.mark.toolchain
@pytest.mark.parametrize("series", SERIES)
def test_the_size_classes_are_those_of_the_release(series: str) -> None:
    import re

    found = toolchains.find(series)
    if found is None:
        pytest.skip(f"no Go {series} toolchain")
    text = ""
    for name in ("runtime/sizeclasses.go", "internal/runtime/gc/sizeclasses.go"):
        source = found.goroot / "src" / name
        text += source.read_text(encoding="utf-8") if source.exists() else ""
    tables = {}
    for name in ("class_?to_?size", "class_?to_?(?:alloc)?n?pages"):
        match = re.search(rf"(?i)\b(?:size)?{name}\s*=\s*\[.*?\{{(.*?)\}}", text)
        assert match, name
        tables[name] = tuple(int(value) for value in match[1].split(","))[1:]
    assert tuple(tables.values()) == (CLASS_TO_SIZE, CLASS_TO_PAGES)
