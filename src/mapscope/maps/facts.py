"""Answers to questions about one map that need the heap."""

from __future__ import annotations

from dataclasses import dataclass


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
