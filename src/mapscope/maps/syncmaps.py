"""Every ``sync.Map`` of Go up to 1.23, found from the maps that only package sync makes.

``sync.entry`` is not exported, so a map of type ``map[any]*sync.entry`` is ``read.m`` or ``dirty`` of a ``sync.Map``,
or was. ``read`` points to a ``readOnly`` object of its own, ``{m, amended}`` (sync/map.go: up to 1.19 an
``atomic.Value``, whose first word is the type; an ``atomic.Pointer`` from 1.20 on); ``dirty`` is the next field. That
also finds those in variables of stripped programs, which no type leads to. One whose words lie on a stack is not found.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapscope.arrays import among, unique
from mapscope.goruntime.index import column, gather
from mapscope.heap.graph import Graph, RootKind
from mapscope.heap.model import Heap
from mapscope.maps.facts import ENTRY_MAP, SyncMap
from mapscope.maps.find import MapSet
from mapscope.units import Addr

U8 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_READ_ONLY = "sync.readOnly"
_READ_ONLY_BYTES = 16
_HMAP_BYTES = 48
_MAX_MAPS = 1 << 20
_MAX_WORDS = 1 << 22
"""Words of one object or group of variables that are looked through for ``sync.Map.read``."""


def entry_rows(maps: MapSet) -> I8:
    """Rows of the table that are maps of ``sync.Map``."""
    if maps.swiss:
        return np.zeros(0, dtype=np.int64)
    types = maps.table.types
    wanted = np.array([one.name == ENTRY_MAP for one in types] + [False])
    index = np.asarray(maps.table.columns["type_index"]).astype(np.int64)
    rows: I8 = np.flatnonzero(wanted[np.where(index < 0, len(types), index)])[:_MAX_MAPS]
    return rows


def find_sync_maps(heap: Heap, maps: MapSet, graph: Graph) -> tuple[SyncMap, ...]:
    """All of them on the heap and in variables, by address of ``read.m``."""
    headers = np.asarray(maps.table.columns["address"])[entry_rows(maps)].astype(np.uint64)
    if not len(headers):
        return ()
    at, value = _words_to(heap, graph, _read_only(heap, graph, headers))
    fields, fits = _fields(heap, at, value, headers)
    start, read, dirty, amended = (each[fits] for each in fields)
    _, first = np.unique(read, return_index=True)  # two only where a sync.Map was copied
    rows = zip(start[first].tolist(), read[first].tolist(), dirty[first].tolist(), amended[first].tolist(), strict=True)
    return tuple(SyncMap(Addr(a), Addr(r), Addr(d), m != 0) for a, r, d, m in rows)


def _read_only(heap: Heap, graph: Graph, headers: U8) -> U8:
    """Addresses of ``readOnly`` objects: 16 bytes, the first word is one of ``headers``."""
    nodes = unique(_sources(graph, graph.node_of(heap.index.find(headers)[0])))
    objects = graph.object_of(nodes[nodes >= graph.base])
    objects = objects[heap.index.sizes_of(objects) == _READ_ONLY_BYTES]
    addresses = heap.index.address_of(objects)
    rows, ok = gather(heap.index, addresses, _READ_ONLY_BYTES)
    fits = ok & among(column(rows, 0, 8), headers) & (column(rows, 8, 1) <= 1)
    return addresses[fits]


def _sources(graph: Graph, nodes: I8) -> I8:
    """Nodes with an edge to one of ``nodes``, once for each edge."""
    wanted = np.zeros(len(graph), dtype=np.bool_)
    wanted[nodes[nodes >= 0]] = True
    at = np.flatnonzero(wanted[graph.targets])
    return np.searchsorted(graph.offsets, at, side="right") - 1


def _words_to(heap: Heap, graph: Graph, values: U8) -> tuple[U8, U8]:
    """Addresses of the words of objects and variables that hold one of ``values``, and which."""
    nodes = graph.node_of(heap.index.find(values)[0])
    at, held = _variables_to(heap, graph, nodes)
    places, what = [at], [held]
    sources = unique(_sources(graph, nodes))
    objects = graph.object_of(sources[sources >= graph.base])
    sizes = heap.index.sizes_of(objects).astype(np.int64)
    starts = heap.index.address_of(objects)
    for size in unique(sizes).tolist():  # one round a size class
        words = min(size // 8, _MAX_WORDS)
        of_size = starts[sizes == size]
        step = max(1, _MAX_WORDS // max(words, 1))
        for first in range(0, len(of_size), step):
            part = of_size[first : first + step]
            rows, ok = gather(heap.index, part, 8 * words)
            held = rows.view("<u8")
            which, word = np.nonzero(among(held, values) & ok[:, None])
            places.append(part[which] + word.astype(np.uint64) * np.uint64(8))
            what.append(held[which, word].astype(np.uint64))
    return np.concatenate(places), np.concatenate(what)


def _variables_to(heap: Heap, graph: Graph, nodes: I8) -> tuple[U8, U8]:
    roots = graph.roots
    here = among(roots.word_target, nodes[nodes >= 0]) & (roots.kind[roots.word_group] == RootKind.GLOBAL)
    addresses = roots.word_address[here]
    rows, ok = gather(heap.index, addresses, 8)
    return addresses[ok], column(rows, 0, 8)[ok]


def _fields(heap: Heap, at: U8, read_only: U8, headers: U8) -> tuple[tuple[U8, U8, U8, U8], Bools]:
    """Address, ``read.m``, ``dirty`` and ``amended`` of each ``sync.Map`` that points at ``at`` to ``read_only``.

    Answers also where the words around it are those of a ``sync.Map``.
    """
    old = heap.process.layouts.release < (1, 20)
    # mu is 8 bytes; in an atomic.Value the word of the type comes before the pointer
    start = at - np.uint64(16 if old else 8)
    (kind, dirty), fits = _words(heap, (start + np.uint64(8), at + np.uint64(8)))
    (header, flags), fine = _words(heap, (read_only, read_only + np.uint64(8)))
    fits &= fine & (at > 16) & among(header, headers)
    if old:
        named = {one for one in unique(kind).tolist() if _is_read_only(heap, one)}
        fits &= among(kind, np.fromiter(named, np.uint64, len(named)))
    ids, base = heap.index.find(dirty)
    fits &= (dirty == 0) | among(dirty, headers) | ((base == dirty) & (_sizes(heap, ids) == _HMAP_BYTES))
    return (start, header, dirty, flags & np.uint64(0xFF)), fits


def _words(heap: Heap, addresses: tuple[U8, U8]) -> tuple[tuple[U8, U8], Bools]:
    """The words at two lists of addresses, and where both could be read."""
    (one, fine), (other, ok) = (gather(heap.index, each, 8) for each in addresses)
    return (column(one, 0, 8), column(other, 0, 8)), fine & ok


def _sizes(heap: Heap, ids: I8) -> U8:
    """Bytes of the slot of each object; 0 where there is none."""
    return np.where(ids >= 0, heap.index.sizes_of(np.maximum(ids, 0)), np.uint64(0))


def _is_read_only(heap: Heap, address: int) -> bool:
    low, high = heap.types.types_range
    held = heap.process.types.at(address) if low <= address < high else None
    return held is not None and held.name == _READ_ONLY
