"""``mapscope lab claims``: the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from mapscope.errors import UsageError
from mapscope.lab.ledger import KINDS, Claim, claims, in_section
from mapscope.lab.page import form_of, page_options, write_page
from mapscope.lab.printing import say

_EPILOG = """\b
Examples:
  mapscope lab claims --section 2.1
  mapscope lab claims -f json
  mapscope lab claims -o claims.html

\b
mapscope lab verify runs the experiments that settle them."""
_FAR = (1, 99)
_NEAR = (1, 23)


@click.command(epilog=_EPILOG)
@click.option("--section", metavar="S", help="Only claims of a section (2.1) or of a chapter (2) of the article.")
@page_options
def command(section: str | None, form: str | None, output: str | None, force: bool) -> None:
    """Show the claims of the article, and what is true of them.

    For each: the verdict for classic maps (up to Go 1.23) and for Swiss maps
    (Go 1.24 on), why, where Go's source says so, and what settles it.
    """
    chosen_form = form_of(form, output, force)
    chosen = claims() if section is None else in_section(section)
    if not chosen:
        sections = ", ".join(dict.fromkeys(one.section for one in claims()))
        raise UsageError(f"the article has no claims in section {section!r}", f"sections are {sections}")
    if chosen_form == "json":
        click.echo(json.dumps([_document(one) for one in chosen], indent=2, ensure_ascii=True))
        return
    if output is not None:
        from mapscope.report.page.lab import claims_pack

        write_page(claims_pack([_document(one) for one in chosen]), "mapscope lab claims", output)
        return
    for first, line in _lines(chosen):
        say(line, "       ", first)


def _document(one: Claim) -> dict[str, object]:
    return {
        "id": one.id,
        "section": one.section,
        "claim": one.text,
        "left_out": one.left_out,
        "classic": one.classic,
        "swiss": one.swiss,
        "exceptions": one.exceptions,
        "why": one.reason(_NEAR),
        "why_swiss": one.reason(_FAR),
        "source": [
            {
                "file": source.file,
                "name": source.name,
                "first": f"{source.first[0]}.{source.first[1]}",
                "last": f"{source.last[0]}.{source.last[1]}" if source.last < _FAR else None,
            }
            for source in one.sources
        ],
        "settled_by": one.kind,
        "settled": one.by or None,
    }


def _lines(chosen: tuple[Claim, ...]) -> Iterator[tuple[str, str]]:
    """What stands before each paragraph, and the paragraph."""
    for one in chosen:
        left_out = "left out by the article: " if one.left_out else ""
        yield f"{one.id:3d}  ", f"\N{SECTION SIGN}{one.section} {left_out}{one.text}"
        if one.classic == one.swiss and one.reason(_NEAR) == one.reason(_FAR):
            yield "     ", f"{one.classic}: {one.why}"
        else:
            yield "     ", f"classic {one.classic}: {one.reason(_NEAR)}"
            yield "     ", f"Swiss {one.swiss}: {one.reason(_FAR)}"
        for series, verdict in one.exceptions.items():
            yield "     ", f"Go {series} {verdict}"
        yield "     ", f"{one.kind} {one.by}".rstrip() + "; " + "; ".join(map(str, one.sources))
    settled = {kind: sum(1 for one in chosen if one.kind == kind) for kind in KINDS}
    yield "", ""
    yield (
        "",
        (
            f"{len(chosen)} claims: {settled['scenario']} settled by a scenario (mapscope lab verify), "
            f"{settled['source']} by Go's source alone"
        ),
    )
