"""``mapscope growth status``: moves, their phases and lag, and what is left behind."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Exit status: 0 nothing is open or left behind, 1 something is, 2 usage or a
database that cannot be used."""


@click.command(epilog=_EPILOG)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="STORE")
@click.option("--clean", is_flag=True, help="Drop what ended moves left behind; no controller may be at work.")
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True)
def command(file: Path, clean: bool, form: str) -> int:
    """Show open moves with phase and lag, slots, and figures of past moves."""
    from mapscope.growth import telling
    from mapscope.routing import nodes

    return telling.status(nodes.read(file), clean=clean, form=form)
