"""Tables and SQL of real heaps, against the program's own words and against brute force in Python."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapscope.maps.model import Place
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from mapscope.tables import NAMES
from tests.groundtruth import harness
from tests.groundtruth.test_goroutines import MOVES, parse
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

TOLERANCE = 0.01
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "tables.md"
ASKED = "select type, sum(waste) from maps group by all order by 2 desc"


@dataclass(frozen=True)
class Seen:
    """One run: the program's words before and after the core was taken, and what mapscope sees in the core."""

    truth: dict[str, Any]
    after: str
    core: Path
    executable: Path
    snapshot: Snapshot


def observe(program: str, variant: Variant, folder: Path, *arguments: str) -> Seen:
    """Builds, runs, takes the core into ``folder``, and lets the program come to its end."""
    executable = harness.build(program, variant)
    with harness.running(executable, *arguments, folder=folder) as process:
        core = harness.take_core(process, "capture", folder)
        # the goroutines of that one take long to end, and say nothing more
        end = program != "goroutines"
        after = process.process.communicate(timeout=harness.START_SECONDS)[0] if end else b""
    return Seen(process.truth, after.decode(), core, executable, open_snapshot(core, executable))


@functools.lru_cache(maxsize=4)
def shared(program: str, variant: Variant, *arguments: str) -> Seen:
    """One run for several tests. Its core is gone; the snapshot still has it."""
    with tempfile.TemporaryDirectory(prefix=f"query-{program}-") as folder:
        return observe(program, variant, Path(folder), *arguments)


def each(*modes: str) -> pytest.MarkDecorator:
    """One classic and one Swiss release, each on one worker."""
    runs = [Variant(series, mode) for series in ("1.23", "1.26") for mode in modes or ("default",)]
    params = [pytest.param(run, id=str(run), marks=pytest.mark.xdist_group(f"query-{run}")) for run in runs]
    return pytest.mark.parametrize("variant", params)


def rows(snapshot: Snapshot, text: str) -> list[dict[str, Any]]:
    """Rows of a statement by name."""
    result = snapshot.sql(text)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows()]


# --- the program's own words -----------------------------------------------------------------------------------------


@each()
def test_maps_have_the_entries_that_the_program_put_in(variant: Variant):
    seen = shared("maptypes", variant)
    found = {row["address"]: row for row in rows(seen.snapshot, "select address, type, count, place from maps")}
    true = {one["address"]: one for one in seen.truth["maps"]}
    assert set(true) <= set(found)
    name = "used" if variant.swiss else "count"
    wrong = [one for address, one in true.items() if found[address]["count"] != one["header"][name]]
    assert not wrong
    wrong = [one for address, one in true.items() if found[address]["type"] not in (one["type"], None)]
    assert not wrong
    listed = ", ".join(map(str, sorted(true)))
    text = f"select type, count(*) as n from maps where type is not null and address in ({listed}) group by all"
    types = Counter(one["type"] for address, one in true.items() if found[address]["type"])
    assert types.total() > 0.8 * len(true)
    assert {row["type"]: row["n"] for row in rows(seen.snapshot, text)} == types


@each()
def test_live_objects_are_what_the_runtime_counts(variant: Variant):
    seen = shared("maptypes", variant)
    (sums,) = rows(seen.snapshot, "select sum(bytes) as bytes, count(*) as objects from objects where live")
    figures = seen.truth["memstats"]
    assert sums["bytes"] == pytest.approx(figures["HeapAlloc"], rel=TOLERANCE)
    assert sums["objects"] == pytest.approx(figures["HeapObjects"], rel=TOLERANCE)
    typed = rows(seen.snapshot, "select sum(bytes) as bytes, sum(objects) as objects from types")
    (own,) = rows(
        seen.snapshot, "select sum(bytes) as bytes, count(*) as objects from objects where live and type_id >= 0"
    )
    assert typed == [own]


