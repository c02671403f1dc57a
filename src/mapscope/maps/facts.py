"""Answers to questions about one map that need the heap."""

from __future__ import annotations

from msgspec import Struct

from mapscope.units import Addr

ENTRY_MAP = "map[interface {}]*sync.entry"
"""Type of the maps that ``sync.Map`` is made of up to Go 1.23. Only package sync makes maps of it."""


class StaleValues(Struct, frozen=True):
    """R3: pointees that only evacuated old buckets still reach."""

    buckets: int
    """Evacuated old buckets whose keys or elems were not cleared."""
    objects: int
    """Objects that nothing but those slots reaches."""
    bytes: int
    """Bytes of those objects."""


class StringKeys(Struct, frozen=True):
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


class SyncMap(Struct, frozen=True):
    """A ``sync.Map`` of Go up to 1.23: two maps of type ``map[any]*entry`` under one lock (sync/map.go)."""

    address: Addr
    """Of the ``sync.Map``."""
    read: Addr
    """Header of ``read.m``, which nothing ever writes to: a Store of a new key goes to ``dirty``."""
    dirty: Addr
    """Header of ``dirty``; 0 where it is nil."""
    amended: bool
    """``dirty`` has keys that ``read.m`` has not, so it will take its place after enough misses."""


class DeadEntries(Struct, frozen=True):
    """R14: entries of one ``sync.Map`` whose ``p`` is nil or ``expunged``: deleted, but still in its maps."""

    entries: int
    """Distinct entries of both maps."""
    dead: int
    """Those that are deleted."""
    expunged: int
    """Those of them whose ``p`` is ``expunged``."""
    slots: int
    """Slots of dead entries in the current arrays of both maps."""
    slot_bytes: int
    """Bytes of those slots: tophash, key and elem, without the rest of the bucket."""
    objects: int
    """Objects that nothing but slots of dead entries reaches: keys and the entries themselves."""
    object_bytes: int
    """Bytes of those objects."""

    @property
    def bytes(self) -> int:
        """What the dead entries hold."""
        return self.slot_bytes + self.object_bytes
