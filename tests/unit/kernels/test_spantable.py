"""From the runtime's spans to the index: verdicts, overlaps, and the tables, against the words of the definitions."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope._kernels.reference.spantable import BAD, FIELDS, GOOD, NOTHING, OWN
from mapscope.goruntime.index import GO_PAGE, SPAN_DTYPE
from tests.unit.kernels.heaps import PAGE, SIDES, STARTS, kernel, random_world, span_plans

SEEDS = st.integers(0, 1 << 32)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MOST = 1024
CHUNKS = 8


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS)
def test_pages_of_runs_are_found_where_they_lie(side, seed):
    rng = random.Random(seed)
    chunk_slot = np.array([rng.choice((0, 0, 1, 2, 3)) for _ in range(CHUNKS)], dtype=np.int32)
    runs, truth = [], {}
    for _ in range(5):
        first = rng.randrange((CHUNKS + 1) << 14)
        last = first + rng.choice((1, 3, 16384, 40_000, 1 << 36))
        host, step = rng.randrange(1, 1 << 40), rng.choice((0, PAGE))
        runs.append((first, last, host, step))
        for chunk in range(first >> 14, min((last - 1 >> 14) + 1, CHUNKS)):
            if 0 < chunk_slot[chunk] < 3:  # the tables have room for slots 0 to 2
                low, high = max(first, chunk << 14), min(last, chunk + 1 << 14)
                truth |= {((int(chunk_slot[chunk]) << 14) + page % 16384): host + (page - first) * step
                          for page in range(low, high)}  # fmt: skip
    page_host = np.zeros(3 << 14, dtype=np.uint64)
    kernel(side, "spantable").pages(chunk_slot, np.array(runs, dtype=np.uint64), page_host)
    assert {at: host for at, host in enumerate(page_host.tolist()) if host} == truth


def random_span(rng: random.Random) -> list[int]:
    """Fields of a span: often sound, often with one that is not."""
    pages = rng.choice((1, 2, 4, 9, 1000))
    size = rng.choice((8, 48, 512, 8192, pages * GO_PAGE))
    row = [rng.choice((0, 1, 1, 1, 2)), rng.randrange(136), rng.randrange(CHUNKS << 13) * GO_PAGE, pages, size,
           min(pages * GO_PAGE // size, MOST)]  # fmt: skip
    if rng.random() < 0.4:
        row[rng.randrange(1, 6)] = rng.choice((0, 1, 7, 136, 1025, 1 << 35, (1 << 35) + 1, (1 << 64) - 1, 12345678))
    return row


def verdict_of(row: list[int], read: int, arenas: set[int]) -> int:
    """By the words of runtime/mheap.go: what a span in use must look like."""
    state, spanclass, base, pages, size, count = row
    if not read or state not in (1, 2):
        return NOTHING
    inside = base >> 26 in arenas and base % GO_PAGE == 0 and pages < 1 << 35
    if state == 2:
        return OWN if inside else NOTHING
    fits = inside and 8 <= size <= pages * GO_PAGE and 0 < count <= min(MOST, pages * GO_PAGE // size)
    return GOOD if fits and spanclass < 136 else BAD


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS)
def test_spans_in_use_pass_every_check(side, seed):
    rng = random.Random(seed)
    rows = [random_span(rng) for _ in range(60)]
    read = [rng.choice((0, 1, 1, 1)) for _ in rows]
    arenas = {chunk for chunk in range(CHUNKS) if rng.random() < 0.8}
    arena = np.array([chunk in arenas for chunk in range(CHUNKS)], dtype=np.uint8)
    verdict = np.full(len(rows), 77, dtype=np.uint8)
    columns = np.ascontiguousarray(np.array(rows, dtype=np.uint64).T)
    kernel(side, "spantable").judge(columns, np.array(read, dtype=np.uint8), arena, MOST, verdict)
    assert verdict.tolist() == [verdict_of(row, ok, arenas) for row, ok in zip(rows, read, strict=True)]


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(seed=SEEDS)
def test_spans_that_overlap_or_leave_the_evidence_are_dropped(side, seed):
    rng = random.Random(seed)
    chunk_slot = np.array([rng.choice((0, 1, 2, 3, 4, 5)) for _ in range(CHUNKS)], dtype=np.int32)
    for chunk in range(1, CHUNKS):
        if rng.random() < 0.7:
            chunk_slot[chunk] = chunk_slot[chunk - 1] + 1
    spans = sorted(
        (rng.randrange(CHUNKS << 13) * GO_PAGE, rng.choice((1, 2, 5000, 8192, 20_000)) * GO_PAGE) for _ in range(30)
    )
    base, size = (np.array(column, dtype=np.uint64) for column in zip(*spans, strict=True))
    keep = np.full(30, 77, dtype=np.uint8)
    kernel(side, "spantable").apart(base, size, chunk_slot, keep)
    truth, highest = [], 0
    for start, length in spans:
        chunks = range(start >> 26, ((start + length - 1) >> 26) + 1)
        slots = [int(chunk_slot[chunk]) if chunk < CHUNKS else 0 for chunk in chunks]
        follow = slots[0] > 0 and slots[-1] > 0 and slots[-1] - slots[0] == len(slots) - 1
        truth.append(int(start >= highest and follow))
        highest = max(highest, start + length)
    assert keep.tolist() == truth


@pytest.mark.parametrize("side", SIDES)
def test_fields_go_where_they_belong(side):
    rng = random.Random(1)
    rows = [random_span(rng) for _ in range(40)]
    columns = np.ascontiguousarray(np.array(rows, dtype=np.uint64).T)
    order = np.array(rng.sample(range(40), 25), dtype=np.int64)
    spans = np.zeros(25, dtype=SPAN_DTYPE)
    kernel(side, "spantable").write(columns, order, spans.view(np.uint8))
    for span, at in zip(spans, order.tolist(), strict=True):
        named = dict(zip(FIELDS, rows[at], strict=True))
        assert int(span["base"]) == named["startAddr"]
        assert int(span["elemsize"]) == named["elemsize"]
        assert int(span["bytes"]) == named["npages"] * GO_PAGE % (1 << 64)
        assert int(span["nelems"]) == named["nelems"] % (1 << 32)
        assert int(span["noscan"]) == named["spanclass"] % 2


@pytest.mark.parametrize("side", SIDES)
@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_the_index_leads_from_pages_to_spans_and_to_the_evidence(side, plans, start, seed):
    world = random_world(plans, start, seed)
    chunk_slot, page_host = world.index.chunk_slot, world.index.page_host
    spans = world.index.spans.copy()
    for name in ("first", "maskbit", "divmul", "host"):
        spans[name] = 0
    page_span = np.full(len(page_host) // 2, -1, dtype=np.int32)
    count = kernel(side, "spantable").place(chunk_slot, page_host, spans.view(np.uint8), page_span)
    assert count == len(world.slots) == world.index.nobjects
    pages = {}
    for number, span in enumerate(spans):
        base, size = int(span["base"]), int(span["bytes"])
        mine = [slot for slot in world.slots if slot.span == number]
        assert int(span["first"]) == mine[0].oid
        assert int(span["divmul"]) == (0 if len(mine) == 1 else -(-(1 << 32) // int(span["elemsize"])))
        at = int(chunk_slot[base >> 26])
        assert int(span["maskbit"]) == (at << 23) + (base % (1 << 26)) // 8
        hosts = [int(page_host[(int(chunk_slot[a >> 26]) << 14) + (a >> 12) % (1 << 14)])
                 for a in range(base, base + size, PAGE)]  # fmt: skip
        whole = all(host and host == hosts[0] + k * PAGE for k, host in enumerate(hosts))
        assert int(span["host"]) == (hosts[0] if whole else 0)
        pages |= {(int(chunk_slot[a >> 26]) << 13) + (a >> 13) % (1 << 13): number
                  for a in range(base, base + size, GO_PAGE)}  # fmt: skip
    assert {at: number for at, number in enumerate(page_span.tolist()) if number >= 0} == pages


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("base", [0, 5 << 26, (1 << 48) + GO_PAGE, (2 << 26) - GO_PAGE])
def test_spans_outside_of_the_tables_are_refused(side, base):
    chunk_slot = np.array([0, 1, 0, 0, 0, 0], dtype=np.int32)
    page_host, page_span = np.ones(2 << 14, dtype=np.uint64), np.full(2 << 13, -1, dtype=np.int32)
    spans = np.zeros(1, dtype=SPAN_DTYPE)
    spans["base"], spans["bytes"], spans["elemsize"], spans["nelems"] = base, 2 * GO_PAGE, 16, 1024
    with pytest.raises(ValueError, match="outside of the page table"):
        kernel(side, "spantable").place(chunk_slot, page_host, spans.view(np.uint8), page_span)


@pytest.mark.parametrize("side", SIDES)
def test_no_spans_are_no_slots(side):
    none = np.zeros(0, dtype=SPAN_DTYPE).view(np.uint8)
    tables = np.zeros(8, dtype=np.int32), np.zeros(1 << 14, dtype=np.uint64)
    assert kernel(side, "spantable").place(*tables, none, np.zeros(1 << 13, dtype=np.int32)) == 0
