"""``mapscope lab``: Go toolchains, machine code, scenarios on real programs, and the claims that they settle.

The commands are imported when they are called.
"""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "toolchains": "mapscope.lab.toolchains_command",
    "asm": "mapscope.lab.asm_command",
    "scenarios": "mapscope.lab.scenarios_command",
    "run": "mapscope.lab.run_command",
    "claims": "mapscope.lab.claims_command",
    "verify": "mapscope.lab.verify_command",
    "curve": "mapscope.lab.curve_command",
}
_EXIT_USAGE = 2
_EPILOG = """\b
Examples:
  mapscope lab toolchains install 1.23 1.26
  mapscope lab asm ./service
  mapscope lab run stalled --go 1.23 --go 1.26
  mapscope lab claims --section 2.1
  mapscope lab verify --go 1.26

\b
Exit status: 0 as expected, 1 something is not, 2 usage or unusable input."""


class LabGroup(click.Group):
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


@click.group(cls=LabGroup, epilog=_EPILOG, no_args_is_help=False, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> int | None:
    """Experiments with real Go toolchains: what is true about Go maps.

    Toolchains lie in a cache folder (MAPSCOPE_CACHE), one folder a release;
    those on PATH and in GOROOT serve as they are.
    """
    if context.invoked_subcommand is not None:
        return None
    click.echo(context.get_help(), err=True)
    return _EXIT_USAGE
