"""The map that an object is a part of: its header, bucket array, overflow bucket, directory, table or group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mapscope.heap.graph import Graph
from mapscope.heap.model import Heap
from mapscope.maps.model import Map, MapTable

_COLUMNS = {"buckets": "buckets", "oldbuckets": "old buckets", "extra": "extra", "dirPtr": "directory"}
_MAX_CHAIN = 64
"""Overflow buckets between an array and the one that is asked for."""
_MAX_REFERRERS = 64
_MAX_LOOKS = 100
"""Looks upward for one question: a part of a map has few things that point to it, other objects may have millions."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A map, and which part of it an object is."""

    map: Map
    part: str
    """``header``, ``buckets``, ``old buckets``, ``overflow buckets``, ``extra``, ``directory``, ``table`` or
    ``groups``."""


def owner_of(heap: Heap, graph: Graph, maps: MapTable, oid: int) -> Owner | None:
    """The map that the live object ``oid`` is a part of. None where it is of no map, or only an iterator has it."""
    return _Search(heap, graph, maps).owner(oid)


class _Search:
    """One question."""

    def __init__(self, heap: Heap, graph: Graph, maps: MapTable) -> None:
        self._heap, self._graph, self._maps = heap, graph, maps
        self._looks = _MAX_LOOKS

    def owner(self, oid: int) -> Owner | None:
        named = self._named(oid)
        if named is not None:
            return named
        return self._of_swiss(oid) if self._heap.process.types.swiss_maps else self._of_classic(oid)

    def _named(self, oid: int) -> Owner | None:
        """The map whose header is the object, or names it. Arrays with a type word begin 8 bytes into their slot."""
        span = self._heap.index.spans[self._heap.index.span_of_object(np.array([oid]))[0]]
        start = int(self._heap.index.address_of(np.array([oid], dtype=np.int64))[0])
        found = self._maps.at(start)
        if found is not None:
            return Owner(found, "header")
        for column, part in _COLUMNS.items():
            rows = np.flatnonzero(self._maps.columns[column] == np.uint64(start + 8 * int(span["header"])))
            if len(rows):
                found = self._maps[int(rows[0])]
                return Owner(found, "groups" if column == "dirPtr" and not found.dirLen else part)
        return None

    def _above(self, oid: int) -> list[int]:
        """Objects that point to an object: a scan of all edges. None when there were too many already."""
        self._looks -= 1
        if self._looks < 0:
            return []
        (node,) = self._graph.node_of(np.array([oid], dtype=np.int64)).tolist()
        nodes = self._graph.referrers(node)[:_MAX_REFERRERS]
        above: list[int] = self._graph.object_of(nodes[nodes >= self._graph.base]).tolist()
        return above

    def _of_swiss(self, oid: int) -> Owner | None:
        """A directory points to tables alone, a table to its groups alone (internal/runtime/maps/table.go)."""
        above = self._above(oid)
        for one in above:
            named = self._named(one)
            if named is not None and named.part == "directory":
                return Owner(named.map, "table")
        for one in above:
            for two in self._above(one):
                named = self._named(two)
                if named is not None and named.part == "directory":
                    return Owner(named.map, "groups")
        return None

    def _of_classic(self, oid: int) -> Owner | None:
        """An overflow bucket hangs on another bucket; one without pointers on ``mapextra.overflow`` (runtime/map.go).

        That is a ``*[]*bmap``: nothing but overflow buckets lies three steps below a ``mapextra`` that way.
        """
        owner = self._by_buckets(oid) if self._is_bucket(oid) else None
        if owner is not None:
            return owner
        for array in self._above(oid):
            for header in self._above(array):
                if not self._is_array(header):
                    owner = next(self._extras(header), None)
                    if owner is not None:
                        return Owner(owner.map, "overflow buckets")
        return None

    def _by_buckets(self, oid: int) -> Owner | None:
        seen = {oid}
        for _ in range(_MAX_CHAIN):
            above = [one for one in self._above(oid) if one not in seen and self._is_bucket(one)]
            for one in above:
                named = self._named(one)
                if named is not None:
                    return Owner(named.map, "overflow buckets")
            if not above:
                break
            oid = above[0]
            seen.add(oid)
        return None

    def _extras(self, oid: int) -> Iterator[Owner]:
        for one in self._above(oid):
            named = self._named(one)
            if named is not None and named.part == "extra":
                yield named

    def _is_array(self, oid: int) -> bool:
        named = self._named(oid)
        return named is not None and named.part in ("buckets", "old buckets")

    def _is_bucket(self, oid: int) -> bool:
        number = int(self._heap.state.obj_type[oid])
        if number < 0:
            return False
        record = self._heap.types.records[number]
        return record.pseudo == "bucket" or record.name.removeprefix("noalg.").startswith("map.bucket[")
