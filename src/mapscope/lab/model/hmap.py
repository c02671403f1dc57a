"""The header of a classic map and its memory: hmap, makemap, makeBucketArray, newoverflow of runtime/map.go."""

from __future__ import annotations

from mapscope.lab.model.allocator import allocator, growslice
from mapscope.lab.model.buckets import BucketArray, Slice, bmap, loadFactorDen, mapextra, sameSizeGrow
from mapscope.lab.model.hiter import hiter
from mapscope.lab.model.interface import Event, Hasher, Log, Rand
from mapscope.lab.model.maptype import SLOTS, MapType
from mapscope.lab.model.releases import ClassicSettings


class hmap:
    """Made as by makemap with ``hint``; None is a map made without one."""

    def __init__(
        self, t: MapType, settings: ClassicSettings, hasher: Hasher, rand: Rand, hint: int | None = None
    ) -> None:
        self.t = t
        self.settings = settings
        self.hasher = hasher
        self.rand = rand
        self.log: Log | None = None
        self.allocator = allocator(settings.malloc_headers)
        self.made = 0
        """Bucket arrays made so far."""
        self.iterators: list[hiter] = []
        """The open ones: they are roots."""
        self.count = 0
        self.flags = 0
        self.B = 0
        self.noverflow = 0
        self.hash0 = rand() & 0xFFFFFFFF
        self.buckets: BucketArray | None = None
        self.oldbuckets: BucketArray | None = None
        self.nevacuate = 0
        self.extra: mapextra | None = None
        self.clearSeq = 0
        while self.overLoadFactor(hint or 0, self.B):
            self.B += 1
        if self.B:
            self.buckets, nextOverflow = self.makeBucketArray(self.B)
            if nextOverflow is not None:
                self.extra = mapextra()
                self.extra.nextOverflow = nextOverflow

    # Memory

    def makeBucketArray(self, b: int, dirtyalloc: BucketArray | None = None) -> tuple[BucketArray, bmap | None]:
        """An array for 2^b buckets, with 2^(b-4) overflow buckets and what the size class leaves over from b=4 on."""
        base = nbuckets = 1 << b
        if b >= 4:
            nbuckets += 1 << (b - 4)
            size = self.t.BucketSize * nbuckets
            up = self.allocator.usable(size, not self.t.pointers)
            if up != size:
                nbuckets = up // self.t.BucketSize
        if dirtyalloc is None:
            slot_bytes = self.allocator.slot(self.t.BucketSize * nbuckets, not self.t.pointers)
            buckets = BucketArray(self.made, base, nbuckets, slot_bytes)
            self.made += 1
        else:
            buckets = dirtyalloc
            for b_ in buckets.bmaps:
                b_.wipe()
        if base == nbuckets:
            return buckets, None
        # the last one is told from the others by an overflow pointer that is not nil
        buckets.bmaps[-1].overflow = buckets.bmaps[0]
        return buckets, buckets.bmaps[base]

    def newoverflow(self, b: bmap) -> bmap:
        """A new overflow bucket at the end of the chain of ``b``."""
        extra = self.extra
        if extra is not None and extra.nextOverflow is not None:
            ovf = extra.nextOverflow
            if ovf.overflow is None:
                assert ovf.array is not None
                extra.nextOverflow = ovf.array.bmaps[ovf.index + 1]
            else:
                ovf.overflow = None
                extra.nextOverflow = None
        else:
            ovf = bmap()
        self.incrnoverflow()
        if not self.t.pointers:
            kept = self.createOverflow()
            kept.bmaps.append(ovf)
            kept.cap = growslice(self.allocator, len(kept.bmaps), kept.cap)
        b.overflow = ovf
        return ovf

    def createOverflow(self) -> Slice:
        """The list of overflow buckets of a map whose buckets are not scanned."""
        if self.extra is None:
            self.extra = mapextra()
        if self.extra.overflow is None:
            self.extra.overflow = Slice()
        return self.extra.overflow

    def incrnoverflow(self) -> None:
        """Count an overflow bucket: exactly below B=16, above with probability 2^(15-B)."""
        if self.B < 16:
            self.noverflow += 1
            return
        mask = (1 << (self.B - 15)) - 1
        if self.rand() & 0xFFFFFFFF & mask == 0:
            self.noverflow += 1

    # When to grow

    def overLoadFactor(self, count: int, B: int) -> bool:
        """Whether ``count`` entries are too many for 2^B buckets."""
        return count > SLOTS and count > self.settings.loadFactorNum * ((1 << B) // loadFactorDen)

    def tooManyOverflowBuckets(self) -> bool:
        """Whether there are about as many overflow buckets as buckets, though the load is low."""
        return self.noverflow >= 1 << min(self.B, 15)

    def noldbuckets(self) -> int:
        """Buckets before the growth in progress."""
        return 1 << (self.B if self.flags & sameSizeGrow else self.B - 1)

    def _note(self, name: str, **facts: int) -> None:
        if self.log is not None:
            self.log.append(Event(name, facts))
