"""Every map of a program that knows its own maps is found, with its exact header, and none that is not there.

The truth is what the program read from its own headers; the standard library's maps come from an oracle of their own.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.groundtruth import harness, unseen
from tests.groundtruth.sizes import Allocator, size_classes
from tests.groundtruth.store import Run, Store
from tests.groundtruth.variants import Variant, map_variants

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(900)]
TOLERANCE = 0.01
"""Live bytes and objects against the runtime's own figures."""
THREAD_STACKS = 8 * 32768
HEADER_ADDRESSES = {"buckets", "oldbuckets", "extra", "dirPtr"}
TINY = 16
"""Objects without pointers below this share a slot (runtime/malloc.go, maxTinySize)."""


@pytest.fixture(params=map_variants(), ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def run(runs: Store, variant: Variant) -> Run:
    return runs.run("maptypes", variant)


@pytest.fixture
def pairs(run: Run) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(what the program says, what mapscope says) of every map that was found."""
    reported = by_address(run)
    return [(true, reported[true["address"]]) for true in run.truth["maps"] if true["address"] in reported]


def by_address(run: Run) -> dict[int, dict[str, Any]]:
    return {int(one["address"], 16): one for one in run.document["maps"]}


def show(lines: list[str], limit: int = 25) -> str:
    return f"{len(lines)} differ:\n" + "\n".join(lines[:limit])


def test_the_truth_is_rich(run: Run, variant: Variant):
    """A program that tells of few maps would make every other test here pass."""
    maps = run.truth["maps"]
    assert run.truth["generation"] == ("swiss" if variant.swiss else "classic")
    assert len(maps) > 900
    assert len({one["type"] for one in maps}) >= 45
    counts = {one["header"]["used" if variant.swiss else "count"] for one in maps}
    assert {0, 1, 7, 8, 9, 100, 1000, 30_000, 1_000_000} <= counts
    assert len({one["reach"] for one in maps}) >= 25
    assert len({one["address"] for one in maps}) == len(maps)
    if variant.swiss:
        assert sum(one["counted"]["tombstones"] > 0 for one in maps) > 20
        assert sum(one["header"]["dirLen"] > 1 for one in maps) > 5
    else:
        assert sum(one["header"]["oldbuckets"] > 0 for one in maps) > 20
        assert sum(one["counted"]["overflow_count"] > 0 for one in maps) > 50


def test_every_map_is_found(run: Run, variant: Variant, record_property: Any):
    reported = by_address(run)
    count = "used" if variant.swiss else "count"
    missing = [one for one in run.truth["maps"] if one["address"] not in reported]
    record_property("unseen", [one["name"] for one in missing])
    if variant.evidence == "dump":
        assert all(one in missing for one in run.truth["maps"] if one["reach"] in unseen.NOT_DUMPED)
        missing = [one for one in missing if one["reach"] not in unseen.NOT_DUMPED]
    excused = unseen.names(variant)
    blamed = [one for one in missing if one["header"][count] > 8 or one["name"] not in excused]
    assert not blamed, show(
        [f"{one['name']} ({one['reach']}, {one['type']}, {one['header'][count]} entries)" for one in blamed]
    )


def test_no_map_is_reported_that_is_not_there(run: Run, variant: Variant, runs: Store):
    known = {one["address"] for one in run.truth["maps"]}
    others = [one for address, one in by_address(run).items() if address not in known]
    if variant.stripped:
        twin = runs.run("maptypes", variant.twin)
        allowed = Counter(one["count"] for one in twin.foreign)
        strangers = []
        for one in others:
            allowed[one["count"]] -= 1
            if allowed[one["count"]] < 0:
                strangers.append(one)
    else:
        foreign = {one["address"] for one in run.foreign}
        strangers = [one for one in others if int(one["address"], 16) not in foreign]
    assert not strangers, show(
        [f"{one['address']} {one['type']} {one['confidence']} {one['place']} {one['header']}" for one in strangers]
    )


def test_decoys_are_no_maps(run: Run):
    assert len(run.truth["decoys"]) > 15
    assert not set(run.truth["decoys"]) & set(by_address(run))


@pytest.mark.applies_to(lambda variant: not variant.stripped)  # only DWARF names the library's variables
def test_the_maps_of_the_standard_library_are_found(run: Run):
    reported = by_address(run)
    assert run.foreign
    wrong = [
        f"{one['variable']} {one['type']} at {one['address']:#x}"
        for one in run.foreign
        if one["address"] not in reported or reported[one["address"]]["count"] != one["count"]
    ]
    assert not wrong, show(wrong)


def test_every_header_field(pairs: list[tuple[dict[str, Any], dict[str, Any]]], run: Run):
    wrong = []
    for true, said in pairs:
        assert said["generation"] == run.truth["generation"]
        for name, value in true["header"].items():
            if name == "_" or (name == "tombstonePossible" and run.variant.series == "1.24"):
                continue  # 1.24 has padding there
            got = int(said["header"][name], 16) if name in HEADER_ADDRESSES else said["header"][name]
            if got != value:
                wrong.append(f"{true['name']}: {name} is {value}, said {got}")
        if said["place"] != true["place"]:
            wrong.append(f"{true['name']}: on the {true['place']}, said {said['place']}")
    assert not wrong, show(wrong)


def test_every_type(pairs: list[tuple[dict[str, Any], dict[str, Any]]], variant: Variant):
    """A type that is said is the right one; with DWARF, every map that a typed word reaches has one."""
    wrong = []
    for true, said in pairs:
        if said["type"] is None:
            if said["confidence"] == "exact" or not (variant.stripped or true["reach"] in unseen.UNTYPED):
                wrong.append(f"{true['name']} ({true['reach']}): {true['type']}, said nothing ({said['confidence']})")
        elif said["type"] != true["type"]:
            wrong.append(f"{true['name']} ({true['reach']}): {true['type']}, said {said['type']} {said['confidence']}")
    assert not wrong, show(wrong)


def test_what_is_counted_below_the_header(pairs: list[tuple[dict[str, Any], dict[str, Any]]], variant: Variant):
    wrong = []
    for true, said in pairs:
        counted = true["counted"]
        if variant.swiss:
            expected = {
                "tables": counted["tables"],
                "groups": counted["groups"],
                "tombstones": counted["tombstones"],
                "growth_left": counted["growthLeft"],
                "capacity": counted["capacity"],
            }
        else:
            buckets = true["header"]["buckets"]
            expected = {
                "noldbuckets": counted["noldbuckets"],
                "overflow_count": counted["overflow_count"],
                "old_evacuated": counted["old_evacuated"],
                "old_overflow_count": counted["old_overflow_count"],
                "capacity": 8 << true["header"]["B"] if buckets else 0,
            }
        got = {name: said[name] for name in expected}
        if got != expected or not said["complete"]:
            wrong.append(f"{true['name']}: {expected}, said {got}, complete {said['complete']}")
    assert not wrong, show(wrong)


def test_bytes_of_every_part(pairs: list[tuple[dict[str, Any], dict[str, Any]]], variant: Variant):
    """Whole heap slots, computed from the size classes in the release's own source."""
    toolchain = harness.toolchain(variant.series)
    allocator = Allocator(size_classes(toolchain.goroot), toolchain.release[1])
    wrong = []
    for true, said in pairs:
        if true["place"] == "stack" and said["count"] <= 8:
            continue  # its only bucket or group is on the stack too
        expected = (swiss_bytes if variant.swiss else classic_bytes)(true, allocator)
        if expected is None:
            continue
        if true["place"] == "stack":
            expected["header"] = 0
        parts = said["bytes"]
        got = {name: parts[name] for name in expected}
        total = sum(value for name, value in parts.items() if name != "total")
        if got != expected or parts["total"] != total:
            wrong.append(f"{true['name']} ({true['type']}): {expected}, said {parts}")
    assert not wrong, show(wrong)


def indirect_bytes(true: dict[str, Any], count: int, allocator: Allocator) -> int:
    """Keys and elems above 128 bytes lie in objects of their own (at most 512 bytes here: no malloc header)."""
    return count * sum(allocator.slot(size, False) for size in (true["key_size"], true["elem_size"]) if size > 128)


def classic_bytes(true: dict[str, Any], allocator: Allocator) -> dict[str, int]:
    header, counted = true["header"], true["counted"]
    unit, pointers = true["array_unit"], true["array_unit_pointers"] > 0
    header_size = 48 if allocator.minor < 24 else 56  # clearSeq came with 1.24
    old_bits = header["B"] - (0 if header["flags"] & 8 else 1)
    return {
        "header": allocator.slot(header_size, True),
        "buckets": allocator.bucket_array(header["B"], unit, pointers) if header["buckets"] else 0,
        "oldbuckets": allocator.bucket_array(old_bits, unit, pointers) if header["oldbuckets"] else 0,
        "overflow": counted["overflow_apart"] * allocator.slot(unit, pointers),
        "old_overflow": counted["old_overflow_apart"] * allocator.slot(unit, pointers)
        + list_bytes(counted["old_list"], allocator),
        "extra": (allocator.slot(24, True) if header["extra"] else 0) + list_bytes(counted["list"], allocator),
        "indirect": indirect_bytes(true, header["count"], allocator),
    }


def list_bytes(room: int, allocator: Allocator) -> int:
    """A slice that keeps overflow buckets alive (runtime: mapextra), with its header, which is an object too.

    ``room``: its capacity and 1; 0 for none.
    """
    header = allocator.slot(24, True) if room else 0
    return header + (allocator.slot(8 * (room - 1), True) if room > 1 else 0)


def swiss_bytes(true: dict[str, Any], allocator: Allocator) -> dict[str, int] | None:
    header, unit, pointers = true["header"], true["array_unit"], true["array_unit_pointers"] > 0
    small = allocator.slot(unit, pointers) if header["dirLen"] == 0 and header["dirPtr"] else 0
    if small and unit < TINY and not pointers:
        return None  # shares a slot with others
    return {
        "header": allocator.slot(48, True),
        "groups": small + sum(allocator.slot(one["capacity"] // 8 * unit, pointers) for one in true["tables"]),
        "tables": len(true["tables"]) * allocator.slot(32, True),
        "directory": allocator.slot(8 * header["dirLen"], True) if header["dirLen"] else 0,
        "indirect": indirect_bytes(true, header["used"], allocator),
    }


def test_live_bytes_and_objects(run: Run):
    """All garbage was collected twice before the program read its own figures."""
    figures, heap = run.truth["memstats"], run.document["heap"]
    assert heap["live_bytes"] == pytest.approx(figures["HeapAlloc"], rel=TOLERANCE)
    assert heap["live_objects"] == pytest.approx(figures["HeapObjects"], rel=TOLERANCE)


def test_the_figures_of_the_runtime(run: Run):
    figures, said = run.truth["memstats"], run.document["heap"]["runtime"]
    assert said is not None
    assert said["num_gc"] == figures["NumGC"]
    assert said["heap_alloc_bytes"] == pytest.approx(figures["HeapAlloc"], rel=TOLERANCE)
    assert said["heap_objects"] == pytest.approx(figures["HeapObjects"], rel=TOLERANCE)
    assert said["heap_inuse_bytes"] == pytest.approx(figures["HeapInuse"], rel=TOLERANCE)
    assert said["heap_sys_bytes"] == pytest.approx(figures["HeapSys"], rel=TOLERANCE)
    # a thread that the runtime starts when the program blocks takes its own stack from there
    assert 0 <= said["stack_inuse_bytes"] - figures["StackInuse"] <= THREAD_STACKS


def test_the_process(run: Run, variant: Variant):
    process = run.document["process"]
    assert process["go_version"] == run.truth["go"]
    assert process["arch"] == run.truth["arch"]
    assert process["pid"] == run.truth["pid"]
    assert process["stripped"] == variant.stripped
    assert process["has_dwarf"] != variant.stripped


def test_the_report_names_what_may_be_unseen(run: Run, variant: Variant):
    """A stripped build can hide small maps; the report says that they can exist."""
    text = " ".join(run.document["notes"] + run.document["evidence"]["warnings"] + run.document["evidence"]["missing"])
    assert ("at most 8 entries" in text) == variant.stripped, text
