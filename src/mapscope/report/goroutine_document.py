"""The document of ``mapscope goroutines``. Records only; ``goroutines_view`` fills and shows them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from mapscope.report.document import Address, Count, Evidence, Process, Tool


class FrameRow(Struct, frozen=True, kw_only=True):
    """One function of the source on a stack, inlined ones unfolded."""

    function: str
    file: str
    line: int
    pc: Address
    inlined: bool
    conservative: Annotated[bool, Meta(description="Which of its words are live is not known.")]


class GoroutineRow(Struct, frozen=True, kw_only=True):
    """One goroutine."""

    id: int
    address: Address
    status: str
    wait_reason: str | None
    wait_seconds: Annotated[float | None, Meta(description="It has waited at least this long.")]
    system: Annotated[bool, Meta(description="Made by the runtime for itself.")]
    created_by: Annotated[str | None, Meta(description="Function, file and line of its go statement.")]
    parent: int | None
    frames: list[FrameRow]
    problem: Annotated[str | None, Meta(description="Why frames are missing or not to be trusted.")]
    maps: Annotated[int, Meta(ge=0, description="Maps that every chain to passes this goroutine's stack.")]
    map_bytes: Annotated[int, Meta(ge=0, description="Bytes of those maps' own arrays.")]


class GoroutinesDocument(Struct, frozen=True, kw_only=True):
    """What ``mapscope goroutines -f json`` writes."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    evidence: Evidence
    process: Process
    total: Count
    goroutines: list[GoroutineRow]
