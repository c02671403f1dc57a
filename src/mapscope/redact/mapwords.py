"""Maps, channels and hash tries: headers, control bytes, links, and the lengths of string keys."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from mapscope.arrays import among, unique
from mapscope.goruntime.index import column, gather
from mapscope.heap.model import Heap
from mapscope.maps.find import MapSet
from mapscope.maps.syncmaps import entry_rows
from mapscope.maps.types import MapShape
from mapscope.redact.words import BYTE, I8, POINTER, STAYS, U8, Words, spread

_SLOTS = 8
_MAX_ROUNDS = 1 << 20


class _Kind(Struct, frozen=True):
    """Maps of one type. ``strings``: their keys are strings, whose lengths stay: sizes are no contents."""

    shape: MapShape | None
    strings: bool

    def lengths(self, words: Words, blocks: U8) -> None:
        """Marks the lengths of the string keys in buckets or groups."""
        if self.strings and self.shape is not None:
            fields = self.shape.fields
            for slot in range(_SLOTS):
                words.mark(blocks + np.uint64(fields.keys_offset + slot * fields.key_stride + 8), STAYS)


def mark_maps(words: Words, heap: Heap, maps: MapSet) -> None:
    """Marks all maps of the table, and what else of the heap needs more than its pointers."""
    columns = maps.table.columns
    header = heap.process.layouts.struct("swissmap" if maps.swiss else "hmap")
    at = np.asarray(columns["address"], dtype=np.uint64)
    words.runs(at, np.full(len(at), header.size // 8), STAYS)
    sure = np.asarray(columns["type_index"]).astype(np.int64) == maps.shape_of
    for number in unique(maps.shape_of).tolist():
        shape = maps.shapes[number] if number >= 0 else None
        for known in (True, False):
            rows = np.flatnonzero((maps.shape_of == number) & (sure == known))
            # where several types fit, what would be a length may be something else
            kind = _Kind(shape, known and shape is not None and shape.key_is_string)
            (_swiss if maps.swiss else _classic)(words, heap, maps, rows, kind)
    _objects(words, heap)
    _read_only(words, heap, maps)


def _room(heap: Heap, addresses: U8) -> I8:
    """Bytes from each address to the end of its heap slot; 0 outside the heap."""
    ids, base = heap.index.find(addresses)
    there = ids >= 0
    out = np.zeros(len(addresses), dtype=np.int64)
    out[there] = (base[there] + heap.index.sizes_of(ids[there]) - addresses[there]).astype(np.int64)
    return out


def _classic(words: Words, heap: Heap, maps: MapSet, rows: I8, kind: _Kind) -> None:
    columns = maps.table.columns
    b = np.asarray(columns["B"])[rows].astype(np.int64)
    size = kind.shape.fields.bucket_size if kind.shape is not None else 0
    for name in ("buckets", "oldbuckets"):
        array = np.asarray(columns[name])[rows].astype(np.uint64)
        room = _room(heap, array)
        alone = (array != 0) & (room == 0) & (b == 0)  # on a stack
        words.mark(array[alone], STAYS)
        if size:
            for blocks, _ in spread(array, np.where(alone, 1, room // size), size):
                _buckets(words, heap, blocks, kind, size)


def _buckets(words: Words, heap: Heap, blocks: U8, kind: _Kind, size: int) -> None:
    """Buckets and those that overflow from them, round by round."""
    for _ in range(_MAX_ROUNDS):
        words.mark(blocks, STAYS)
        words.mark(blocks + np.uint64(size - 8), POINTER)
        kind.lengths(words, blocks)
        rows, ok = gather(heap.index, blocks + np.uint64(size - 8), 8)
        blocks = unique(column(rows, 0, 8)[ok])
        blocks = blocks[(blocks != 0) & (blocks % np.uint64(8) == 0)]
        blocks = blocks[(_room(heap, blocks) >= size) & ~words.marked(blocks)]
        if not len(blocks):
            return


def _swiss(words: Words, heap: Heap, maps: MapSet, rows: I8, kind: _Kind) -> None:
    columns = maps.table.columns
    directory = np.asarray(columns["dirPtr"])[rows].astype(np.uint64)
    length = np.asarray(columns["dirLen"])[rows].astype(np.int64)
    groups = directory[(length == 0) & (directory != 0)]
    words.mark(groups, STAYS)
    if kind.shape is None:
        return
    kind.lengths(words, groups)
    size, struct = kind.shape.fields.bucket_size, heap.process.layouts.struct("table")
    for entries, _ in spread(directory, np.minimum(length, _room(heap, directory) // 8), 8):
        pointers, ok = gather(heap.index, entries, 8)
        tables = unique(column(pointers, 0, 8)[ok])
        tables = tables[_room(heap, tables) >= struct.size]
        words.fields(tables, struct)
        read, fine = gather(heap.index, tables, struct.size)
        data = column(read, struct.offset("groups.data"), 8)[fine]
        capacity = column(read, struct.offset("capacity"), 2)[fine].astype(np.int64)
        for blocks, _ in spread(data, np.minimum(capacity // _SLOTS, _room(heap, data) // size), size):
            words.mark(blocks, STAYS)
            kind.lengths(words, blocks)


def _objects(words: Words, heap: Heap) -> None:
    """Objects of the runtime's own types: channels, tables of maps, nodes of hash tries (their first byte)."""
    state, layouts, records = heap.state, heap.process.layouts, heap.types.records
    kinds = ("hchan", "table", "trieentry", "trieindirect")
    which = np.array([kinds.index(r.pseudo) if r.pseudo in kinds else -1 for r in records] + [-1], dtype=np.int8)
    kind = which[state.types]
    for number, name in enumerate(kinds):
        ids = np.flatnonzero((kind == number) & heap.live)
        if not len(ids):
            continue
        at = heap.index.address_of(ids)
        if number < 2:
            words.fields(at, layouts.struct(name))
        else:
            words.mark(at, BYTE)


def _read_only(words: Words, heap: Heap, maps: MapSet) -> None:
    """``amended`` of the ``readOnly`` of each ``sync.Map``, Go up to 1.23: 16 bytes, a map and a bool (sync/map.go)."""
    rows = entry_rows(maps)
    if not len(rows):
        return
    headers = np.asarray(maps.table.columns["address"])[rows].astype(np.uint64)
    spans = heap.index.spans[(heap.index.spans["elemsize"] == 16) & (heap.index.spans["noscan"] == 0)]
    for start, _ in spread(spans["base"], spans["nelems"].astype(np.int64), 16):
        found, ok = gather(heap.index, start, 8)
        words.mark(start[ok & among(column(found, 0, 8), headers)] + np.uint64(8), BYTE)
