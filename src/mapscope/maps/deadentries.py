"""Entries of a ``sync.Map`` that were deleted and are still in its maps, and what only they keep (R14).

``LoadAndDelete`` sets ``entry.p`` of a key in ``read.m`` to nil and leaves the key where it is; ``dirtyLocked`` turns
nil into ``expunged``, one ``new(any)`` of package sync, and leaves such an entry out of the new ``dirty`` (sync/map.go
up to Go 1.23).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from mapscope._kernels import load
from mapscope.arrays import among, unique
from mapscope.goruntime.index import HeapIndex, column, gather
from mapscope.heap.graph import Graph, RootKind
from mapscope.heap.model import Heap
from mapscope.heap.trace import MARKED
from mapscope.maps.facts import DeadEntries, SyncMap
from mapscope.maps.find import MapSet
from mapscope.maps.model import Map

U8 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SLOTS = 8
_KEYS, _ELEMS, _OVERFLOW, _BUCKET = 8, 136, 200, 208
"""A bucket of ``map[any]*entry``: tophash[8], keys of 16 bytes, elems of 8, the overflow word."""
_LIVE = 5
"""``minTopHash``: lower ones say empty or evacuated."""
_SLOT_BYTES = 1 + 16 + 8
_CHUNK = 1 << 16
_ANY_BYTES = 16


class _Slots(Struct, frozen=True):
    """Slots in use: addresses of key and elem, the entry that they point to, and which array they lie in.

    An evacuated slot is not in use (its tophash says so), and ``evacuate`` has cleared it: nothing ever ranges over a
    ``dirty``, so no growth of one finds the flag ``oldIterator`` (runtime/map.go). Overflow buckets that were made
    with an old array are not cleared: what they point to counts as kept by the growth, not by a deleted entry.
    """

    key: U8
    elem: U8
    entry: U8
    current: Bools

    @classmethod
    def join(cls, parts: list[_Slots]) -> _Slots:
        none = cls(*(np.zeros(0, dtype=np.uint64),) * 3, np.zeros(0, dtype=np.bool_))
        names = ("key", "elem", "entry", "current")
        return cls(*(np.concatenate([getattr(part, name) for part in (none, *parts)]) for name in names))


def expunged_address(heap: Heap, graph: Graph, values: U8) -> int:
    """Address of the object that ``sync.expunged`` points to, if one of ``values`` (words ``entry.p``) is it; else 0.

    Every other ``p`` points to a variable of package sync that nobody else ever gets the address of (``newEntry``,
    ``Store``, ``Swap``: the parameter that escapes). So the one that a word of static data points to is the one of
    ``var expunged = new(any)``. It needs no symbol.
    """
    nodes = graph.node_of(heap.index.find(unique(values[values != 0]))[0])
    roots = graph.roots
    here = (roots.kind[roots.word_group] == RootKind.GLOBAL) & among(roots.word_target, nodes[nodes >= 0])
    rows, ok = gather(heap.index, roots.word_address[here], 8)
    held = unique(column(rows, 0, 8)[ok])
    held = held[among(held, values)]
    words, fine = gather(heap.index, held, _ANY_BYTES)
    held = held[fine & (column(words, 0, 8) == 0) & (column(words, 8, 8) == 0)]
    return int(held[0]) if len(held) == 1 else 0


def dead_entries(heap: Heap, maps: MapSet, graph: Graph, one: SyncMap, least_share: float) -> DeadEntries | None:
    """The deleted entries of ``one``; None when ``read.m`` is not in the table or fewer than ``least_share`` are dead.

    What they keep is found by another marking of the heap in which the slots of dead entries point nowhere.
    """
    found = [each for address in (one.read, one.dirty) if address and (each := maps.table.at(address)) is not None]
    if not found or found[0].address != one.read:
        return None
    slots = _Slots.join([part for each in found for part in _slots_of(heap.index, each)])
    entries = unique(slots.entry)
    rows, ok = gather(heap.index, entries, 8)
    p = np.where(ok, column(rows, 0, 8), np.uint64(1))
    expunged = expunged_address(heap, graph, p[ok])
    gone = (p == 0) | ((p == expunged) if expunged else np.zeros(len(p), dtype=np.bool_))
    if not gone.any() or gone.sum() < least_share * len(entries):
        return None
    dead = among(slots.entry, entries[gone])
    objects, size = _kept(heap, np.concatenate([slots.key[dead], slots.key[dead] + np.uint64(8), slots.elem[dead]]))
    count = int((dead & slots.current).sum())
    marked_expunged = int((p == expunged).sum()) if expunged else 0
    return DeadEntries(len(entries), int(gone.sum()), marked_expunged, count, count * _SLOT_BYTES, objects, size)


def _slots_of(index: HeapIndex, found: Map) -> list[_Slots]:
    """All slots in use of one map, also those of old buckets that are not evacuated."""
    arrays = [(found.buckets, 1 << min(found.B, 40), True), (found.oldbuckets, found.noldbuckets, False)]
    parts = []
    for start, count, current in arrays:
        ids, _ = index.find(np.array([start], dtype=np.uint64))
        if not start or ids[0] < 0:
            continue
        room = int(index.sizes_of(ids)[0]) // _BUCKET
        parts += _array(index, start, min(count, room), current)
    return parts


def _array(index: HeapIndex, start: int, count: int, current: bool) -> list[_Slots]:
    """The slots of one array and of its chains. Each round follows every chain by one bucket."""
    parts = []
    addresses = np.uint64(start) + np.arange(count, dtype=np.uint64) * np.uint64(_BUCKET)
    seen = 0
    while len(addresses) and seen <= 4 * count + _CHUNK:  # more would be a ring, or chains that no map has
        seen += len(addresses)
        following = []
        for at in range(0, len(addresses), _CHUNK):
            here = addresses[at : at + _CHUNK]
            rows, ok = gather(index, here, _BUCKET)
            here, rows = here[ok], rows[ok]
            parts.append(_bucket_slots(here, rows, current))
            over = column(rows, _OVERFLOW, 8)
            following.append(over[over != 0])
        addresses = np.concatenate(following)
    return parts


def _bucket_slots(addresses: U8, rows: npt.NDArray[np.uint8], current: bool) -> _Slots:
    bucket, slot = np.nonzero(rows[:, :_SLOTS] >= _LIVE)
    place, number = addresses[bucket], slot.astype(np.uint64)
    elems = np.ascontiguousarray(rows[:, _ELEMS:_OVERFLOW]).view("<u8")
    return _Slots(
        place + np.uint64(_KEYS) + number * np.uint64(16),
        place + np.uint64(_ELEMS) + number * np.uint64(8),
        elems[bucket, slot].astype(np.uint64),
        np.full(len(bucket), current),
    )


def _kept(heap: Heap, words: U8) -> tuple[int, int]:
    """Live objects that are reached only through the given words of the heap: how many, and their bytes."""
    index = heap.index
    ids, _ = index.find(words)
    words, spans = words[ids >= 0], index.spans[index.span_of_object(ids[ids >= 0])]
    bits = spans["maskbit"] + ((words - spans["base"]) >> np.uint64(3))
    mask = index.ptrmask.copy()
    np.bitwise_and.at(mask, (bits >> np.uint64(6)).astype(np.int64), ~(np.uint64(1) << (bits & np.uint64(63))))
    flags = (heap.state.flags & 1).astype(np.uint8)
    load("mark").mark(
        replace(index, ptrmask=mask), flags, np.ascontiguousarray(heap.roots.regions), heap.roots.mask,
        heap.roots.loose, -1, np.zeros((0, 2), dtype=np.uint64),
    )  # fmt: skip
    lost = np.flatnonzero((heap.state.flags & MARKED != 0) & (flags & MARKED == 0))
    return len(lost), int(index.sizes_of(lost).sum())
