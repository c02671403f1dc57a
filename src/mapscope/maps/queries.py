"""Questions of the rules that go back to the bytes: stale values (R3), dead entries (R14), substring keys (R16)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mapscope._kernels import load
from mapscope.heap.graph import Graph
from mapscope.heap.model import Heap
from mapscope.maps.deadentries import dead_entries
from mapscope.maps.decode import classic_rows, swiss_rows
from mapscope.maps.facts import DeadEntries, StaleValues, StringKeys, SyncMap
from mapscope.maps.find import MapSet
from mapscope.maps.model import Map, MapTable
from mapscope.maps.syncmaps import entry_rows, find_sync_maps


class Queries:
    """Implements ``findings.context.HeapQueries`` over one heap."""

    def __init__(self, heap: Heap, maps: MapSet, graph: Callable[[], Graph]) -> None:
        """``graph`` is only called where a rule asks about a ``sync.Map``."""
        self._heap = heap
        self._maps = maps
        self._graph = graph
        self._rounded = maps.decoder.allocator.rounded()
        self._seen = np.zeros(max(heap.index.nobjects, 1), dtype=np.uint8)
        self._lay = maps.decoder.table_layout() if maps.swiss else np.zeros(7, dtype=np.uint64)

    def string_keys(self, maps: MapTable, rows: npt.NDArray[np.int64]) -> list[StringKeys | None]:
        """R16: what the keys of maps with string keys lie in.

        None for one whose keys are no strings in the slot, and where copies of the keys would take no less.
        """
        which = self._maps.shape_of[rows].astype(np.int64)
        shapes = self._maps.shapes
        asked = np.flatnonzero(np.array([*(shape.key_is_string for shape in shapes), False])[which])
        names = ("B", "flags", "buckets", "oldbuckets", "count", "dirPtr", "dirLen")
        columns = {name: maps.columns[name][rows[asked]].astype(np.uint64) for name in names}
        if self._maps.swiss:
            made = swiss_rows(columns, shapes, which[asked], True)
        else:
            made = classic_rows(columns, shapes, which[asked])
        slots, entries = (int(maps.columns[name][rows].max(initial=0)) for name in ("capacity", "count"))
        touched = np.empty(max(1, min(2 * slots + entries, self._heap.index.nobjects)), dtype=np.int64)
        out = np.zeros((len(asked), 5), dtype=np.uint64)
        load("mapkeys").string_keys(
            self._heap.index, made, self._maps.swiss, self._lay, self._seen, touched, self._rounded, out
        )
        found: list[StringKeys | None] = [None] * len(rows)
        more = np.flatnonzero(out[:, 2] > out[:, 4])
        for at, (keys, length, size, objects, copies) in zip(asked[more].tolist(), out[more].tolist(), strict=True):
            found[at] = StringKeys(keys, length, size, objects, size - copies)
        return found

    def stale_values(self, found: Map) -> StaleValues | None:
        """R3: objects that only evacuated buckets of the old array reach; None when the array is not in the heap."""
        if not found.growing:
            return None
        shape = int(self._maps.shape_of[found.row])
        if shape < 0 or self._maps.shapes[shape].noscan:
            return None
        index = self._heap.index
        ids, slots = index.find(np.array([found.oldbuckets], dtype=np.uint64))
        size = self._maps.shapes[shape].fields.bucket_size
        if ids[0] < 0 or size < 16:  # of a damaged type
            return None
        end = int(slots[0]) + int(index.sizes_of(ids)[0])
        # with the overflow buckets made with it (runtime/map.go: makeBucketArray): those that were evacuated say so too
        made = min((end - found.oldbuckets) // size, found.noldbuckets + found.noldbuckets // 2 + 1)
        skip = np.zeros((made, 2), dtype=np.uint64)
        out = np.zeros(1, dtype=np.uint64)
        count = load("mark").stale_buckets(index, found.oldbuckets, made, size, skip, out)
        stale = int(out[0])
        if not stale:
            return StaleValues(0, 0, 0)
        flags = (self._heap.state.flags & 1).astype(np.uint8)
        load("mark").mark(
            index, flags, np.ascontiguousarray(self._heap.roots.regions), self._heap.roots.mask,
            self._heap.roots.loose, int(ids[0]), np.ascontiguousarray(skip[:count]),
        )  # fmt: skip
        lost = np.flatnonzero((self._heap.state.flags & 2 != 0) & (flags & 2 == 0))
        lost = lost[self._heap.state.types_of(lost) != self._bucket_type(found)]  # overflow buckets belong to the array
        return StaleValues(stale, len(lost), int(index.sizes_of(lost).sum()))

    @cached_property
    def sync_maps(self) -> tuple[SyncMap, ...]:
        """R14, R15: every ``sync.Map`` on the heap and in variables, of Go up to 1.23."""
        return find_sync_maps(self._heap, self._maps, self._graph()) if len(entry_rows(self._maps)) else ()

    @cached_property
    def _in_sync_maps(self) -> frozenset[int]:
        return frozenset(address for one in self.sync_maps for address in (one.read, one.dirty))

    def in_sync_map(self, address: int) -> bool:
        """R15: whether the map at an address is ``read.m`` or ``dirty`` of a ``sync.Map``."""
        return address in self._in_sync_maps

    def dead_entries(self, one: SyncMap, least_share: float) -> DeadEntries | None:
        """R14: its deleted entries; None where fewer than ``least_share`` of the entries are."""
        return dead_entries(self._heap, self._maps, self._graph(), one, least_share)

    def _bucket_type(self, found: Map) -> int:
        """Type id of the buckets of the map, -2 when its type is not known."""
        types = self._heap.types
        map_id = types.by_address.get(found.type.address) if found.type is not None else None
        return -2 if map_id is None else types.bucket_type(map_id)
