"""The iterator of a classic map and its exact walk: hiter, mapiterinit and mapiternext of runtime/map.go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapscope.lab.model.buckets import (
    BucketArray,
    Slice,
    bmap,
    emptyOne,
    evacuatedEmpty,
    evacuatedX,
    evacuatedY,
    iterator,
    oldIterator,
    sameSizeGrow,
)
from mapscope.lab.model.interface import Elem, Event, Key
from mapscope.lab.model.maptype import SLOTS, through

if TYPE_CHECKING:
    from mapscope.lab.model.classic import ClassicMap

noCheck = (1 << 64) - 1
"""``checkBucket`` of an iterator that takes every entry of its bucket."""


class hiter:
    """A hash iterator. ``key`` is None at the end."""

    __slots__ = (
        "B",
        "at",
        "bptr",
        "bucket",
        "buckets",
        "checkBucket",
        "clearSeq",
        "elem",
        "h",
        "i",
        "key",
        "offset",
        "oldoverflow",
        "overflow",
        "startBucket",
        "wrapped",
    )

    def __init__(self) -> None:
        self.key: Key | None = None
        self.elem: Elem = None
        self.h: ClassicMap | None = None
        self.buckets: BucketArray | None = None
        """The array at the start of the iteration, whatever the map has now."""
        self.bptr: bmap | None = None
        self.overflow: Slice | None = None
        self.oldoverflow: Slice | None = None
        self.startBucket = 0
        self.offset = 0
        self.wrapped = False
        self.B = 0
        self.i = 0
        self.bucket = 0
        self.checkBucket = 0
        self.clearSeq = 0
        self.at: tuple[bmap, Key | None, Elem] | None = None
        """What ``key`` and ``elem`` point to: cells of this bucket, or the memory of that key or elem apart."""


def mapiterinit(h: ClassicMap, it: hiter) -> None:
    """Begin at a random bucket and cell, and go to the first entry."""
    if h.count == 0:
        return
    it.h = h
    it.B = h.B
    it.buckets = h.buckets
    if not h.t.pointers:
        it.overflow = h.createOverflow()
        assert h.extra is not None
        it.oldoverflow = h.extra.oldoverflow
    it.clearSeq = h.clearSeq
    r = h.rand()
    it.startBucket = r & ((1 << h.B) - 1)
    it.offset = (r >> h.B) & (SLOTS - 1)
    it.bucket = it.startBucket
    h.flags |= iterator | oldIterator
    if h.log is not None:
        h.log.append(Event("mapiterinit", {"B": h.B, "growing": int(h.oldbuckets is not None)}))
    mapiternext(h, it)


def mapiternext(h: ClassicMap, it: hiter) -> None:
    """Go to the next entry: of the array of the start, or, while that is being filled, of the old one."""
    assert it.buckets is not None
    bucket, b, i, checkBucket = it.bucket, it.bptr, it.i, it.checkBucket
    while True:
        if b is None:
            if bucket == it.startBucket and it.wrapped:
                it.key = it.elem = it.at = None
                return
            b, checkBucket = it.buckets.bmaps[bucket], noCheck
            if h.oldbuckets is not None and it.B == h.B:
                # begun in a growth that is not done: what will come here may still lie in the old bucket
                oldb = h.oldbuckets.bmaps[bucket & (h.noldbuckets() - 1)]
                if not oldb.evacuated:
                    b, checkBucket = oldb, bucket
            bucket += 1
            if bucket == 1 << it.B:
                bucket = 0
                it.wrapped = True
            i = 0
        while i < SLOTS:
            offi = (i + it.offset) & (SLOTS - 1)
            i += 1
            top = b.tophash[offi]
            if top <= emptyOne or top == evacuatedEmpty:
                continue
            key = b.keys[offi]
            at = b, offi
            if (
                checkBucket != noCheck
                and not h.flags & sameSizeGrow
                and h.hasher(key, h.hash0) & ((1 << it.B) - 1) != checkBucket
            ):
                continue  # an old bucket feeds two new ones, and this will go to the other
            if (h.settings.clearSeq and it.clearSeq != h.clearSeq) or top in (evacuatedX, evacuatedY):
                # the table has grown since; the entry, if there still is one, is elsewhere
                found = h.mapaccessK(key)
                if found is None:
                    continue
                at = found
            b_, i_ = at
            it.key, it.elem = b_.keys[i_], through(b_.elems[i_])
            it.at = b_, b_.keys[i_], b_.elems[i_]
            it.bucket, it.bptr, it.i, it.checkBucket = bucket, b, i, checkBucket
            return
        b = b.overflow
        i = 0
