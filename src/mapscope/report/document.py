"""The document: one typed object that every other view renders, stable from the first day.

Addresses are strings (``"0xc000012345"``), bytes are integers, hash seeds are integers up to 2^64 - 1 (a reader
that holds numbers as doubles must read them as big integers). A field may be added without a new ``schema``; none
changes its meaning.
"""

# ruff: noqa: N815  # field names are the Go runtime's own
from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from mapscope.report.goroutine_rows import GoroutineRow
from mapscope.report.scalars import Address, Bytes, Count
from mapscope.report.writing import SCHEMA as SCHEMA
from mapscope.report.writing import Tool as Tool

ADDRESS_FIELDS = frozenset({
    "address", "buckets", "oldbuckets", "extra", "dirPtr", "detached", "iterator", "sync_map", "read", "dirty",
})  # fmt: skip
"""Names in a finding's evidence whose values are addresses: strings in the document, hex in text."""


class Evidence(Struct, frozen=True, kw_only=True):
    """What was handed in, and what it lacks."""

    path: str
    kind: str
    size_bytes: Bytes
    executable: str | None
    executable_found_by: str
    build_id: str | None
    missing: list[str]
    warnings: list[str]
    pause_seconds: float | None
    redacted: Annotated[bool, Meta(description="Written by mapscope redact: contents read as zeros.")]


class Process(Struct, frozen=True, kw_only=True):
    """The process that the evidence shows."""

    go_version: str
    arch: str
    pid: int | None
    stripped: bool
    has_dwarf: bool
    source_root: Annotated[
        str | None, Meta(description="Folder of the main module's source where it was built; null: not known.")
    ] = None


class Runtime(Struct, frozen=True, kw_only=True):
    """What the runtime's own statistics in the evidence say (names as in runtime.MemStats where it has them)."""

    heap_alloc_bytes: int
    heap_objects: int
    heap_inuse_bytes: int
    heap_sys_bytes: int
    heap_released_bytes: int
    stack_inuse_bytes: int
    other_sys_bytes: int
    num_gc: int
    heap_marked_bytes: int | None


class Reconciliation(Struct, frozen=True, kw_only=True):
    """rss = live + dead + free_span + stack + runtime + outside_go + unexplained, in bytes of resident memory."""

    rss_bytes: int
    live_bytes: int
    dead_bytes: int
    free_span_bytes: int
    stack_bytes: int
    runtime_bytes: int
    outside_go_bytes: int
    unexplained_bytes: int


class Heap(Struct, frozen=True, kw_only=True):
    """The heap in sums.

    ``runtime`` is null where the evidence lacks the runtime's statistics, ``reconciliation`` where it does not show
    resident memory (a heap dump).
    """

    live_bytes: Bytes
    live_objects: Count
    dead_bytes: Bytes
    dead_objects: Count
    runtime: Runtime | None
    reconciliation: Reconciliation | None


class RuleSum(Struct, frozen=True, kw_only=True):
    """What one rule found. ``bytes`` counts only findings without ``part_of``."""

    findings: Count
    bytes: Bytes


class Verdict(Struct, frozen=True, kw_only=True):
    """The report in six numbers. No byte of ``waste_bytes`` is counted twice."""

    maps: Count
    map_bytes: Bytes
    waste_bytes: Annotated[int, Meta(ge=0, description="Bytes held for nothing: findings without part_of, summed.")]
    possible_waste_bytes: Annotated[
        int, Meta(ge=0, description="The part of waste_bytes that one snapshot cannot settle.")
    ]
    findings: Count
    rules: dict[str, RuleSum]


class ClassicHeader(Struct, frozen=True, gc=False):
    """``hmap`` of runtime/map.go."""

    count: Count
    flags: Count
    B: Count
    noverflow: Count
    hash0: Count
    buckets: Address
    oldbuckets: Address
    nevacuate: Count
    extra: Address


class SwissHeader(Struct, frozen=True, gc=False):
    """``Map`` of internal/runtime/maps/map.go. ``tombstonePossible`` is from Go 1.25 (padding before)."""

    used: Count
    seed: Annotated[int, Meta(ge=0, description="Up to 2^64 - 1, exact.")]
    dirPtr: Address
    dirLen: int
    globalDepth: Count
    globalShift: Count
    writing: Count
    tombstonePossible: Count
    clearSeq: Count


class ClassicBytes(Struct, frozen=True, gc=False):
    """Whole heap slots; ``total`` is the sum of the others."""

    total: Bytes
    header: Bytes
    buckets: Bytes
    oldbuckets: Bytes
    overflow: Bytes
    old_overflow: Bytes
    extra: Bytes
    indirect: Annotated[int, Meta(ge=0, description="Keys and values held by pointer because they exceed 128 bytes.")]


