"""What a classic map is made of: cells and their marks, buckets, arrays, lists of overflow buckets (runtime/map.go)."""

from __future__ import annotations

from mapscope.lab.model.interface import Elem, Key
from mapscope.lab.model.maptype import SLOTS

emptyRest = 0
"""Tophash of a free cell after which nothing comes, in this bucket and its overflow buckets."""
emptyOne = 1
evacuatedX = 2
evacuatedY = 3
evacuatedEmpty = 4
minTopHash = 5

iterator = 1
"""Flag: there may be an iterator using buckets."""
oldIterator = 2
hashWriting = 4
sameSizeGrow = 8

loadFactorDen = 2


def tophash(hash_: int) -> int:
    """The byte of a cell: the top byte of the hash, out of the way of the marks."""
    top = hash_ >> 56
    return top + minTopHash if top < minTopHash else top


class bmap:
    """A bucket or an overflow bucket. ``index``: its place in ``array``, -1 when it lies outside of arrays."""

    __slots__ = ("array", "elems", "index", "keys", "overflow", "tophash")

    def __init__(self, array: BucketArray | None = None, index: int = -1) -> None:
        self.array = array
        self.index = index
        self.wipe()

    def wipe(self) -> None:
        """All bytes zero."""
        self.tophash = bytearray(SLOTS)
        self.keys: list[Key | None] = [None] * SLOTS
        self.elems: list[Elem] = [None] * SLOTS
        self.overflow: bmap | None = None

    @property
    def evacuated(self) -> bool:
        """Whether its entries have moved to the new array."""
        return emptyOne < self.tophash[0] < minTopHash


class BucketArray:
    """What makeBucketArray allocates: ``base`` buckets and the overflow buckets made with them."""

    __slots__ = ("base", "bmaps", "bytes", "number")

    def __init__(self, number: int, base: int, nbuckets: int, slot_bytes: int) -> None:
        self.number = number
        """Counts the arrays of this map, from 0."""
        self.base = base
        self.bytes = slot_bytes
        self.bmaps = [bmap(self, index) for index in range(nbuckets)]


class Slice:
    """A ``*[]*bmap`` of mapextra: keeps overflow buckets alive whose buckets are not scanned."""

    __slots__ = ("bmaps", "cap")

    def __init__(self) -> None:
        self.bmaps: list[bmap] = []
        self.cap = 0


class mapextra:
    """Fields that not all maps have. ``nextOverflow``: the next free overflow bucket of an array."""

    __slots__ = ("nextOverflow", "oldoverflow", "overflow")

    def __init__(self) -> None:
        self.overflow: Slice | None = None
        self.oldoverflow: Slice | None = None
        self.nextOverflow: bmap | None = None
