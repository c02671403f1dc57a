"""What a rule may ask: the table of maps, the release, and a few questions that need the heap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.findings.thresholds import DEFAULT, Thresholds
from mapscope.maps.facts import DeadEntries, StaleValues, StringKeys, SyncMap
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Generation, Map, MapTable


class HeapQueries(Protocol):
    """Questions that go back to the bytes of the evidence. Each is answered by kernels and may take a while."""

    def stale_values(self, found: Map) -> StaleValues | None:
        """R3 for one growing classic map; None when its old array cannot be read."""

    def string_keys(self, maps: MapTable, rows: npt.NDArray[np.int64]) -> Sequence[StringKeys | None]:
        """R16 for maps whose key kind is string; None for one that cannot be read, or has nothing to tell."""

    @property
    def sync_maps(self) -> tuple[SyncMap, ...]:
        """R14, R15: every ``sync.Map`` of classic maps that was found."""

    def in_sync_map(self, address: int) -> bool:
        """R15: whether the map at an address is ``read.m`` or ``dirty`` of one of them."""

    def dead_entries(self, one: SyncMap, least_share: float) -> DeadEntries | None:
        """R14 for one of them; None when a smaller share of its entries is dead."""


class Context(Struct, frozen=True):
    """All that a rule gets."""

    maps: MapTable
    go_release: tuple[int, int]
    """(1, 23): the release series."""
    heap_live_bytes: int
    queries: HeapQueries
    thresholds: Thresholds = DEFAULT
    iterators: tuple[MapIterator, ...] = ()

    @property
    def swiss(self) -> bool:
        """The maps of the program are those of internal/runtime/maps."""
        generations = self.maps.columns["generation"]
        return bool(len(generations)) and int(generations[0]) == Generation.SWISS


__all__ = ["Context", "DeadEntries", "HeapQueries", "StaleValues", "StringKeys", "SyncMap"]