class SwissBytes(Struct, frozen=True, gc=False):
    """Whole heap slots; ``total`` is the sum of the others."""

    total: Bytes
    header: Bytes
    groups: Bytes
    tables: Bytes
    directory: Bytes
    indirect: Annotated[int, Meta(ge=0, description="Keys and values held by pointer because they exceed 128 bytes.")]


class StepRow(Struct, frozen=True, gc=False):
    """One step of a chain, from a root to an object."""

    kind: Annotated[
        str,
        Meta(
            description="global, goroutine, map or iterator (on a stack), finalizer, runtime, register, unknown; "
            "object; skipped (name says how many steps are left out)."
        ),
    ]
    address: Address | None
    type: Annotated[str | None, Meta(description="As Go prints it; []T for an array over the whole slot.")]
    field: Annotated[
        str | None,
        Meta(description="What leads to the next step: .cache, [3].next, [elem slot]; +0x18 without a type."),
    ]
    name: Annotated[str | None, Meta(description="Of roots: main.srv; goroutine 8 in main.work (main.go:94).")]
    goroutine: Annotated[int | None, Meta(description="Id of the goroutine whose stack it is.")]


class DominatorRow(Struct, frozen=True, kw_only=True):
    """An object or root that keeps others alive alone, or many objects of one type below one dominator."""

    step: StepRow
    count: Annotated[int, Meta(ge=1, description="Objects of this type; step is then the one that retains most.")]
    retained_bytes: Annotated[int, Meta(ge=0, description="Bytes that would be free without it, its own included.")]
    shallow_bytes: Bytes
    chain: list[StepRow]
    gathers: Annotated[
        list[StepRow], Meta(description="Dominators below it, down to the one without a child that has most of it.")
    ]


class _MapFields(Struct, frozen=True, gc=False):
    address: Address
    type: Annotated[str | None, Meta(description="As Go prints it; null where nothing in the evidence names it.")]
    place: Annotated[str, Meta(description="Where the header lies: heap, stack or data.")]
    count: Count
    capacity: Annotated[int, Meta(ge=0, description="Slots in the current arrays.")]
    load_factor: Annotated[
        float, Meta(description="Entries a bucket (classic, limit 6.5) or a slot (Swiss, limit 7/8).")
    ]
    state: Annotated[str, Meta(description="empty, small, steady, growing or growing-same-size.")]
    confidence: Annotated[str, Meta(description="exact, inferred, possible or uncertain.")]
    needed_bytes: Annotated[int, Meta(ge=0, description="What make(map, count) would take.")]
    waste_bytes: Annotated[int, Meta(ge=0, description="max(0, total - needed_bytes); a state, not yet a finding.")]
    complete: Annotated[bool, Meta(description="false: arrays are partly not in the evidence; sums are lower bounds.")]
    chain: Annotated[
        list[StepRow] | None, Meta(description="The shortest way from a root to the header; null where not known.")
    ]
    retained_bytes: Annotated[int | None, Meta(description="Bytes that would be free without the map.")]
    dominator: Annotated[StepRow | None, Meta(description="The nearest step of every chain; null: several roots.")]


class ClassicMap(_MapFields, frozen=True, gc=False, tag_field="generation", tag="classic"):
    """A map of Go up to 1.23, or built with noswissmap."""

    header: ClassicHeader
    bytes: ClassicBytes
    noldbuckets: Count
    old_evacuated: Count
    overflow_count: Count
    old_overflow_count: Count
    prealloc_overflow: Count


class SwissMap(_MapFields, frozen=True, gc=False, tag_field="generation", tag="swiss"):
    """A map of Go 1.24 on."""

    header: SwissHeader
    bytes: SwissBytes
    tables: Count
    groups: Count
    tombstones: Count
    growth_left: Count


MapRow = ClassicMap | SwissMap


class AdviceText(Struct, frozen=True, kw_only=True):
    """What to change in the source. ``code`` is a Go sketch."""

    text: str
    code: str


class FindingRow(Struct, frozen=True, kw_only=True):
    """One judged fact."""

    rule: str
    title: str
    bytes: Bytes
    subject: Address
    type: str | None
    maps: Annotated[int, Meta(ge=1, description="1, or many small maps of one type; subject is then the largest.")]
    confidence: str
    why: str
    evidence: dict[str, int | str]
    advice: AdviceText
    part_of: Annotated[str | None, Meta(description="Rule whose finding on the same map counts these bytes.")]
    chain: Annotated[list[StepRow] | None, Meta(description="The shortest way from a root to the subject.")]
    retained_bytes: Annotated[int | None, Meta(description="Bytes that would be free without the subject.")]
    dominator: Annotated[StepRow | None, Meta(description="The nearest step of every chain; null: several roots.")]


