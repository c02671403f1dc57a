"""``mapscope analyze -f pprof``: what ``go tool pprof`` reads in it is what the document says."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.groundtruth import harness
from tests.groundtruth.test_profile_command import tops
from tests.groundtruth.variants import Variant
from tests.unit.kernels.pprofs import Profile as Message

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]


def analyze(*arguments: str | Path) -> bytes:
    """Standard output of one command, with or without findings."""
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "mapscope", "analyze", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=120, env=environment, check=False)
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.stdout


def top(variant: Variant, path: Path, kind: str, unit: str) -> tuple[int, dict[str, int]]:
    """Total and flat values of ``go tool pprof -top``."""
    go = harness.toolchain(variant.series)
    flags = ("-top", "-nodecount=0", "-nodefraction=0", "-edgefraction=0", f"-sample_index={kind}", f"-unit={unit}")
    environment = {**go.environment(), "HOME": str(path.parent), "PPROF_TMPDIR": str(path.parent)}
    command = [go.go, "tool", "pprof", *flags, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return tops(done.stdout)


@pytest.mark.parametrize(
    ("program", "mode", "variant"),
    [
        ("findings", "stalled", Variant("1.23")),
        ("findings", "churn", Variant("1.26", "stripped")),
        ("maptypes", "", Variant("1.22")),
        ("maptypes", "", Variant("1.27")),
    ],
    ids=str,
)
def test_pprof_says_what_the_document_says(program: str, mode: str, variant: Variant, tmp_path: Path):
    executable = harness.build(program, variant)
    with harness.running(executable, *filter(None, [mode]), folder=tmp_path) as process:
        core = harness.take_core(process, "capture", tmp_path)
    document: dict[str, Any] = json.loads(analyze(core, executable, "-f", "json"))
    out = tmp_path / "maps.pb.gz"
    analyze(core, executable, "-f", "pprof", "-o", out)
    verdict = document["verdict"]
    total, flat = top(variant, out, "map_bytes", "B")
    assert total == verdict["map_bytes"]
    by_type: Counter[str] = Counter()
    entries = 0
    for row in document["maps"]:
        by_type[row["type"] or "map of unknown type"] += row["bytes"]["total"]
        entries += row["count"]
    assert {name: size for name, size in flat.items() if size} == {n: size for n, size in by_type.items() if size}
    message = Message.FromString(gzip.decompress(out.read_bytes()))
    columns = [sum(sample.value[at] for sample in message.sample) for at in range(4)]
    wasted = sum(row["bytes"] for row in document["findings"] if row["part_of"] is None)
    assert columns == [len(document["maps"]), entries, verdict["map_bytes"], wasted]
    if mode == "stalled":
        assert wasted > 0
    strings = message.string_table
    assert strings[message.default_sample_type] == "map_bytes"
    names = {one.id: strings[one.name] for one in message.function}
    places = {one.id: names[one.line[0].function_id] for one in message.location}
    depths: dict[str, Counter[int]] = defaultdict(Counter)
    for sample in message.sample:
        depths[places[sample.location_id[0]]][len(sample.location_id)] += sample.value[0]
    expected: dict[str, Counter[int]] = defaultdict(Counter)
    for row in document["maps"]:
        name = row["type"] or "map of unknown type"
        expected[name][len(row["chain"]) if row["chain"] else 2] += 1
    assert depths == expected
    roots = {places[sample.location_id[-1]].split(" ")[0] for sample in message.sample}
    assert roots & {"global", "goroutine"}
    rules = {row["rule"] for row in document["findings"]}
    labelled = {strings[one.str] for sample in message.sample for one in sample.label if strings[one.key] == "finding"}
    assert {rule for text in labelled for rule in text.split(", ")} == rules
