"""``mapscope diff``: what became of the maps between two snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from mapscope.cli.analyze import parse_rules
from mapscope.cli.opening import open_evidence, watched
from mapscope.cli.options import cache_option, chosen_format, format_option, output_options
from mapscope.cli.output import check_target, named_page, style_for, text_pieces, write
from mapscope.cli.sarif import open_tree, sarif_pieces, tree_option

if TYPE_CHECKING:
    from mapscope.report.diff_document import DiffDocument
    from mapscope.snapshot import Snapshot

_FORMATS = ("text", "json", "html", "sarif")
_TOP = 10
_EPILOG = """\b
Examples:
  mapscope diff core.4242 core.4242.later
  mapscope diff core.4242 core.4242.later -e ./service -f json -o diff.json
  mapscope diff core.4242 core.4242.later -o diff.html
  mapscope diff monday.core tuesday.core -e ./v2 --old-executable ./v1

\b
Exit status: 0 nothing found, 1 findings that are new or stay, 2 usage or
unusable input."""


@click.command(epilog=_EPILOG)
@click.argument("old")
@click.argument("new")
@click.option("-e", "--executable", metavar="FILE", help="The program that made both. Default: found from the cores.")
@click.option("--old-executable", metavar="FILE", help="The program that made OLD, where it is another.")
@click.option(
    "--top", type=click.IntRange(min=0), default=_TOP, show_default=True, metavar="N",
    help="Show N maps of each kind; 0 is all.",
)  # fmt: skip
@format_option(*_FORMATS)
@output_options
@cache_option
@tree_option
@click.option(
    "--fail-on",
    multiple=True,
    metavar="RULE",
    help="Exit with 1 only for these rules (R1,R9; may be repeated), or none. Default: for any.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever is found.")
def command(
    old: str,
    new: str,
    executable: str | None,
    old_executable: str | None,
    top: int,
    form: str | None,
    output: str | None,
    force: bool,
    source: str | None,
    fail_on: tuple[str, ...],
    exit_zero: bool,
) -> int:
    """Compare OLD with NEW: maps that grew, shrank, came and went, and findings.

    Both are core dumps, best of one process: a growth that stands where it stood is then known to be stalled. Maps of
    two processes or builds are matched by the chain that leads to them and by type.
    """
    check_target(output, force)
    chosen = chosen_format(form, output, _FORMATS)
    named_page(chosen, output)
    rules = parse_rules(fail_on)
    tree = open_tree(source)
    with watched() as progress:
        before = open_evidence(old, old_executable or executable, progress)
        after = open_evidence(new, executable, progress)
        if progress is not None:
            progress("comparing", 0, 0)
        from mapscope.diff import compare
        from mapscope.report.diff_view import build_diff, render
        from mapscope.report.page.diff import diff_pack, shown, title
        from mapscope.report.writing import to_json

        found = compare(before, after)
        document = build_diff(found, before, after, shown(found) if chosen == "html" else top)
    pieces: Iterable[bytes]
    if chosen == "html":
        from mapscope.report.page.html import render as page

        pack = diff_pack(found, document, before, after, _following(after, document))
        pieces = [page(pack, title(document)).encode()]
    elif chosen == "json":
        pieces = [to_json(document)]
    elif chosen == "sarif":
        from mapscope.report.sarif import of_diff

        pieces = sarif_pieces(of_diff(document, tree), tree)
    else:
        lines = render(document, _following(after, document), style_for(output))
        pieces = text_pieces(lines, output)
    write(pieces, output, force)
    failing = found.failing if rules is None else found.failing & rules
    return 1 if failing and not exit_zero else 0


def _following(after: Snapshot, document: DiffDocument) -> list[str]:
    """Commands worth running now: who holds what grew most."""
    from mapscope.report.build import chain_command, map_command

    for changes in (document.grown, document.new_maps):
        for one in changes.maps:
            if one.address_now is not None:
                return [chain_command(after, one.address_now), map_command(after, one.address_now)]
    return []
