"""Kinds of a map's keys and elems: the static kind, or the dynamic types of a sample where they are interfaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from mapscope.heap.model import Heap
from mapscope.maps.find import MapSet
from mapscope.maps.model import Map
from mapscope.maps.types import MapShape

SAMPLE = 1000
"""Live cells that are looked at."""
_MAX_BUCKETS = 1 << 14
_SLOTS = 8


def sample_kinds(heap: Heap, maps: MapSet, found: Map, what: Literal["key", "elem"]) -> dict[str, int]:
    """Kind → how many of the sample. For interfaces the names of the dynamic types; no contents are read."""
    shape = maps.shapes[int(maps.shape_of[found.row])]
    kind = shape.type.key_kind if what == "key" else shape.type.elem_kind
    indirect = shape.fields.indirect_key if what == "key" else shape.fields.indirect_elem
    if not found.count:
        return {}
    if kind != "interface" or indirect:
        return {kind: min(found.count, SAMPLE)}
    start, stride = (
        (shape.fields.keys_offset, shape.fields.key_stride)
        if what == "key"
        else (shape.fields.elems_offset, shape.fields.elem_stride)
    )
    rtype = heap.process.types.at(shape.fields.key if what == "key" else shape.fields.elem)
    with_methods = rtype is not None and rtype.methods > 0
    seen: Counter[str] = Counter()
    for bucket, slot in live_cells(heap, maps, found, shape):
        at = start + slot * stride
        seen[_dynamic(heap, int.from_bytes(bucket[at : at + 8], "little"), with_methods)] += 1
        if seen.total() >= SAMPLE:
            break
    return dict(seen.most_common())


def _dynamic(heap: Heap, word: int, itab: bool) -> str:
    """Name of the type that the first word of an interface says."""
    if not word:
        return "nil"
    address = heap.process.types.itab(word) if itab else word
    rtype = heap.process.types.at(address) if address else None
    return rtype.name if rtype is not None else "unknown"


def live_cells(heap: Heap, maps: MapSet, found: Map, shape: MapShape) -> Iterator[tuple[bytes, int]]:
    """Bytes of a bucket or group, and the number of a live cell in it."""
    budget = _MAX_BUCKETS
    for address in _arrays(heap, maps, found, shape):
        bucket = heap.process.memory.read(address, shape.fields.bucket_size)
        budget -= 1
        if budget < 0:
            return
        if bucket is None:
            continue
        for slot in range(_SLOTS):
            # Swiss: full cells have the top bit of their control byte clear; classic: tophash of at least minTopHash
            if bucket[slot] < 0x80 if maps.swiss else bucket[slot] >= 5:
                yield bucket, slot


def _arrays(heap: Heap, maps: MapSet, found: Map, shape: MapShape) -> Iterator[int]:
    """Addresses of buckets (the current array, without chains) or groups."""
    size = shape.fields.bucket_size
    if not maps.swiss:
        if found.buckets:
            yield from (found.buckets + k * size for k in range(min(1 << min(found.B, 32), _MAX_BUCKETS)))
        return
    if not found.dirLen:
        yield found.dirPtr
        return
    layout, memory = heap.process.layouts.struct("table"), heap.process.memory
    before = 0
    for entry in range(min(found.dirLen, _MAX_BUCKETS)):
        table = memory.word(found.dirPtr + 8 * entry) or 0
        data = memory.word(table + layout.offset("groups.data")) if table and table != before else None
        before = table
        capacity = int.from_bytes(memory.read(table + layout.offset("capacity"), 2) or b"", "little")
        if data:
            yield from (data + k * size for k in range(capacity // _SLOTS))
