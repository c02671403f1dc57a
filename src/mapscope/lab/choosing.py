"""Which toolchains a command works with, and how it tells how far it has come."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from mapscope.lab import toolchains
from mapscope.lab.ledger import SWISS_SINCE
from mapscope.lab.toolchains import Toolchain, ToolchainError


def chosen(versions: Sequence[str]) -> list[Toolchain]:
    """The toolchains of ``--go``; without it the newest with classic maps and the newest of all that are here.

    ToolchainError where one is not here.
    """
    found = []
    for version in versions:
        one = toolchains.find(version)
        if one is None:
            raise ToolchainError(
                f"no Go {version} toolchain is here", f"bring it: mapscope lab toolchains install {version}"
            )
        found.append(one)
    if not versions:
        here = toolchains.installed()
        classic = [one for one in here if one.release < SWISS_SINCE]
        found = [*classic[-1:], *[one for one in here[-1:] if one.release >= SWISS_SINCE]]
    if not found:
        raise ToolchainError("no Go toolchain is here", "bring some: mapscope lab toolchains install 1.23 1.26")
    return list(dict.fromkeys(found))


class ProgressLine:
    """One line on stderr that says what is being done: rewritten on a terminal, else a line each."""

    def __init__(self, total: int) -> None:
        """``total``: how many things there are to do."""
        self._total = total
        self._done = 0
        self._live = sys.stderr.isatty()

    def next(self, what: str) -> None:
        """Another thing begins."""
        self._done += 1
        text = f"[{self._done}/{self._total}] {what}"
        click.echo(f"\r\x1b[K{text}" if self._live else text, err=True, nl=not self._live)

    def close(self) -> None:
        """Clear the line."""
        if self._live:
            click.echo("\r\x1b[K", err=True, nl=False)
