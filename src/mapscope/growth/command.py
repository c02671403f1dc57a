"""``mapscope growth``: plans moves of shards between nodes, carries them out, and simulates whole fleets.

The commands are imported when they are called.
"""

from __future__ import annotations

import click

from mapscope.commands import LazyGroup, helped

_COMMANDS = {
    "setup": "mapscope.growth.commands.setup",
    "measure": "mapscope.growth.commands.measure",
    "plan": "mapscope.growth.commands.plan",
    "run": "mapscope.growth.commands.run",
    "status": "mapscope.growth.commands.status",
    "resume": "mapscope.growth.commands.resume",
    "simulate": "mapscope.growth.commands.simulate",
}
_EPILOG = """\b
Examples:
  mapscope growth plan --measures fleet.json
  mapscope growth plan --measures fleet.json --config growth.yaml -f json
  mapscope growth run store.yaml --plan plan.json
  mapscope growth simulate --nodes 200 --shards 10000

\b
Exit status: 0 nothing to do, 1 something is, 2 usage or unusable input."""


@click.group(cls=LazyGroup, modules=_COMMANDS, epilog=_EPILOG)
@click.pass_context
def command(context: click.Context) -> int | None:
    """Grow a sharded store shard by shard, with reads and writes going on.

    A shard is a hash range that one node holds; routes say which. Nothing is
    moved unless a node is too busy, too full, or far above the others.
    """
    return helped(context)
