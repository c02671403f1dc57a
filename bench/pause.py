"""How long a process stands still while its core is taken, and how large that is: next to gcore, in the same run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mapscope.units import human_bytes

SIZES = (64, 1024)
"""Live heaps in MB: the small one for the size of the file, the large one for the pause."""
AIM_STOP, AIM_FORK, AIM_FILE = 1 / 4, 1 / 100, 1 / 10
_SAMPLE_SECONDS = 0.0002


@dataclass(frozen=True, slots=True)
class Taken:
    """One core: how long the process stood still, seen from outside, and the size of the file."""

    pause_seconds: float
    seconds: float
    """From the start of the command to its end."""
    file_bytes: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One release and size: gcore, stop and copy, a frozen copy, and one of memory as it lies (``--no-collapse``)."""

    release: str
    size: int
    gcore: Taken
    stop: Taken
    fork: Taken
    as_it_lies: Taken


class _Watch(threading.Thread):
    """Sums the time in which the first thread of a process is in state t or T, sampled every 0.2 ms or so."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._path = Path("/proc") / str(pid) / "stat"
        self.ended = threading.Event()
        self.stopped = 0.0

    def run(self) -> None:
        before = time.perf_counter()
        with self._path.open("rb", buffering=0) as stat:
            while not self.ended.wait(_SAMPLE_SECONDS):
                stat.seek(0)
                state = stat.read(512).rpartition(b") ")[2][:1]
                now = time.perf_counter()
                self.stopped += (now - before) * (state in b"tT")
                before = now


def take(pid: int, command: list[str], written: Path, times: int) -> Taken:
    """Runs ``command`` a few times; the shortest pause counts. Removes the file."""
    best: Taken | None = None
    for _ in range(times):
        watch = _Watch(pid)
        watch.start()
        began = time.perf_counter()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        seconds = time.perf_counter() - began
        watch.ended.set()
        watch.join()
        found = written.stat()
        written.unlink()
        one = Taken(watch.stopped, seconds, found.st_size, found.st_blocks * 512)
        if best is None or one.pause_seconds < best.pause_seconds:
            best = one
    assert best is not None
    return best


def bench(release: str, size: int, program: Path, folder: Path, times: int = 3) -> Row | None:
    """All four of one heap; None where gdb is not installed."""
    if shutil.which("gcore") is None:
        return None
    process = subprocess.Popen([program, f"-mb={size}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline().split()[:1] != [b"ready"]:
            raise SystemExit(f"{program} did not get ready")
        pid, core = process.pid, folder / "pause.core"
        mapscope = [sys.executable, "-m", "mapscope", "capture", str(pid), "-o", str(core)]
        stop = take(pid, mapscope, core, times)
        as_it_lies = take(pid, [*mapscope, "--pause", "fork", "--no-collapse"], core, times)
        fork = take(pid, [*mapscope, "--pause", "fork"], core, times)
        gcore = take(pid, ["gcore", "-o", str(core), str(pid)], core.with_name(f"{core.name}.{pid}"), times)
    finally:
        process.kill()
        process.communicate()
    return Row(release, size, gcore, stop, fork, as_it_lies)


def report(found: Iterable[Row | None]) -> str:
    """Table and verdict as Markdown; a sentence where nothing was measured."""
    rows = [row for row in found if row is not None]
    if not rows:
        return "- pauses: not measured (no gcore, or none of the sizes)"
    head = ("Go", "heap", "way", "pause", "÷ gcore", "file", "÷ gcore", "on disk", "whole command")
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    verdicts = []
    for row in rows:
        ways = {"gcore": row.gcore, "stop": row.stop, "fork, --no-collapse": row.as_it_lies, "fork": row.fork}
        for way, one in ways.items():
            pause, file = one.pause_seconds / row.gcore.pause_seconds, one.file_bytes / row.gcore.file_bytes
            cells = (
                *(row.release, f"{row.size} MB", way, f"{one.pause_seconds * 1000:.1f} ms", f"{pause:.4f}"),
                *(human_bytes(one.file_bytes), f"{file:.3f}", human_bytes(one.disk_bytes), f"{one.seconds:.1f} s"),
            )
            lines.append(f"| {' | '.join(cells)} |")
        large = row.size == max(SIZES)
        aims = (
            (
                f"pause of stop by gcore's, {row.size} MB",
                row.stop.pause_seconds / row.gcore.pause_seconds,
                AIM_STOP,
                large,
            ),
            (
                f"pause of fork by gcore's, {row.size} MB",
                row.fork.pause_seconds / row.gcore.pause_seconds,
                AIM_FORK,
                large,
            ),
            (f"file by gcore's, {row.size} MB", row.stop.file_bytes / row.gcore.file_bytes, AIM_FILE, not large),
        )
        verdicts += [
            f"- Go {row.release}: {name} {value:.4f} (aim {aim:g}): {'met' if value <= aim else 'MISSED'}"
            for name, value, aim, asked in aims
            if asked
        ]
    return "\n".join([*lines, "", *verdicts])
