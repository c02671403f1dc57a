"""``make demo``: builds and runs the leaky service, takes its core by reading its memory, and analyses it.

Everything it makes lies in one folder (``out/demo``); the service ends with this script, however the script ends.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mapscope.errors import MapscopeError
from mapscope.evidence.capture import capture
from mapscope.lab import toolchains
from mapscope.units import human_bytes

HERE = Path(__file__).resolve().parent
DEFAULT_GO = "1.23.9"
STEPS = 6
FINDINGS = 1
"""Exit status of ``mapscope analyze`` when it found something, which is what a demo hopes for."""


class Steps:
    """One line a step, with the time since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._number = 0

    def step(self, text: str) -> None:
        """Begins the next step."""
        self._number += 1
        self.say(f"[{self._number}/{STEPS}] {text}")

    def say(self, text: str) -> None:
        """A line about the current step."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


@contextmanager
def service(program: Path, scale: float, steps: Steps) -> Iterator[int]:
    """Runs the service until the block ends; gives its PID once the day is replayed."""
    process = subprocess.Popen([program, f"-scale={scale}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "ready":
                yield int(rest)
                return
            steps.say(f"      {line.strip()}")
        raise SystemExit(f"the service ended before it was ready, with status {process.wait()}")
    finally:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def analyze(core: Path, program: Path, *options: str) -> None:
    """Runs ``mapscope analyze`` as a user would; findings are what we came for."""
    command = [sys.executable, "-m", "mapscope", "analyze", str(core), str(program), *options]
    status = subprocess.run(command, check=False).returncode
    if status not in (0, FINDINGS):
        raise SystemExit(status)


def demo(go: str, folder: Path, scale: float) -> None:
    """The six steps."""
    steps = Steps()
    folder.mkdir(parents=True, exist_ok=True)
    steps.step(f"Go {go}")
    toolchain = toolchains.install(go, progress=lambda line: steps.say(f"      {line}"))
    program, core = folder / f"leaky-{toolchain.version}", folder / f"leaky-{toolchain.version}.core"
    document = core.with_suffix(".json")
    steps.step("building examples/leaky")
    toolchain.build(HERE / "leaky", program)
    steps.step("running it: a day of traffic")
    with service(program, scale, steps) as pid:
        steps.step(f"taking a core of process {pid}")
        taken = capture(pid, core, overwrite=True)
    steps.say(
        f"      {human_bytes(taken.bytes_written)} of memory, {taken.threads} threads, "
        f"the service stood still for {taken.pause_seconds * 1000:.0f} ms"
    )
    steps.step(f"mapscope analyze {_shown(core)} -f json -o {_shown(document)}")
    document.unlink(missing_ok=True)
    analyze(core, program, "-f", "json", "-o", str(document))
    if not document.exists():
        raise SystemExit(f"mapscope wrote no {_shown(document)}")
    steps.step(f"mapscope analyze {_shown(core)}")
    print(flush=True)
    analyze(core, program)
    print(f"\nThe same facts as a document: {_shown(document)}\nWhat is wrong in the source:  examples/leaky/README.md")


def _shown(path: Path) -> str:
    """Relative to the current folder where that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _ended(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    """Command line of the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", default=DEFAULT_GO, help=f"Go release, for example 1.26.6 (default {DEFAULT_GO})")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "demo", help="folder for what is made")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the day; 1 takes about 150 MB")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _ended)
    try:
        demo(options.go, options.out, options.scale)
    except MapscopeError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
