"""Runs a scenario on one release: builds its program, lets it speak, takes its core, analyses that, and judges."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mapscope.errors import MapscopeError
from mapscope.lab.scenario import SHARED, Check, Run, Scenario
from mapscope.lab.toolchains import Toolchain, cache_folder

_SECONDS = 120
"""A program that has not spoken by then is ended."""
_COMPILE_SECONDS = 300
_MAX_LINE = 1 << 22
"""Bytes of a program's document."""
_MAX_OUTPUT = 64 << 10
_MODULE = "module example.test/scenario\n\ngo 1.19\n"
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/", "GOMAXPROCS": "2", "GOTRACEBACK": "single"}
"""All that a program sees, so that every run is alike."""


class ScenarioError(MapscopeError):
    """The program of a scenario does not compile, died where it must not, or said nothing that can be used."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of one scenario on one release. ``failure``: why there are no checks; ``kept``: where output is."""

    scenario: Scenario
    toolchain: Toolchain
    checks: tuple[Check, ...]
    failure: str = ""
    kept: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything was as expected."""
        return not self.failure and all(one.ok for one in self.checks)


def run(scenario: Scenario, toolchain: Toolchain, keep: str | os.PathLike[str] | None = None) -> Outcome:
    """Runs one scenario. What goes wrong with its program is in the outcome; only a misuse or a bug raises.

    ``keep``: a folder for the program's sources, executable, output and core; made when it is not there.
    """
    with tempfile.TemporaryDirectory(prefix="mapscope-lab-") as scratch:
        folder = Path(scratch)
        if keep is not None:
            folder = Path(keep) / f"{scenario.name}-{toolchain.version}"
            folder.mkdir(parents=True, exist_ok=True)
        try:
            checks = tuple(_checks(scenario, toolchain, folder))
        except MapscopeError as error:
            return Outcome(scenario, toolchain, (), str(error), _rescue(folder, scenario, toolchain, keep is not None))
        return Outcome(scenario, toolchain, checks, "", str(folder) if keep is not None else "")


def _checks(scenario: Scenario, toolchain: Toolchain, folder: Path) -> list[Check]:
    source = _sources(scenario, folder)
    executable = _built(source, toolchain)
    compiler = _decisions(source, toolchain) if scenario.compiler else ""
    if scenario.dies:
        output, status = _dies(executable, folder)
        return scenario.check(Run(toolchain, executable, {}, output, status, compiler, None))
    from mapscope.evidence.capture import capture
    from mapscope.opening import open_snapshot

    core = folder / "core"
    with _speaking(executable, folder) as (pid, said):
        capture(pid, core, overwrite=True)
        output = _text(folder / "stderr")
    snapshot = open_snapshot(core, executable)
    return scenario.check(Run(toolchain, executable, said, output, None, compiler, snapshot))


def _sources(scenario: Scenario, folder: Path) -> Path:
    """The sources of the program in a folder of their own; it needs no other module."""
    target = folder / "source"
    target.mkdir(exist_ok=True)
    (target / "go.mod").write_text(_MODULE, encoding="utf-8")
    for path in (*scenario.folder.glob("*.go"), *SHARED.glob("*.go")):
        shutil.copyfile(path, target / path.name)
    return target


def _built(source: Path, toolchain: Toolchain) -> Path:
    """The executable, kept in the cache folder by release and sources."""
    recipe = hashlib.sha256(toolchain.version.encode())
    for path in sorted(source.iterdir()):
        recipe.update(path.name.encode())
        recipe.update(path.read_bytes())
    target = cache_folder() / "lab" / recipe.hexdigest()[:24] / "program"
    if not target.exists():
        toolchain.build(source, target)
    os.utime(target.parent)
    return target


def _decisions(source: Path, toolchain: Toolchain) -> str:
    """What the compiler says of its decisions about inlining and escapes."""
    command = [str(toolchain.go), "build", "-gcflags=-m", "-buildvcs=false", "-o", os.devnull, "."]
    try:
        done = subprocess.run(
            command, cwd=source, env=toolchain.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_COMPILE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScenarioError(f"go build -gcflags=-m did not end well: {error}", "try again") from None
    if done.returncode:
        raise ScenarioError(f"go build -gcflags=-m failed: {done.stderr[:300]}", "try another release")
    return done.stderr


def _dies(executable: Path, folder: Path) -> tuple[str, int]:
    """What a program says that is expected to die, and its exit status."""
    with open(folder / "stderr", "w+b") as stderr, open(folder / "stdout", "w+b") as stdout:
        try:
            done = subprocess.run(
                [executable], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=_ENVIRONMENT, cwd=folder,
                timeout=_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ScenarioError(f"the program should have died, and ran on for {_SECONDS} s", "try again") from None
    return _text(folder / "stderr"), done.returncode


@contextlib.contextmanager
def _speaking(executable: Path, folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The program once it has said everything and waits; it is ended afterwards."""
    with open(folder / "stderr", "w+b") as stderr:
        process = subprocess.Popen(
            [executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=_ENVIRONMENT, cwd=folder
        )
        try:
            yield process.pid, _document(process, folder)
        finally:
            process.kill()
            process.communicate()


def _document(process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    assert process.stdout is not None
    watchdog = threading.Timer(_SECONDS, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        line = _line(process.stdout, folder)
        last = _line(process.stdout, folder)
    finally:
        watchdog.cancel()
    if last != b"READY\n":
        status = process.wait()
        said = next((one for one in _text(folder / "stderr").splitlines() if one.strip()), "it said nothing")
        raise ScenarioError(f"the program died with status {status}: {said[:200]}", "its output was kept")
    try:
        document = json.loads(line)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ScenarioError("the program's document is no JSON", "its output was kept")
    return document


def _line(stream: IO[bytes], folder: Path) -> bytes:
    line = stream.readline(_MAX_LINE)
    with open(folder / "stdout", "ab") as copy:
        copy.write(line)
    return line


def _text(path: Path) -> str:
    with open(path, "rb") as stream:
        return stream.read(_MAX_OUTPUT).decode("utf-8", "replace")


def _rescue(folder: Path, scenario: Scenario, toolchain: Toolchain, kept: bool) -> str:
    """Where the output of a program that failed stays: the folder that was asked for, or one in the cache folder."""
    if kept:
        return str(folder)
    target = cache_folder() / "lab" / "failed" / f"{scenario.name}-{toolchain.version}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("stdout", "stderr"):
        if (folder / name).exists():
            shutil.copyfile(folder / name, target / name)
    if (folder / "source").is_dir():
        shutil.copytree(folder / "source", target / "source")
    return str(target)
