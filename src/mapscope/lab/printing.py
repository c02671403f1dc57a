"""Lines of the lab's commands: as wide as the terminal, 80 columns elsewhere, in the terminal's own encoding."""

from __future__ import annotations

import shutil
import sys

import click

from mapscope.report.escape import plain
from mapscope.report.style import WIDTH, Style

_WIDEST = 240


def style() -> Style:
    """The width of the terminal, 80 columns where there is none. No colour."""
    if not sys.stdout.isatty():
        return Style()
    return Style(width=min(max(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH), _WIDEST))


def say(text: str, indent: str = "  ", first: str = "") -> None:
    """A paragraph on stdout: ``first`` stands before its first line, ``indent`` before the others."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for line in style().wrap(text, indent, first) if text.strip() else ("",):
        click.echo(plain(line, encoding).encode(encoding, "backslashreplace").decode(encoding))
