"""Runs a program and measures it: wall time, CPU time, and the peak of its own (anonymous) memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a program."""

    seconds: float
    cpu_seconds: float
    anonymous_bytes: int
    """Peak of ``RssAnon``, sampled every 5 ms: memory of its own, without mapped files."""
    peak_bytes: int
    """Peak of all resident memory, mapped files too (``VmHWM``)."""
    status: int
    error: str


def run(
    command: Sequence[str | Path],
    output: Path | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    watched: bool = True,
) -> Measured:
    """Runs ``command`` with its standard output in ``output`` (or thrown away).

    Memory is that of the largest of the process and those that it starts; CPU time is of all of them. Without
    ``watched`` nobody looks at its memory, which takes time of the processors that it runs on: both peaks are 0.
    """
    with open(output or os.devnull, "wb") as sink:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.PIPE, text=True, env=environment
        )
        sampler = _Sampler(process.pid)
        if watched:
            sampler.start()
        assert process.stderr is not None
        error = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        sampler.ended.set()
        if watched:
            sampler.join()
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(seconds, cpu, sampler.anonymous, sampler.peak, process.returncode, error)


class _Sampler(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.anonymous = self.peak = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_SECONDS):
            for pid in _family(self._pid):
                with contextlib.suppress(OSError):
                    self._look(Path("/proc") / str(pid) / "status")

    def _look(self, path: Path) -> None:
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("RssAnon:"):
                self.anonymous = max(self.anonymous, int(line.split()[1]) * 1024)
            elif line.startswith("VmHWM:"):
                self.peak = max(self.peak, int(line.split()[1]) * 1024)


def _family(pid: int) -> list[int]:
    """The process and those that it started, and that these did; those that are gone already are left out."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in (Path("/proc") / str(one) / "task").iterdir():
                found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def cat_seconds(path: Path, times: int = 5) -> float:
    """Seconds of ``cat FILE > /dev/null`` with the file in the page cache: the fastest of ``times`` runs.

    This is the hardest reading of "once with cat": nothing is copied on behind the first read.
    """
    best = float("inf")
    for _ in range(times + 1):  # the first run brings the file into the cache
        with open(os.devnull, "wb") as sink:
            began = time.perf_counter()
            subprocess.run(["cat", path], stdout=sink, check=True)
            best = min(best, time.perf_counter() - began)
    return best
