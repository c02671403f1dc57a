"""The whole tool on the reference kernels: the same document as on the compiled ones, from a core of a real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mapscope.lab import toolchains
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant
from tests.unit.kernels.heaps import kernel

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[3]
CASES = [
    # one of each way to keep pointer bits, and the rules that go back to the bytes (R3, R16)
    ("1.19", "stalled"),
    ("1.21", "stale"),
    ("1.23", "substrings"),
    ("1.24", "churn"),
    ("1.26", "substrings"),
]


def ask(reference: bool, *command: str) -> dict[str, Any]:
    """The JSON document of one command, on one side of the kernels."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
    environment.pop("MAPSCOPE_REFERENCE", None)
    if reference:
        environment["MAPSCOPE_REFERENCE"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "mapscope", *command, "-f", "json"],
        capture_output=True, text=True, timeout=250, env=environment, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("series", "mode"), [case for case in CASES if case[0] != "1.19" or toolchains.find("1.19") is not None]
)
def test_both_sides_say_the_same(series: str, mode: str, tmp_path: Path):
    kernel("compiled", "trace")
    executable = harness.build("findings", Variant(series))
    with harness.running(executable, mode, folder=tmp_path) as process:
        core = harness.take_core(process, "capture", tmp_path)
    compiled = both(core, executable, "analyze")
    assert compiled["maps"]
    assert compiled["findings"]
    largest = max(compiled["maps"], key=lambda one: one["bytes"]["total"])
    detail = both(core, executable, "map", largest["address"])
    assert largest["address"] in json.dumps(detail)


@pytest.mark.parametrize("series", ["1.21", "1.27"])
def test_both_sides_read_the_same_heap_dump(series: str, tmp_path: Path):
    kernel("compiled", "dump")
    executable = harness.build("findings", Variant(series))
    with harness.running(executable, "substrings", folder=tmp_path) as process:
        dump = harness.take_dump(process, tmp_path)
    said = both(dump, executable, "analyze")
    assert said["evidence"]["kind"] == "heap dump"
    assert [one["rule"] for one in said["findings"]] == ["R16"]


def both(core: Path, executable: Path, command: str, *address: str) -> dict[str, Any]:
    """What the compiled kernels say; the reference says the same, and that it is the reference."""
    program = ["-e", str(executable)] if address else [str(executable)]
    said = [ask(side, command, str(core), *address, *program) for side in (False, True)]
    warnings = [document["evidence"].pop("warnings") for document in said]
    assert warnings[0] == []
    assert ["reference" in warning for warning in warnings[1]] == [True]
    assert said[0] == said[1]
    return said[0]
