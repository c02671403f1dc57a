"""The help of every command: it fits, and it has an example that can be typed."""

from __future__ import annotations

import click
import pytest

from mapscope.cli.main import cli

HELP = ["-h", "--help"]
"""As the group has them: a command keeps the option that it was first asked for."""


def everyone() -> list[tuple[str, click.Command]]:
    """Every command with the words that call it, those behind ``profile`` too."""
    found: list[tuple[str, click.Command]] = []
    waiting: list[tuple[str, click.Command]] = [("mapscope", cli)]
    while waiting:
        path, command = waiting.pop()
        found.append((path, command))
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                waiting.append((f"{path} {name}", inner))
    profile = dict(found)["mapscope profile"]
    for words in (["diff", "old", "new"], ["watch", "url"]):
        found.append(
            (f"mapscope profile {words[0]}", profile.make_context("profile", words, help_option_names=HELP).command)
        )
    return found


EVERYONE = everyone()


def test_there_are_many():
    assert len(EVERYONE) > 20


@pytest.mark.parametrize(("path", "command"), EVERYONE, ids=[path.replace(" ", "-") for path, _ in EVERYONE])
def test_help_fits_eighty_columns_and_has_examples(path: str, command: click.Command):
    with click.Context(
        command, info_name=path, terminal_width=80, max_content_width=80, help_option_names=HELP
    ) as context:
        text = command.get_help(context)
    assert not [line for line in text.splitlines() if len(line) > 80]
    words = path.split()
    examples = [line.split()[: len(words)] for line in text.splitlines() if line.startswith("    mapscope ")]
    assert words in examples or path.startswith("mapscope growth ")  # the group has them
