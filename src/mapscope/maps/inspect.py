"""One map in full: histograms, tables, kinds of keys; contents only for whoever asks for them."""

from __future__ import annotations

import numpy as np

from mapscope._kernels import load
from mapscope.heap.model import Heap
from mapscope.maps.contents import sample_contents
from mapscope.maps.decode import CLASSIC_OUT, SWISS_OUT, classic_rows, one_map, swiss_rows
from mapscope.maps.detail import MapDetail, TableDetail
from mapscope.maps.find import MapSet
from mapscope.maps.kinds import sample_kinds
from mapscope.maps.model import Confidence, Map, Place

_OCCUPANCY = 33
_CHAINS = 17
_TABLES = 64


def describe_map(heap: Heap, maps: MapSet, found: Map, *, contents: bool = False) -> MapDetail:
    """The detail of one map of ``maps``; ``contents``: with a few keys and values, which nothing else reads."""
    shape_index = int(maps.shape_of[found.row])
    occupancy: tuple[int, ...] = ()
    chains: tuple[int, ...] = ()
    tables: tuple[TableDetail, ...] = ()
    if shape_index >= 0:
        if maps.swiss:
            occupancy, tables = _swiss(heap, maps, found, shape_index)
        else:
            occupancy, chains = _classic(heap, maps, found, shape_index)
    kind = found.type
    return MapDetail(
        map=found,
        occupancy=occupancy,
        chain_lengths=chains,
        tables=tables,
        key_kinds=sample_kinds(heap, maps, found, "key") if kind else {},
        elem_kinds=sample_kinds(heap, maps, found, "elem") if kind else {},
        how_found=_how(found),
        contents=sample_contents(heap, maps, found) if contents else None,
    )


def _how(found: Map) -> str:
    where = {Place.HEAP: "on the heap", Place.STACK: "on a goroutine's stack", Place.DATA: "in static data"}
    place = where[Place(found.place)]
    if found.confidence == Confidence.EXACT:
        return f"a typed word leads to this header {place}"
    if found.type is None:
        return (
            f"found by shape {place}: every field fits, and the live cells in its arrays are as many as its count; "
            "several map types of the program have this layout"
        )
    return f"found by shape {place}: every field fits, and the live cells in its arrays are as many as its count"


def _trim(values: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> tuple[int, ...]:
    last = np.flatnonzero(values)
    return tuple(int(v) for v in values[: int(last[-1]) + 1]) if len(last) else ()


def _classic(heap: Heap, maps: MapSet, found: Map, shape: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    which = np.array([shape], dtype=np.int64)
    rows = classic_rows(one_map(found, ("B", "flags", "buckets", "oldbuckets", "count")), maps.shapes, which)
    out = np.zeros(len(CLASSIC_OUT), dtype=np.uint64)
    occupancy = np.zeros(_OCCUPANCY, dtype=np.uint64)
    chains = np.zeros(_CHAINS, dtype=np.uint64)
    load("maps").classic_histogram(heap.index, heap.state.flags, rows[0], out, occupancy, chains)
    return _trim(occupancy), _trim(chains)


def _swiss(heap: Heap, maps: MapSet, found: Map, shape: int) -> tuple[tuple[int, ...], tuple[TableDetail, ...]]:
    which = np.array([shape], dtype=np.int64)
    rows = swiss_rows(one_map(found, ("dirPtr", "dirLen")), maps.shapes, which, True)
    out = np.zeros(len(SWISS_OUT), dtype=np.uint64)
    occupancy = np.zeros(9, dtype=np.uint64)
    tables = np.zeros((_TABLES, 8), dtype=np.uint64)
    load("maps").swiss_detail(heap.index, maps.decoder.table_layout(), rows[0], out, occupancy, tables)
    number = min(_TABLES, int(out[SWISS_OUT.index("tables")]))
    details = []
    for address, used, capacity, growth, depth, index, tombstones, _ in tables[:number].tolist():
        details.append(
            TableDetail(address, used, capacity, growth, depth, index - (1 << 64) if index >> 63 else index, tombstones)
        )
    return _trim(occupancy), tuple(sorted(details, key=lambda table: table.address))
