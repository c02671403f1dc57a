"""``mapscope query``: SQL over the tables of a snapshot."""

from __future__ import annotations

import click

from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import EvidenceCommand, chosen_format, format_option, live_options, output_options
from mapscope.cli.output import check_target, style_for, text_pieces, write

_FORMATS = ("text", "json", "csv")
_TOP = 100
_SECONDS = 300.0  # SECONDS of mapscope.sql, which --help must not load
_EPILOG = """\b
Examples:
  mapscope query core.4242 "select type, sum(waste) from maps group by all
                            order by 2 desc"
  mapscope query core.4242 "describe maps"
  mapscope query core.4242 "from findings" -f csv -o findings.csv"""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("evidence")
@click.argument("sql")
@click.option(
    "-e", "--executable", metavar="FILE", help="The program that made EVIDENCE. Default: found from the core."
)
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=_TOP,
    show_default=True,
    metavar="N",
    help="Show N rows as text; 0 is all. Files and json and csv have all rows.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=_SECONDS,
    show_default=True,
    metavar="S",
    help="Give up on a statement that takes longer.",
)
@format_option(*_FORMATS)
@live_options
@output_options
def command(
    evidence: str,
    sql: str,
    executable: str | None,
    top: int,
    seconds: float,
    form: str | None,
    output: str | None,
    force: bool,
) -> int:
    """Run one SELECT statement over the tables of EVIDENCE.

    The tables: maps, objects, types, goroutines, frames, iterators, findings,
    edges. Needs DuckDB, which the extra `query` installs. A query reads no file
    and no network. objects and edges are large and take the time that
    `dominators` takes.
    """
    check_target(output, force)
    with watched() as progress:
        snapshot = open_evidence(evidence, executable, progress)
        if progress is not None:
            progress("query", 0, 0)
        result = snapshot.sql(sql, seconds)
    from mapscope.report import query_view

    chosen = chosen_format(form, output, _FORMATS)
    if chosen == "json":
        pieces = query_view.json_pieces(snapshot, result)
    elif chosen == "csv":
        pieces = query_view.csv_pieces(result)
    else:
        limit = top if output in (None, "-") else 0
        pieces = text_pieces(query_view.render_text(result, limit, style_for(output)), output)
    write(pieces, output, force)
    return 0
