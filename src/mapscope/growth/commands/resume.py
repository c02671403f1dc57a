"""``mapscope growth resume``: goes on after a crash."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Exit status: 0 nothing is open any more, 1 some moves were given up or wait,
2 usage or a database that cannot be used."""


@click.command(epilog=_EPILOG)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="STORE")
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True)
def command(file: Path, form: str) -> int:
    """Finish what a controller left open: forward, or back where that is safe.

    Also drops slots, subscriptions and publications that ended moves left.
    """
    from mapscope.growth import telling
    from mapscope.routing import nodes

    return telling.carry_out(nodes.read(file), [], form)
