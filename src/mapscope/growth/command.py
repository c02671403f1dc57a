"""``mapscope growth``: plans moves of shards between nodes, carries them out, and simulates whole fleets.

The commands are imported when they are called.
"""

from __future__ import annotations

import importlib

import click

_COMMANDS: dict[str, str] = {
    "setup": "mapscope.growth.commands.setup",
    "measure": "mapscope.growth.commands.measure",
    "plan": "mapscope.growth.commands.plan",
    "run": "mapscope.growth.commands.run",
    "status": "mapscope.growth.commands.status",
    "resume": "mapscope.growth.commands.resume",
    "simulate": "mapscope.growth.commands.simulate",
}
_EXIT_USAGE = 2
_EPILOG = """\b
Examples:
  mapscope growth plan --measures fleet.json
  mapscope growth plan --measures fleet.json --config growth.yaml -f json
  mapscope growth run store.yaml --plan plan.json
  mapscope growth simulate --nodes 200 --shards 10000

\b
Exit status: 0 nothing to do, 1 something is, 2 usage or unusable input."""


class GrowthGroup(click.Group):
    """The group; its commands live in modules that are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which they are used."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The ``command`` of the module for ``cmd_name``."""
        if cmd_name not in _COMMANDS:
            return None
        found = importlib.import_module(_COMMANDS[cmd_name]).command
        assert isinstance(found, click.Command)
        return found


@click.group(cls=GrowthGroup, epilog=_EPILOG, no_args_is_help=False, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """Grow a sharded store shard by shard, with reads and writes going on.

    A shard is a hash range that one node holds; routes say which. Nothing is
    moved unless a node is too busy, too full, or far above the others.
    """
    if context.invoked_subcommand is not None:
        return None
    click.echo(context.get_help(), err=True)
    return _EXIT_USAGE
