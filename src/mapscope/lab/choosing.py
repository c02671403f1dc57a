"""Which toolchains a command works with, and how it tells how far it has come."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from mapscope.lab import toolchains
from mapscope.lab.ledger import SWISS_SINCE
from mapscope.lab.toolchains import Toolchain, ToolchainError
from mapscope.report.style import bar


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


_BAR = 20


class ProgressLine:
    """How far it has come and what is being done: a bar on a terminal, else a line each, both on stderr."""

    def __init__(self, total: int) -> None:
        """``total``: how many things there are to do."""
        self._total = total
        self._done = 0
        self._live = sys.stderr.isatty()

    def next(self, what: str) -> None:
        """Another thing begins."""
        self._done += 1
        count = f"{self._done}/{self._total}"
        if not self._live:
            click.echo(f"[{count}] {what}", err=True)
            return
        full = bar(self._done - 1, self._total, _BAR)
        click.echo(f"\r\x1b[K[{full:.<{_BAR}}] {count} {what}", err=True, nl=False)

    def close(self) -> None:
        """Clear the line."""
        if self._live:
            click.echo("\r\x1b[K", err=True, nl=False)
