"""The JSON schema of the documents, from their types."""

from __future__ import annotations

import inspect
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
from mapscope.report.growth_document import GrowthPlanDocument, GrowthSimulationDocument
from mapscope.report.history_document import HistoryDocument
from mapscope.report.lab_document import LabClaim, LabJudgement, LabListing, LabRun, LabScenario, LabToolchain
from mapscope.report.profile_diff import ProfileDiffDocument
from mapscope.report.profile_document import ProfileDocument
from mapscope.report.query_document import QueryDocument


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) for the documents of all commands, which lie under ``$defs``; the lab's are lists."""
    alone: tuple[type[msgspec.Struct], ...] = (
        Document, MapsDocument, MapDocument, ChainDocument, DominatorsDocument, GoroutinesDocument, IteratorsDocument,
        DiffDocument, ProfileDocument, ProfileDiffDocument, HistoryDocument, QueryDocument, GrowthPlanDocument,
        GrowthSimulationDocument, LabListing,
    )  # fmt: skip
    lists: tuple[type[msgspec.Struct], ...] = (LabRun, LabScenario, LabClaim, LabJudgement, LabToolchain)
    _, components = msgspec.json.schema_components((*alone, *lists), ref_template="#/$defs/{name}")
    for one in components.values():  # docstrings keep their indentation up to Python 3.12
        if "description" in one:
            one["description"] = inspect.cleandoc(one["description"])
    references = {one: {"$ref": f"#/$defs/{one.__name__}"} for one in (*alone, *lists)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"mapscope documents, schema {SCHEMA}",
        "anyOf": [
            *(references[one] for one in alone),
            *({"type": "array", "items": references[one]} for one in lists),
        ],
        "$defs": dict(sorted(components.items())),
    }
