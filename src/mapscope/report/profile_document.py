"""The document of ``mapscope profile``. Records only; ``profile_build`` fills them, ``profile_view`` shows them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from mapscope.report.scalars import Bytes, Count
from mapscope.report.writing import Tool

Told = Annotated[
    str, Meta(description="exact (by the whole stack), inferred (one part alone has this size) or possible.")
]


class ProfileSource(Struct, frozen=True, kw_only=True):
    """One profile that was handed in."""

    origin: str
    form: Annotated[str, Meta(description="protobuf, text (debug=1) or stacks (debug=2).")]
    kind: Annotated[str, Meta(description="heap, goroutine, goroutineleak, or the name of its first sample type.")]
    samples: Count
    period: Annotated[int, Meta(description="runtime.MemProfileRate of a heap profile; 0: not known.")]
    time_nanos: Annotated[int | None, Meta(description="When it was taken, since 1970; null: it does not say.")]


class SumsRow(Struct, frozen=True, kw_only=True):
    """Bytes and objects, in use and allocated since the start, scaled up from the sample as pprof does."""

    inuse_bytes: int
    inuse_objects: int
    alloc_bytes: int
    alloc_objects: int


class SiteRow(Struct, frozen=True, kw_only=True):
    """Memory of maps that one place made."""

    function: str
    file: str
    line: int
    type: Annotated[str | None, Meta(description="The map type named at the call; null where it is not a constant.")]
    part: str
    told: Told
    entry: Annotated[str, Meta(description="The runtime's function that the program called.")]
    sums: SumsRow
    alloc_to_live: Annotated[float | None, Meta(description="P4: allocated to live bytes; null: nothing is live.")]


class PartRow(Struct, frozen=True, kw_only=True):
    """Memory of maps by part."""

    part: str
    sums: SumsRow


class SizeRow(Struct, frozen=True, kw_only=True):
    """P6: memory of maps in use by the size of one allocation."""

    size_bytes: Bytes
    part: str
    type: str | None
    inuse_bytes: int
    inuse_objects: int


class RiseRow(Struct, frozen=True, kw_only=True):
    """P5: a place whose map bytes only rise over the series."""

    function: str
    type: str | None
    first_bytes: int
    last_bytes: int


class CourseRow(Struct, frozen=True, kw_only=True):
    """Map bytes in use of one place over the series, the oldest profile first."""

    function: str
    type: str | None
    inuse_bytes: list[int]


class SuspectRow(Struct, frozen=True, kw_only=True):
    """Something that only a snapshot can decide: a pair of arrays (P3), or goroutines in a loop over a map (P7)."""

    indicator: Annotated[str, Meta(description="P3 or P7.")]
    function: str
    file: str
    line: int
    type: str | None
    told: Told
    smaller_bytes: Annotated[Bytes | None, Meta(description="P3: bytes of the smaller array; null for P7.")]
    larger_bytes: Annotated[Bytes | None, Meta(description="P3: bytes of the larger array; null for P7.")]
    goroutines: Annotated[Count | None, Meta(description="P7: how many stand there; null for P3.")]
    state: Annotated[str | None, Meta(description="P7: what they wait for; only debug=2 says it.")]
    wait_minutes: Annotated[int | None, Meta(description="P7: the longest wait; only debug=2 says it.")]
    rises: Annotated[list[RiseRow], Meta(description="P7: places that fill maps of this type and only rise.")]
    text: str


class IndicatorRow(Struct, frozen=True, kw_only=True):
    """One indicator of docs/reference/indicators.md."""

    id: str
    title: str
    value: float | None
    unit: str
    low: Annotated[float | None, Meta(description="Lower bound of the 95 % interval, where there is one.")]
    high: float | None
    threshold: float | None
    text: Annotated[str, Meta(description="What the value says, or why there is none.")]


class ArticleRow(Struct, frozen=True, kw_only=True):
    """One of the article's indicators as it writes it, with the verdict on it."""

    id: str
    title: str
    value: float | None
    unit: str
    threshold: float | None
    article_says: str
    verdict: str


class WaitRow(Struct, frozen=True, kw_only=True):
    """Goroutines that stand in one function in one state."""

    function: str
    file: str
    line: int
    state: Annotated[str | None, Meta(description="Only debug=2 says it.")]
    goroutines: Count
    wait_minutes: Annotated[int | None, Meta(description="The longest; only debug=2 says it.")]


class LoopRow(Struct, frozen=True, kw_only=True):
    """Goroutines that stand in one loop over a map, in one state (P7)."""

    function: str
    file: str
    line: int
    type: Annotated[str | None, Meta(description="The map type named where the loop starts; null: not a constant.")]
    told: Annotated[str, Meta(description="inferred (the code leads to the next entry of the map) or possible.")]
    state: str | None
    goroutines: Count
    wait_minutes: int | None
    lasting: Annotated[bool, Meta(description="By its wait, by a profile of leaks, or in each of several profiles.")]


class GoroutineSummary(Struct, frozen=True, kw_only=True):
    """One goroutine profile."""

    origin: str
    kind: str
    total: int
    groups: list[WaitRow]


class ProfileDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="profile"):
    """What ``mapscope profile -f json`` writes. ``heap``, ``maps`` and the rest are of the newest heap profile."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    profiles: list[ProfileSource]
    newest: Annotated[str | None, Meta(description="Origin of the heap profile that the sums are of.")]
    executable: str | None
    go_version: str | None
    heap: SumsRow
    maps: SumsRow
    told: Annotated[dict[str, int], Meta(description="Bytes of maps in use by how they were told.")]
    parts: list[PartRow]
    sites: list[SiteRow]
    sizes: list[SizeRow]
    suspects: list[SuspectRow]
    indicators: list[IndicatorRow]
    article: list[ArticleRow]
    rising: list[RiseRow]
    series: Annotated[list[CourseRow], Meta(description="The largest 1,000 places; empty for less than two profiles.")]
    goroutines: list[GoroutineSummary]
    loops: Annotated[list[LoopRow], Meta(description="Empty without the executable or a goroutine profile.")]
    settings: dict[str, float]
    notes: list[str]
    next: list[str]
    source_root: Annotated[
        str | None, Meta(description="Folder of the main module's source where it was built; null: not known.")
    ] = None
