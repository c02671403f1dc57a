"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from mapscope.errors import UsageError
from mapscope.units import parse_duration

if TYPE_CHECKING:
    from mapscope.evidence.capture import Limits

LIVE = "\0pid:"
"""What stands for the evidence where ``--pid`` was given; no file has such a name."""

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


class Seconds(click.ParamType[float]):
    """A duration: ``30``, ``30s``, ``5m``, ``1.5h``."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except UsageError as error:
            self.fail(f"{error}: {error.hint}", param, ctx)


class EvidenceCommand(click.Command):
    """A command whose first argument is the evidence: a core, or the process of ``--pid`` in its place."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the process where the core would stand, so that the arguments behind it keep their meaning."""
        end = args.index("--") if "--" in args else len(args)
        for at, word in enumerate(args[:end]):
            if word.startswith("--pid="):
                return super().parse_args(ctx, [LIVE + _pid(word[6:]), *args[:at], *args[at + 1 :]])
            if word == "--pid" and at + 1 < len(args):
                return super().parse_args(ctx, [LIVE + _pid(args[at + 1]), *args[:at], *args[at + 2 :]])
        return super().parse_args(ctx, args)


def _pid(text: str) -> str:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 1 << 31:
        raise click.UsageError(f"--pid {text}: that is no process id")
    return text


def live_options(command: F) -> F:
    """``--cache``, ``--pid`` (see EvidenceCommand) and what goes with it; ``limits`` reads the latter."""
    command = pause_options(cache_option(command))
    return click.option(
        "--pid", metavar="PID", expose_value=False, help="Read the live process PID in place of a core."
    )(command)


def _keep(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
    ctx.meta[f"mapscope.{parameter.name}"] = value


def cache_option(command: F) -> F:
    """``--cache``, kept in the context; ``cached`` reads it."""
    return click.option(
        "--cache",
        is_flag=True,
        envvar="MAPSCOPE_CACHE",
        callback=_keep,
        expose_value=False,
        help="Leave what was found out in a file beside the core, so that the next command on it opens in a moment.",
    )(command)


def cached() -> bool:
    """Whether the running command was given ``--cache``."""
    return bool(click.get_current_context().meta.get("mapscope.cache"))


def pause_options(command: F) -> F:
    """``--pause``, ``--collapse``, ``--precopy`` and ``--max-pause``, kept in the context."""
    command = click.option(
        "--max-pause",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        callback=_keep,
        expose_value=False,
        help="Give up when the process has stood still so long. Default: no limit.",
    )(command)
    command = click.option(
        "--precopy/--no-precopy",
        default=None,
        callback=_keep,
        expose_value=False,
        help="With --pause stop: copy before the stop, and in it only what changed since. Default: where the kernel "
        "tracks changes, it pays, and nobody else uses that (CRIU does).",
    )(command)
    command = click.option(
        "--collapse/--no-collapse",
        default=None,
        callback=_keep,
        expose_value=False,
        help="With --pause fork: let the kernel gather memory in huge pages before, so that the stop is shorter. "
        "Default: where it can and it pays.",
    )(command)
    return click.option(
        "--pause",
        type=click.Choice(["stop", "fork"]),
        default="stop",
        callback=_keep,
        expose_value=False,
        help="stop: the process stands still while it is copied. fork: only while it makes a copy-on-write copy of "
        "itself. Default: stop.",
    )(command)


def limits(max_bytes: int | None = None) -> Limits:
    """What the options of the running command say of the pause. Raises UsageError where they contradict each other."""
    from mapscope.evidence.capture import Limits

    meta = click.get_current_context().meta
    way: Literal["stop", "fork"] = "fork" if meta.get("mapscope.pause") == "fork" else "stop"
    if way == "fork" and meta.get("mapscope.precopy"):
        raise UsageError("--precopy is for --pause stop", "--pause fork copies nothing in the stop: leave it out")
    if way == "stop" and meta.get("mapscope.collapse"):
        raise UsageError("--collapse is for --pause fork", "add --pause fork, or leave it out")
    return Limits(
        max_bytes, meta.get("mapscope.max_pause"), way, meta.get("mapscope.precopy"), meta.get("mapscope.collapse")
    )
