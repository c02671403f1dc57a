"""The map that an object is a part of: its header, bucket array, overflow bucket, directory, table or group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapscope.heap.graph import Graph, RootKind
from mapscope.heap.model import Heap
from mapscope.maps.model import Map, MapTable

_PARTS = {
    "hmap": "header", "bucket": "buckets", "group": "groups", "tableptr": "directory", "table": "table",
}  # fmt: skip
_FIELDS = {"buckets": "buckets", "oldbuckets": "old buckets", "extra": "extra", "dirPtr": "directory"}
_MAX_CLIMB = 64
"""Objects between a header and its farthest part that are looked at: a chain of overflow buckets."""
_MAX_REFERRERS = 64


@dataclass(frozen=True, slots=True)
class Owner:
    """A map, and which part of it an object is."""

    map: Map
    part: str
    """``header``, ``buckets``, ``old buckets``, ``overflow buckets``, ``extra``, ``directory``, ``table`` or
    ``groups``."""


def owner_of(heap: Heap, graph: Graph, maps: MapTable, oid: int) -> Owner | None:
    """The map that the live object ``oid`` is a part of. None where it is of no map, or only an iterator has it."""
    (start,) = heap.index.address_of(np.array([oid], dtype=np.int64)).tolist()
    direct = _named(maps, start)
    if direct is not None:
        return direct
    pseudo = _pseudo(heap, oid)
    if pseudo not in _PARTS:
        return None
    (node,) = graph.node_of(np.array([oid], dtype=np.int64)).tolist()
    seen = {node}
    part = "overflow buckets" if pseudo == "bucket" else _PARTS[pseudo]
    for _ in range(_MAX_CLIMB):
        above = _above(heap, graph, node)
        found = next((owner for one in above if (owner := _header_at(heap, graph, maps, one)) is not None), None)
        if found is not None:
            return Owner(found, part)
        onward = [one for one in above if one >= graph.base and one not in seen]
        if not onward:
            return None
        node = onward[0]
        seen.add(node)
    return None


def _named(maps: MapTable, start: int) -> Owner | None:
    """The map whose header lies at ``start`` or names it."""
    found = maps.at(start)
    if found is not None:
        return Owner(found, "header")
    for column, part in _FIELDS.items():
        rows = np.flatnonzero(maps.columns[column] == np.uint64(start))
        if len(rows):
            found = maps[int(rows[0])]
            small = column == "dirPtr" and found.dirLen == 0
            return Owner(found, "groups" if small else part)
    return None


def _pseudo(heap: Heap, oid: int) -> str:
    number = int(heap.state.obj_type[oid])
    if number < 0:
        return ""
    record = heap.types.records[number]
    name = record.name.removeprefix("noalg.")
    if name.startswith("map.group["):
        return "group"
    return "bucket" if name.startswith("map.bucket[") else record.pseudo


def _above(heap: Heap, graph: Graph, node: int) -> list[int]:
    """What points to a part and can itself be one of a map, headers first; maps on stacks too."""
    out: list[int] = []
    for one in graph.referrers(node)[:_MAX_REFERRERS].tolist():
        if one < graph.base:
            if int(graph.roots.kind[one]) == RootKind.MAP:
                out.insert(0, one)
        elif (word := _pseudo(heap, int(graph.object_of(np.array([one]))[0]))) in _PARTS:
            out.insert(0 if word == "hmap" else len(out), one)
    return out


def _header_at(heap: Heap, graph: Graph, maps: MapTable, node: int) -> Map | None:
    if node < graph.base:
        return maps.at(int(graph.roots.key[node]))
    return maps.at(int(graph.address_of(np.array([node], dtype=np.int64))[0]))
