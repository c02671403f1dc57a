"""``mapscope diff`` on two cores of one program, against the entries that the program itself counts at both moments."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

VARIANTS = [Variant("1.23"), Variant("1.23", "stripped"), Variant("1.26"), Variant("1.26", "pie-stripped")]
_SECONDS = 240


@dataclass(frozen=True)
class Seen:
    """What the program said at both moments, and what mapscope made of it."""

    then: dict[str, Any]
    now: dict[str, Any]
    same: dict[str, Any]
    """The diff of the two cores of one process."""
    status: int
    text: str
    other: dict[str, Any]
    """The diff of the older core and one of a second process, at the later moment."""
    itself: dict[str, Any]
    itself_status: int

    def change(self, name: str) -> dict[str, Any]:
        """The row of the map that the program calls ``name``."""
        told = self.now["maps"].get(name) or self.then["maps"][name]
        return find(self.same, told["address"])


def find(document: dict[str, Any], address: int) -> dict[str, Any]:
    """The row of the map at an address."""
    lists = ("grown", "shrunk", "new_maps", "gone_maps")
    rows = [row for name in lists for row in document[name]["maps"]]
    (row,) = [row for row in rows if (row["address_now"] or row["address_then"]) == hex(address)]
    return row  # type: ignore[no-any-return]


def run(*arguments: str | Path) -> tuple[int, str]:
    """Status and standard output of ``mapscope diff``."""
    command = [sys.executable, "-m", "mapscope", "diff", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE), "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, capture_output=True, timeout=_SECONDS, env=environment, check=False, encoding="utf-8"
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout


def step(program: harness.Running) -> dict[str, Any]:
    """Lets the program go on to its next stop and reads what it says there."""
    assert program.process.stdin is not None
    program.process.stdin.write(b"\n")
    program.process.stdin.flush()
    return harness._read_truth(program.process)


@functools.lru_cache(maxsize=2)
def observe(variant: Variant) -> Seen:
    """Two runs, three cores."""
    executable = harness.build("growing", variant)
    with tempfile.TemporaryDirectory(prefix="diff-") as name:
        folder = Path(name)
        cores = [folder / name for name in ("first", "second", "third")]
        for core in cores:
            core.mkdir()
        with harness.running(executable, folder=folder) as program:
            first = harness.take_core(program, "capture", cores[0])
            now = step(program)
            second = harness.take_core(program, "gcore", cores[1])
        then = program.truth
        with harness.running(executable, folder=folder) as program:
            step(program)
            third = harness.take_core(program, "capture", cores[2])
        status, same = run(first, second, "-e", executable, "-f", "json", "--top", "0")
        _, text = run(first, second, "-e", executable)
        _, other = run(first, third, "-e", executable, "-f", "json", "--top", "0")
        itself_status, itself = run(first, first, "-e", executable, "-f", "json")
        return Seen(then, now, json.loads(same), status, text, json.loads(other), json.loads(itself), itself_status)


@pytest.fixture(
    scope="module",  # so that the tests of one variant follow each other
    params=[pytest.param(one, id=str(one), marks=pytest.mark.xdist_group(f"diff-{one}")) for one in VARIANTS],
)
def variant(request) -> Variant:
    """Release and build."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def seen(variant: Variant) -> Seen:
    """The runs of this variant, shared by the tests of one worker."""
    return observe(variant)


def test_one_process_is_known_as_one(seen):
    assert seen.same["same_process"]
    assert seen.same["warnings"] == []
    assert seen.same["collections"] == seen.now["num_gc"] - seen.then["num_gc"]
    assert not seen.other["same_process"]
    assert seen.other["same_build"]
    assert "two processes of one build" in seen.other["warnings"][0]


def test_maps_grow_by_what_the_program_added(seen):
    for name in ("grown", "sessions"):
        row = seen.change(name)
        assert row in seen.same["grown"]["maps"], name
        assert row["matched"] == "address"
        assert row["then"]["entries"] == seen.then["maps"][name]["count"]
        assert row["now"]["entries"] == seen.now["maps"][name]["count"]
        assert row["change"]["entries"] == row["now"]["entries"] - row["then"]["entries"]
    assert seen.change("grown")["change"]["bytes"] > 0


def test_maps_that_lost_entries_and_maps_that_stayed(seen):
    row = seen.change("shrunk")
    assert row in seen.same["shrunk"]["maps"]
    assert row["change"]["entries"] == seen.now["maps"]["shrunk"]["count"] - seen.then["maps"]["shrunk"]["count"] < 0
    with pytest.raises(ValueError, match="not enough values"):
        seen.change("still")


