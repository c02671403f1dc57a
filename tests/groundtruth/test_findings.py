"""Each state that holds memory for nothing gives its finding, with the bytes that the runtime itself measured; healthy
states that look alike give none.

The program measures by HeapAlloc what the map takes and what a mended copy takes, or, where mending changes the map
itself, by how much HeapAlloc falls when a twin is mended.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapscope.evidence.core import Core
from mapscope.goruntime.process import open_process
from mapscope.heap.model import read_heap
from mapscope.maps.find import find_maps
from tests.groundtruth import harness
from tests.groundtruth.store import Run, Store
from tests.groundtruth.variants import DUMPED, SERIES, Variant, arm64

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(900)]
TOLERANCE = 0.02
"""Overflow buckets depend on the hash seed, which differs from twin to twin."""


@dataclass(frozen=True)
class Expectation:
    """What a mode of the program must give."""

    rules: frozenset[str]
    """All of them, on the one map."""
    may_share: frozenset[str] = frozenset()
    """Rules that may claim the same bytes, as a part of another."""


def expectation(mode: str, variant: Variant) -> Expectation | None:
    """None where the mode makes no such state in this release."""
    if not variant.swiss:
        table = {
            "stalled": Expectation(frozenset({"R1"})),
            "same-size": Expectation(frozenset({"R2"}), frozenset({"R9"})),
            "stale": Expectation(frozenset({"R1", "R3"})),
            "sparse": Expectation(frozenset({"R9"})),
            "hinted": Expectation(frozenset({"R10"})),
            "overflow": Expectation(frozenset({"R11"})),
            "churn": Expectation(frozenset({"R11"})),
            "inline": Expectation(frozenset({"R9", "R13"})),
            "substrings": Expectation(frozenset({"R16"})),
            "healthy": Expectation(frozenset()),
        }
    else:
        table = {
            "sparse": Expectation(frozenset({"R9"}), frozenset({"R12"})),
            "hinted": Expectation(frozenset({"R10"})),
            # from 1.25 on inserts prune tombstones and steady churn costs nothing worth a word
            "churn": Expectation(frozenset({"R12"}) if variant.series == "1.24" else frozenset(), frozenset({"R9"})),
            "inline": Expectation(frozenset({"R9", "R13"}), frozenset({"R12"})),
            "substrings": Expectation(frozenset({"R16"})),
            "healthy": Expectation(frozenset()),
        }
    return table.get(mode)


def cases() -> list[Any]:
    """(mode, variant): every release as built by default, by core and by heap dump, some stripped, one classic
    release of the new runtime, some for arm64."""
    variants = [Variant(series) for series in SERIES]
    variants += [Variant("1.23", "stripped"), Variant("1.26", "stripped"), Variant("1.24", "default", "noswissmap")]
    variants += [Variant(series, evidence="dump") for series in DUMPED]
    variants += [*arm64("1.21", "1.23", "1.24", "1.27"), *arm64("1.22", "1.26", mode="stripped")]
    modes = ("stalled", "same-size", "stale", "sparse", "hinted", "overflow", "churn", "inline", "substrings")
    return [
        pytest.param(mode, variant, id=f"{variant}-{mode}")
        for variant in variants
        for mode in modes
        if expectation(mode, variant) is not None
    ]


def healthy_cases() -> list[Any]:
    """Every release, and stripped builds."""
    variants = [Variant(series) for series in SERIES]
    variants += [Variant("1.21", "stripped"), Variant("1.23", "stripped"), Variant("1.27", "stripped")]
    variants += [Variant(series, evidence="dump") for series in DUMPED]
    variants += [*arm64("1.23", "1.26"), *arm64("1.21", "1.27", mode="stripped")]
    return [pytest.param(variant, id=str(variant)) for variant in variants]


def short(findings: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"{one['rule']} {one['bytes']} bytes on {one['subject']} {one['type']} part of {one['part_of']}: "
        f"{one['evidence']}"
        for one in findings
    )


@pytest.mark.parametrize(("mode", "variant"), cases())
def test_the_state_gives_its_finding(runs: Store, mode: str, variant: Variant):
    run = runs.run("findings", variant, mode)
    expected = expectation(mode, variant)
    assert expected is not None
    found = run.document["findings"]
    assert run.truth["subject"] in {int(one["address"], 16) for one in run.document["maps"]}
    assert run.status == (1 if expected.rules else 0)
    assert {int(one["subject"], 16) for one in found} <= {run.truth["subject"]}, short(found)
    rules = [one["rule"] for one in found]
    assert len(set(rules)) == len(rules), short(found)
    assert set(rules) - expected.may_share == expected.rules, short(found)
    if not expected.rules:
        return
    counting = [one for one in found if one["part_of"] is None]
    assert all(one["rule"] in expected.rules or one["part_of"] for one in found if one not in counting), short(found)
    total = sum(one["bytes"] for one in counting)
    assert total == pytest.approx(run.truth["measured"], rel=TOLERANCE), short(found)
    assert run.document["verdict"]["waste_bytes"] == total


@pytest.mark.parametrize("variant", [Variant(series) for series in ("1.19", "1.21", "1.22", "1.23")], ids=str)
def test_stale_values_are_counted_apart_from_the_old_array(runs: Store, variant: Variant):
    """The program has followed the old buckets itself: so many payloads of 1024 bytes are only there."""
    run = runs.run("findings", variant, "stale")
    assert run.truth["counted"] > 100 * 1024
    (stale,) = (one for one in run.document["findings"] if one["rule"] == "R3")
    assert stale["bytes"] == run.truth["counted"]


_GROWING = [Variant(series) for series in ("1.19", "1.21", "1.22", "1.23")]
_GROWING += [Variant("1.23", "stripped"), Variant("1.24", "default", "noswissmap")]


@pytest.mark.parametrize("mode", ["stalled", "same-size"])
@pytest.mark.parametrize("variant", _GROWING, ids=str)
def test_a_growth_holds_the_old_array_and_all_that_its_slice_names(mode: str, variant: Variant, tmp_path: Path):
    """Followed word by word: hmap.extra, mapextra.oldoverflow, the slice, its array, and every bucket on it."""
    executable = harness.build("findings", variant)
    with harness.running(executable, mode, folder=tmp_path) as program:
        core = harness.take_core(program, variant.evidence, tmp_path)
        heap = read_heap(open_process(Core.open(core), executable))
        subject, word = program.truth["subject"], heap.process.memory.word
        (one,) = (one for one in find_maps(heap).table if one.address == subject)
        # (runtime/map.go; from 1.24 on, map_noswiss.go, clearSeq lies before extra)
        array, extra = word(subject + 24), word(subject + (48 if variant.series >= "1.24" else 40))
        assert array
        assert extra
        header = word(extra + 8)
        assert header
        at, count = word(header), word(header + 8)
        assert at
        assert count
        names = [word(at + 8 * k) or 0 for k in range(count)]
        ids, slots = heap.index.find(np.array([array, header, at, *names], np.uint64))
        sizes = dict(zip(slots.tolist(), heap.index.sizes_of(ids).tolist(), strict=True))
        assert min(ids) >= 0
        assert len(sizes) > 1000  # (preallocated buckets are on the list too, and lie in the array)
        assert one.old_array_bytes + one.old_overflow_bytes == sum(sizes.values())
        assert one.old_array_bytes == sizes[int(slots[0])]


@pytest.mark.parametrize("variant", [*_GROWING, Variant("1.23", evidence="dump")], ids=str)
def test_an_evacuated_chain_hangs_on_the_overflow_buckets_of_the_array(runs: Store, variant: Variant):
    """Counted by the program: evacuation unlinks a chain at its first bucket, not behind those in the array itself."""
    run = runs.run("findings", variant, "halfway")
    (true,) = (one for one in run.truth["maps"] if one["address"] == run.truth["subject"])
    (said,) = (one for one in run.document["maps"] if int(one["address"], 16) == run.truth["subject"])
    assert 0 < run.truth["counted"] <= true["counted"]["old_overflow_apart"]
    assert said["bytes"]["old_overflow"] == 144 * true["counted"]["old_overflow_apart"]
    (finding,) = run.document["findings"]
    assert finding["rule"] == "R1"
    assert finding["bytes"] == said["bytes"]["oldbuckets"] + said["bytes"]["old_overflow"]


@pytest.mark.parametrize("variant", healthy_cases())
def test_a_healthy_program_gives_no_finding(runs: Store, variant: Variant):
    run: Run = runs.run("findings", variant, "healthy")
    assert len(run.document["maps"]) >= len(run.truth["maps"]) * 0.5
    assert not run.document["findings"], short(run.document["findings"])
    assert run.status == 0
    assert run.document["verdict"]["waste_bytes"] == 0
