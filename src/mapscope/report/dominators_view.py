"""``mapscope dominators``: what keeps most of the heap alive alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mapscope.heap.holding import Dominator
from mapscope.report import document as doc
from mapscope.report.build import evidence, process
from mapscope.report.holding import dominator_row, step_text, suspect_lines
from mapscope.report.source import Source
from mapscope.report.style import Style, fitted, next_commands, percent
from mapscope.report.writing import tool
from mapscope.units import human_bytes


def build_dominators(source: Source, found: Sequence[Dominator]) -> doc.DominatorsDocument:
    """The document of the dominators ``found``."""
    return doc.DominatorsDocument(
        schema=doc.SCHEMA,
        tool=tool(),
        evidence=evidence(source),
        process=process(source),
        live_bytes=source.heap.live_bytes,
        suspects=[dominator_row(one) for one in source.suspects],
        dominators=[dominator_row(one) for one in found],
    )


def render(document: doc.DominatorsDocument, commands: Sequence[str] = (), style: Style | None = None) -> Iterator[str]:
    """The suspects, then the table: retained and own bytes, share, who."""
    style = style or Style()
    if document.suspects:
        yield style.head("WHAT HOLDS MOST")
        yield from suspect_lines(document.suspects, document.live_bytes, style)
        yield ""
    yield style.head("DOMINATORS") + " that nothing else dominates, by what would be free without them"
    if not document.dominators:
        yield "  Nothing live was found in this evidence."
        return
    cells = [
        (
            human_bytes(row.retained_bytes),
            percent(row.retained_bytes, document.live_bytes),
            human_bytes(row.shallow_bytes),
            row.step.address or "",
            _what(row),
        )
        for row in document.dominators
    ]
    heads = ("retained", "share", "own", "address", "what")
    yield from fitted(heads, cells, ">>><<", style)
    yield from next_commands(commands, style)


def _what(row: doc.DominatorRow) -> str:
    """The dominator, and where its memory gathers."""
    text = step_text(row.step)
    return f"{text}, in {step_text(row.gathers[-1])}" if row.gathers and row.gathers[-1].type else text
