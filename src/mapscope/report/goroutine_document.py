"""The document of ``mapscope goroutines``. Records only; ``goroutines_view`` fills and shows them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from mapscope.report.document import Evidence, Process, Tool
from mapscope.report.goroutine_rows import GoroutineRow
from mapscope.report.scalars import Count


class GoroutinesDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="goroutines"):
    """What ``mapscope goroutines -f json`` writes."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    evidence: Evidence
    process: Process
    total: Count
    goroutines: list[GoroutineRow]
