"""Draws what a command shows on a terminal as an SVG: ``python tools/make_picture.py OUT.svg COMMAND…``.

``make demo`` first, then:

    python tools/make_picture.py docs/images/analyze.svg mapscope analyze out/demo/leaky-1.23.9.core
"""

from __future__ import annotations

import argparse
import errno
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 110
LINES = 48


def on_a_terminal(command: list[str]) -> str:
    """What ``command`` writes to a terminal, with its escape sequences."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(slave)
        parts = []
        while True:
            try:
                part = os.read(master, 1 << 16)
            except OSError as error:
                if error.errno == errno.EIO:  # the other end is closed
                    break
                raise
            if not part:
                break
            parts.append(part)
        os.close(master)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{command[0]} ended with status {process.returncode}")
    return b"".join(parts).decode("utf-8", "replace").replace("\r\n", "\n")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--lines", type=int, default=LINES, help=f"lines to show (default {LINES})")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command: list[str] = options.command
    runnable = [sys.executable, "-m", *command] if command[0] == "mapscope" else command
    lines = on_a_terminal(runnable).split("\n")
    shown = lines[: options.lines]
    if len(shown) < len(lines):
        shown.append("…")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi("$ " + " ".join(command)))
        console.print(Text.from_ansi("\n".join(shown)))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        picture = console.export_svg(title="mapscope", unique_id="mapscope")
        # rich names a font on a CDN: the reader's own monospace font serves
        picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
        picture = "\n".join(line.rstrip() for line in picture.splitlines() if line.strip()) + "\n"
        options.out.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
