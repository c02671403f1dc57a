"""``mapscope growth setup``: control tables, guards, shards and their first routes."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="STORE")
@click.option("--template", default="", metavar="SCHEMA", help="Make missing shards after this schema of every node.")
@click.option("--watch", is_flag=True, help="Shards for mapscope watch: its tables, made or brought up to date.")
def command(file: Path, template: str, watch: bool) -> None:
    """Make what a store needs; can be repeated.

    Shards that nodes have already are adopted, and get a guard on each table.
    """
    import asyncio

    from mapscope.errors import UsageError
    from mapscope.growth import setup, telling, watched
    from mapscope.routing import nodes

    if watch:
        if template:
            raise UsageError("--watch and --template both say what shards hold", "give one of them")
        brought = telling.reaching(lambda: asyncio.run(watched.set_up(nodes.read(file))))
        click.echo(
            f"{brought.changed} shards got new tables, {brought.adopted} got a route, {brought.routed} had a route"
        )
        return
    done = telling.reaching(lambda: asyncio.run(setup.set_up(nodes.read(file), template)))
    click.echo(f"{done.made} shards made, {done.adopted} adopted, {done.routed} had a route")
