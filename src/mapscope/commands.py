"""A group of commands that are imported when they are asked for, so that ``--help`` loads no heavy module."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

EXIT_USAGE = 2


class LazyGroup(click.Group):
    """A group whose commands live in modules, each as its ``command``.

    ``modules``: command and module, in the order in which help shows them. Without a command the group prints its help
    to stderr and gives :data:`EXIT_USAGE`.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **attributes: Any) -> None:
        attributes |= {"no_args_is_help": False, "invoke_without_command": True}
        super().__init__(*args, **attributes)
        self._modules = dict(modules)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in their order."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The ``command`` of the module for ``cmd_name``; None: there is none of this name."""
        if cmd_name not in self._modules:
            return None
        found = importlib.import_module(self._modules[cmd_name]).command
        assert isinstance(found, click.Command)
        return found


def helped(context: click.Context) -> int | None:
    """The exit status of a group that was called without a command, after its help; None: a command follows."""
    if context.invoked_subcommand is not None:
        return None
    click.echo(context.get_help(), err=True)
    return EXIT_USAGE
