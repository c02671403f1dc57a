"""``mapscope goroutines`` as a user runs it, against what the program says of its goroutines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]


def run(*arguments: str | Path) -> str:
    """Standard output of one command."""
    command = [sys.executable, "-m", "mapscope", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE), "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("variant", [Variant("1.23", "stripped"), Variant("1.26")], ids=str)
def test_the_command_lists_what_the_runtime_lists(variant: Variant, tmp_path: Path):
    executable = harness.build("goroutines", variant)
    with harness.running(executable, folder=tmp_path) as program:
        truth: dict[str, Any] = program.truth
        core = harness.take_core(program, variant.evidence, tmp_path)
    document = json.loads(run("goroutines", core, executable, "-f", "json"))
    listed = {row["id"]: row for row in document["goroutines"]}
    assert document["total"] == len(listed)
    for name, goid in truth["roles"].items():
        if goid == 0:
            continue  # the entry that only ends the program's hand-written JSON object
        if name.startswith("dead"):
            assert goid not in listed, f"{name}, goroutine {goid}, has ended"
            continue
        assert goid in listed, f"{name} is goroutine {goid}"
        assert listed[goid]["frames"] or listed[goid]["problem"]
    whole = json.loads(run("analyze", core, executable, "-f", "json", "--exit-zero"))
    assert whole["goroutines"] == document["goroutines"]
    bare = json.loads(run("analyze", core, executable, "-f", "json", "--exit-zero", "--no-chains"))
    unknown = {"maps": None, "map_bytes": None}
    assert bare["goroutines"] == [row | unknown for row in document["goroutines"]]
    text = run("goroutines", core, executable)
    waiting = next(row for row in listed.values() if row["wait_reason"] == "chan receive" and not row["system"])
    assert "chan receive" in text
    assert waiting["frames"][-1]["function"] in text
