"""The document of ``mapscope diff``. Records only; ``diff_view`` fills and shows them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from mapscope.report.document import Evidence, FindingRow, Process, StepRow, Tool
from mapscope.report.scalars import Address, Bytes, Count


class DiffSide(Struct, frozen=True, kw_only=True):
    """One of the two snapshots."""

    evidence: Evidence
    process: Process
    live_bytes: Bytes


class Amounts(Struct, frozen=True, kw_only=True):
    """Sums over maps."""

    maps: Count
    entries: Count
    bytes: Bytes
    waste_bytes: Annotated[int, Meta(ge=0, description="Beyond make(map, count); a state, not yet a finding.")]


class Change(Struct, frozen=True, kw_only=True):
    """Now less then."""

    maps: int
    entries: int
    bytes: int
    waste_bytes: int


class MapChange(Struct, frozen=True, kw_only=True):
    """A map in both snapshots, or the maps of one chain and type together, or what is in one of them only."""

    matched: Annotated[str, Meta(description="address, chain, or none: it is in one snapshot only.")]
    type: str | None
    address_then: Annotated[Address | None, Meta(description="Of the largest of them.")]
    address_now: Address | None
    then: Amounts | None
    now: Amounts | None
    change: Change
    chain: Annotated[
        list[StepRow] | None, Meta(description="To the largest, in the newer snapshot; of what is gone, in the older.")
    ]


class MapChanges(Struct, frozen=True, kw_only=True):
    """Those that share a fate, the largest change first."""

    total: Count
    change: Annotated[Change, Meta(description="Of all of them, also those that --top leaves out.")]
    maps: list[MapChange]


class FindingChange(Struct, frozen=True, kw_only=True):
    """What became of the findings of one rule on one map, or on the maps of one chain and type."""

    status: Annotated[
        str, Meta(description="new, unchanged (it stays), in progress (no finding: a growth that moves on) or gone.")
    ]
    bytes_then: Bytes
    bytes_now: Bytes
    maps_then: Count
    maps_now: Count
    finding: Annotated[FindingRow, Meta(description="Of the newer snapshot, judged with both; of the older when gone.")]


class DiffDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="diff"):
    """What ``mapscope diff -f json`` writes."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    old: DiffSide
    new: DiffSide
    same_process: bool
    same_build: bool
    collections: Annotated[int | None, Meta(description="Garbage collections between the two of one process.")]
    warnings: list[str]
    then: Amounts
    now: Amounts
    change: Change
    findings: list[FindingChange]
    grown: MapChanges
    shrunk: MapChanges
    new_maps: MapChanges
    gone_maps: MapChanges
