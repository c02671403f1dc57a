"""The document of ``mapscope history``: what became of one service. Records only; ``history_view`` shows them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from mapscope.report.profile_document import Told
from mapscope.report.scalars import Bytes, Count
from mapscope.report.writing import Tool

Nanos = Annotated[int, Meta(description="Nanoseconds since 1970, by the clock of the watch.")]

TITLES: dict[str, tuple[str, str]] = {
    "heap_inuse_bytes": ("heap in use", "bytes"),
    "P1": ("map bytes in use", "bytes"),
    "P1s": ("their share of the heap in use", "ratio"),
    "P2": ("growth of map bytes", "bytes/hour"),
    "P3": ("pairs of array generations", "places"),
    "P4": ("allocated to live map bytes", "ratio"),
    "P5": ("places whose map bytes only rise", "places"),
    "P7": ("goroutines in loops over maps", "goroutines"),
    "goroutines": ("goroutines", "goroutines"),
    "heap_alloc_bytes": ("heap allocated since the start", "bytes"),
}
"""Title and unit of what is kept over time: indicators of docs/reference/indicators.md and sums of the profile."""


class IndicatorSeries(Struct, frozen=True, kw_only=True):
    """One indicator of one instance over time, the oldest first."""

    id: str
    title: str
    unit: str
    time_nanos: list[int]
    values: list[float]
    low: Annotated[list[float | None], Meta(description="Lower bounds of 95 % intervals; empty: it has none.")]
    high: Annotated[list[float | None], Meta(description="Upper bounds; empty: it has none.")]


class InstanceHistory(Struct, frozen=True, kw_only=True):
    """One process of the service."""

    instance: str
    profiles: Annotated[Count, Meta(description="Profiles of this time that the store tells of.")]
    first_nanos: Nanos
    last_nanos: Nanos
    indicators: list[IndicatorSeries]


class PlaceHistory(Struct, frozen=True, kw_only=True):
    """Map bytes in use of one place (function and type) of one instance over time, as CourseRow of a profile series.

    Nothing, where it is not in a profile whose places make up all of its map bytes; no entry, where it was merely not
    among the largest that are kept.
    """

    instance: str
    function: str
    file: str
    line: int
    type: str | None
    time_nanos: list[int]
    inuse_bytes: list[int]


class FindingHistory(Struct, frozen=True, kw_only=True):
    """What was suspected, from when to when."""

    instance: str
    indicator: Annotated[str, Meta(description="P3, P5 or P7.")]
    function: str
    file: str
    line: int
    type: str | None
    told: Told
    bytes: Annotated[int | None, Meta(description="P3: of the smaller array; P5: of the rise; null for P7.")]
    goroutines: Annotated[int | None, Meta(description="P7: how many stood there; null else.")]
    began_nanos: Nanos
    last_nanos: Annotated[int, Meta(description="The last profile that showed it, since 1970.")]
    ended_nanos: Annotated[int | None, Meta(description="The first that no longer showed it; null: it lasts.")]


class StoredProfile(Struct, frozen=True, kw_only=True):
    """A raw profile that can still be had: ``mapscope history SERVICE --at TIME -f pprof``."""

    instance: str
    kind: str
    time_nanos: Nanos
    raw_bytes: Bytes
    stored_bytes: Bytes


class HistoryDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="history"):
    """What ``mapscope history -f json`` writes."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    service: str
    store: str
    since_nanos: Nanos
    until_nanos: Nanos
    instances: list[InstanceHistory]
    places: Annotated[list[PlaceHistory], Meta(description="The largest at last first, at most 1,000.")]
    findings: Annotated[list[FindingHistory], Meta(description="All that lasted in this time, the oldest first.")]
    profiles: list[StoredProfile]
    notes: list[str]
    next: list[str]
