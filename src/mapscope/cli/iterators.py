"""``mapscope iterators``: loops over maps that are under way, and what each of them keeps."""

from __future__ import annotations

from collections.abc import Iterable

import click

from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import EvidenceCommand, chosen_format, format_option, live_options, output_options
from mapscope.cli.output import check_target, style_for, text_pieces, write

_EPILOG = """\b
Examples:
  mapscope iterators core.4242
  mapscope iterators core.4242 ./service
  mapscope iterators core.4242 -f json -o iterators.json"""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("evidence")
@click.argument("executable", required=False)
@format_option("text", "json")
@live_options
@output_options
def command(evidence: str, executable: str | None, form: str | None, output: str | None, force: bool) -> int:
    """List the iterators over maps in EVIDENCE: in frames of goroutines and on the heap.

    Each keeps its map, and the array or table that it walks even when the map has left that behind. What only one
    iterator keeps is its pinned bytes. Liveness is exact where the collector's own stack maps call it live, possible
    for what a loop may have left there, uncertain in frames that are scanned conservatively.
    """
    check_target(output, force)
    with watched() as progress:
        snapshot = open_evidence(evidence, executable, progress)
        if progress is not None:
            progress("iterators", 0, 0)
        found = snapshot.iterators
        findings = snapshot.iterator_findings
    from mapscope.report.iterators_view import build_iterators, render
    from mapscope.report.writing import to_json

    document = build_iterators(snapshot, found, findings)
    pieces: Iterable[bytes]
    if chosen_format(form, output, ("text", "json")) == "json":
        pieces = [to_json(document)]
    else:
        pieces = text_pieces(render(document, style_for(output)), output)
    write(pieces, output, force)
    return 0
