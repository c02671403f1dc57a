"""``mapscope profile`` as a user runs it: twins that a profile cannot tell apart, healthy ones, and go tool pprof."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mapscope.report.schema import json_schema
from tests.groundtruth import harness
from tests.groundtruth.test_profiles import SERIES, Taken, hidden, take, truth_of
from tests.groundtruth.variants import Variant
from tests.unit.kernels.pprofs import Profile as Message
from tests.unit.report.schema_check import problems

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]
__all__ = ["take"]

TWINS = [Variant(series) for series in SERIES] + [Variant("1.24", experiment="noswissmap")]
UINTS = "map[uint64]uint64"


def run(*arguments: str | Path) -> bytes:
    """Standard output of one command."""
    command = [sys.executable, "-m", "mapscope", "profile", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE), "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def report(taken: Taken, name: str) -> dict[str, Any]:
    """The document of one profile of the run, which keeps to the schema."""
    document: dict[str, Any] = json.loads(run(taken.folder / name, "-e", taken.executable, "-f", "json"))
    schema = json_schema()
    assert not problems(document, schema["$defs"]["ProfileDocument"], schema)
    return document


def filled(document: dict[str, Any]) -> Counter[str]:
    """Bytes in use by part of what main.fill put into its map."""
    found: Counter[str] = Counter()
    for row in document["sites"]:
        if row["function"] == "main.fill":
            assert row["type"] == UINTS
            found[row["part"]] += row["sums"]["inuse_bytes"]
    return found


def true_bytes(taken: Taken, variant: Variant) -> Counter[str]:
    """The same by the program's own words."""
    found: Counter[str] = Counter()
    for record in taken.truth["records"]:
        functions = record["functions"][len(hidden(record["functions"])) :]
        if record["inuse_bytes"] and functions[:1] == ["main.fill"] and (part := truth_of(record, variant)):
            found[part] += record["inuse_bytes"]
    return found


