"""The group ``mapscope lab``: its help, and its page in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mapscope.cli.main import cli, main
from mapscope.lab.command import command as lab

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "lab.md"
CONTEXT = click.Context(lab, info_name="mapscope lab")
COMMANDS = {name: lab.get_command(CONTEXT, name) for name in lab.list_commands(CONTEXT)}


def leaves() -> dict[str, click.Command]:
    """Every command by its name under ``mapscope lab``."""
    found: dict[str, click.Command] = {}
    for name, one in COMMANDS.items():
        assert one is not None
        if isinstance(one, click.Group):
            found |= {f"{name} {inner}": each for inner, each in one.commands.items()}
        else:
            found[name] = one
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_within_the_width(name: str):
    result = CliRunner().invoke(cli, ["lab", name, "--help"])
    assert result.exit_code == 0
    assert f"  mapscope lab {name}" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


@pytest.mark.parametrize("name", leaves())
def test_options_are_documented(name: str):
    page = PAGE.read_text(encoding="utf-8")
    cells = [line.split(" | ") for line in page.splitlines() if line.startswith("| `-")]
    rows = [options for options, commands, *_ in cells if f"lab {name}" in commands.split(", ")]
    documented = {option for row in rows for option in re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", row)}
    offered = {option for parameter in leaves()[name].params for option in parameter.opts if option.startswith("-")}
    assert {option for option in documented if option.startswith("--")} == {
        option for option in offered if option.startswith("--")
    }
    assert documented <= offered


@pytest.mark.parametrize("name", leaves())
def test_commands_are_in_the_synopsis(name: str):
    synopsis = PAGE.read_text(encoding="utf-8").split("\n\n")[1]
    assert re.search(rf"^    mapscope lab {name.split()[0]}\b", synopsis, re.MULTILINE)


def test_without_a_command_it_shows_its_help_and_that_is_a_wrong_usage(capfd: pytest.CaptureFixture[str]):
    assert main(["lab"]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert all(name in said.err for name in COMMANDS)
