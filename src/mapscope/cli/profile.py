"""``mapscope profile``: what heap and goroutine profiles show of maps."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from mapscope.cli.opening import watched
from mapscope.cli.options import chosen_format, format_option, output_options
from mapscope.cli.output import check_target, named_page, style_for, text_pieces, write
from mapscope.cli.profiling import (
    classify_all,
    executable_option,
    open_executable,
    open_sources,
    page,
    parse_headers,
    read_all,
    source_option,
    url_options,
)
from mapscope.cli.sarif import open_tree, sarif_pieces
from mapscope.errors import UsageError

if TYPE_CHECKING:
    from mapscope.binary.executable import Executable
    from mapscope.profiles.classify import Classified
    from mapscope.profiles.model import Profile

_FORMATS = ("text", "json", "csv", "html", "pprof", "sarif")
_COMMANDS = {"diff": "mapscope.cli.profile_diff", "watch": "mapscope.cli.profile_watch"}
_TOP = 20
_EPILOG = """\b
Examples:
  mapscope profile heap.pb.gz -e ./service
  mapscope profile http://localhost:6060 -e ./service
  curl -s 'http://localhost:6060/debug/pprof/heap?debug=1' |
    mapscope profile - -e ./service
  mapscope profile ./profiles-of-a-day -e ./service
  mapscope profile heap.pb.gz -e ./service -f pprof -o all-frames.pb.gz
  mapscope profile heap.pb.gz -e ./service -o report.html

\b
More commands:
  mapscope profile diff OLD NEW     what moved between two heap profiles
  mapscope profile watch URL        take one every 30 s, and report

\b
Exit status: 0, also with suspects: a profile cannot decide; 2 usage or
unusable input."""


class _WithCommands(click.Command):
    """A command whose first argument may name another one: ``profile diff``, ``profile watch``."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command that is meant."""
        if args and args[0] in _COMMANDS:
            command = importlib.import_module(_COMMANDS[args[0]]).command
            assert isinstance(command, click.Command)
            return command.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=_WithCommands, epilog=_EPILOG)
@click.argument("profiles", nargs=-1, required=True, metavar="FILE|URL...")
@executable_option
@source_option
@click.option(
    "--top", type=click.IntRange(min=0), default=_TOP, show_default=True, metavar="N", help="Show N places; 0 is all."
)
@click.option(
    "--seconds", type=click.IntRange(min=1, max=86400), metavar="S",
    help="Ask the URL for what was allocated in S seconds, not since the start.",
)  # fmt: skip
@url_options
@format_option(*_FORMATS)
@output_options
def command(
    profiles: tuple[str, ...],
    executable: str | None,
    source: str | None,
    top: int,
    seconds: int | None,
    timeout: float,
    header: tuple[str, ...],
    ca: str | None,
    insecure: bool,
    form: str | None,
    output: str | None,
    force: bool,
) -> int:
    """Show which memory of heap profiles maps hold, where it was made, and what is suspect.

    Give heap and goroutine profiles as files (protobuf, debug=1, debug=2), folders of them, - for stdin, or URLs of
    /debug/pprof/. Several heap profiles are a series. Go hides the runtime's frames in profiles: with the executable
    they are found again.
    """
    check_target(output, force)
    chosen = chosen_format(form, output, _FORMATS)
    if chosen == "pprof" and output is None:
        raise UsageError("-f pprof writes a binary file", "name it: -o OUT.pb.gz (or -o - for stdout)")
    named_page(chosen, output)
    from mapscope.profiles.fetch import Request

    request = Request(seconds or 0, timeout, parse_headers(header), not insecure, ca)
    with watched() as progress:
        found = read_all(profiles, request, progress)
        program = open_executable(executable)
        heaps, others = classify_all(found, program, progress, open_sources(source))
        if progress is not None:
            progress("comparing", 0, 0)
        pieces = _pieces(heaps, others, program, chosen, top, output, source)
    write(pieces, output, force)
    return 0


def _pieces(
    heaps: list[Classified],
    others: list[Profile],
    program: Executable | None,
    chosen: str,
    top: int,
    output: str | None,
    source: str | None,
) -> Iterable[bytes]:
    if chosen == "pprof":
        from mapscope.profiles.protobuf import write_protobuf
        from mapscope.profiles.restore import restored

        if len(heaps) != 1:
            raise UsageError(f"{len(heaps)} heap profiles cannot be one file", "give one heap profile with -f pprof")
        import gzip

        return [gzip.compress(write_protobuf(restored(heaps[0])), 1, mtime=0)]
    from mapscope.report.profile_build import build_profile
    from mapscope.report.profile_view import render, render_csv
    from mapscope.report.writing import to_json

    document = build_profile(heaps, others, program)
    if chosen == "json":
        return [to_json(document)]
    if chosen == "html":
        return page(document, heaps)
    if chosen == "csv":
        return [line.encode("utf-8") for line in render_csv(document)]
    if chosen == "sarif":
        from mapscope.report.sarif import of_profile

        tree = open_tree(source)
        return sarif_pieces(of_profile(document, tree), tree)
    return text_pieces(render(document, top, style_for(output)), output)
