"""``mapscope chain``: who holds an object."""

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
from mapscope.cli.output import check_target, style_for, text_pieces, write

_EPILOG = """\b
Examples:
  mapscope chain core.4242 0xc000012345
  mapscope chain core.4242 0xc000012345 --all
  mapscope chain core.4242 0xc000012345 -e ./service -f json"""


@click.command(cls=EvidenceCommand, epilog=_EPILOG)
@click.argument("evidence")
@click.argument("address")
@click.option(
    "-e", "--executable", metavar="FILE", help="The program that made EVIDENCE. Default: found from the core."
)
@click.option("--all", "every", is_flag=True, help="Every way that differs, merged into a tree.")
@format_option("text", "json")
@live_options
@output_options
def command(
    evidence: str, address: str, executable: str | None, every: bool, form: str | None, output: str | None, force: bool
) -> int:
    """Show who holds the object at ADDRESS: the shortest chain from a root.

    ADDRESS is of a map, or of anything else on the heap. Each step says what it is and which field leads on: a
    variable, a goroutine's stack, an object. With --all, the shortest chain through each object that points to it and
    from each root that reaches it, merged where types and fields agree.
    """
    where = parse_address(address)
    check_target(output, force)
    with watched() as progress:
        snapshot = open_evidence(evidence, executable, progress)
        if progress is not None:
            progress("chains", 0, 0)
        held = snapshot.holder(where)
        found = snapshot.chains(where) if every else None
    from mapscope.report.chain_view import build_chain, render
    from mapscope.report.writing import to_json

    document = build_chain(snapshot, where, held, found)
    pieces: Iterable[bytes]
    if chosen_format(form, output, ("text", "json")) == "json":
        pieces = [to_json(document)]
    else:
        pieces = text_pieces(render(document, style_for(output)), output)
    write(pieces, output, force)
    return 0
