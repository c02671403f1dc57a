"""What pages tell of the pointers that lead into them, against what was laid there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from mapscope.errors import LayoutError
from mapscope.goruntime.index import GO_PAGE, SPAN_DTYPE, build_index
from mapscope.goruntime.targets import KIND_DTYPE, Targets
from tests.unit.kernels.heaps import SIDES, STARTS, SpanPlan, kernel, make_world, span_plans

NOTHING, POINTERS, LEAVES = 0, 1, 2
MOST_KINDS = 512


def tables(side: str, chunk_slot: np.ndarray, spans: np.ndarray, pages: int) -> Targets:
    made = Targets(np.zeros(pages, np.uint8), np.zeros(pages, np.uint64), np.zeros(MOST_KINDS, dtype=KIND_DTYPE))
    kernel(side, "spantable").targets(chunk_slot, spans.view(np.uint8), made.holds, made.pages, made.kind_bytes)
    return made


def told(targets: Targets, page: int) -> tuple[int, int, np.void, int]:
    """First object, number of the kind, the kind, number of the page in its span."""
    word = int(targets.pages[page])
    kind = word >> 16 & 0xFFFF
    return word >> 32, kind, targets.kinds[kind], word & 0xFFFF


@pytest.mark.parametrize("side", SIDES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans=span_plans(), start=STARTS)
def test_a_page_tells_what_its_span_is(side, plans, start):
    world = make_world(plans, start=start)
    index = world.index
    found = tables(side, index.chunk_slot, index.spans, len(index.page_span))
    there = set()
    for span, plan in zip(index.spans, plans, strict=True):
        for k in range(plan.pages):
            address = int(span["base"]) + k * GO_PAGE
            page = (int(index.chunk_slot[address >> 26]) << 13) + (address >> 13) % (1 << 13)
            there.add(page)
            first, number, kind, within = told(found, page)
            assert first == int(span["first"])
            assert int(found.holds[page]) == (LEAVES if plan.noscan else POINTERS)
            assert (number == 0) == (plan.nelems == 1)
            if number:
                assert within == k
                assert (int(kind["elemsize"]), int(kind["nelems"])) == (plan.elemsize, plan.nelems)
                assert (bool(kind["noscan"]), bool(kind["header"])) == (plan.noscan, plan.header)
                assert int(kind["divmul"]) == int(span["divmul"])
    assert set(np.flatnonzero(found.holds).tolist()) == there
    assert not found.pages[found.holds == NOTHING].any()


@pytest.mark.parametrize("side", SIDES)
def test_more_kinds_than_there_is_room_for(side):
    plans = [SpanPlan(8 * (k + 1), 1) for k in range(MOST_KINDS - 12)] + [SpanPlan(16 * (k + 1), 3) for k in range(200)]
    world = make_world(plans)
    found = tables(side, world.index.chunk_slot, world.index.spans, len(world.index.page_span))
    numbers = []
    for span, plan in zip(world.index.spans, plans, strict=True):
        address = int(span["base"])
        page = (int(world.index.chunk_slot[address >> 26]) << 13) + (address >> 13) % (1 << 13)
        first, number, kind, _ = told(found, page)
        assert first == int(span["first"])
        if number:
            assert (int(kind["elemsize"]), int(kind["nelems"])) == (plan.elemsize, plan.nelems)
        numbers.append(number)
    assert len(set(numbers)) > MOST_KINDS // 2
    assert numbers[-1] == 0, "there was no room left"
    assert tuple(found.kinds[0].tolist())[:5] == (0, 0, 0, 0, 0), "kind 0 stands for what only the span tells"


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("pages", "known"), [(1 << 16, True), ((1 << 16) + 1, False)])
def test_pages_that_cannot_be_numbered(side, pages, known):
    chunk_slot = np.arange(12, dtype=np.int32)
    spans = np.zeros(1, dtype=SPAN_DTYPE)
    spans["base"], spans["bytes"], spans["elemsize"] = 1 << 26, pages * GO_PAGE, GO_PAGE
    spans["nelems"], spans["divmul"] = pages, 1 << 19
    found = tables(side, chunk_slot, spans, 12 << 13)
    first, number, _, within = told(found, (1 << 13) + pages - 1)
    assert (first, number != 0) == (0, known)
    assert within == (pages - 1 if known else 0)


@pytest.mark.parametrize("side", SIDES)
def test_spans_that_the_tables_have_no_room_for_are_passed_over(side):
    spans = np.zeros(1, dtype=SPAN_DTYPE)
    spans["base"], spans["bytes"], spans["elemsize"], spans["nelems"] = 1 << 26, 4 * GO_PAGE, 16, 2048
    found = tables(side, np.arange(2, dtype=np.int32), spans, (1 << 13) + 3)
    assert not found.holds.any()
    assert not found.pages.any()
    none = tables(side, np.arange(2, dtype=np.int32), spans[:0], 0)
    assert (len(none.holds), len(none.pages)) == (0, 0)


def test_more_objects_than_have_numbers():
    memory = make_world([]).memory
    spans = np.zeros(2, dtype=SPAN_DTYPE)
    spans["base"], spans["bytes"] = [0xC000000000, 0xC000000000 + GO_PAGE], GO_PAGE
    spans["elemsize"], spans["nelems"] = 8, (1 << 31) - 1
    pages = memory.page_table([0xC000000000 >> 26])
    assert build_index(pages, spans.copy()).nobjects == (1 << 32) - 2
    spans["nelems"][1] += 1
    with pytest.raises(LayoutError, match="more than mapscope can number"):
        build_index(pages, spans)
