"""``mapscope goroutines``: who runs and who waits, and which maps only its stack keeps."""

from __future__ import annotations

from collections.abc import Iterable

import click

from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import EvidenceCommand, chosen_format, format_option, live_options, output_options
from mapscope.cli.output import check_target, style_for, text_pieces, write

_EPILOG = """\b
Examples:
  mapscope goroutines core.4242
  mapscope goroutines core.4242 ./service --holding-maps
  mapscope goroutines core.4242 -f json -o goroutines.json"""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("evidence")
@click.argument("executable", required=False)
@click.option("--holding-maps", is_flag=True, help="Only those whose stack alone keeps a map alive.")
@format_option("text", "json")
@live_options
@output_options
def command(
    evidence: str, executable: str | None, holding_maps: bool, form: str | None, output: str | None, force: bool
) -> int:
    """List the goroutines of EVIDENCE with their frames.

    Wait times are lower bounds: the collector stamps them. Goroutines with the same stack are shown together; those
    whose stack alone keeps maps alive come first.
    """
    check_target(output, force)
    with watched() as progress:
        snapshot = open_evidence(evidence, executable, progress)
        if progress is not None:
            progress("goroutines", 0, 0)
        held = snapshot.maps_by_goroutine()
        everyone = snapshot.goroutines
    from mapscope.report.build import there

    alive = there(everyone)
    found = [one for one in alive if not holding_maps or one.address in held]
    from mapscope.report.goroutines_view import build_goroutines, render
    from mapscope.report.writing import to_json

    document = build_goroutines(snapshot, found, held, len(alive))
    pieces: Iterable[bytes]
    if chosen_format(form, output, ("text", "json")) == "json":
        pieces = [to_json(document)]
    else:
        pieces = text_pieces(render(document, (), style_for(output)), output)
    write(pieces, output, force)
    return 0
