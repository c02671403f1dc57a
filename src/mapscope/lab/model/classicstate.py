"""A classic map as plain data: what the differential test compares, and how many bytes it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapscope.lab.model.buckets import BucketArray, Slice, bmap
from mapscope.lab.model.classicheap import EXTRA_BYTES, SLICE_BYTES, pinned_by_iterators
from mapscope.lab.model.hiter import hiter
from mapscope.lab.model.interface import Bytes, Elem, Key
from mapscope.lab.model.maptype import through

if TYPE_CHECKING:
    from mapscope.lab.model.classic import ClassicMap


@dataclass(frozen=True, slots=True)
class BucketState:
    """A bucket or an overflow bucket. None among keys and elems is zeroed memory."""

    index: int
    """Its place in the array, -1 when it lies outside."""
    tophash: str
    """Eight bytes as hexadecimal digits."""
    keys: tuple[Key | None, ...]
    elems: tuple[Elem, ...]


Chain = tuple[BucketState, ...]
"""A bucket and its overflow buckets."""


@dataclass(frozen=True, slots=True)
class ExtraState:
    """``mapextra``. Each list of overflow buckets as length and capacity, None where there is none."""

    nextOverflow: tuple[int, int] | None
    """Array and index."""
    overflow: tuple[int, int] | None
    oldoverflow: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class ClassicHeader:
    """An ``hmap``. Arrays are counted in the order in which they were made; None is nil."""

    count: int
    flags: int
    B: int
    noverflow: int
    hash0: int
    buckets: int | None
    oldbuckets: int | None
    nevacuate: int
    clearSeq: int
    extra: ExtraState | None


@dataclass(frozen=True, slots=True)
class ClassicState:
    """A classic map: its header and every bucket that this leads to."""

    header: ClassicHeader
    buckets: tuple[Chain, ...]
    oldbuckets: tuple[Chain, ...]


@dataclass(frozen=True, slots=True)
class HiterState:
    """An ``hiter``. ``overflow``, ``oldoverflow``: 0 nil, 1 that of the map now, 2 its old one, 3 an older one."""

    key: Key | None
    elem: Elem
    h: bool
    buckets: int | None
    bptr: BucketState | None
    overflow: int
    oldoverflow: int
    startBucket: int
    offset: int
    wrapped: bool
    B: int
    i: int
    bucket: int
    checkBucket: int
    clearSeq: int


def header_of(h: ClassicMap) -> ClassicHeader:
    """The header alone: cheap enough for every operation."""
    extra = None
    if h.extra is not None:
        after = h.extra.nextOverflow
        place = (after.array.number, after.index) if after is not None and after.array is not None else None
        extra = ExtraState(place, _list(h.extra.overflow), _list(h.extra.oldoverflow))
    return ClassicHeader(
        h.count,
        h.flags,
        h.B,
        h.noverflow,
        h.hash0,
        None if h.buckets is None else h.buckets.number,
        None if h.oldbuckets is None else h.oldbuckets.number,
        h.nevacuate,
        h.clearSeq,
        extra,
    )


def state_of(h: ClassicMap) -> ClassicState:
    """Header and buckets."""
    return ClassicState(
        header_of(h),
        *(tuple(tuple(map(bucket_of, _chain(b))) for b in _buckets(array)) for array in (h.buckets, h.oldbuckets)),
    )


def iterator_state_of(h: ClassicMap, it: hiter) -> HiterState:
    """An iterator of this map."""
    lists: list[Slice | None] = [] if h.extra is None else [h.extra.overflow, h.extra.oldoverflow]
    return HiterState(
        it.key,
        it.elem,
        it.h is not None,
        None if it.buckets is None else it.buckets.number,
        None if it.bptr is None else bucket_of(it.bptr),
        _which(it.overflow, lists),
        _which(it.oldoverflow, lists),
        it.startBucket,
        it.offset,
        it.wrapped,
        it.B,
        it.i,
        it.bucket,
        it.checkBucket,
        it.clearSeq,
    )


def bucket_of(b: bmap) -> BucketState:
    """One bucket."""
    return BucketState(b.index, b.tophash.hex(), tuple(b.keys), tuple(map(through, b.elems)))


def bytes_of(h: ClassicMap) -> Bytes:
    """Slot bytes of what the header leads to."""
    slot = h.allocator.slot
    header = slot(h.settings.header_bytes, False)
    overflow = 0
    if h.extra is not None:
        header += slot(EXTRA_BYTES, False)
        for kept in (h.extra.overflow, h.extra.oldoverflow):
            if kept is not None:
                overflow += slot(SLICE_BYTES, False) + slot(8 * kept.cap, False)
    apart = _apart(h.buckets) + _apart(h.oldbuckets)
    if not h.t.pointers and h.extra is not None:
        lists = (h.extra.overflow, h.extra.oldoverflow)
        apart = sum(b.index < 0 for kept in lists if kept is not None for b in kept.bmaps)
    overflow += apart * slot(h.t.BucketSize, not h.t.pointers)
    return Bytes(
        header,
        0 if h.buckets is None else h.buckets.bytes,
        0 if h.oldbuckets is None else h.oldbuckets.bytes,
        overflow,
        pinned_by_iterators(h.heap()) if h.iterators else 0,
    )


def _apart(array: BucketArray | None) -> int:
    """Overflow buckets that an array keeps outside of it.

    Evacuation unlinks the chain of an old bucket at its first bucket alone (runtime/map.go: evacuate), so what hangs on
    an overflow bucket that was made with the array, and lies in it, stays until the growth ends.
    """
    count = 0
    for first in [] if array is None else array.bmaps:
        b = first.overflow
        while b is not None and b.index < 0:
            count += 1
            b = b.overflow
    return count


def _chain(b: bmap | None) -> Iterator[bmap]:
    """A bucket and its overflow buckets."""
    while b is not None:
        yield b
        b = b.overflow


def _buckets(array: BucketArray | None) -> list[bmap]:
    """The buckets of an array, without the overflow buckets made with them."""
    return [] if array is None else array.bmaps[: array.base]


def _list(kept: Slice | None) -> tuple[int, int] | None:
    return None if kept is None else (len(kept.bmaps), kept.cap)


def _which(one: Slice | None, lists: list[Slice | None]) -> int:
    if one is None:
        return 0
    return next((at for at, kept in enumerate(lists, start=1) if kept is one), 3)
