"""The life of a classic map of Go, write by write, for long curves: the plain version of _classicmap.pyx.

It follows runtime/map.go as the readable model of the lab does (mapassign, mapdelete, mapclear, hashGrow, growWork,
evacuate). A key is its hash: two keys are the same when their hashes are. There are no iterators.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]
B1 = npt.NDArray[np.uint8]

ASSIGN, DELETE, CLEAR = 0, 1, 2
COLUMNS = (
    "count",
    "B",
    "growing",
    "sameSizeGrow",
    "noverflow",
    "nevacuate",
    "extra",
    "apart",
    "oldapart",
    "overflow",
    "oldoverflow",
)
"""Of a row: ``apart``, ``oldapart``: overflow buckets outside the arrays that the header reaches; ``overflow``,
``oldoverflow``: lengths of the lists of mapextra, -1 for nil."""

_SLOTS = 8
_LARGEST_B = 26
_REST, _ONE, _X, _GONE, _LEAST = 0, 1, 2, 4, 5
_MASK = (1 << 64) - 1


class _Array:
    """Buckets: 2^b, those made with them, then overflow buckets apart."""

    def __init__(self, b: int, made: int) -> None:
        self.base = 1 << b
        self.made = made
        self.tophash = bytearray(_SLOTS * made)
        self.keys = [0] * (_SLOTS * made)
        self.overflow = [-1] * made

    def more(self) -> int:
        """A bucket apart."""
        self.tophash += bytes(_SLOTS)
        self.keys += [0] * _SLOTS
        self.overflow.append(-1)
        return len(self.overflow) - 1

    @property
    def apart(self) -> int:
        """How many are apart."""
        return len(self.overflow) - self.made

    def evacuated(self, bucket: int) -> bool:
        """Whether a bucket has been emptied into the new array."""
        return _ONE < self.tophash[_SLOTS * bucket] < _LEAST


class _Map:
    def __init__(self, b: int, load: int, scanned: bool, made: list[int], seed: int) -> None:
        self.b, self.load, self.scanned, self.made, self.seed = b, load, scanned, made, seed
        self.old: _Array | None = None
        self.count = self.noverflow = self.nevacuate = self.same = self.oldapart = self.extra = 0
        self.lists = [-1, -1]
        self.free = -1
        self.now = self.array(b)

    def array(self, b: int) -> _Array:
        if b >= len(self.made) or b > _LARGEST_B:
            raise MemoryError
        array = _Array(b, self.made[b])
        if array.made > array.base:
            self.free = array.base
            self.extra = 1
        return array

    def draw(self) -> int:
        self.seed = (self.seed + 0x9E3779B97F4A7C15) & _MASK
        z = self.seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def over_load(self, count: int) -> bool:
        return count > _SLOTS and count > self.load * ((1 << self.b) // 2)

    def new_overflow(self, bucket: int) -> int:
        if self.free >= 0:
            new = self.free
            self.free = new + 1 if new + 1 < self.now.made else -1
        else:
            new = self.now.more()
        if self.b < 16 or self.draw() & 0xFFFFFFFF & ((1 << (self.b - 15)) - 1) == 0:
            self.noverflow += 1
        if not self.scanned:
            self.extra = 1
            self.lists[0] = max(self.lists[0], 0) + 1
        self.now.overflow[bucket] = new
        return new

    def search(self, bucket: int, hash_: int) -> tuple[bool, int, int]:
        """Whether the key is there; its cell or the first free one (-1: none); the last bucket."""
        top, insert = _top(hash_), -1
        while True:
            for cell in range(_SLOTS * bucket, _SLOTS * (bucket + 1)):
                seen = self.now.tophash[cell]
                if seen == top and self.now.keys[cell] == hash_:
                    return True, cell, bucket
                if seen <= _ONE:
                    if insert < 0:
                        insert = cell
                    if seen == _REST:
                        return False, insert, bucket
            if self.now.overflow[bucket] < 0:
                return False, insert, bucket
            bucket = self.now.overflow[bucket]

    def assign(self, hash_: int) -> None:
        while True:
            bucket = hash_ & ((1 << self.b) - 1)
            if self.old is not None:
                self.grow_work(bucket)
            found, cell, last = self.search(bucket, hash_)
            if found:
                return
            if self.old is None and (self.over_load(self.count + 1) or self.noverflow >= 1 << min(self.b, 15)):
                self.hash_grow()
                continue
            if cell < 0:
                cell = _SLOTS * self.new_overflow(last)
            self.now.tophash[cell] = _top(hash_)
            self.now.keys[cell] = hash_
            self.count += 1
            return

    def delete(self, hash_: int) -> None:
        if self.count == 0:
            return
        first = hash_ & ((1 << self.b) - 1)
        if self.old is not None:
            self.grow_work(first)
        found, cell, bucket = self.search(first, hash_)
        if not found:
            return
        if self.scanned:
            self.now.keys[cell] = 0
        self.now.tophash[cell] = _ONE
        self.mark_rest(first, bucket, cell)
        self.count -= 1
        if self.count == 0:
            self.draw()

    def mark_rest(self, first: int, bucket: int, cell: int) -> None:
        after = self.now.overflow[bucket]
        if cell % _SLOTS == _SLOTS - 1:
            if after >= 0 and self.now.tophash[_SLOTS * after] != _REST:
                return
        elif self.now.tophash[cell + 1] != _REST:
            return
        while True:
            self.now.tophash[cell] = _REST
            if cell % _SLOTS == 0:
                if bucket == first:
                    return
                before = first
                while self.now.overflow[before] != bucket:
                    before = self.now.overflow[before]
                bucket = before
                cell = _SLOTS * bucket + _SLOTS - 1
            else:
                cell -= 1
            if self.now.tophash[cell] != _ONE:
                return

    def clear(self) -> None:
        if self.count == 0:
            return
        self.old = None
        self.count = self.noverflow = self.nevacuate = self.same = self.oldapart = 0
        self.lists = [-1, -1]
        self.draw()
        self.free = -1
        self.now = self.array(self.b)

    def hash_grow(self) -> None:
        self.same = int(not self.over_load(self.count + 1))
        self.b += 1 - self.same
        self.old, self.oldapart = self.now, self.now.apart
        self.now = self.array(self.b)
        self.nevacuate = self.noverflow = 0
        if self.lists[0] >= 0:
            self.lists = [-1, self.lists[0]]

    def grow_work(self, bucket: int) -> None:
        assert self.old is not None
        self.evacuate(bucket & (self.old.base - 1))
        if self.old is not None:
            self.evacuate(self.nevacuate)

    def evacuate(self, first: int) -> None:
        old = self.old
        assert old is not None
        if not old.evacuated(first):
            to, filled = [first, first + (0 if self.same else old.base)], [0, 0]
            bucket = first
            unlinked = self.scanned  # up to an overflow bucket that lies in the array itself, which is not cleared
            while bucket >= 0:
                for cell in range(_SLOTS * bucket, _SLOTS * (bucket + 1)):
                    top = old.tophash[cell]
                    if top <= _ONE:
                        old.tophash[cell] = _GONE
                        continue
                    y = int(not self.same and bool(old.keys[cell] & old.base))
                    old.tophash[cell] = _X + y
                    if filled[y] == _SLOTS:
                        to[y], filled[y] = self.new_overflow(to[y]), 0
                    self.now.tophash[_SLOTS * to[y] + filled[y]] = top
                    self.now.keys[_SLOTS * to[y] + filled[y]] = old.keys[cell]
                    filled[y] += 1
                if bucket >= old.made:
                    self.oldapart -= unlinked
                elif bucket != first:
                    unlinked = False
                bucket = old.overflow[bucket]
            if self.scanned:  # unlinked and cleared, as there is no iterator
                old.overflow[first] = -1
                old.keys[_SLOTS * first : _SLOTS * (first + 1)] = [0] * _SLOTS
        if first == self.nevacuate:
            self.nevacuate += 1
            stop = min(self.nevacuate + 1024, old.base)
            while self.nevacuate != stop and old.evacuated(self.nevacuate):
                self.nevacuate += 1
            if self.nevacuate == old.base:
                self.old = None
                self.same = self.oldapart = 0
                self.lists[1] = -1

    def row(self) -> list[int]:
        growing = int(self.old is not None)
        parts = [self.count, self.b, growing, self.same, self.noverflow, self.nevacuate, self.extra]
        return [*parts, self.now.apart, self.oldapart, *self.lists]


def _top(hash_: int) -> int:
    top = hash_ >> 56
    return top + _LEAST if top < _LEAST else top


def run(
    ops: B1,
    hashes: U8,
    at: I8,
    b: int,
    load: int,
    scanned: bool,
    made: I8,
    seed: int,
    rows: I8,
    keep: bool,
) -> tuple[B1, U8, npt.NDArray[np.int32], B1, U8, npt.NDArray[np.int32]]:
    """Leads a map through ``ops`` (ASSIGN, DELETE, CLEAR) on ``hashes``, from 2^b empty buckets on.

    ``load`` is loadFactorNum, ``scanned`` whether buckets hold pointers, ``made`` by b how many buckets an array has
    with the overflow buckets made with them. Random numbers are splitmix64 from ``seed``. Row i of ``rows`` (COLUMNS)
    is the header when ``at[i]`` operations are done; ``at`` ascends. The answer, empty unless ``keep``, is the memory
    at the end: tophash, keys and overflow (index or -1) of the array, and of the old one. Raises MemoryError beyond the
    end of ``made``.
    """
    if len(ops) != len(hashes) or rows.shape != (len(at), len(COLUMNS)):
        raise ValueError("ops and hashes, or at and rows, differ in length")
    h = _Map(b, load, scanned, made.tolist(), seed)
    row = 0
    wanted = at.tolist()
    for done, (op, hash_) in enumerate(zip(ops.tolist(), hashes.tolist(), strict=True)):
        while row < len(wanted) and wanted[row] <= done:
            rows[row] = h.row()
            row += 1
        if op == ASSIGN:
            h.assign(hash_)
        elif op == DELETE:
            h.delete(hash_)
        else:
            h.clear()
    for left in range(row, len(wanted)):
        rows[left] = h.row()
    return (*_memory(h.now if keep else None), *_memory(h.old if keep else None))


def _memory(array: _Array | None) -> tuple[B1, U8, npt.NDArray[np.int32]]:
    if array is None:
        array = _Array(0, 0)
    return (
        np.frombuffer(bytes(array.tophash), dtype=np.uint8),
        np.array(array.keys, dtype=np.uint64),
        np.array(array.overflow, dtype=np.int32),
    )
