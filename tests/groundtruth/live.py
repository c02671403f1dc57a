"""A Go program that works while it is captured, and is asked afterwards whether it still does."""

from __future__ import annotations

import contextlib
import os
import re
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mapscope.evidence import procfs
from tests.groundtruth import harness
from tests.groundtruth.harness import Running
from tests.groundtruth.variants import Variant

_SECONDS = 30.0


@dataclass(frozen=True)
class Count:
    """What the program says of itself."""

    integers: int
    """Rounds of work with general registers."""
    floats: int
    """Rounds of work with floating-point registers."""
    wrong: int
    """Rounds with another result than the first."""
    children: int
    """SIGCHLD that arrived."""


@dataclass(frozen=True)
class Ticker:
    """The program ``ticker``."""

    program: Running
    executable: Path

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.program.pid

    def count(self) -> Count:
        """Its counters now. AssertionError when it does not answer."""
        process = self.program.process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], _SECONDS)
        assert ready, f"process {self.pid} does not answer: {procfs.status_fields(self.pid)['State']}"
        return Count(*map(int, os.read(process.stdout.fileno(), 4096).split()))

    def assert_goes_on(self) -> Count:
        """No thread stands still or is traced, all counters go on, and no register came back wrong."""
        before = self.count()
        deadline = time.monotonic() + _SECONDS
        while not ((now := self.count()).integers > before.integers and now.floats > before.floats):
            assert time.monotonic() < deadline, (before, now)
        for tid in procfs.threads(self.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread may end at any time
                status = procfs.status(self.pid, tid)
                assert status.state not in "Tt"
                assert status.tracer == 0
        assert now.wrong == 0
        return now

    def assert_alone(self) -> None:
        """It has no child, not even a zombie; waits for one that is about to be reaped."""
        deadline = time.monotonic() + _SECONDS
        while found := children(self.pid):
            assert time.monotonic() < deadline, {pid: procfs.status(pid) for pid in found}
            os.sched_yield()


def children(parent: int) -> list[int]:
    """Processes whose parent is ``parent``, zombies too."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            text = (entry / "stat").read_text(errors="replace")
            if int(re.split(r"\s+", text.rpartition(")")[2].strip())[1]) == parent:
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def ticking(variant: Variant, folder: Path, megabytes: int = 8) -> Iterator[Ticker]:
    """The program, at work."""
    executable = harness.build("ticker", variant)
    with harness.running(executable, str(megabytes), folder=folder) as program:
        yield Ticker(program, executable)
