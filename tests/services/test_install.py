"""The package installs where there is no compiler, and where the user wants none of it compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info", "build")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy to build from: builds write into their source tree."""
    copy = tmp_path / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "src", copy / "src", ignore=LEFT_OUT)
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("without", [{"MAPSCOPE_PURE": "1"}, {"CC": "/nonexistent/cc"}], ids=["pure", "no compiler"])
def test_install_without_compiled_kernels(source: Path, tmp_path: Path, without: dict[str, str]):
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    environment = {**os.environ, "PIP_NO_CACHE_DIR": "1", **without}
    done = subprocess.run(
        [*command, "--target", target, source],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list(target.rglob("*.so"))
    assert (target / "mapscope" / "py.typed").exists()
    assert len(list((target / "mapscope" / "goruntime" / "layouts").glob("*.json"))) >= 8
    script = (
        "import mapscope, sys; from mapscope.cli.main import main; print(mapscope.__file__); sys.exit(main(['--help']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(str(target))
    assert "analyze" in ran.stdout