@each("default", "stripped")
def test_retained_bytes_are_what_the_program_got_back(variant: Variant):
    seen = shared("holding", variant)
    worth = json.loads(seen.after)
    retained = {row["address"]: row["retained_bytes"] for row in rows(seen.snapshot, "from objects where live")}
    for name, address in seen.truth["cases"].items():
        if address not in retained:
            assert seen.snapshot.maps.at(address).place == Place.STACK  # type: ignore[union-attr]
            continue
        expected = worth[name] + {"object": worth["field"], "head": worth["list"]}.get(name, 0)
        assert retained[address] == pytest.approx(expected, rel=TOLERANCE), name


@each()
def test_what_no_edge_reaches_any_more_is_what_the_program_got_back(variant: Variant):
    """The graph as SQL gives it, walked in plain Python, with and without one map."""
    seen = shared("holding", variant)
    ways = defaultdict(list)
    roots = set()
    for source_kind, source, kind, target in seen.snapshot.sql("from edges").rows():
        ways[source_kind, source].append((kind, target))
        if source_kind not in ("object", "map", "iterator"):
            roots.add((source_kind, source))
    size = {row["address"]: row["bytes"] for row in rows(seen.snapshot, "from objects where live")}
    assert reach(roots, ways, None) == set(size)
    worth = json.loads(seen.after)
    for name in ("direct", "field", "array", "slice", "box", "channel", "closure", "twins"):
        gone = set(size) - reach(roots, ways, ("object", seen.truth["cases"][name]))
        assert sum(size[address] for address in gone) == pytest.approx(worth[name], rel=TOLERANCE), name


def reach(roots: set[tuple[str, int]], ways: dict[Any, list[Any]], without: tuple[str, int] | None) -> set[int]:
    """Addresses of objects that the roots lead to."""
    done, work = set(roots), list(roots)
    while work:
        for target in ways.get(work.pop(), ()):
            if target not in done and target != without:
                done.add(target)
                work.append(target)
    return {address for kind, address in done if kind == "object"}


@each("default", "stripped")
def test_goroutines_and_frames_are_the_runtimes(variant: Variant):
    seen = shared("goroutines", variant)
    told = parse(seen.truth["stacks"])
    found = {row["id"]: row for row in rows(seen.snapshot, "from goroutines where status <> 'dead'")}
    stacks = defaultdict(list)
    for row in rows(seen.snapshot, "from frames order by goroutine, depth"):
        stacks[row["goroutine"]].append((row["function"], row["file"], row["line"]))
    still = 0
    for goid, one in told.items():
        if one.status in MOVES or one.status == "syscall":
            continue
        assert goid in found, one
        assert found[goid]["wait_reason"] == one.status
        assert found[goid]["parent"] == (one.parent or 0)
        assert found[goid]["frames"] == len(stacks[goid])
        frames = [frame for frame in stacks[goid] if not frame[0].startswith("runtime.")]
        assert frames == [frame for frame in one.frames if not frame[0].startswith("runtime.")]
        still += 1
    assert still > 10


@each()
def test_a_blocked_loop_is_in_the_table_of_iterators(variant: Variant):
    seen = shared("iterators", variant, "receive")
    freed = seen.truth["made"] or int(seen.after.split()[-1])
    (one,) = rows(seen.snapshot, f"from iterators where liveness = 'exact' and map_address = {seen.truth['subject']}")
    assert (one["goroutine"], one["state"], one["place"]) == (seen.truth["goroutine"], "running", "stack")
    assert one["pinned_bytes"] == pytest.approx(freed, rel=TOLERANCE)
    joined = """
        select findings.rule, findings.bytes, frames.line
        from findings join iterators on iterators.map_address = findings.address
        join frames on frames.goroutine = iterators.goroutine and frames.function = iterators.function
        where iterators.liveness = 'exact' and findings.rule in ('R4', 'R5')
    """
    (finding,) = rows(seen.snapshot, joined)
    assert finding == {
        "rule": "R5" if variant.swiss else "R4", "bytes": one["pinned_bytes"], "line": one["line"]
    }  # fmt: skip


# --- brute force -----------------------------------------------------------------------------------------------------


@each("default", "stripped")
def test_waste_by_type_is_the_sum_over_all_maps(variant: Variant):
    seen = shared("maptypes", variant)
    sums: Counter[str | None] = Counter()
    for one in seen.snapshot.maps:
        sums[one.type_name] += one.waste_bytes
    result = list(seen.snapshot.sql(ASKED).rows())
    assert dict(result) == dict(sums)
    assert [waste for _, waste in result] == sorted(sums.values(), reverse=True)


