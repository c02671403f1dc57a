"""Runs a program and measures it: wall time, CPU time, and the peak of its own (anonymous) memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
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
    status: int
    error: str


def run(command: Sequence[str | Path], output: Path | None = None) -> Measured:
    """Runs ``command`` with its standard output in ``output`` (or thrown away)."""
    with open(output or os.devnull, "wb") as sink:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.PIPE, text=True)
        sampler = _Sampler(process.pid)
        sampler.start()
        assert process.stderr is not None
        error = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        sampler.ended.set()
        sampler.join()
    return Measured(seconds, usage.ru_utime + usage.ru_stime, sampler.peak, process.returncode, error)


class _Sampler(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._path = Path("/proc") / str(pid) / "status"
        self.peak = 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_SECONDS):
            try:
                text = self._path.read_text(encoding="ascii", errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                return
            for line in text.splitlines():
                if line.startswith("RssAnon:"):
                    self.peak = max(self.peak, int(line.split()[1]) * 1024)


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
