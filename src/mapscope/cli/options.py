"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import click

from mapscope.errors import UsageError

F = TypeVar("F", bound=Callable[..., object])


def format_option(*choices: str) -> Callable[[F], F]:
    """``-f/--format``; left out, it follows the suffix of ``-o``, else text."""
    return click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(choices),
        help="Format of the output. Default: by the suffix of -o, else text.",
    )


def output_options(command: F) -> F:
    """``-o/--output`` and ``--force``."""
    command = click.option("--force", is_flag=True, help="Replace the file of -o if it exists.")(command)
    return click.option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write to FILE (never over an existing one without --force); - is stdout.",
    )(command)


def chosen_format(form: str | None, output: str | None, choices: tuple[str, ...]) -> str:
    """The format that was asked for, or that the suffix of the output file means."""
    if form is not None:
        return form
    suffix = os.path.splitext(output or "")[1].lstrip(".").lower()
    return suffix if suffix in choices else "text"


def parse_address(text: str) -> int:
    """``0xc000012345`` or ``c000012345``. Raises UsageError."""
    try:
        address = int(text, 16)
    except ValueError:
        address = -1
    if not 0 <= address < 1 << 64:
        raise UsageError(f"{text!r} is no address", "give it as the report does: 0xc000012345")
    return address
