"""Reports of real programs: one is built and run, and its core is told as page and as JSON, once a session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

_SECONDS = 240


@dataclass(frozen=True)
class Report:
    """One core, told twice."""

    page: Path
    document: dict[str, Any]
    """``-f json`` of the same core."""
    truth: dict[str, Any]
    """What the program says of itself."""

    @property
    def maps(self) -> dict[str, dict[str, Any]]:
        """Rows of the document by address."""
        return {row["address"]: row for row in self.document["maps"]}


class Reports:
    """Reports by name, in a folder that the workers of a session share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, program: str, variant: Variant, *arguments: str) -> Report:
        """Page and document of a program of the ground truth."""
        folder = self.folder / "-".join([program, *arguments, str(variant)])
        done = folder / "truth.json"
        with harness.locked(self.folder / f"{folder.name}.lock"):
            if not done.exists():
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
                    truth = _observe(program, variant, arguments, Path(scratch), folder)
                done.write_text(json.dumps(truth), encoding="utf-8")
        return Report(
            folder / "report.html",
            json.loads((folder / "report.json").read_text(encoding="utf-8")),
            json.loads(done.read_text(encoding="utf-8")),
        )


def _observe(program: str, variant: Variant, arguments: tuple[str, ...], scratch: Path, target: Path) -> Any:
    executable = harness.build(program, variant)
    with harness.running(executable, *arguments, folder=scratch, arch=variant.arch) as process:
        core = harness.take_core(process, variant.evidence, scratch)
        truth = process.truth
    for name in ("report.html", "report.json"):
        mapscope("analyze", str(core), str(executable), "-o", str(target / name), "--force")
    return truth


def mapscope(*arguments: str, status: tuple[int, ...] = (0, 1)) -> str:
    """Standard output of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "mapscope", *arguments],
        capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(harness.SOURCE), "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode in status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
