"""Which rule an iterator falls under, and which give none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mapscope.findings import ITERATOR_RULES, run
from mapscope.findings.model import Finding
from mapscope.findings.thresholds import DEFAULT
from mapscope.goruntime.frames import Frame
from mapscope.maps.facts import ENTRY_MAP, SyncMap
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence, Place
from mapscope.units import Addr
from tests.unit.report.fakes import Queries, classic, context, swiss, table

FRAME = Frame("main.work", "/src/main.go", 94, 0x401000, 0xC000030F00, 0xC000030FF0, 0x400F00, False, False)
MAP = 0xC000010000
BLOCKED = MapIterator(
    address=Addr(0xC000030F18), map=Addr(MAP), type_name="map[uint64]uint64", goroutine=8, row=3, frame=FRAME,
    caller=FRAME, status="waiting", wait_reason="chan receive", wait_seconds=2460.0, coroutine=False, place=Place.STACK,
    state="running", liveness="exact", position=17, positions=4096, detached=Addr(0xC000400000),
    detached_bytes=1 << 20, pinned_bytes=40_100_000,
)  # fmt: skip
ALONE = replace(BLOCKED, detached=Addr(0), detached_bytes=0, sole_owner=True)
ON_HEAP = replace(
    ALONE, place=Place.HEAP, goroutine=None, row=-1, frame=None, caller=None, status=None, wait_reason=None,
    wait_seconds=None, state="exhausted",
)  # fmt: skip


def judge(*iterators: MapIterator, new: bool = False) -> tuple[Finding, ...]:
    """The findings on a tidy map at MAP with these iterators."""
    row = swiss(100_000, 1 << 17) if new else classic(100_000, 14)
    return run(replace(context(table(row)), iterators=iterators))


@pytest.mark.parametrize(
    ("rule", "one", "new"),
    [
        ("R4", BLOCKED, False),
        ("R5", BLOCKED, True),
        ("R6", ALONE, False),
        ("R6", replace(ALONE, state="exhausted"), True),
        ("R7", ON_HEAP, True),
        ("R8", replace(ALONE, coroutine=True), True),
        ("R17", replace(BLOCKED, liveness="uncertain", state="exhausted", status="running"), False),
    ],
)
def test_each_has_its_rule(rule: str, one: MapIterator, new: bool) -> None:
    (found,) = judge(one, new=new)
    assert (found.rule, found.bytes, found.subject) == (rule, one.pinned_bytes, MAP)
    assert found.title == next(each.TITLE for each in ITERATOR_RULES if rule == each.RULE)
    assert found.confidence == (Confidence.UNCERTAIN if rule == "R17" else Confidence.EXACT)
    assert found.evidence["iterator"] == one.address
    assert found.advice.text
    assert found.advice.code
    if one.goroutine is not None:
        assert found.evidence["goroutine"] == 8
        assert found.evidence["loop"] == "main.work (/src/main.go:94)"


@pytest.mark.parametrize(
    "one",
    [
        replace(BLOCKED, status="running"),
        replace(BLOCKED, status="runnable"),
        replace(ALONE, status="running"),
        replace(BLOCKED, liveness="possible"),
        replace(BLOCKED, liveness="uncertain"),
        replace(BLOCKED, detached=Addr(0)),
        replace(BLOCKED, pinned_bytes=DEFAULT.iterator_min_bytes - 1),
        replace(ON_HEAP, sole_owner=False),
    ],
)
def test_what_merely_runs_or_keeps_little_is_silent(one: MapIterator) -> None:
    assert judge(one) == ()
    assert judge(one, new=True) == ()


def test_a_short_wait_is_only_possibly_a_leak() -> None:
    (found,) = judge(replace(ALONE, wait_seconds=0.5))
    assert (found.rule, found.confidence) == ("R6", Confidence.POSSIBLE)
    (found,) = judge(replace(ALONE, wait_seconds=None))
    assert found.confidence == Confidence.POSSIBLE


RANGE = replace(FRAME, function="sync.(*Map).Range", file="/go/src/sync/map.go")
IN_RANGE = replace(ALONE, frame=RANGE, type_name=ENTRY_MAP)


def test_a_read_map_that_only_a_range_keeps() -> None:
    """R15, not R6; other rules on that map are a part of it."""
    other = SyncMap(Addr(0xC000050000), Addr(0xC000060000), Addr(0xC000060030), True)
    row = classic(100, 14, overflow_count=900, noverflow=900, overflow_bytes=900 * 144, needed_bytes=2_000)
    asked = replace(context(table(row), queries=Queries(sync_maps=(other,))), iterators=(IN_RANGE,))
    found = {one.rule: one for one in run(asked)}
    assert found.keys() == {"R15", "R9"}
    assert (found["R15"].bytes, found["R15"].subject) == (IN_RANGE.pinned_bytes, MAP)
    assert found["R15"].confidence == Confidence.EXACT
    assert (found["R15"].part_of, found["R9"].part_of) == ("", "R15")


@pytest.mark.parametrize("read", [True, False])
def test_a_range_over_what_a_sync_map_still_has_is_none_of_r15(read: bool) -> None:
    one = SyncMap(Addr(0xC000050000), Addr(MAP if read else 8), Addr(8 if read else MAP), False)
    asked = context(table(classic(100_000, 14)), queries=Queries(sync_maps=(one,)))
    assert {each.rule for each in run(replace(asked, iterators=(IN_RANGE,)))} == {"R6"}
    assert run(replace(asked, iterators=(replace(IN_RANGE, sole_owner=False),))) == ()


def test_a_range_that_waits_shortly_or_runs() -> None:
    (found,) = judge(replace(IN_RANGE, wait_seconds=0.5))
    assert (found.rule, found.confidence) == ("R15", Confidence.POSSIBLE)
    assert judge(replace(IN_RANGE, status="running")) == ()
    assert judge(replace(IN_RANGE, pinned_bytes=DEFAULT.iterator_min_bytes - 1)) == ()


def test_bytes_of_an_abandoned_map_count_once() -> None:
    """What other rules say of a map that only an iterator keeps is a part of that."""
    sparse = classic(10_486, 18, overflow_count=900, noverflow=112, overflow_bytes=900 * 144, needed_bytes=320_000)
    found = run(replace(context(table(sparse)), iterators=(ALONE,)))
    assert {one.rule: one.part_of for one in found} == {"R6": "", "R9": "R6"}
    found = run(replace(context(table(sparse)), iterators=(BLOCKED,)))
    assert {one.rule: one.part_of for one in found} == {"R4": "", "R9": ""}


def test_what_several_share_is_one_finding() -> None:
    shared = replace(BLOCKED, pinned_bytes=0, together=3, together_bytes=900_000)
    crowd = [replace(shared, address=Addr(shared.address + 0x1000 * k), goroutine=8 + k) for k in range(3)]
    (found,) = judge(*crowd)
    assert (found.rule, found.bytes, found.evidence["iterators"]) == ("R4", 900_000, 3)
    assert judge(*crowd[:2], replace(crowd[2], status="running")) == ()
    (found,) = judge(*(replace(one, detached=Addr(0), together_own=True) for one in crowd))
    assert (found.rule, found.bytes) == ("R6", 900_000)


def test_very_many_are_summed() -> None:
    count = DEFAULT.group_after + 50
    many = [replace(BLOCKED, address=Addr(BLOCKED.address + 0x1000 * k)) for k in range(count)]
    found = judge(*many)
    assert len(found) == DEFAULT.group_after + 1
    assert sum(one.bytes for one in found) == count * BLOCKED.pinned_bytes
    assert found[0].maps == 50
