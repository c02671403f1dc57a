"""``mapscope growth setup``: control tables, guards, shards and their first routes."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="STORE")
@click.option("--template", default="", metavar="SCHEMA", help="Make missing shards after this schema of every node.")
def command(file: Path, template: str) -> None:
    """Make what a store needs; can be repeated.

    Shards that nodes have already are adopted, and get a guard on each table.
    """
    import asyncio

    from mapscope.growth import setup, telling
    from mapscope.routing import nodes

    done = telling.reaching(lambda: asyncio.run(setup.set_up(nodes.read(file), template)))
    click.echo(f"{done.made} shards made, {done.adopted} adopted, {done.routed} had a route")
