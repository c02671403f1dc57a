"""``mapscope dominators``: what keeps most of the heap alive."""

from __future__ import annotations

from collections.abc import Iterable

import click

from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import EvidenceCommand, chosen_format, format_option, live_options, output_options
from mapscope.cli.output import check_target, style_for, text_pieces, write

_TOP = 20
_EPILOG = """\b
Examples:
  mapscope dominators core.4242
  mapscope dominators core.4242 ./service --top 50
  mapscope dominators core.4242 -f json -o dominators.json"""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("evidence")
@click.argument("executable", required=False)
@click.option(
    "--top", type=click.IntRange(min=1, max=100_000), default=_TOP, show_default=True, metavar="N", help="Show N."
)
@format_option("text", "json")
@live_options
@output_options
def command(evidence: str, executable: str | None, top: int, form: str | None, output: str | None, force: bool) -> int:
    """List what retains most of the heap of EVIDENCE.

    A dominator of an object is passed by every chain from a root to it. What it retains, its own bytes and those of all
    that it dominates, would be free without it.
    """
    check_target(output, force)
    with watched() as progress:
        snapshot = open_evidence(evidence, executable, progress)
        if progress is not None:
            progress("dominators", 0, 0)
        found = snapshot.dominators(top)
    from mapscope.report.build import chain_command
    from mapscope.report.dominators_view import build_dominators, render
    from mapscope.report.writing import to_json

    document = build_dominators(snapshot, found)
    pieces: Iterable[bytes]
    if chosen_format(form, output, ("text", "json")) == "json":
        pieces = [to_json(document)]
    else:
        objects = [step for row in document.dominators for step in (*reversed(row.gathers), row.step)]
        place = next((step.address for step in objects if step.kind == "object" and step.address), None)
        following = [chain_command(snapshot, place)] if place else []
        pieces = text_pieces(render(document, following, style_for(output)), output)
    write(pieces, output, force)
    return 0
