"""From headers to the table of maps: everything that a map's arrays say, counted by the kernels in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope.arrays import unique
from mapscope.goruntime.index import HeapIndex
from mapscope.goruntime.layout import Layouts
from mapscope.heap.later import shared
from mapscope.maps.headers import read_headers
from mapscope.maps.model import FLAG_SAME_SIZE_GROW, Generation, Map, MapTable, Place
from mapscope.maps.sizes import Allocator, classic_needed, swiss_needed
from mapscope.maps.types import MapShape

CLASSIC_OUT = ("live", "overflow", "overflow_bytes", "evacuated", "old_overflow", "old_overflow_bytes", "indirect",
               "unreadable", "corrupt")  # fmt: skip
SWISS_OUT = ("used", "tables", "groups", "capacity", "growth_left", "tombstones", "table_bytes", "group_bytes", "live",
             "indirect", "unreadable", "corrupt")  # fmt: skip
"""Columns of the kernels' results (R_… and T_… in _kernels/_maps.pyx)."""
_MAX_B = 44
_CHUNK = 1 << 13
"""Maps that are decoded at a time: columns of them stay in the cache, and both threads have something to do."""


class Decoder(Struct, frozen=True):
    """What decoding a set of maps needs."""

    index: HeapIndex
    layouts: Layouts
    flags: npt.NDArray[np.uint8]
    allocator: Allocator

    def table_layout(self) -> npt.NDArray[np.uint64]:
        """Offsets in ``maps.table`` that the kernel reads."""
        layout = self.layouts.struct("table")
        names = ("used", "capacity", "growthLeft", "localDepth", "index", "groups.data", "groups.lengthMask")
        return np.array([layout.offset(name) for name in names], dtype=np.uint64)


def one_map(found: Map, names: Sequence[str]) -> dict[str, npt.NDArray[np.uint64]]:
    """Columns of one map as the kernels' input rows want them; a negative (damaged) field becomes a huge one."""
    return {name: np.array([getattr(found, name) & (1 << 64) - 1], dtype=np.uint64) for name in names}


