"""The objects of a classic map and its open iterators, as the collector sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapscope.lab.model.buckets import BucketArray, Slice, bmap
from mapscope.lab.model.collector import Heap, HeapObject
from mapscope.lab.model.hiter import hiter
from mapscope.lab.model.pointees import Pointees

if TYPE_CHECKING:
    from mapscope.lab.model.classic import ClassicMap

SLICE_BYTES = 24
EXTRA_BYTES = 24


class ClassicHeap:
    """Makes the objects, each once."""

    def __init__(self, h: ClassicMap) -> None:
        self.h = h
        self.slot = h.allocator.slot
        self.scanned = h.t.pointers
        self.pointees = Pointees(h.t, self.slot)
        self.made: dict[int, HeapObject] = {}
        """By identity of what was turned into an object."""
        self.waiting: list[tuple[HeapObject, list[bmap]]] = []
        """Objects with buckets whose pointers are yet to be read."""

    def heap(self) -> Heap:
        """Everything, from the map variable and the iterators."""
        roots = {"m": HeapObject("m", 0, False, [("m", self.header())])}
        for number, it in enumerate(self.h.iterators):
            roots[f"iterator {number}"] = self.iterator(it)
        while self.waiting:
            self.read(*self.waiting.pop())
        return Heap(roots)

    def header(self) -> HeapObject:
        """The ``hmap`` and its ``mapextra``."""
        h = self.h
        if id(h) in self.made:
            return self.made[id(h)]
        header = self.made[id(h)] = HeapObject("hmap", self.slot(h.settings.header_bytes, False))
        header.point("buckets", self.array(h.buckets))
        header.point("oldbuckets", self.array(h.oldbuckets))
        if h.extra is not None:
            extra = HeapObject("mapextra", self.slot(EXTRA_BYTES, False))
            extra.point("overflow", self.overflow_list(h.extra.overflow))
            extra.point("oldoverflow", self.overflow_list(h.extra.oldoverflow))
            extra.point("nextOverflow", self.bucket(h.extra.nextOverflow))
            header.point("extra", extra)
        return header

    def iterator(self, it: hiter) -> HeapObject:
        """An ``hiter``. After its end key and elem are nil; the rest stays."""
        found = HeapObject("hiter", 0, False)
        if it.h is None:
            return found
        if it.at is not None:
            b, key, elem = it.at
            t = self.h.t
            found.point("key", self.pointees.of(key, "key") if t.indirectkey else self.bucket(b))
            found.point("elem", self.pointees.of(elem, "elem") if t.indirectelem else self.bucket(b))
        found.point("h", self.header())
        found.point("buckets", self.array(it.buckets))
        found.point("bptr", self.bucket(it.bptr))
        found.point("overflow", self.overflow_list(it.overflow))
        found.point("oldoverflow", self.overflow_list(it.oldoverflow))
        return found

    def array(self, array: BucketArray | None) -> HeapObject | None:
        """A bucket array."""
        if array is None:
            return None
        if id(array) not in self.made:
            self.made[id(array)] = HeapObject(f"buckets {array.number}", array.bytes)
            self.waiting.append((self.made[id(array)], array.bmaps))
        return self.made[id(array)]

    def bucket(self, b: bmap | None) -> HeapObject | None:
        """The object in which a bucket lies: its array, or itself."""
        if b is None or b.array is not None:
            return None if b is None else self.array(b.array)
        if id(b) not in self.made:
            self.made[id(b)] = HeapObject("overflow bucket", self.slot(self.h.t.BucketSize, not self.scanned))
            self.waiting.append((self.made[id(b)], [b]))
        return self.made[id(b)]

    def overflow_list(self, kept: Slice | None) -> HeapObject | None:
        """A ``*[]*bmap``: the slice header, its array, the buckets."""
        if kept is None:
            return None
        if id(kept) not in self.made:
            header = self.made[id(kept)] = HeapObject("overflow list", self.slot(SLICE_BYTES, False))
            if kept.cap:
                array = HeapObject("array of overflow list", self.slot(8 * kept.cap, False))
                header.point("array", array)
                for number, b in enumerate(kept.bmaps):
                    array.point(f"[{number}]", self.bucket(b))
        return self.made[id(kept)]

    def read(self, holder: HeapObject, bmaps: list[bmap]) -> None:
        """The pointers in buckets, if their type has any: otherwise even the overflow pointer counts for nothing."""
        if not self.scanned:
            return
        for b in bmaps:
            holder.point("overflow", self.bucket(b.overflow))
            for key, elem in zip(b.keys, b.elems, strict=True):
                if self.h.t.slot_key_pointers and key is not None:
                    holder.point("key", self.pointees.of(key, "key"))
                if self.h.t.slot_elem_pointers and elem is not None:
                    holder.point("elem", self.pointees.of(elem, "elem"))


def pinned_by_iterators(heap: Heap) -> int:
    """Bytes of the map's own objects that the map variable alone would not keep."""
    return heap.bytes_kept_by(*(name for name in heap.roots if name != "m"), structure=True)
