"""``mapscope map``: one map in full."""

from __future__ import annotations

from collections.abc import Iterable

import click

from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import (
    EvidenceCommand,
    chosen_format,
    format_option,
    live_options,
    output_options,
    parse_address,
)
from mapscope.cli.output import check_target, report_line, style_for, text_pieces, write

_EPILOG = """\b
Example:
  mapscope map core.4242 0xc000012345 -e ./service"""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("core")
@click.argument("address")
@click.option("-e", "--executable", metavar="FILE", help="The program that made CORE. Default: found from the core.")
@format_option("text", "json")
@click.option("--show-contents", is_flag=True, help="Show a few keys and values too. They may be secrets.")
@live_options
@output_options
def command(
    core: str,
    address: str,
    executable: str | None,
    form: str | None,
    show_contents: bool,
    output: str | None,
    force: bool,
) -> int:
    """Show the map at ADDRESS in full: header, growth, occupancy, kinds.

    ADDRESS is that of the map's header, as the report prints it. Keys and values themselves are not shown, only their
    kinds, unless --show-contents asks for a sample.
    """
    where = parse_address(address)
    check_target(output, force)
    with watched() as progress:
        snapshot = open_evidence(core, executable, progress)
        detail = snapshot.detail(where, contents=show_contents)
    from mapscope.report.map_view import build_map, render
    from mapscope.report.writing import to_json

    document = build_map(snapshot, detail)
    if show_contents:
        report_line(
            "mapscope: this output holds contents of the heap (--show-contents): keep it where only you can read it"
        )
    pieces: Iterable[bytes]
    if chosen_format(form, output, ("text", "json")) == "json":
        pieces = [to_json(document)]
    else:
        pieces = text_pieces(render(document, style_for(output)), output)
    write(pieces, output, force)
    return 0
