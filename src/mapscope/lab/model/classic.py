"""The classic map, as runtime/map.go has it: buckets of eight cells, growth by evacuation, one or two buckets a write.

Names are the runtime's. A pointer to a bucket is the :class:`bmap` itself; memory that was never written or was cleared
is None in ``keys`` and ``elems``. What is left out: NaN keys, and the checks for concurrent use.
"""

from __future__ import annotations

from mapscope.lab.model.buckets import (
    BucketArray,
    bmap,
    emptyOne,
    emptyRest,
    evacuatedEmpty,
    evacuatedX,
    hashWriting,
    iterator,
    mapextra,
    oldIterator,
    sameSizeGrow,
    tophash,
)
from mapscope.lab.model.classicheap import ClassicHeap
from mapscope.lab.model.classicstate import ClassicState, bytes_of, state_of
from mapscope.lab.model.collector import Heap
from mapscope.lab.model.hiter import hiter, mapiterinit, mapiternext
from mapscope.lab.model.hmap import hmap
from mapscope.lab.model.interface import Bytes, Cursor, Elem, Key
from mapscope.lab.model.maptype import SLOTS, Indirect, through


class ClassicMap(hmap):
    """A map: its ``hmap``, and what the runtime does with it."""

    # The interface of all models

    def __len__(self) -> int:
        """``len(m)``."""
        return self.count

    def assign(self, key: Key, elem: Elem) -> None:
        """``m[key] = elem``: the compiled program stores the elem where mapassign says."""
        b, i = self.mapassign(key)
        slot = b.elems[i]
        if isinstance(slot, Indirect):
            slot.value = elem
        else:
            b.elems[i] = elem

    def delete(self, key: Key) -> None:
        """``delete(m, key)``."""
        self.mapdelete(key)

    def lookup(self, key: Key) -> tuple[Elem, bool]:
        """``elem, ok := m[key]``."""
        found = self.mapaccessK(key)
        return (through(found[0].elems[found[1]]), True) if found else (None, False)

    def clear(self) -> None:
        """``clear(m)``; before Go 1.21 a loop over ``delete``, of which the compiler makes the same call."""
        self.mapclear()

    def iterate(self) -> hiter:
        """``range`` up to its first entry."""
        it = hiter()
        self.iterators.append(it)
        mapiterinit(self, it)
        return it

    def step(self, cursor: Cursor) -> bool:
        """The next entry; at the end nothing happens, as the loop has been left."""
        assert isinstance(cursor, hiter)
        if cursor.key is not None:
            mapiternext(self, cursor)
        return cursor.key is not None

    def stop(self, cursor: Cursor) -> None:
        """The iterator is no root any more."""
        assert isinstance(cursor, hiter)
        self.iterators.remove(cursor)

    def state(self) -> ClassicState:
        """Header, arrays and chains."""
        return state_of(self)

    def heap(self) -> Heap:
        """Objects and roots."""
        return ClassicHeap(self).heap()

    def bytes(self) -> Bytes:
        """What the header leads to, and what only iterators keep."""
        return bytes_of(self)

    # Lookup

    def mapaccessK(self, key: Key) -> tuple[bmap, int] | None:
        """Bucket and cell of a key."""
        if self.count == 0 or self.buckets is None:
            return None
        hash_ = self.hasher(key, self.hash0)
        m = (1 << self.B) - 1
        b: bmap | None = self.buckets.bmaps[hash_ & m]
        if self.oldbuckets is not None:
            if not self.flags & sameSizeGrow:
                m >>= 1
            oldb = self.oldbuckets.bmaps[hash_ & m]
            if not oldb.evacuated:
                b = oldb
        top = tophash(hash_)
        while b is not None:
            for i in range(SLOTS):
                if b.tophash[i] != top:
                    if b.tophash[i] == emptyRest:
                        return None
                    continue
                if b.keys[i] == key:
                    return b, i
            b = b.overflow
        return None

    # Writes

    def mapassign(self, key: Key) -> tuple[bmap, int]:
        """Bucket and cell for the elem of a key, which is put there if it is new."""
        hash_ = self.hasher(key, self.hash0)
        self.flags ^= hashWriting
        if self.buckets is None:
            size = self.allocator.slot(self.t.BucketSize, not self.t.pointers)
            self.buckets = BucketArray(self.made, 1, 1, size)
            self.made += 1
        top = tophash(hash_)
        while True:
            bucket = hash_ & ((1 << self.B) - 1)
            if self.oldbuckets is not None:
                self.growWork(bucket)
            b, insert, found = self._search(self.buckets.bmaps[bucket], top, key)
            if found:
                assert insert is not None
                break
            if self.oldbuckets is None and (
                self.overLoadFactor(self.count + 1, self.B) or self.tooManyOverflowBuckets()
            ):
                self.hashGrow()
                continue  # the table is another now
            if insert is None:
                insert = self.newoverflow(b), 0
            insert[0].tophash[insert[1]] = top
            insert[0].keys[insert[1]] = key
            if self.t.indirectelem:
                insert[0].elems[insert[1]] = Indirect()
            self.count += 1
            break
        self.flags &= ~hashWriting
        return insert

    def _search(self, b: bmap, top: int, key: Key) -> tuple[bmap, tuple[bmap, int] | None, bool]:
        """The bucketloop of mapassign: the last bucket looked at, the cell to take, whether it holds the key."""
        insert = None
        while True:
            for i in range(SLOTS):
                seen = b.tophash[i]
                if seen != top:
                    if seen <= emptyOne and insert is None:
                        insert = b, i
                    if seen == emptyRest:
                        return b, insert, False
                    continue
                if b.keys[i] != key:
                    continue
                if self.t.needkeyupdate:
                    b.keys[i] = key
                return b, (b, i), True
            if b.overflow is None:
                return b, insert, False
            b = b.overflow

    def mapdelete(self, key: Key) -> None:
        """Remove a key. A free end of a chain becomes emptyRest again."""
        if self.count == 0 or self.buckets is None:
            return
        hash_ = self.hasher(key, self.hash0)
        self.flags ^= hashWriting
        bucket = hash_ & ((1 << self.B) - 1)
        if self.oldbuckets is not None:
            self.growWork(bucket)
        bOrig = self.buckets.bmaps[bucket]
        b, insert, found = self._search(bOrig, tophash(hash_), key)
        if found:
            assert insert is not None
            b, i = insert
            if self.t.slot_key_pointers:
                b.keys[i] = None
            b.elems[i] = None
            b.tophash[i] = emptyOne
            self._mark_rest(bOrig, b, i)
            self.count -= 1
            if self.count == 0:
                self.hash0 = self.rand() & 0xFFFFFFFF
                self._note("reseed")
        self.flags &= ~hashWriting

    @staticmethod
    def _mark_rest(bOrig: bmap, b: bmap, i: int) -> None:
        """Of mapdelete: when nothing comes after cell ``i`` of ``b``, it and the free cells before it say so."""
        if i == SLOTS - 1:
            if b.overflow is not None and b.overflow.tophash[0] != emptyRest:
                return
        elif b.tophash[i + 1] != emptyRest:
            return
        while True:
            b.tophash[i] = emptyRest
            if i == 0:
                if b is bOrig:
                    return
                c, b = b, bOrig
                while b.overflow is not c:
                    assert b.overflow is not None
                    b = b.overflow
                i = SLOTS - 1
            else:
                i -= 1
            if b.tophash[i] != emptyOne:
                return

    def mapclear(self) -> None:
        """Remove all keys. The array stays, and is used again."""
        if self.count == 0 or self.buckets is None:
            return
        if self.settings.marks_buckets_empty:
            self._markBucketsEmpty(self.buckets, 1 << self.B)
            if self.oldbuckets is not None:
                self._markBucketsEmpty(self.oldbuckets, self.noldbuckets())
        if self.settings.clearSeq:
            self.clearSeq += 1
        growing = int(self.oldbuckets is not None)
        self.flags &= ~sameSizeGrow
        self.oldbuckets = None
        self.nevacuate = 0
        self.noverflow = 0
        self.count = 0
        self.hash0 = self.rand() & 0xFFFFFFFF
        if self.extra is not None:
            self.extra.overflow = self.extra.oldoverflow = self.extra.nextOverflow = None
        _, nextOverflow = self.makeBucketArray(self.B, self.buckets)
        if nextOverflow is not None:
            assert self.extra is not None
            self.extra.nextOverflow = nextOverflow
        self._note("mapclear", B=self.B, growing=growing)

    @staticmethod
    def _markBucketsEmpty(buckets: BucketArray, count: int) -> None:
        for first in buckets.bmaps[:count]:
            b: bmap | None = first
            while b is not None:
                b.tophash = bytearray(SLOTS)
                b = b.overflow

    # Growth

    def hashGrow(self) -> None:
        """Begin a growth: a new array; the old one is left to be evacuated."""
        bigger = 1
        if not self.overLoadFactor(self.count + 1, self.B):
            bigger = 0
            self.flags |= sameSizeGrow
        newbuckets, nextOverflow = self.makeBucketArray(self.B + bigger)
        flags = self.flags & ~(iterator | oldIterator)
        if self.flags & iterator:
            flags |= oldIterator
        self.B += bigger
        self.flags = flags
        self.oldbuckets = self.buckets
        self.buckets = newbuckets
        self.nevacuate = 0
        self.noverflow = 0
        if self.extra is not None and self.extra.overflow is not None:
            self.extra.oldoverflow = self.extra.overflow
            self.extra.overflow = None
        if nextOverflow is not None:
            if self.extra is None:
                self.extra = mapextra()
            self.extra.nextOverflow = nextOverflow
        self._note("hashGrow", B=self.B, same_size=1 - bigger, count=self.count)

    def growWork(self, bucket: int) -> None:
        """Evacuate the old bucket that a write is about to use, and one more."""
        self.evacuate(bucket & (self.noldbuckets() - 1))
        if self.oldbuckets is not None:
            self.evacuate(self.nevacuate)

    def evacuate(self, oldbucket: int) -> None:
        """Move the entries of one old bucket to the one or two new buckets that take its place."""
        assert self.oldbuckets is not None
        assert self.buckets is not None
        first = b = self.oldbuckets.bmaps[oldbucket]
        newbit = self.noldbuckets()
        same = self.flags & sameSizeGrow
        if not first.evacuated:
            new = self.buckets.bmaps
            xy = [new[oldbucket], new[oldbucket] if same else new[oldbucket + newbit]]
            filled = [0, 0]
            bucket: bmap | None = b
            while bucket is not None:
                for i in range(SLOTS):
                    top = bucket.tophash[i]
                    if top <= emptyOne:
                        bucket.tophash[i] = evacuatedEmpty
                        continue
                    useY = 0
                    if not same and self.hasher(bucket.keys[i], self.hash0) & newbit:
                        useY = 1
                    bucket.tophash[i] = evacuatedX + useY
                    if filled[useY] == SLOTS:
                        xy[useY] = self.newoverflow(xy[useY])
                        filled[useY] = 0
                    to, at = xy[useY], filled[useY]
                    to.tophash[at] = top
                    to.keys[at] = bucket.keys[i]
                    to.elems[at] = bucket.elems[i]
                    filled[useY] += 1
                bucket = bucket.overflow
            if not self.flags & oldIterator and self.t.pointers:
                marks = first.tophash
                first.wipe()
                first.tophash = marks
            self._note("evacuate", oldbucket=oldbucket)
        if oldbucket == self.nevacuate:
            self.advanceEvacuationMark(newbit)

    def advanceEvacuationMark(self, newbit: int) -> None:
        """Step over what has been evacuated; at the end the old array is let go."""
        assert self.oldbuckets is not None
        self.nevacuate += 1
        stop = min(self.nevacuate + 1024, newbit)
        while self.nevacuate != stop and self.oldbuckets.bmaps[self.nevacuate].evacuated:
            self.nevacuate += 1
        if self.nevacuate == newbit:
            self.oldbuckets = None
            if self.extra is not None:
                self.extra.oldoverflow = None
            self.flags &= ~sameSizeGrow
            self._note("done", B=self.B, noldbuckets=newbit)
