"""``mapscope profile diff``: what moved between two heap profiles."""

from __future__ import annotations

from collections.abc import Iterable

import click

from mapscope.cli.opening import watched
from mapscope.cli.options import chosen_format, format_option, output_options
from mapscope.cli.output import check_target, named_page, style_for, text_pieces, write
from mapscope.cli.profiling import (
    executable_option,
    open_executable,
    open_sources,
    parse_headers,
    read_all,
    source_option,
    url_options,
)
from mapscope.cli.sarif import open_tree, sarif_pieces
from mapscope.errors import UsageError

_FORMATS = ("text", "json", "csv", "html", "sarif")
_TOP = 20
_EPILOG = """\b
Examples:
  mapscope profile diff monday.pb.gz tuesday.pb.gz -e ./service
  mapscope profile diff monday.pb.gz http://localhost:6060 -e ./service
  mapscope profile diff v1.pb.gz v2.pb.gz -e ./v2 --old-executable ./v1
  mapscope profile diff monday.pb.gz tuesday.pb.gz -e ./service -o diff.html

\b
Exit status: 0, also with suspects: a profile cannot decide; 2 usage or
unusable input."""


@click.command(epilog=_EPILOG)
@click.argument("old")
@click.argument("new")
@executable_option
@source_option
@click.option("--old-executable", metavar="FILE", help="The program that made OLD, where it is another.")
@click.option(
    "--top", type=click.IntRange(min=0), default=_TOP, show_default=True, metavar="N",
    help="Show N places of each kind; 0 is all.",
)  # fmt: skip
@url_options
@format_option(*_FORMATS)
@output_options
def command(
    old: str,
    new: str,
    executable: str | None,
    source: str | None,
    old_executable: str | None,
    top: int,
    timeout: float,
    header: tuple[str, ...],
    ca: str | None,
    insecure: bool,
    form: str | None,
    output: str | None,
    force: bool,
) -> int:
    """Compare the heap profiles OLD and NEW: which places hold more map memory, which less.

    Each is a file, - for stdin, or a URL of /debug/pprof/. Places are compared by function and map type, so that lines
    may have moved between two builds.
    """
    check_target(output, force)
    chosen = chosen_format(form, output, _FORMATS)
    named_page(chosen, output)
    from mapscope.profiles.classify import classify
    from mapscope.profiles.fetch import Request
    from mapscope.profiles.loading import open_symbols
    from mapscope.profiles.model import HEAP
    from mapscope.report.profile_diff import build_profile_diff, render, render_csv
    from mapscope.report.writing import to_json

    request = Request(0, timeout, parse_headers(header), not insecure, ca)
    with watched() as progress:
        found = read_all([old, new], request, progress)
        if len(found) != 2 or any(one.kind != HEAP for one in found):
            other = next((one.origin for one in found if one.kind != HEAP), old)
            raise UsageError(f"{other} is not one heap profile", "give two heap or allocs profiles")
        sides, sources = [], open_sources(source)
        newer = open_executable(executable)
        older = newer if old_executable is None else open_executable(old_executable)
        for one, program in zip(found, (older, newer), strict=True):
            sides.append(classify(one, None if program is None else open_symbols(program, one), sources))
        document = build_profile_diff(sides[0], sides[1])
    pieces: Iterable[bytes]
    if chosen == "json":
        pieces = [to_json(document)]
    elif chosen == "csv":
        pieces = [line.encode("utf-8") for line in render_csv(document)]
    elif chosen == "sarif":
        from mapscope.report.sarif import of_profile_diff

        tree = open_tree(source)
        pieces = sarif_pieces(of_profile_diff(document, tree), tree)
    elif chosen == "html":
        from mapscope.report.page.html import render as page
        from mapscope.report.page.profile import diff_title, profile_diff_pack

        pieces = [page(profile_diff_pack(document), diff_title(document)).encode()]
    else:
        pieces = text_pieces(render(document, top, style_for(output)), output)
    write(pieces, output, force)
    return 0