def classic_rows(
    columns: dict[str, npt.NDArray[np.uint64]], shapes: Sequence[MapShape], which: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """Input rows of the classic kernel; ``which`` is the index of each map's shape."""
    params = np.array(
        [
            (s.fields.bucket_size, s.fields.keys_offset, s.fields.key_stride, s.fields.indirect_key,
             s.fields.elems_offset, s.fields.elem_stride, s.fields.indirect_elem)
            for s in shapes
        ],
        dtype=np.uint64,
    ).reshape(-1, 7)  # fmt: skip
    same = (columns["flags"] & np.uint64(FLAG_SAME_SIZE_GROW) != 0).astype(np.uint64)
    head = [columns["B"], same, columns["buckets"], columns["oldbuckets"], columns["count"]]
    return np.ascontiguousarray(np.column_stack([*head, params[which]]))


def swiss_rows(
    columns: dict[str, npt.NDArray[np.uint64]], shapes: Sequence[MapShape], which: npt.NDArray[np.int64], scan: bool
) -> npt.NDArray[np.uint64]:
    """Input rows of the Swiss kernel.

    ``scan`` reads the control words of every map, else only where keys or elems are held by pointer.
    """
    params = np.array(
        [
            (s.fields.bucket_size, s.fields.keys_offset, s.fields.key_stride, s.fields.indirect_key,
             s.fields.elems_offset, s.fields.elem_stride, s.fields.indirect_elem,
             scan or s.fields.indirect_key or s.fields.indirect_elem)
            for s in shapes
        ],
        dtype=np.uint64,
    ).reshape(-1, 8)  # fmt: skip
    return np.ascontiguousarray(np.column_stack([columns["dirPtr"], columns["dirLen"], params[which]]))


def decode(
    decoder: Decoder,
    addresses: npt.NDArray[np.uint64],
    which: npt.NDArray[np.int64],
    shapes: Sequence[MapShape],
    *,
    swiss: bool,
) -> tuple[MapTable, npt.NDArray[np.bool_]]:
    """The table of the maps at ``addresses`` (ascending), of shape ``shapes[which]`` (-1: type unknown, header only).

    Answers also which headers could be read; rows of the others are zeros.
    """
    table, ok = MapTable.empty(len(addresses), [shape.type for shape in shapes]), np.zeros(len(addresses), np.bool_)

    def part(start: int) -> None:
        rows = slice(start, start + _CHUNK)
        columns, ok[rows] = _columns(decoder, addresses[rows], which[rows], shapes, swiss)
        for name, values in columns.items():
            table.columns[name][rows] = values

    for _ in shared(partial(part, start) for start in range(0, len(addresses), _CHUNK)):
        pass
    return table, ok


class _Columns(dict[str, npt.NDArray[np.uint64]]):
    """Columns of so many rows. One that nobody has set is zeros."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __missing__(self, name: str) -> npt.NDArray[np.uint64]:
        self[name] = np.zeros(self.rows, dtype=np.uint64)
        return self[name]


def _columns(
    decoder: Decoder,
    addresses: npt.NDArray[np.uint64],
    which: npt.NDArray[np.int64],
    shapes: Sequence[MapShape],
    swiss: bool,
) -> tuple[dict[str, npt.NDArray[np.generic]], npt.NDArray[np.bool_]]:
    """The columns of some of the maps, and which of their headers could be read."""
    out = _Columns(len(addresses))
    header, ok = read_headers(decoder.index, decoder.layouts, addresses, swiss)
    for name, values in header.items():
        out[name] = np.where(ok, values, np.uint64(0))
    ids, _ = decoder.index.find(addresses)
    out["header_bytes"] = decoder.index.slot_sizes(addresses)  # 0 on a stack: the sums are of heap slots
    layout_slot = decoder.allocator.slot(decoder.layouts.struct("swissmap" if swiss else "hmap").size, False)
    typed = (which >= 0) & ok
    (_decode_swiss if swiss else _decode_classic)(decoder, out, which, shapes, typed, ids >= 0)
    parts = [name for name in out if name.endswith("_bytes") and name != "needed_bytes"]
    out["total_bytes"] = np.sum([out[name] for name in parts], axis=0, dtype=np.uint64)
    on_stack = ids < 0
    out["needed_bytes"][on_stack] -= np.minimum(out["needed_bytes"][on_stack], np.uint64(layout_slot))
    out["waste_bytes"] = np.where(out["total_bytes"] > out["needed_bytes"], out["total_bytes"] - out["needed_bytes"], 0)
    out["waste_bytes"][~typed] = 0
    out["generation"][:] = Generation.SWISS if swiss else Generation.CLASSIC
    out["place"] = np.where(on_stack, int(Place.STACK), int(Place.HEAP)).astype(np.uint64)
    return {**out, "address": addresses, "object_id": ids, "type_index": which}, ok


def _decode_classic(
    decoder: Decoder,
    out: _Columns,
    which: npt.NDArray[np.int64],
    shapes: Sequence[MapShape],
    typed: npt.NDArray[np.bool_],
    in_heap: npt.NDArray[np.bool_],
) -> None:
    release = decoder.layouts.release
    sane = out["B"] < _MAX_B
    out["unreadable"][~sane] = 1
    b = np.where(sane, out["B"], np.uint64(0))
    growing = out["oldbuckets"] != 0
    same = out["flags"] & np.uint64(FLAG_SAME_SIZE_GROW) != 0
    buckets = np.uint64(1) << b
    out["noldbuckets"] = np.where(growing, np.where(same, buckets, buckets >> np.uint64(1)), np.uint64(0))
    out["capacity"] = np.where(out["buckets"] != 0, np.uint64(8) * buckets, np.uint64(0))
    sizes = np.array([s.fields.bucket_size for s in shapes] or [0], dtype=np.uint64)[np.maximum(which, 0)]
    out["array_bytes"] = decoder.index.slot_sizes(out["buckets"])
    out["old_array_bytes"] = decoder.index.slot_sizes(out["oldbuckets"])
    extra = decoder.layouts.struct("mapextra")
    out["extra_bytes"] = decoder.index.slot_sizes(out["extra"]) + _list_bytes(
        decoder, out["extra"], extra.offset("overflow")
    )
    old_list = _list_bytes(decoder, out["extra"], extra.offset("oldoverflow"))
    at = np.flatnonzero(typed & sane)
    rows = classic_rows(
        {name: out[name][at] for name in ("B", "flags", "buckets", "oldbuckets", "count")}, shapes, which[at]
    )
    result = np.zeros((len(at), len(CLASSIC_OUT)), dtype=np.uint64)
    load("maps").classic(decoder.index, decoder.flags, rows, result)
    got = dict(zip(CLASSIC_OUT, result.T, strict=True))
    for name, target in (
        ("overflow", "overflow_count"), ("overflow_bytes", "overflow_bytes"), ("evacuated", "old_evacuated"),
        ("old_overflow", "old_overflow_count"), ("old_overflow_bytes", "old_overflow_bytes"), ("indirect",
        "indirect_bytes"),
    ):  # fmt: skip
        out[target][at] = got[name]
    out["old_overflow_bytes"] += old_list
    out["unreadable"][at] |= (got["unreadable"] | got["corrupt"]) != 0
    usable = np.where(out["array_bytes"] > 0, out["array_bytes"], np.uint64(0)) // np.maximum(sizes, np.uint64(1))
    out["prealloc_overflow"] = np.where((out["B"] >= 4) & (usable > buckets), usable - buckets, np.uint64(0))
    header = decoder.layouts.struct("hmap").size
    for shape_index in unique(which[typed]).tolist():
        shape = shapes[shape_index]
        here = typed & (which == shape_index)
        out["needed_bytes"][here] = classic_needed(
            decoder.allocator, release, header, out["count"][here], shape.fields.bucket_size, shape.noscan
        )
    out["needed_bytes"] += out["indirect_bytes"]


def _list_bytes(decoder: Decoder, extra: npt.NDArray[np.uint64], offset: int) -> npt.NDArray[np.uint64]:
    """Slots of the slice header that the field of each ``mapextra`` at ``offset`` points to, and of the slice's array.

    The slice keeps the overflow buckets of a map whose buckets have no pointers (runtime/map.go: mapextra); that of
    ``oldoverflow`` goes when growth ends, with the buckets.
    """
    from mapscope.goruntime.index import column, gather

    total = np.zeros(len(extra), dtype=np.uint64)
    at = np.flatnonzero(decoder.index.slot_sizes(extra))
    rows, ok = gather(decoder.index, extra[at] + np.uint64(offset), 8)
    pointer = np.where(ok, column(rows, 0, 8), np.uint64(0))
    total[at] = decoder.index.slot_sizes(pointer)
    has = np.flatnonzero(pointer)
    heads, fine = gather(decoder.index, pointer[has], 8)
    total[at[has]] += decoder.index.slot_sizes(np.where(fine, column(heads, 0, 8), np.uint64(0)))
    return total


def _decode_swiss(
    decoder: Decoder,
    out: _Columns,
    which: npt.NDArray[np.int64],
    shapes: Sequence[MapShape],
    typed: npt.NDArray[np.bool_],
    in_heap: npt.NDArray[np.bool_],
) -> None:
    at = np.flatnonzero(typed)
    rows = swiss_rows({name: out[name][at] for name in ("dirPtr", "dirLen")}, shapes, which[at], False)
    result = np.zeros((len(at), len(SWISS_OUT)), dtype=np.uint64)
    load("maps").swiss(decoder.index, decoder.table_layout(), rows, result)
    got = dict(zip(SWISS_OUT, result.T, strict=True))
    for name, target in (
        ("tables", "tables"), ("groups", "groups"), ("capacity", "capacity"), ("growth_left", "growth_left"),
        ("tombstones", "tombstones"), ("table_bytes", "table_bytes"), ("group_bytes", "array_bytes"),
        ("indirect", "indirect_bytes"),
    ):  # fmt: skip
        out[target][at] = got[name]
    out["unreadable"][at] |= (got["unreadable"] | got["corrupt"]) != 0
    directory = out["dirLen"] != 0
    # a small map on a stack has no type to walk it by, but it is one group all the same
    lone = ~typed & ~directory & (out["dirPtr"] != 0)
    out["groups"][lone], out["capacity"][lone] = 1, 8
    slots = decoder.index.slot_sizes(out["dirPtr"])
    out["directory_bytes"] = np.where(directory, slots, np.uint64(0))
    header, table = decoder.layouts.struct("swissmap").size, decoder.layouts.struct("table").size
    for shape_index in unique(which[typed]).tolist():
        shape = shapes[shape_index]
        here = typed & (which == shape_index)
        out["needed_bytes"][here] = swiss_needed(
            decoder.allocator, header, table, out["count"][here], shape.fields.bucket_size, shape.noscan
        )
    out["needed_bytes"] += out["indirect_bytes"]
