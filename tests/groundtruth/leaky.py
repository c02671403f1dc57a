"""The example service with its cores, made once in a session for all workers: evidence of a real program."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from mapscope.evidence.capture import capture
from tests.groundtruth import harness

SOURCE = Path(__file__).resolve().parents[2] / "examples" / "leaky"
SCALE = "0.05"


@dataclass(frozen=True)
class Leaky:
    """The executable, and two cores of one process."""

    executable: Path
    core: Path
    later: Path


def line_of(file: Path, marker: str) -> int:
    """The one line of a source file that holds ``marker``."""
    (found,) = [
        number for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if marker in line
    ]
    return found


@pytest.fixture(scope="session")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Leaky:
    """Built with Go 1.23, whose maps are classic."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "leaky"
    made = Leaky(folder / "leaky", folder / "core", folder / "later")
    compiler = harness.toolchain("1.23")
    with harness.locked(folder / "lock"):
        if not made.later.exists():
            compiler.build(SOURCE, made.executable)
            _take(made)
    return made


def _take(made: Leaky) -> None:
    process = subprocess.Popen(
        [made.executable, f"-scale={SCALE}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=harness.ENVIRONMENT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                capture(process.pid, made.core)
                capture(process.pid, made.later)
                return
        raise AssertionError(f"the service ended with {process.wait()} before it was ready")
    finally:
        process.kill()
        process.communicate()
