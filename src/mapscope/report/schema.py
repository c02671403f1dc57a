"""The JSON schema of the documents, from their types."""

from __future__ import annotations

from typing import Any

import msgspec

from mapscope.report.diff_document import DiffDocument
from mapscope.report.document import (
    SCHEMA,
    ChainDocument,
    Document,
    DominatorsDocument,
    IteratorsDocument,
    MapDocument,
    MapsDocument,
)
from mapscope.report.goroutine_document import GoroutinesDocument
from mapscope.report.growth_document import GrowthPlanDocument
from mapscope.report.history_document import HistoryDocument
from mapscope.report.profile_diff import ProfileDiffDocument
from mapscope.report.profile_document import ProfileDocument


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) for the documents of all commands, which lie under ``$defs``."""
    documents = (
        Document, MapsDocument, MapDocument, ChainDocument, DominatorsDocument, GoroutinesDocument, IteratorsDocument,
        DiffDocument, ProfileDocument, ProfileDiffDocument, HistoryDocument, GrowthPlanDocument,
    )  # fmt: skip
    _, components = msgspec.json.schema_components(documents, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"mapscope documents, schema {SCHEMA}",
        "anyOf": [{"$ref": f"#/$defs/{document.__name__}"} for document in documents],
        "$defs": dict(sorted(components.items())),
    }
