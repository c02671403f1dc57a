"""One run of a program, from the build to the report, done once in a session and shared by all workers and tests."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.groundtruth import harness, oracle
from tests.groundtruth.variants import Variant


@dataclass(frozen=True)
class Run:
    """What the program said, what mapscope said, and what the standard library's own maps are."""

    variant: Variant
    truth: dict[str, Any]
    status: int
    stderr: str
    seconds: float
    document: dict[str, Any]
    foreign: list[dict[str, Any]]
    """Maps of the runtime and the standard library, by DWARF. Empty for stripped builds, whose twin knows, and
    where nobody asks."""


class Store:
    """Runs by name, in a folder that the workers of a session share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, program: str, variant: Variant, *arguments: str) -> Run:
        """The run of this program and variant, now or from before; a failure is told to every test that asks."""
        name = "-".join([program, *arguments, str(variant)])
        harness.toolchain(variant.series)
        kept = self.folder / f"{name}.json"
        with harness.locked(self.folder / f"{name}.lock"):
            if not kept.exists():
                kept.write_text(json.dumps(self._make(program, variant, arguments)), encoding="utf-8")
        done = json.loads(kept.read_text(encoding="utf-8"))
        if "skipped" in done:
            harness.absent(done["skipped"], required=False)
        if "failed" in done:
            pytest.fail(done["failed"], pytrace=False)
        return Run(variant=variant, **done)

    def _make(self, program: str, variant: Variant, arguments: tuple[str, ...]) -> dict[str, Any]:
        folder = Path(tempfile.mkdtemp(prefix="core-", dir=self.folder))
        try:
            executable = harness.build(program, variant)
            asked = program in ASK_ORACLE and not variant.stripped
            foreign = []
            with harness.running(executable, *arguments, folder=folder, arch=variant.arch) as process:
                truth = process.truth
                if asked and not variant.arch:
                    foreign = oracle.foreign_maps(executable, process.pid)
                core = harness.take_core(process, variant.evidence, folder)
            if asked and variant.arch:
                foreign = oracle.foreign_maps_in_core(executable, core)
            said = harness.analyze(core, executable, folder)
        except pytest.skip.Exception as reason:
            return {"skipped": str(reason)}
        except AssertionError as reason:
            return {"failed": f"{program} {variant}: {reason}"}
        finally:
            if not KEEP:
                shutil.rmtree(folder)
        return {"truth": truth, "foreign": [dataclasses.asdict(one) for one in foreign], **said}


ASK_ORACLE = {"maptypes"}
"""Programs whose foreign maps are of interest; the oracle takes seconds."""
KEEP = False
"""Set by ``--keep-cores``: the cores of a session stay for a look with a debugger."""
