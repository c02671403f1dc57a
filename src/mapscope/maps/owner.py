"""The map that an object is a part of: its header, bucket array, overflow bucket, directory, table or group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.goruntime.index import column, gather
from mapscope.heap.graph import Graph
from mapscope.heap.model import Heap
from mapscope.maps.find import MapSet
from mapscope.maps.model import Map

_COLUMNS = {"buckets": "buckets", "oldbuckets": "old buckets", "extra": "extra", "dirPtr": "directory"}
_MAX_CHAIN = 64
"""Overflow buckets between an array and the one that is asked for."""
_MAX_REFERRERS = 64
_AT_ONCE = 1 << 18
"""Buckets of an array that are looked at in one step."""
_MAX_LOOKS = 100
"""Looks upward for one question: a part of a map has few things that point to it, other objects may have millions."""


class Owner(Struct, frozen=True):
    """A map, and which part of it an object is."""

    map: Map
    part: str
    """``header``, ``buckets``, ``old buckets``, ``overflow buckets``, ``extra``, ``directory``, ``table`` or
    ``groups``."""


def owner_of(heap: Heap, graph: Graph, maps: MapSet, oid: int) -> Owner | None:
    """The map that the live object ``oid`` is a part of. None where it is of no map, or only an iterator has it."""
    return _Search(heap, graph, maps).owner(oid)


class _Search:
    """One question."""

    def __init__(self, heap: Heap, graph: Graph, maps: MapSet) -> None:
        self._heap, self._graph, self._set, self._maps = heap, graph, maps, maps.table
        self._looks = _MAX_LOOKS

    def owner(self, oid: int) -> Owner | None:
        named = self._named(oid)
        if named is not None:
            return named
        return self._of_swiss(oid) if self._heap.process.types.swiss_maps else self._of_classic(oid)

    def _named(self, oid: int) -> Owner | None:
        """The map whose header is the object, or names it. Arrays with a type word begin 8 bytes into their slot."""
        found = self._maps.at(self._start(oid))
        if found is not None:
            return Owner(found, "header")
        begin = np.uint64(self._begin(oid))
        for name, part in _COLUMNS.items():
            rows = np.flatnonzero(self._maps.columns[name] == begin)
            if len(rows):
                found = self._maps[int(rows[0])]
                return Owner(found, "groups" if name == "dirPtr" and not found.dirLen else part)
        return None

    def _span(self, oid: int) -> np.void:
        span: np.void = self._heap.index.spans[self._heap.index.span_of_object(np.array([oid]))[0]]
        return span

    def _begin(self, oid: int) -> int:
        """Where the object itself begins in its slot."""
        return self._start(oid) + 8 * int(self._span(oid)["header"])

    def _start(self, oid: int) -> int:
        return int(self._heap.index.address_of(np.array([oid], dtype=np.int64))[0])

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
        owner = self._by_words(oid) if self._may_be_bucket(oid) else None
        if owner is not None:
            return owner
        for array in self._above(oid):
            for header in self._above(array):
                if not self._is_array(header):
                    owner = next(self._extras(header), None)
                    if owner is not None:
                        return Owner(owner.map, "overflow buckets")
        return None

    def _by_words(self, oid: int) -> Owner | None:
        """The words that link the buckets tell, whether the map's type is certain or not."""
        size = int(self._span(oid)["elemsize"])
        chain, seen = [self._begin(oid)], {oid}
        while len(chain) <= _MAX_CHAIN:
            above = [one for one in self._above(oid) if one not in seen]
            for one in above:
                named = self._named(one)
                if named is not None and named.part in ("buckets", "old buckets") and self._links(named, one, chain):
                    return Owner(named.map, "overflow buckets")
            like = [one for one in above if int(self._span(one)["elemsize"]) == size]
            if not like:
                break
            oid = like[0]
            seen.add(oid)
            chain.append(self._begin(oid))
        return None

    def _links(self, array: Owner, oid: int, chain: list[int]) -> bool:
        """Whether a bucket of ``array``, the object ``oid``, leads down the whole ``chain``, its last one first."""
        number = int(self._set.shape_of[array.map.row])
        if number < 0:
            return False
        fields = self._set.shapes[number].fields
        links = zip(chain[1:], chain, strict=False)
        if not all(self._lead(np.array([a], np.uint64), b, fields.overflow_offset).all() for a, b in links):
            return False
        begin = self._begin(oid)
        end = begin + int(self._span(oid)["elemsize"]) // fields.bucket_size * fields.bucket_size
        step = _AT_ONCE * fields.bucket_size
        return any(
            self._lead(np.arange(at, min(at + step, end), fields.bucket_size, dtype=np.uint64), chain[-1],
                       fields.overflow_offset).any()
            for at in range(begin, end, step)
        )  # fmt: skip

    def _lead(self, buckets: npt.NDArray[np.uint64], to: int, offset: int) -> npt.NDArray[np.bool_]:
        """Which of the buckets have the one at ``to`` as their overflow bucket."""
        rows, ok = gather(self._heap.index, buckets + np.uint64(offset), 8)
        leads: npt.NDArray[np.bool_] = ok & (column(rows, 0, 8) == np.uint64(to))
        return leads

    def _extras(self, oid: int) -> Iterator[Owner]:
        for one in self._above(oid):
            named = self._named(one)
            if named is not None and named.part == "extra":
                yield named

    def _is_array(self, oid: int) -> bool:
        named = self._named(oid)
        return named is not None and named.part in ("buckets", "old buckets")

    def _may_be_bucket(self, oid: int) -> bool:
        """A bucket by its type, or of no type: those of a map whose type is not certain have none."""
        number = self._heap.state.type_of(oid)
        if number < 0:
            return True
        record = self._heap.types.records[number]
        return record.pseudo == "bucket" or record.name.removeprefix("noalg.").startswith("map.bucket[")
