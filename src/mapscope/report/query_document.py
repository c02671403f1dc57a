"""The document of ``mapscope query``. Records only; ``query_view`` writes it row by row."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from mapscope.report.document import Evidence, Process, Tool


class QueryDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="query"):
    """What ``mapscope query -f json`` writes."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    evidence: Evidence
    process: Process
    columns: Annotated[list[str], Meta(description="Names of the columns, in their order.")]
    rows: Annotated[
        list[dict[str, Any]], Meta(description="One object a row: numbers, text, booleans, null; all else as text.")
    ]
