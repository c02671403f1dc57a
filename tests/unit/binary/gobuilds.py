"""The Go programs of ``programs/``, built with every release and kept between runs, and what they say."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from mapscope.lab.toolchains import PINNED, Toolchain, cache_folder, find, install

PROGRAMS = Path(__file__).parent / "programs"
SERIES = ("1.19", "1.21", "1.22", "1.23", "1.24", "1.25", "1.26", "1.27")
MODES = ("default", "stripped", "pie", "pie-stripped")
_FLAGS: dict[str, dict[str, str]] = {
    "default": {},
    "stripped": {"ldflags": "-s -w"},
    "pie": {"buildmode": "pie"},
    "pie-stripped": {"buildmode": "pie", "ldflags": "-s -w"},
}


def toolchain(series: str) -> Toolchain:
    """The toolchain of ``series``; skips where Debian's old release is not installed."""
    found = find(series)
    if found is None:
        if not any(version.startswith(series + ".") for version in PINNED):
            pytest.skip(f"Go {series} is not installed and PyPI has none")
        found = install(series)
    return found


def built(program: str, series: str, mode: str = "default", **options: Any) -> Path:
    """The executable of ``programs/<program>.go``. ``options`` go to ``Toolchain.build``."""
    go = toolchain(series)
    source = (PROGRAMS / f"{program}.go").read_bytes()
    flags = {**_FLAGS[mode], **options}
    digest = hashlib.sha256(source + repr((go.version, sorted(flags.items()))).encode()).hexdigest()[:16]
    folder = cache_folder() / "test-programs" / f"{program}-{digest}"
    target = folder / program
    if not target.exists():
        work = folder / f"source-{os.getpid()}"
        work.mkdir(parents=True, exist_ok=True)
        (work / "go.mod").write_text("module example.test/program\n\ngo 1.19\n")
        (work / "main.go").write_bytes(source)
        go.build(work, target, **flags)
    return target


@lru_cache(maxsize=64)
def said(path: Path) -> Any:
    """The JSON that the program prints when it runs."""
    done = subprocess.run([path], capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Live:
    """A program that has spoken and waits. It is a Reader of its own memory."""

    said: Any
    pid: int
    memory: int

    def read(self, address: int, size: int) -> bytes | None:
        """Bytes of the process's memory; None where it has none."""
        if size == 0:
            return b""
        try:
            data = os.pread(self.memory, size, address)
        except (OSError, OverflowError):
            return None
        return data if len(data) == size else None


@contextmanager
def running(path: Path, argument: str = "wait") -> Iterator[Live]:
    """The program while it waits for its standard input to be closed."""
    with subprocess.Popen([path, argument], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        memory = os.open(f"/proc/{process.pid}/mem", os.O_RDONLY)
        try:
            yield Live(json.loads(line), process.pid, memory)
        finally:
            os.close(memory)
            process.communicate(timeout=60)