class IteratorRow(Struct, frozen=True, kw_only=True):
    """An iterator over a map: ``hiter`` or ``maps.Iter``."""

    address: Address
    map: Address
    type: Annotated[str | None, Meta(description="Of the map, as Go prints it.")]
    place: Annotated[str, Meta(description="stack or heap.")]
    goroutine: Annotated[int | None, Meta(description="Id of the goroutine on whose stack it lies.")]
    frame: Annotated[str | None, Meta(description="The function with the loop: main.work (/src/main.go:94).")]
    called_from: Annotated[str | None, Meta(description="The nearest function of the program itself.")]
    status: str | None
    wait_reason: str | None
    wait_seconds: Annotated[float | None, Meta(description="It has waited at least this long.")]
    state: Annotated[str, Meta(description="running or exhausted.")]
    liveness: Annotated[str, Meta(description="exact, possible, or uncertain (conservatively scanned).")]
    position: Annotated[int, Meta(ge=0, description="Buckets or directory entries walked, of positions.")]
    positions: Count
    detached: Annotated[Address | None, Meta(description="The array or table that the map has left behind.")]
    detached_bytes: Bytes
    pinned_bytes: Annotated[int, Meta(ge=0, description="What only this iterator keeps, pointees included.")]
    sole_owner: Annotated[bool, Meta(description="Nothing else keeps the map.")]
    together: Annotated[int, Meta(ge=1, description="Iterators over the map that share what none keeps alone.")]
    together_bytes: Annotated[int, Meta(ge=0, description="What these keep, each's own part included; 0 for one.")]


class Document(Struct, frozen=True, kw_only=True, tag_field="kind", tag="analyze"):
    """What ``mapscope analyze -f json`` writes. ``analyze`` lists every map, small ones too."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    evidence: Evidence
    process: Process
    heap: Heap
    verdict: Verdict
    notes: list[str]
    next: Annotated[list[str], Meta(description="Commands worth running now.")]
    thresholds: dict[str, int | float]
    suspects: Annotated[list[DominatorRow], Meta(description="The few dominators that hold most of the heap.")]
    findings: list[FindingRow]
    iterators: Annotated[list[IteratorRow], Meta(description="By what each keeps alone, the largest first.")]
    goroutines: Annotated[list[GoroutineRow], Meta(description="All that are not dead, in the runtime's order.")]
    maps: list[MapRow]


class IteratorsDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="iterators"):
    """What ``mapscope iterators -f json`` writes."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    evidence: Evidence
    process: Process
    iterators: list[IteratorRow]
    findings: Annotated[list[FindingRow], Meta(description="Those of the rules on iterators.")]


class MapsDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="maps"):
    """What ``mapscope maps -f json`` writes: the chosen maps in the chosen order."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    evidence: Evidence
    process: Process
    matching: Annotated[int, Meta(ge=0, description="Maps that match; maps may hold fewer (--top).")]
    maps: list[MapRow]


class TableRow(Struct, frozen=True, kw_only=True):
    """One Swiss table (internal/runtime/maps/table.go)."""

    address: Address
    used: int
    capacity: int
    growthLeft: int
    localDepth: int
    index: int
    tombstones: int


class ChainNode(Struct, frozen=True, kw_only=True):
    """Chains that agree up to here."""

    step: StepRow
    chains: Annotated[int, Meta(ge=1, description="Chains that go through here.")]
    objects: Annotated[int, Meta(ge=0, description="Distinct objects that they pass here; step is one of them.")]
    bytes: Annotated[int, Meta(ge=0, description="Their own bytes.")]
    children: list[ChainNode]


class ChainDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="chain"):
    """What ``mapscope chain -f json`` writes. ``all`` is null without ``--all``."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    evidence: Evidence
    process: Process
    address: Address
    type: str | None
    chain: list[StepRow]
    retained_bytes: Bytes
    dominator: StepRow | None
    all: list[ChainNode] | None
    chains: Annotated[int, Meta(ge=0, description="Chains that are merged in all.")]
    more: Annotated[int, Meta(ge=0, description="Referrers and roots that were left out of all.")]


class DominatorsDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="dominators"):
    """What ``mapscope dominators -f json`` writes: the largest of those that nothing else dominates."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    evidence: Evidence
    process: Process
    live_bytes: Bytes
    suspects: list[DominatorRow]
    dominators: list[DominatorRow]


class EntryRow(Struct, frozen=True, kw_only=True):
    """One entry of a map, cut and escaped: strings in quotes, numbers, pointers as addresses, sizes of all else."""

    key: str
    value: str


class MapDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="map"):
    """What ``mapscope map -f json`` writes: one map in full."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    evidence: Evidence
    process: Process
    map: MapRow
    occupancy: Annotated[list[int], Meta(description="occupancy[n] buckets or groups hold n entries; last: or more.")]
    chain_lengths: Annotated[list[int], Meta(description="Classic: chain_lengths[n] buckets have n overflow buckets.")]
    tables: list[TableRow]
    key_kinds: dict[str, int]
    elem_kinds: dict[str, int]
    how_found: str
    findings: list[FindingRow]
    contents: Annotated[list[EntryRow] | None, Meta(description="The first few entries; null without --show-contents.")]
