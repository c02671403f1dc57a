"""R14 on what the heap answers about a sync.Map, and the healthy states that look like it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from mapscope.findings import run
from mapscope.findings.model import Finding
from mapscope.findings.thresholds import DEFAULT
from mapscope.maps.facts import ENTRY_MAP, DeadEntries, SyncMap
from mapscope.maps.model import Confidence
from mapscope.units import Addr
from tests.unit.report.fakes import Queries, classic, context, map_type, stalled, table

READ = 0xC000010000
"""Address of the first row of a table."""
TYPE = map_type(ENTRY_MAP, "interface {}", "*sync.entry", "interface", 16, 8)
SYNC = SyncMap(Addr(0x5491E0), Addr(READ), Addr(0), False)
AMENDED = replace(SYNC, dirty=Addr(READ + 0x40), amended=True)
DEAD = DeadEntries(5_000, 4_000, 0, 4_000, 100_000, 12_000, 864_000)
STEADY = classic(5_000, 10, 208)
FROZEN = stalled(13_313, 12, 500_000, 208)


def judge(row: dict[str, int], sync: SyncMap = SYNC, dead: DeadEntries | None = DEAD) -> tuple[Finding, ...]:
    """The findings on a sync.Map whose read map is ``row``."""
    queries = Queries(sync_maps=(sync,), dead={} if dead is None else {READ: dead})
    return run(context(table(row, types=(TYPE,)), queries=queries))


def test_deleted_entries_count_their_slots_and_what_only_they_keep():
    (found,) = judge(STEADY)
    assert (found.rule, found.bytes, found.subject, found.part_of) == ("R14", 964_000, READ, "")
    assert found.title == "sync.Map keeps entries that were deleted"
    assert found.confidence == Confidence.EXACT
    shown = {"sync_map": 0x5491E0, "read": READ, "dirty": 0, "amended": 0, "entries": 5_000, "dead": 4_000}
    assert shown.items() <= found.evidence.items()
    assert "oldbuckets" not in found.evidence
    assert "Go 1.24" in found.advice.text
    assert "next.Store(k, v)" in found.advice.code


def test_with_a_dirty_map_it_may_pass():
    (found,) = judge(STEADY, AMENDED, replace(DEAD, expunged=4_000))
    assert (found.bytes, found.confidence) == (964_000, Confidence.POSSIBLE)
    assert "enough misses" in found.why


def test_a_frozen_read_map_counts_its_old_array_once():
    found = {one.rule: one for one in judge(FROZEN, dead=None)}
    assert found.keys() == {"R1", "R14"}
    assert (found["R14"].bytes, found["R14"].part_of) == (500_000, "")
    assert (found["R1"].bytes, found["R1"].part_of) == (500_000, "R14")
    assert found["R14"].confidence == Confidence.EXACT, "nothing writes to a read map"
    assert found["R14"].title == "read map of a sync.Map is frozen in mid growth"
    assert found["R14"].evidence["nevacuate"] == 7
    assert "delete" not in found["R1"].advice.text, "nobody can delete from a read map"
    assert found["R1"].advice.code == ""


def test_both_add_up():
    found = {one.rule: one for one in judge(FROZEN)}
    assert (found["R14"].bytes, found["R1"].part_of) == (1_464_000, "R14")
    assert found["R14"].title.endswith("deleted, and a read map frozen in mid growth")


def test_many_small_frozen_read_maps_are_one_finding_and_no_more():
    row = stalled(66, 5, 7_000, 208) | {"old_array_bytes": 7_000, "old_overflow_bytes": 0}
    maps = table(*[row] * 300, types=(TYPE,))
    every = tuple(replace(SYNC, read=Addr(int(at))) for at in maps.columns["address"])
    (found,) = run(context(maps, queries=Queries(sync_maps=every)))
    assert (found.rule, found.maps, found.bytes) == ("R14", 300, 300 * 7_000)


@pytest.mark.parametrize("sync", [AMENDED, replace(SYNC, dirty=Addr(READ + 0x40))], ids=["amended", "dirty"])
def test_a_read_map_on_its_way_out_is_r1s(sync):
    assert [(one.rule, one.part_of) for one in judge(FROZEN, sync, None)] == [("R1", "")]


@pytest.mark.parametrize(
    "dead",
    [None, replace(DEAD, dead=3_749), replace(DEAD, slot_bytes=0, object_bytes=DEFAULT.sparse_min_bytes - 1)],
    ids=["none", "too few", "too small"],
)
def test_healthy_sync_maps_are_silent(dead):
    assert judge(STEADY, dead=dead) == ()
    assert judge(STEADY, AMENDED, dead) == ()


def test_only_maps_of_sync_are_asked_about():
    queries = Queries(sync_maps=(SYNC,), dead={READ: DEAD})
    assert run(context(table(STEADY), queries=queries)) == ()
    small = table(classic(DEFAULT.sync_min_entries - 1, 4, 208), types=(TYPE,))
    assert run(context(small, queries=queries)) == ()
    assert queries.marked == []


def test_the_heap_is_marked_for_few_of_them_the_largest_first():
    rows = [classic(1_000 + k, 8, 208) for k in range(DEFAULT.sync_max_marked + 5)]
    maps = table(*rows, types=(TYPE,))
    addresses = [int(at) for at in maps.columns["address"]]
    queries = Queries(
        sync_maps=tuple(replace(SYNC, read=Addr(at)) for at in addresses), dead=dict.fromkeys(addresses, DEAD)
    )
    found = run(context(maps, queries=queries))
    assert len(found) == DEFAULT.sync_max_marked
    assert queries.marked == addresses[::-1][: DEFAULT.sync_max_marked]
