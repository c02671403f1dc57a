"""The support page says what the record says, in the same words whatever the order of the outcomes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

TOOL = Path(__file__).resolve().parents[3] / "tools" / "support_matrix.py"


def outcome(release: str, mode: str, evidence: str, result: str = "passed", arch: str = "amd64") -> dict[str, Any]:
    return {"arch": arch, "release": release, "mode": mode, "evidence": evidence, "test": "t", "outcome": result}


RECORD = [
    *[outcome("1.9", "default", "capture") for _ in range(3)],
    outcome("1.24", "default", "kernel"),
    outcome("1.24", "default", "capture", "failed"),
    outcome("1.24", "default", "capture"),
    outcome("1.24+noswissmap", "pie", "gcore"),
    outcome("1.27", "stripped", "capture", "skipped"),
]


def page(folder: Path, record: list[dict[str, Any]], *arguments: str) -> tuple[int, str]:
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    target = folder / "page.md"
    command = [sys.executable, TOOL, "--record", folder / "record.json", "--output", target, *arguments]
    status = subprocess.run(command, check=False).returncode
    return status, target.read_text(encoding="utf-8") if target.exists() else ""


def test_each_release_has_a_row_and_failures_are_told(tmp_path: Path):
    status, text = page(tmp_path, RECORD)
    rows = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| 1.")]
    assert status == 0
    assert [row[:2] for row in rows] == [
        ["1.9", "classic"],
        ["1.24", "Swiss"],
        ["1.24 `noswissmap`", "classic"],
        ["1.27", "Swiss"],
    ]
    assert rows[0][2] == "`mapscope` capture: 3"
    assert rows[1][2] == "`mapscope` capture: **1 of 2 fails**<br>kernel core: 1"
    assert rows[2][4] == "`gcore`: 1"
    assert rows[3][2:] == ["", "", "", ""]  # what was skipped was not tried


def test_the_page_depends_on_the_outcomes_alone(tmp_path: Path):
    shuffled = RECORD[:]
    random.Random(1).shuffle(shuffled)
    assert page(tmp_path, RECORD) == page(tmp_path, shuffled)
    assert page(tmp_path, shuffled, "--check")[0] == 0
    assert page(tmp_path, RECORD[1:], "--check")[0] == 1


def test_other_architectures_and_ways_to_link_have_tables_of_their_own(tmp_path: Path):
    """Only with the columns and releases that were tried there."""
    record = [
        *RECORD,
        outcome("1.23", "stripped", "qemu", arch="arm64"),
        outcome("1.23", "plugin", "kernel"),
        outcome("1.26", "cgo-pie", "capture"),
        outcome("1.26", "cgo-pie", "capture", "failed"),
        outcome("1.27", "c-archive", "capture", "skipped"),
    ]
    text = page(tmp_path, record)[1]
    here, there = text.split("## linux/arm64\n")
    plain, linked = here.split("With C, plugins and other ways to link:\n")
    assert "| 1.24 | Swiss |" in plain
    lines = [line for line in linked.splitlines() if line.startswith("|")]
    assert lines == [
        "| Go | maps | cgo, PIE, external linking | with a plugin |",
        "|---|---|---|---|",
        "| 1.23 | classic |  | kernel core: 1 |",
        "| 1.26 | Swiss | `mapscope` capture: **1 of 2 fails** |  |",
    ]
    assert "| 1.23 | classic |  | `qemu-user` core: 1 |  |  |" in there
    assert "With C" not in there
