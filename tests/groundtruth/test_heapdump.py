"""A heap dump and a core of the same process lead to the same report; what the dump itself lists is found again in it.

The oracles are the core, and what the dump says beside its objects: MemStats, frames with their functions, goroutines.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapscope.cache import path_of
from mapscope.evidence.heapdump import FRAME, GOROUTINE, HeapDump
from mapscope.goruntime.dumped import open_dumped
from mapscope.goruntime.dumpheap import lay_heap, other_frames
from mapscope.heap.model import read_heap
from mapscope.maps.model import COLUMNS
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness, unseen
from tests.groundtruth.variants import SERIES, Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]
_MADE = 16
"""Objects that the command to dump makes in the program."""


@dataclass(frozen=True)
class Seen:
    """One process by two kinds of evidence."""

    truth: dict[str, Any]
    executable: Path
    dump: Path
    core: Path
    by_dump: Snapshot
    by_core: Snapshot


def variants() -> list[Any]:
    """Every release, one stripped of each generation, PIE."""
    runs = [Variant(series) for series in SERIES]
    runs += [Variant("1.22", "stripped"), Variant("1.26", "stripped"), Variant("1.27", "pie")]
    # the collector that leaves room for its mark bits in every span, where it is not the default, and the other
    runs += [Variant("1.25", "default", "greenteagc"), Variant("1.26", "default", "nogreenteagc")]
    return [pytest.param(run, id=str(run), marks=pytest.mark.xdist_group(f"heapdump-{run}")) for run in runs]


@pytest.fixture(scope="module", params=variants())
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def seen(variant: Variant) -> Iterator[Seen]:
    """The dump first: taking it changes a little, taking a core nothing."""
    executable = harness.build("maptypes", variant)
    with tempfile.TemporaryDirectory(prefix="heapdump-") as name:
        folder = Path(name)
        with harness.running(executable, folder=folder) as program:
            dump = harness.take_dump(program, folder)
            core = harness.take_core(program, "capture", folder)
        yield Seen(
            program.truth, executable, dump, core, open_snapshot(dump, executable), open_snapshot(core, executable)
        )


def columns(snapshot: Snapshot, reaches: dict[int, str]) -> dict[int, dict[str, Any]]:
    """Every column of every map, and its type, by address, without those that no dump shows."""
    out = {}
    for one in snapshot.maps:
        if reaches.get(one.address) not in unseen.NOT_DUMPED:
            known = {name: getattr(one, name) for name in COLUMNS if name not in ("type_index", "object_id")}
            out[one.address] = {"type": one.type_name, **known}
    return out


def test_every_map_is_the_same(seen: Seen) -> None:
    reaches = {one["address"]: one["reach"] for one in seen.truth["maps"]}
    ours, theirs = columns(seen.by_dump, reaches), columns(seen.by_core, reaches)
    assert len(theirs) > 900
    assert ours.keys() == theirs.keys()
    differing = {
        hex(at): {name: (ours[at][name], theirs[at][name]) for name in ours[at] if ours[at][name] != theirs[at][name]}
        for at in ours
        if ours[at] != theirs[at]
    }
    assert not differing, list(differing.items())[:20]


def test_every_finding_and_its_chain_is_the_same(seen: Seen) -> None:
    def told(snapshot: Snapshot) -> list[tuple[Any, ...]]:
        return [(one.rule, one.subject, one.bytes, one.confidence, dict(one.evidence)) for one in snapshot.findings]

    assert told(seen.by_dump) == told(seen.by_core)
    for snapshot in (seen.by_dump, seen.by_core):
        assert snapshot.evidence.kind == ("heap dump" if snapshot is seen.by_dump else "core")
    some = [one["address"] for one in seen.truth["maps"] if one["reach"] not in unseen.NOT_DUMPED][::7]
    some = [at for at in some if seen.by_core.maps.at(at) is not None]
    ours = [None if held is None else (held.chain, held.retained) for held in seen.by_dump.held(some)]
    theirs = [None if held is None else (held.chain, held.retained) for held in seen.by_core.held(some)]
    assert len(some) > 100
    assert sum(one is not None for one in theirs) > 50
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    assert ours == theirs, f"{same} of {len(some)} are the same"


def test_every_goroutine_but_the_first_is_the_same(seen: Seen) -> None:
    """The first one writes the dump, and waits for its input when the core is taken."""

    def told(snapshot: Snapshot) -> dict[int, tuple[Any, ...]]:
        return {
            one.id: (one.status, one.wait_reason, one.frames, one.parent, one.start_function, one.problem)
            for one in snapshot.goroutines
            if one.id != 1 and not one.system
        }

    assert told(seen.by_dump) == told(seen.by_core)
    assert len(told(seen.by_core)) > 20
    first = next(one for one in seen.by_dump.goroutines if one.id == 1)
    names = [frame.function for frame in first.frames]
    assert names[-4:] == ["truth/probe.Wait", "truth/probe.Report", "main.main", "runtime.main"]
    assert "runtime/debug.WriteHeapDump" in names


def test_false_objects_are_dropped(seen: Seen, variant: Variant) -> None:
    """What is left is what the runtime counts, to the last object and byte; from 1.22 there is something to drop."""
    heap = seen.by_dump.heap
    assert heap.runtime is not None
    assert heap.live_objects + heap.dead_objects == heap.runtime.heap_objects
    assert heap.live_bytes + heap.dead_bytes == heap.runtime.heap_alloc_bytes
    assert 0 <= heap.runtime.heap_objects - seen.truth["memstats"]["HeapObjects"] <= _MADE
    dump = HeapDump.open(seen.dump)
    assert repr(dump) == f"HeapDump({str(seen.dump)!r})"  # nothing of what lies in it
    dropped = lay_heap(open_dumped(dump, seen.executable), dump)[2]
    assert (dropped > 0) == (variant.series >= "1.22")


def test_frames_and_goroutines_of_the_dump_are_those_of_its_stacks(seen: Seen) -> None:
    dump = HeapDump.open(seen.dump)
    heap = read_heap(open_dumped(dump, seen.executable))
    assert other_frames(dump, heap.frames.frames) == 0
    frames = dump.records(FRAME)
    names = Counter(dump.text(at, size) for at, size in frames[:, 8:10].tolist())
    code, walked = heap.frames.code, heap.frames.frames
    tables = [(code.find(pc), code) for pc in walked.pc.tolist()]
    assert names == Counter(code.tables[found[0]][1].name(found[1]) for found, code in tables if found is not None)
    table = heap.goroutines
    listed = dump.records(GOROUTINE)
    rows = {int(address): at for at, address in enumerate(table.address.tolist())}
    at = np.array([rows[address] for address in listed[:, 0].tolist()])
    for column, mine in ((1, table.sp), (2, table.goid), (3, table.gopc), (4, table.status), (7, table.waitsince)):
        assert mine[at].tolist() == listed[:, column].tolist()
    reasons = [dump.text(where, size) for where, size in listed[:, 8:10].tolist()]
    ours = [heap.frames.goroutine(row).wait_reason for row in at.tolist()]
    assert [one for one in ours if one] == [said for one, said in zip(ours, reasons, strict=True) if one]
    assert sum(one is not None for one in ours) > 20


def test_what_a_dump_does_not_tell_is_said(seen: Seen, variant: Variant) -> None:
    said = " ".join(seen.by_dump.evidence.missing)
    for word in ("spans", "registers", "types of objects", "resident memory"):
        assert word in said
    assert ("AddCleanup" in said) == (variant.series >= "1.24")
    assert seen.by_dump.heap.reconciliation is None
    assert seen.by_dump.evidence.warnings == seen.by_core.evidence.warnings == ()
    assert seen.by_dump.process == seen.by_core.process


def mapscope(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mapscope", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.applies_to(lambda variant: variant in (Variant("1.23"), Variant("1.26")))
def test_every_command_reads_it(seen: Seen) -> None:
    largest = max(seen.truth["maps"], key=lambda one: one["array_unit"])["address"]
    commands: list[list[str | Path]] = [
        ["maps", seen.dump, seen.executable, "-f", "json"],
        ["map", seen.dump, hex(largest), "-e", seen.executable, "-f", "json"],
        ["chain", seen.dump, hex(largest), "-e", seen.executable, "-f", "json"],
        ["dominators", seen.dump, seen.executable, "-f", "json"],
        ["goroutines", seen.dump, seen.executable, "-f", "json"],
        ["iterators", seen.dump, seen.executable, "-f", "json"],
        ["query", seen.dump, "select count(*) n from frames", "-e", seen.executable, "-f", "json"],
        ["diff", seen.dump, seen.dump, "-e", seen.executable, "-f", "json", "--exit-zero"],
    ]
    for command in commands:
        done = mapscope(*command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert json.loads(done.stdout)
    done = mapscope("analyze", seen.dump, seen.executable, "--exit-zero")
    assert done.returncode == 0, done.stderr
    assert "heap dump" in done.stdout.splitlines()[0]
    assert "resident memory cannot be told" in " ".join(done.stdout.split())
    assert done.stderr == ""


@pytest.mark.applies_to(lambda variant: variant in (Variant("1.23"), Variant("1.26")))
def test_a_dump_and_a_core_show_one_process(seen: Seen, tmp_path: Path) -> None:
    done = mapscope("diff", seen.dump, seen.core, "-e", seen.executable, "-f", "json", "--exit-zero")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["same_process"]
    assert document["grown"]["maps"] == []
    assert {one["status"] for one in document["findings"]} <= {"unchanged"}


@pytest.mark.applies_to(lambda variant: variant in (Variant("1.23"), Variant("1.26")))
def test_what_was_found_out_can_be_kept(seen: Seen) -> None:
    """The second opening takes types and trace from the cache beside the dump, and says the same."""
    first = open_snapshot(seen.dump, seen.executable, keep=True)
    kept = path_of(seen.dump)
    assert kept.exists()
    again = open_snapshot(seen.dump, seen.executable, keep=True)
    for snapshot in (first, again):
        assert snapshot.heap == seen.by_dump.heap
        assert [str(one) for one in snapshot.findings] == [str(one) for one in seen.by_dump.findings]
        assert columns(snapshot, {}) == columns(seen.by_dump, {})
    kept.unlink()


@pytest.mark.applies_to(lambda variant: variant in (Variant("1.23"), Variant("1.26")))
def test_the_wrong_executable_is_refused(seen: Seen, variant: Variant, tmp_path: Path) -> None:
    """None; of another release; another program of the same; the same source built otherwise; a file that is none."""
    other = harness.build("maptypes", Variant("1.24"))
    stranger = harness.build("findings", variant)
    text = tmp_path / "text"
    text.write_text("no program\n" * 100)
    for executable, words in (
        (None, "does not name its executable"),
        (other, "is not the executable that wrote this heap dump"),
        (stranger, "is not the executable that wrote this heap dump"),
        (text, "text"),
        (tmp_path / "none", "none"),
    ):
        done = mapscope("analyze", seen.dump, *([] if executable is None else [executable]))
        assert done.returncode == 2, done.stdout
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 2, done.stderr
        assert done.stdout == ""


@pytest.mark.parametrize("series", ["1.21", "1.26"])
def test_a_program_with_a_plugin(series: str, tmp_path: Path) -> None:
    """The dump has neither the plugin's variables nor its code: that is said; what the program itself holds is told."""
    variant = Variant(series, "plugin")
    executable = harness.build("plugin", variant)
    plugin = harness.build("plugin", variant, "extra", "plugin")
    with harness.running(executable, str(plugin), folder=tmp_path) as program:
        dump = harness.take_dump(program, tmp_path)
    snapshot = open_snapshot(dump, executable)
    for true in program.truth["maps"]:
        if true["reach"] == "global" and true["name"].startswith("host/"):
            found = snapshot.maps.at(true["address"])
            assert found is not None
            assert found.count == true["header"].get("count", true["header"].get("used"))
            assert snapshot.chain(true["address"])[0].kind == "global"
    assert any("frames lie in code of other modules (plugins)" in said for said in snapshot.evidence.warnings)
    unread = sorted(one.id for one in snapshot.goroutines if one.problem)
    assert unread == sorted(program.truth[name] for name in ("in_plugin", "in_loop"))