def test_maps_that_came_and_went(seen):
    created, dropped = seen.change("created"), seen.change("dropped")
    assert created in seen.same["new_maps"]["maps"]
    assert (created["then"], created["now"]["entries"]) == (None, seen.now["maps"]["created"]["count"])
    assert created["change"]["bytes"] == created["now"]["bytes"]
    assert dropped in seen.same["gone_maps"]["maps"]
    assert (dropped["now"], dropped["then"]["entries"]) == (None, seen.then["maps"]["dropped"]["count"])


def test_a_map_put_in_the_place_of_another_is_matched_by_its_chain(seen):
    row = seen.change("replaced")
    assert row["matched"] == "chain"
    assert row["then"]["entries"] == seen.then["maps"]["replaced"]["count"]
    assert row["now"]["entries"] == seen.now["maps"]["replaced"]["count"]


def rows_of(document):
    return [row for name in ("grown", "shrunk", "new_maps", "gone_maps") for row in document[name]["maps"]]


def test_two_processes_are_matched_by_chain(variant, seen):
    """Addresses of the second process mean nothing; counts are the program's, the same in both runs."""
    rows = rows_of(seen.other)
    assert {row["matched"] for row in rows} <= {"chain", "none"}
    entries = {(row["then"] or {}).get("entries", 0): (row["now"] or {}).get("entries", 0) for row in rows}
    for name in ("grown", "shrunk", "replaced", "sessions"):
        assert entries[seen.then["maps"][name]["count"]] == seen.now["maps"][name]["count"], name
    if variant.stripped:  # nothing says that the variable is an array: its elements are places of their own
        for before, after in zip(seen.then["shards"], seen.now["shards"], strict=True):
            assert entries[before] == after
        return
    (shards,) = [row for row in rows if row["then"] and row["then"]["maps"] == len(seen.then["shards"])]
    assert shards["then"]["entries"] == sum(seen.then["shards"])
    assert shards["now"]["entries"] == sum(seen.now["shards"])
    assert shards["now"]["maps"] == len(seen.now["shards"])


def test_a_growth_that_stands_still_is_stalled_and_one_that_moves_is_none(variant, seen):
    found = {(one["finding"]["rule"], one["finding"]["subject"]): one for one in seen.same["findings"]}
    stalled = ("R1", hex(seen.now["maps"]["stalled"]["address"]))
    moving = ("R1", hex(seen.now["maps"]["progressing"]["address"]))
    if variant.swiss:
        assert not {key for key in found if key[0] == "R1"}
    else:
        assert found[stalled]["status"] == "unchanged"
        assert found[stalled]["finding"]["confidence"] == ("inferred" if variant.stripped else "exact")
        apart = seen.now["num_gc"] - seen.then["num_gc"]
        assert f"are the same in both snapshots, {apart} garbage collections apart" in found[stalled]["finding"]["why"]
        assert found[moving]["status"] == "in progress"
    alone = {one["finding"]["rule"]: one for one in seen.other["findings"] if one["finding"]["rule"] == "R1"}
    assert all("one snapshot cannot show" in one["finding"]["why"] for one in alone.values())


def test_a_sparse_map_persists(seen):
    (found,) = [
        one
        for one in seen.same["findings"]
        if one["finding"]["subject"] == hex(seen.now["maps"]["sparse"]["address"]) and one["finding"]["rule"] == "R9"
    ]
    assert found["status"] == "unchanged"
    assert "It was so in the older snapshot too" in found["finding"]["why"]
    assert seen.status == 1


def test_a_core_and_itself_do_not_differ(seen):
    itself = seen.itself
    assert [itself[name]["total"] for name in ("grown", "shrunk", "new_maps", "gone_maps")] == [0, 0, 0, 0]
    assert itself["change"] == {"maps": 0, "entries": 0, "bytes": 0, "waste_bytes": 0}
    assert {one["status"] for one in itself["findings"]} == {"unchanged"}
    assert "one file" in itself["warnings"][0]
    assert seen.itself_status == 1


def test_the_text_says_the_same(seen):
    assert all(len(line) <= 80 or line.startswith("  mapscope ") for line in seen.text.splitlines())
    row = seen.change("grown")
    assert f"entries {row['then']['entries']:,} → {row['now']['entries']:,}" in seen.text
