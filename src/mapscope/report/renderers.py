"""Which document can be shown in which format: one table of functions from a record to bytes.

Text and SARIF are views of one document, so a document that was kept gives them without the evidence. What a view
needs beyond it (every map's holders, the graph) it does not have: those views have no entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

from mapscope.report import (
    chain_view,
    diff_view,
    dominators_view,
    goroutines_view,
    growth_simulation_view,
    growth_view,
    history_view,
    iterators_view,
    map_view,
    maps_view,
    profile_diff,
    profile_view,
    query_view,
    text,
)
from mapscope.report.diff_document import DiffDocument
from mapscope.report.document import Document, MapsDocument
from mapscope.report.profile_diff import ProfileDiffDocument
from mapscope.report.sarif import Sarif, of_diff, of_profile, of_profile_diff, of_snapshot
from mapscope.report.sarif_places import Tree
from mapscope.report.style import Style
from mapscope.report.writing import to_json


class View(Struct, frozen=True):
    """How a document is shown."""

    style: Style = field(default_factory=Style)
    top: int = 20
    """Maps or places that text shows; 0 is all."""
    tree: Tree | None = None
    """The source tree, for SARIF."""


Lines = Callable[[Any, View], Iterable[str]]
"""A document as lines of text, or as CSV with its own ends of lines."""


def _analyze(document: Document, view: View) -> Iterator[str]:
    largest = sorted(document.maps, key=lambda row: -row.bytes.total)[: text.SHOWN_MAPS]
    return text.render(msgspec.structs.replace(document, maps=largest), view.style)


def _maps(document: MapsDocument, view: View) -> Iterator[str]:
    rows = document.maps[: view.top] if view.top else document.maps
    return maps_view.render_text(rows, document.matching, max(document.matching, len(rows)), (), view.style)


def _diff(document: DiffDocument, view: View) -> Iterator[str]:
    return diff_view.render(document, (), view.style)


TEXT: dict[str, Lines] = {
    "analyze": _analyze,
    "maps": _maps,
    "map": lambda document, view: map_view.render(document, view.style),
    "chain": lambda document, view: chain_view.render(document, view.style),
    "dominators": lambda document, view: dominators_view.render(document, (), view.style),
    "goroutines": lambda document, view: goroutines_view.render(document, (), view.style),
    "iterators": lambda document, view: iterators_view.render(document, view.style),
    "diff": _diff,
    "profile": lambda document, view: profile_view.render(document, view.top, view.style),
    "profile diff": lambda document, view: profile_diff.render(document, view.top, view.style),
    "query": lambda document, view: query_view.document_text(document, view.top, view.style),
    "history": lambda document, view: history_view.render(document, view.top, view.style),
    "growth plan": lambda document, view: growth_view.render(document, (), view.style),
    "growth simulate": lambda document, view: growth_simulation_view.render(document, view.style),
}
"""By the kind of the document."""
CSV: dict[str, Lines] = {
    "analyze": lambda document, view: maps_view.csv_of(document.maps),
    "maps": lambda document, view: maps_view.csv_of(document.maps),
    "profile": lambda document, view: profile_view.render_csv(document),
    "profile diff": lambda document, view: profile_diff.render_csv(document),
    "query": lambda document, view: query_view.document_csv(document),
    "history": lambda document, view: history_view.render_csv(document),
}
SARIF: dict[str, Callable[[Any, Tree | None], Sarif]] = {
    "analyze": of_snapshot,
    "diff": of_diff,
    "profile": of_profile,
    "profile diff": of_profile_diff,
}


def _profile_diff_page(document: ProfileDiffDocument) -> bytes:
    from mapscope.report.page.html import render
    from mapscope.report.page.profile import diff_title, profile_diff_pack

    return render(profile_diff_pack(document), diff_title(document)).encode()


HTML: dict[str, Callable[[Any], bytes]] = {"profile diff": _profile_diff_page}
"""Pages that need no more than the document: those of snapshots and of one profile draw what only the evidence has."""
JSON: dict[str, Callable[[Any], bytes]] = dict.fromkeys(TEXT, to_json)
FORMATS: dict[str, dict[str, Any]] = {"text": TEXT, "json": JSON, "csv": CSV, "html": HTML, "sarif": SARIF}
"""Formats, each with the kinds that it can show."""


def kind_of(document: msgspec.Struct) -> str:
    """The ``kind`` of a document."""
    return str(document.__struct_config__.tag)
