"""Delve reads the cores that mapscope writes, and tells what mapscope and the program tell.

Debian's Delve (1.20) knows Go up to 1.20, so the program is one of Go 1.19. gdb and drgn are asked in test_pausing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from mapscope.evidence.capture import Limits, capture
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.live import Ticker, ticking
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]

LIMITS = {
    "stop": Limits(),
    "fork": Limits(pause="fork", collapse=False),
}
SECONDS = 120


def delve(executable: Path, core: Path, folder: Path, *commands: str) -> str:
    """What it says to these commands."""
    program = shutil.which("dlv")
    if program is None:
        harness.absent("no delve")
    script = folder / "commands"
    script.write_text("\n".join([*commands, "exit", ""]), encoding="utf-8")
    done = subprocess.run(
        [program, "core", executable, core, "--init", script, "--allow-non-terminal-interactive"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )
    assert "WARNING" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("way", LIMITS)
def test_delve_reads_the_core(way: str, tmp_path: Path):
    """Maps entry by entry."""
    folder = tmp_path / "program"
    folder.mkdir()
    core = tmp_path / "core"
    with ticking(Variant("1.19"), folder) as ticker:
        capture(ticker.pid, core, limits=LIMITS[way])
        ticker.assert_goes_on()
    maps = ("byName", "byNumber", "kept")
    asked = [f"print len(main.{name})" for name in maps]
    said = delve(
        ticker.executable,
        core,
        tmp_path,
        *asked,
        *("goroutines", "threads"),
        *("config max-array-values 100000", "print main.byNumber"),
    )
    assert re.findall(r"^(\d+)$", said, re.MULTILINE) == [str(entries(ticker, name)) for name in maps]
    assert len(re.findall(r"^\t\d+: \d+, $", said, re.MULTILINE)) == entries(ticker, "byNumber")
    assert_the_same_goroutines(said, open_snapshot(core, ticker.executable))


@pytest.mark.parametrize("way", LIMITS)
def test_delve_reads_a_core_of_a_collection(way: str, tmp_path: Path):
    """Whoever works for the collector is called waiting and has a thread (gcBgMarkWorker in runtime/mgc.go)."""
    executable = harness.build("collecting", Variant("1.19"))
    seen = Counter[str]()
    with harness.running(executable, folder=tmp_path) as program:
        while not seen["waiting"] and seen.total() < 200:
            capture(program.pid, tmp_path / "core", limits=LIMITS[way], overwrite=True)
            said = delve(executable, tmp_path / "core", tmp_path, "goroutines", "threads")
            seen += assert_the_same_goroutines(said, open_snapshot(tmp_path / "core", executable))
    assert seen["waiting"], seen


def assert_the_same_goroutines(said: str, snapshot: Snapshot) -> Counter[str]:
    """By number, wait reason, and the thread of each that has one; how many have one, by status."""
    lines = re.findall(r"Goroutine (\d+) - User: \S+ \S+ \(0x[0-9a-f]+\)(.*)$", said, re.MULTILINE)
    listed = {int(number): more for number, more in lines}
    rows = {one.id: (row, one) for row, one in enumerate(snapshot.goroutines) if one.status != "dead"}
    assert set(listed) == set(rows)
    assert len(listed) > 8
    cloning = {int(tid) for tid in re.findall(r"Thread (\d+) at \S+ \S+ runtime\.clone$", said, re.MULTILINE)}
    with_threads = Counter[str]()
    for number, more in listed.items():
        row, one = rows[number]
        threads = [int(tid) for tid in re.findall(r"\(thread (\d+)\)", more)]
        # of a thread in runtime.clone Delve does not ask for the goroutine (pkg/proc/variables.go: GetG)
        assert threads == [tid for tid in thread_of(snapshot, row) if tid not in cloning], (number, more, one)
        with_threads[one.status] += len(threads)
        if one.status == "waiting":  # stopTheWorld of 1.19 gives no reason
            assert (f"[{one.wait_reason}" in more) if one.wait_reason else ("[" not in more), (number, more, one)
    return with_threads


def thread_of(snapshot: Snapshot, row: int) -> list[int]:
    """The number of the thread that a goroutine is on (``g.m.procid``); none when it is on none."""
    process, m = snapshot._process, int(snapshot._heap.goroutines.m[row])
    tid = process.memory.word(m + process.layouts.struct("m").offset("procid")) if m else None
    return [tid] if tid else []


def entries(ticker: Ticker, name: str) -> int:
    """How many the program says that a map has."""
    return int(ticker.program.truth[name]["entries"])
