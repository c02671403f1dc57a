"""The sums of a snapshot: what is live, what the runtime itself counted, and where the resident memory went."""

from __future__ import annotations

from msgspec import Struct, field

from mapscope.goruntime.memstats import RuntimeFigures


class EvidenceInfo(Struct, frozen=True):
    """What was handed in, and what it lacks."""

    path: str
    kind: str
    """``core``, ``live process`` or ``heap dump``."""
    size_bytes: int
    executable: str | None
    """Path of the executable that was used, None when the core alone served."""
    executable_found_by: str
    """``given``, ``NT_FILE``, ``core`` (types and pclntab lie in the core itself) …"""
    build_id: str | None
    missing: tuple[str, ...] = ()
    """One sentence for each part that is not in the evidence ("12.0 MB of the heap at 0xc000400000 are not in this
    core")."""
    warnings: tuple[str, ...] = ()
    """One sentence each: nearest layout used, figures that disagree, optional parts not installed."""
    pause_seconds: float | None = None
    """How long a live process stood still for this; None for a core."""
    redacted: bool = False
    """``mapscope redact`` wrote it: contents read as zeros, all else is as in the whole core."""


class ProcessInfo(Struct, frozen=True):
    """The process that the evidence shows."""

    go_version: str
    """As the runtime says it: ``go1.26.6``, ``go1.24.11 X:noswissmap``."""
    arch: str
    """GOARCH: ``amd64``, ``arm64``."""
    pid: int | None
    stripped: bool
    """No symbol table and no DWARF in the executable."""
    has_dwarf: bool
    source_root: str = ""
    """Folder of the main module's source where it was built, as its file names begin; empty: not known."""


class Reconciliation(Struct, frozen=True):
    """RSS = live + dead + free spans + stacks + runtime + outside Go + unexplained. Bytes of resident memory."""

    rss_bytes: int
    """Resident bytes that the evidence holds (for a core: bytes present in the file, zero pages of gcore left out)."""
    live_bytes: int
    dead_bytes: int
    """Allocated slots that nothing reaches, plus free slots of spans in use: what the next collection or allocation
    uses."""
    free_span_bytes: int
    stack_bytes: int
    runtime_bytes: int
    outside_go_bytes: int
    unexplained_bytes: int


class HeapSummary(Struct, frozen=True):
    """The heap in sums."""

    live_bytes: int
    """Bytes of slots that the roots reach (whole slots, as the runtime counts)."""
    live_objects: int
    dead_bytes: int
    dead_objects: int
    runtime: RuntimeFigures | None
    """None when the evidence lacks them, with a sentence in the warnings."""
    reconciliation: Reconciliation | None
    """None when the evidence does not show resident memory."""
    notes: tuple[str, ...] = field(default=())


__all__ = ["EvidenceInfo", "HeapSummary", "ProcessInfo", "Reconciliation", "RuntimeFigures"]
