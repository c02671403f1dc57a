"""Delve reads the cores that mapscope writes, and tells what mapscope and the program tell.

Debian's Delve (1.20) knows Go up to 1.20, so the program is one of Go 1.19. gdb and drgn are asked in test_pausing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mapscope.evidence.capture import Limits, capture
from mapscope.opening import open_snapshot
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
    """Maps entry by entry, goroutines by number and wait reason, and the thread of each that has one."""
    folder = tmp_path / "program"
    folder.mkdir()
    core = tmp_path / "core"
    with ticking(Variant("1.19"), folder) as ticker:
        capture(ticker.pid, core, limits=LIMITS[way])
        ticker.assert_goes_on()
    maps = ("byName", "byNumber", "kept")
    asked = [f"print len(main.{name})" for name in maps]
    said = delve(
        ticker.executable, core, tmp_path, *asked, "goroutines", "config max-array-values 100000", "print main.byNumber"
    )
    assert re.findall(r"^(\d+)$", said, re.MULTILINE) == [str(entries(ticker, name)) for name in maps]
    assert len(re.findall(r"^\t\d+: \d+, $", said, re.MULTILINE)) == entries(ticker, "byNumber")
    listed = {
        int(number): reason
        for number, reason in re.findall(r"Goroutine (\d+) - User: \S+ \S+ \(0x[0-9a-f]+\)(.*)$", said, re.MULTILINE)
    }
    goroutines = {one.id: one for one in open_snapshot(core, ticker.executable).goroutines if one.status != "dead"}
    assert set(listed) == set(goroutines)
    assert len(listed) > 8
    for number, reason in listed.items():
        one = goroutines[number]
        assert "(thread" not in reason or one.status in ("running", "syscall"), (number, reason, one.status)
        if one.status == "waiting":
            assert f"[{one.wait_reason}" in reason


def entries(ticker: Ticker, name: str) -> int:
    """How many the program says that a map has."""
    return int(ticker.program.truth[name]["entries"])
