"""``mapscope growth run``: carries planned moves out."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  mapscope growth run store.yaml --move 42:a:b
  mapscope growth plan --measures fleet.json -f json > plan.json
  mapscope growth run store.yaml --plan plan.json

\b
Exit status: 0 all moves ended well, 1 some were given up or wait, 2 usage or
a database that cannot be used."""


@click.command(epilog=_EPILOG)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="STORE")
@click.option("--move", "moves", multiple=True, metavar="SHARD:SOURCE:TARGET", help="A move; may be repeated.")
@click.option("--plan", type=click.Path(dir_okay=False, path_type=Path), help="Moves of a plan, as JSON.")
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True)
def command(file: Path, moves: tuple[str, ...], plan: Path | None, form: str) -> int:
    """Move shards between nodes while clients read and write.

    STORE is the YAML file that names control database, nodes and shards. What
    was open from before goes on first.
    """
    from mapscope.errors import UsageError
    from mapscope.growth import asking, telling
    from mapscope.routing import nodes

    store = nodes.read(file)
    wanted = [asking.move(text) for text in moves] + (asking.plan(plan) if plan else [])
    if not wanted:
        raise UsageError(
            "nothing to move", "give --move SHARD:SOURCE:TARGET or --plan FILE; resume goes on with old moves"
        )
    return telling.carry_out(store, wanted, form)