@each()
def test_every_row_is_the_map_itself(variant: Variant):
    snapshot = shared("maptypes", variant).snapshot
    listed = rows(snapshot, "from maps order by address")
    assert len(listed) == len(snapshot.maps) > 1000
    for row, one in zip(listed, snapshot.maps, strict=True):
        assert (row["address"], row["type"], row["state"]) == (one.address, one.type_name, one.state)
        assert (row["bytes"], row["needed"], row["waste"]) == (one.total_bytes, one.needed_bytes, one.waste_bytes)
        assert row["place"] == Place(one.place).name.lower()
        assert row["generation"] == ("swiss" if one.is_swiss else "classic")
        parts = [value for name, value in row.items() if name.endswith("_bytes")]
        assert sum(parts) == row["bytes"]
    on_heap = [row for row in listed if row["place"] == "heap"]
    assert on_heap
    slots = {row["address"]: row["bytes"] for row in rows(snapshot, "select address, bytes from objects")}
    for row in on_heap:
        assert 0 <= row["address"] - row["object_address"] < slots[row["object_address"]]
    assert all(row["object_address"] == 0 for row in listed if row["place"] != "heap")


@each()
def test_dominators_and_retained_bytes_agree_with_the_snapshot(variant: Variant):
    snapshot = shared("holding", variant).snapshot
    some = rows(snapshot, "from objects where live order by retained_bytes desc, address limit 50")
    for row, held in zip(some, snapshot.held([row["address"] for row in some]), strict=True):
        assert held is not None
        assert row["retained_bytes"] == held.retained == snapshot.retained(row["address"])
        assert (row["dominator_kind"] is None) == (held.dominator is None)
        if held.dominator is not None and row["dominator_kind"] in ("object", "global"):
            assert row["dominator_address"] == held.dominator.address
    (dead,) = rows(snapshot, "select coalesce(sum(retained_bytes), 0) as n from objects where not live")
    assert dead == {"n": 0}


# --- as users have it ------------------------------------------------------------------------------------------------


@each("default", "stripped")
def test_the_command_answers(variant: Variant, tmp_path: Path):
    seen = observe("holding", variant, tmp_path)
    command = [sys.executable, "-m", "mapscope", "query", str(seen.core), ASKED, "-e", str(seen.executable)]
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE), "NO_COLOR": "1"}
    target = tmp_path / "waste.json"
    done = subprocess.run(
        [*command, "-o", str(target)], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    sums: Counter[str | None] = Counter()
    for one in seen.snapshot.maps:
        sums[one.type_name] += one.waste_bytes
    document = json.loads(target.read_bytes())
    assert {row["type"]: row["sum(waste)"] for row in document["rows"]} == dict(sums)
    assert document["process"]["go_version"].startswith(f"go{variant.series}")


@each()
def test_the_example_of_the_page_runs(variant: Variant, tmp_path: Path, monkeypatch, capsys):
    seen = observe("holding", variant, tmp_path)
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "core.4242").symlink_to(seen.core)
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    exec(compile(example, str(PAGE), "exec"), space)
    printed = capsys.readouterr().out
    maps = seen.snapshot.maps
    assert f"{len(maps)} maps, {sum(one.total_bytes for one in maps)} bytes," in printed
    heaviest = next(space["heaviest"].rows())
    assert heaviest[0] in seen.truth["cases"].values()
    assert heaviest[3] == max(seen.snapshot.retained(one.address) for one in maps)
    assert "main.hold" in printed


@each()
@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_every_column(name: str, variant: Variant):
    table = shared("holding", variant).snapshot.tables[name]
    text = PAGE.read_text(encoding="utf-8")
    section = text[text.index(f"\n### {name}\n") :].split("\n### ")[1]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == table.columns
    for column in table.columns:
        values = table[column]
        assert len(values) == len(table)
        if column == "address" or column.endswith(("_address", "bytes")):
            assert values.dtype == np.uint64, column
    assert table.to_arrow().num_rows == len(table)
