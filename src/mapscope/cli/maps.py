"""``mapscope maps``: the table of maps."""

from __future__ import annotations

import click

from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import EvidenceCommand, chosen_format, format_option, live_options, output_options
from mapscope.cli.output import check_target, style_for, text_pieces, write

_FORMATS = ("text", "json", "csv")
_TOP = 20
_EPILOG = """\b
Examples:
  mapscope maps core.4242 --sort waste
  mapscope maps core.4242 --type 'map[string]*' --top 50
  mapscope maps core.4242 -f csv -o maps.csv"""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("core")
@click.argument("executable", required=False)
@click.option(
    "--sort",
    type=click.Choice(["waste", "bytes", "count", "address", "type"]),
    default="bytes",
    show_default=True,
    help="Order: sizes and counts largest first.",
)
@click.option(
    "--top",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Show N maps; 0 is all. Default: {_TOP} as text, all as json and csv.",
)
@click.option(
    "--type",
    "pattern",
    metavar="GLOB",
    help="Only types that match GLOB as a whole: * any text, ? any character, brackets as they are.",
)
@format_option(*_FORMATS)
@live_options
@output_options
def command(
    core: str,
    executable: str | None,
    sort: str,
    top: int | None,
    pattern: str | None,
    form: str | None,
    output: str | None,
    force: bool,
) -> int:
    """List the maps of CORE: entries, bytes, waste, state, type."""
    check_target(output, force)
    with watched() as progress:
        snapshot = open_evidence(core, executable, progress)
    from mapscope.report import maps_view
    from mapscope.report.build import map_command, maps_json
    from mapscope.report.rows import map_rows

    chosen = chosen_format(form, output, _FORMATS)
    rows = maps_view.choose(snapshot.maps, sort, pattern)
    matching = len(rows)
    limit = top if top is not None else _TOP if chosen == "text" else 0
    rows = rows[:limit] if limit else rows
    if chosen == "json":
        pieces = maps_json(snapshot, rows, matching)
    elif chosen == "csv":
        pieces = (text.encode("utf-8") for text in maps_view.render_csv(snapshot.maps, rows))
    else:
        records = list(map_rows(snapshot.maps, rows))
        following = [map_command(snapshot, records[0].address)] if records else []
        lines = maps_view.render_text(records, matching, len(snapshot.maps), following, style_for(output))
        pieces = text_pieces(lines, output)
    write(pieces, output, force)
    return 0
