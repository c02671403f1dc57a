"""``mapscope iterators``: loops over maps that are under way, those that keep most first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mapscope.findings.model import Finding
from mapscope.maps.itermodel import MapIterator
from mapscope.report import document as doc
from mapscope.report.build import evidence, finding_rows, iterator_rows, process
from mapscope.report.escape import clean
from mapscope.report.source import Source
from mapscope.report.style import Style
from mapscope.report.text import finding_lines
from mapscope.report.writing import tool
from mapscope.units import human_bytes

_SHOWN = 50
_SHOWN_FINDINGS = 10


def build_iterators(source: Source, found: Sequence[MapIterator], findings: Sequence[Finding]) -> doc.IteratorsDocument:
    """The document of the iterators ``found`` and of what the rules say of them."""
    return doc.IteratorsDocument(
        schema=doc.SCHEMA,
        tool=tool(),
        evidence=evidence(source),
        process=process(source),
        iterators=iterator_rows(found),
        findings=finding_rows(source, findings),
    )


def render(document: doc.IteratorsDocument, style: Style | None = None) -> Iterator[str]:
    """A few lines an iterator: where it stands, over what, what it keeps; then the findings."""
    style = style or Style()
    total = len(document.iterators)
    yield style.head("ITERATORS") + f" {total:,} over maps, by what only each of them keeps"
    if not total:
        yield "  None: no loop over a map is under way in this evidence."
    for row in document.iterators[:_SHOWN]:
        yield ""
        yield from _lines(row, style)
    if total > _SHOWN:
        yield ""
        yield f"  {total - _SHOWN:,} more: -f json lists them."
    if document.findings:
        yield ""
        yield style.head("FINDINGS")
        for number, finding in enumerate(document.findings[:_SHOWN_FINDINGS], 1):
            yield from finding_lines(finding, style, f"{number}. ")


def _lines(row: doc.IteratorRow, style: Style) -> Iterator[str]:
    who = (
        "on the heap"
        if row.goroutine is None
        else f"goroutine {row.goroutine} [{clean(row.wait_reason or row.status or '?')}]"
    )
    yield from style.wrap(style.name(f"{row.address} {who}") + f"  {row.state}, {row.liveness}", "  ", "")
    if row.frame:
        yield "  " + style.cut(clean(row.frame), 2)
    if row.called_from and row.called_from != row.frame:
        yield "  called from " + style.cut(clean(row.called_from), 14)
    yield "  over " + _over(row, style)
    keeps = f"only it keeps {human_bytes(row.pinned_bytes)}" if row.pinned_bytes else "keeps nothing alone"
    what = ", the whole map" if row.sole_owner else f", left behind at {row.detached}" if row.detached else ""
    if row.together > 1:
        what += f"; {row.together:,} loops over this map together keep {human_bytes(row.together_bytes)}"
    mark = style.bad if row.pinned_bytes else style.dim
    yield from style.wrap(mark(keeps + what) + f"; at {row.position:,} of {row.positions:,}", "    ", "  ")


def _over(row: doc.IteratorRow, style: Style) -> str:
    at = f" at {row.map}"
    return style.cut(clean(row.type or "a map of unknown type"), 7 + len(at)) + at
