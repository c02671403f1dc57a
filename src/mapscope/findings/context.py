"""What a rule may ask: the table of maps, the release, and a few questions that need the heap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mapscope.findings.thresholds import DEFAULT, Thresholds
from mapscope.maps.model import Map, MapTable


@dataclass(frozen=True, slots=True)
class StaleValues:
    """R3: pointees that only evacuated old buckets still reach."""

    buckets: int
    """Evacuated old buckets whose keys or elems were not cleared."""
    objects: int
    """Objects that nothing but those slots reaches."""
    bytes: int
    """Bytes of those objects."""


@dataclass(frozen=True, slots=True)
class StringKeys:
    """R16: string keys that point into much larger objects."""

    keys: int
    """Keys with a pointer into the heap that were looked at (all of them)."""
    length_bytes: int
    """Sum of the lengths of those keys."""
    object_bytes: int
    """Bytes of the distinct heap objects that those keys lie in."""
    objects: int
    """Number of distinct objects."""
    excess_bytes: int
    """Bytes of distinct objects minus the bytes that exact copies of the keys would take (size classes counted)."""


class HeapQueries(Protocol):
    """Questions that go back to the bytes of the evidence. Each is answered by kernels and may take a while."""

    def stale_values(self, found: Map) -> StaleValues | None:
        """R3 for one growing classic map; None when its old array cannot be read."""

    def string_keys(self, found: Map) -> StringKeys | None:
        """R16 for a map whose key kind is string; None when it cannot be read."""


@dataclass(frozen=True, slots=True)
class Context:
    """All that a rule gets."""

    maps: MapTable
    go_release: tuple[int, int]
    """(1, 23): the release series."""
    heap_live_bytes: int
    queries: HeapQueries
    thresholds: Thresholds = DEFAULT
