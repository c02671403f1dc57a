"""How long a program that writes all over its memory waits while its core is taken, by its own clock."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mapscope.lab import toolchains

HERE = Path(__file__).parent
WAYS = {
    "stop": ("--pause", "stop"),
    "fork, --no-collapse": ("--pause", "fork", "--no-collapse"),
    "fork": ("--pause", "fork"),
}
QUIET_SECONDS = 2.0
"""How long it is watched before, with nothing else to do."""


def observe(program: Path, megabytes: int, options: tuple[str, ...], core: Path) -> tuple[float, float, float, float]:
    """Milliseconds: its longest wait before, how long it stood still, its longest wait; and seconds of the command."""
    process = subprocess.Popen(
        [program, f"-mb={megabytes}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def longest() -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        return int(process.stdout.readline()) / 1000

    try:
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{program} did not get ready")
        longest()
        time.sleep(QUIET_SECONDS)
        quiet = longest()
        command = [sys.executable, "-m", "mapscope", "capture", str(process.pid), "-o", str(core), "--force", *options]
        began = time.perf_counter()
        said = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stderr
        seconds = time.perf_counter() - began
        pause = re.search(r"stood still for ([\d.]+) s", said)
        assert pause is not None
        return quiet, float(pause[1]) * 1000, longest(), seconds
    finally:
        process.kill()
        process.communicate()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.waits", description=__doc__)
    parser.add_argument("--go", default="1.26.6", help="Go release (default 1.26.6)")
    parser.add_argument("--mb", type=int, default=1024, help="size of what it writes to (default 1024)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each way")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(
        "| way | with nothing else to do, ms | stood still, ms | longest wait, ms | command, s |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory(prefix="mapscope-bench-") as name:
        program = toolchains.install(options.go).build(HERE / "writer", Path(name) / "writer")
        for way, words in WAYS.items():
            for _ in range(options.runs):
                quiet, pause, wait, seconds = observe(program, options.mb, words, Path(name) / "core")
                print(f"| {way} | {quiet:.1f} | {pause:.0f} | {wait:.1f} | {seconds:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