def pprof(taken: Taken, variant: Variant, *arguments: str | Path) -> str:
    """What ``go tool pprof`` says."""
    go = harness.toolchain(variant.series)
    command = [go.go, "tool", "pprof", *map(str, arguments)]
    environment = {**go.environment(), "HOME": str(taken.folder), "PPROF_TMPDIR": str(taken.folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tops(text: str) -> tuple[int, dict[str, int]]:
    """Total and flat bytes by function of ``-top -unit=B``."""
    total = re.search(r"of (\d+)B? total", text)
    assert total, text
    rows = re.findall(r"^ *(\d+)B? +[\d.]+% +[\d.]+% +\d+B? +[\d.]+% +(.*?)(?: \(inline\))?$", text, re.MULTILINE)
    return int(total[1]), {name: int(flat) for flat, name in rows}


@pytest.mark.parametrize("variant", TWINS, ids=str)
def test_twins(variant: Variant, take: Any):
    """Stalled and pinned give the same suspect on classic maps, healthy ones none, Swiss maps none ever."""
    runs = {mode: take(variant, mode) for mode in ("stalled", "pinned", "finished", "presized")}
    found = {mode: report(taken, "heap.pb.gz") for mode, taken in runs.items()}
    for mode, document in found.items():
        truth, ours = true_bytes(runs[mode], variant), filled(document)
        # a list of overflow buckets can be as large as an array: then the part is not told
        assert 0 <= truth["map growth"] - ours["map growth"] <= ours["part of a map"] < 200_000, mode
        assert abs(sum(ours.values()) - sum(truth.values())) <= 1024, mode  # what starting a collection allocates
        assert document["maps"]["inuse_bytes"] >= 4_000_000
    for mode in ("finished", "presized"):
        assert not found[mode]["suspects"], mode
    if variant.swiss:
        assert not any(document["suspects"] for document in found.values())
        pairs = next(row for row in found["stalled"]["indicators"] if row["id"] == "P3")
        assert pairs["value"] is None
        return
    (stalled,), (pinned,) = found["stalled"]["suspects"], found["pinned"]["suspects"]
    assert stalled == pinned
    assert (stalled["function"], stalled["type"]) == ("main.fill", UINTS)
    sizes = sorted(record["inuse_bytes"] for record in runs["stalled"].truth["records"])[-2:]
    assert [stalled["smaller_bytes"], stalled["larger_bytes"]] == sizes
    assert "look the same in a heap profile" in stalled["text"]
    text = run(runs["pinned"].folder / "heap.pb.gz", "-e", runs["pinned"].executable).decode()
    assert "a snapshot decides" in text
    assert "mapscope capture PID -o svc.core && mapscope analyze svc.core" in text


@pytest.mark.parametrize("variant", [Variant("1.23"), Variant("1.24"), Variant("1.26")], ids=str)
def test_the_articles_indicators_from_whole_stacks(variant: Variant, take: Any):
    taken = take(variant, "stalled")
    rows = {row["id"]: row for row in report(taken, "heap.txt")["article"]}
    depths = [
        len(hidden(record["functions"]))
        for record in taken.truth["records"]
        if record["alloc_objects"]
        and hidden(record["functions"])[-1:] == ["runtime.mapassign_fast64"]
        and truth_of(record, variant) == "map growth"
    ]
    assert rows["A3"]["value"] == max(depths)
    assert rows["A4"]["value"] == 0
    assert rows["A1"]["value"] >= 4_000_000
    records = [record for record in taken.truth["records"] if record["alloc_objects"]]
    ratio = sum(r["alloc_objects"] for r in records) / sum(r["inuse_objects"] for r in records)
    assert rows["A2"]["value"] == pytest.approx(ratio)


@pytest.mark.parametrize("variant", [Variant("1.21"), Variant("1.23", "pie"), Variant("1.27", "stripped")], ids=str)
@pytest.mark.parametrize("name", ["heap.pb.gz", "heap.txt"])
def test_a_profile_with_the_frames_put_back(variant: Variant, name: str, take: Any, tmp_path: Path):
    """``go tool pprof`` shows the entries of maps as leaves with the bytes that we say, and the same total."""
    taken = take(variant, "kinds")
    out = tmp_path / "out.pb.gz"
    run(taken.folder / name, "-e", taken.executable, "-f", "pprof", "-o", out)
    message = Message.FromString(gzip.decompress(out.read_bytes()))
    assert [len(one.value) for one in message.sample] == [4] * len(message.sample)
    flags = ("-top", "-nodecount=0", "-nodefraction=0", "-edgefraction=0", "-sample_index=inuse_space", "-unit=B")
    total, flat = tops(pprof(taken, variant, *flags, out))
    document = report(taken, name)
    assert total == document["heap"]["inuse_bytes"]
    ours = tops(pprof(taken, variant, *flags, taken.folder / "heap.pb.gz"))
    assert ours[0] == total
    assert not any(leaf.startswith("runtime.mapassign") for leaf in ours[1])
    entries: Counter[str] = Counter()
    for row in document["sites"]:
        entries[row["entry"]] += row["sums"]["inuse_bytes"]
    if name == "heap.pb.gz":
        for entry in ("runtime.mapassign", "runtime.mapassign_faststr", "runtime.mapassign_fast64"):
            # a collection that begins in it allocates a little, which is no part of a map
            assert 0 <= flat[entry] - entries[entry] < 1024
            assert entries[entry] > 10_000
    else:
        deepest = "runtime.makeBucketArray" if not variant.swiss else "runtime.mallocgc"
        assert flat[deepest] > 1_000_000
    strings = list(message.string_table)
    added = [one for one in message.function if strings[one.system_name] != strings[one.name]]
    assert {strings[one.name] for one in added} >= set(entries) - {"reflect.makemap"}
    again = json.loads(run(out, "-f", "json"))
    assert (again["parts"], again["told"]) == (document["parts"], document["told"])
    tags = pprof(taken, variant, "-tags", "-sample_index=inuse_space", out)
    assert "map[string]*main.item" in tags
    assert "map growth" in tags


@pytest.mark.parametrize("variant", [Variant("1.22"), Variant("1.26")], ids=str)
def test_at_the_usual_rate(variant: Variant, tmp_path: Path):
    """Text is scaled up as the runtime scales protocol buffers, and the large arrays are in the sample."""
    executable = harness.build("profiles", variant)
    with harness.running(executable, "stalled", "sampled", folder=tmp_path):
        pass
    binary, text = (
        json.loads(run(tmp_path / one, "-e", executable, "-f", "json")) for one in ("heap.pb.gz", "heap.txt")
    )
    assert binary["profiles"][0]["period"] == text["profiles"][0]["period"] == 524288
    assert binary["heap"] == text["heap"]
    # a sample stands for about 512 kB: the large arrays of classic maps are all in it, of 230 small tables about eight
    least = 500_000 if variant.swiss else 4_000_000
    assert binary["maps"]["inuse_bytes"] == text["maps"]["inuse_bytes"] > least
    assert binary["suspects"] == [{**one, "told": "inferred"} for one in text["suspects"]]
    assert len(binary["suspects"]) == (not variant.swiss)
    assert any("estimates from a sample" in note for note in binary["notes"])


def test_csv_and_a_series(take: Any):
    variant = Variant("1.23")
    taken = [take(variant, mode) for mode in ("presized", "finished", "stalled")]
    table = run(taken[0].folder / "heap.pb.gz", "-e", taken[0].executable, "-f", "csv").decode()
    rows = list(csv.DictReader(io.StringIO(table)))
    assert sum(int(row["inuse_bytes"]) for row in rows) == report(taken[0], "heap.pb.gz")["maps"]["inuse_bytes"]
    files = [one.folder / "heap.pb.gz" for one in taken]
    document = json.loads(run(*files, taken[0].folder / "goroutine2.txt", "-e", taken[0].executable, "-f", "json"))
    times = [row["time_nanos"] for row in document["profiles"] if row["kind"] == "heap"]
    assert times == sorted(times)
    assert next(row for row in document["indicators"] if row["id"] == "P2")["value"] is not None
    (goroutines,) = document["goroutines"]
    assert goroutines["total"] == taken[0].truth["goroutines"]
