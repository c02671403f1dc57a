"""The mechanism that the article tells of, as far as it can be run: not what Go does, which ``classic`` is.

It says: a map doubles when its writes are more than the load factor times 2^B (1A; 4.1: by all writes, not by the keys
that are there); the old array stays while 2^B buckets are evacuated, one a write (2.1); a live iterator stops that (1A,
4.1), so that old arrays pile up (4.1); an iterator that begins in a growth holds the old array in ``hiter.t0`` until it
ends (4.2). Where the article says nothing, nothing happens.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapscope.lab.model.collector import Heap, HeapObject
from mapscope.lab.model.interface import Bytes, Cursor, Elem, Event, Key, Log
from mapscope.lab.model.maptype import INT_INT, MapType

_HEADER_BYTES = 48


@dataclass(frozen=True, slots=True)
class ArticleSettings:
    """Figures on which the article is not of one mind."""

    load: float = 6.5
    """Writes a bucket before the map doubles."""
    bucket_bytes: int | None = None
    """Bytes of a bucket; None is the ``BucketSize`` of the type."""


SECTION_1A = ArticleSettings()
"""The load factor of 6.5."""
SECTION_2_5 = ArticleSettings(load=2.0, bucket_bytes=16)
"""1024 buckets of 16 bytes for a hint of 1024, and a growth with insert 2049."""


@dataclass(frozen=True, slots=True)
class ArticleState:
    """What the article's diagrams show of a map. Arrays are counted from 0 in the order in which they were made."""

    count: int
    writes: int
    B: int
    buckets: int
    oldbuckets: tuple[int, ...]
    """Arrays that wait for evacuation; more than one when growths outrun it."""
    nevacuate: int
    held: tuple[int, ...]
    """Arrays that ``hiter.t0`` of a live iterator names."""
    iterators: int
    """Live ones."""


class ArticleIterator:
    """An ``hiter`` as the article has it."""

    __slots__ = ("elem", "key", "pending", "t0")

    def __init__(self, pending: list[Key], t0: int | None) -> None:
        self.key: Key | None = None
        self.elem: Elem = None
        self.pending = pending
        """Keys to come, the next one last."""
        self.t0 = t0


class ArticleMap:
    """The map of the article."""

    def __init__(self, t: MapType = INT_INT, settings: ArticleSettings = SECTION_1A, hint: int | None = None) -> None:
        self.t = t
        self.settings = settings
        self.log: Log | None = None
        self.entries: dict[Key, Elem] = {}
        self.B = (hint - 1).bit_length() if hint and hint > 1 else 0
        self.writes = 0
        self.arrays = [self.B]
        """The B of every array ever made; the last is ``buckets``."""
        self.oldbuckets: list[int] = []
        self.nevacuate = 0
        self.iterators: list[ArticleIterator] = []

    def __len__(self) -> int:
        """``len(m)``."""
        return len(self.entries)

    def assign(self, key: Key, elem: Elem) -> None:
        """A write. It may begin a growth, and evacuates."""
        self.entries[key] = elem
        self.writes += 1
        if self.writes > self.settings.load * (1 << self.B):
            self.oldbuckets.append(len(self.arrays) - 1)
            self.B += 1
            self.arrays.append(self.B)
            self.nevacuate = 0
            self._note("hashGrow", B=self.B, arrays=len(self.oldbuckets))
        else:
            self._evacuate()

    def delete(self, key: Key) -> None:
        """A write too, though none that is counted."""
        self.entries.pop(key, None)
        self._evacuate()

    def lookup(self, key: Key) -> tuple[Elem, bool]:
        """A read."""
        return self.entries.get(key), key in self.entries

    def clear(self) -> None:
        """The article does not speak of it: the entries go."""
        self.entries.clear()

    def iterate(self) -> ArticleIterator:
        """Begin, and hold the old array if there is one."""
        it = ArticleIterator(list(reversed(self.entries)), self.oldbuckets[-1] if self.oldbuckets else None)
        self.iterators.append(it)
        self.step(it)
        return it

    def step(self, cursor: Cursor) -> bool:
        """The next entry; at the end the iterator holds nothing and blocks nothing any more."""
        assert isinstance(cursor, ArticleIterator)
        while cursor.pending:
            key = cursor.pending.pop()
            if key in self.entries:
                cursor.key, cursor.elem = key, self.entries[key]
                return True
        cursor.key = cursor.elem = cursor.t0 = None
        return False

    def stop(self, cursor: Cursor) -> None:
        """Leave the loop."""
        assert isinstance(cursor, ArticleIterator)
        self.iterators.remove(cursor)

    def live(self) -> list[ArticleIterator]:
        """Iterators that have not ended."""
        return [it for it in self.iterators if it.key is not None]

    def state(self) -> ArticleState:
        """The fields that the article names."""
        held = sorted({it.t0 for it in self.live() if it.t0 is not None})
        return ArticleState(
            len(self.entries),
            self.writes,
            self.B,
            len(self.arrays) - 1,
            tuple(self.oldbuckets),
            self.nevacuate,
            tuple(held),
            len(self.live()),
        )

    def bytes(self) -> Bytes:
        """Arrays of 2^B buckets, nothing else."""
        state = self.state()
        old = sum(self._array_bytes(number) for number in state.oldbuckets)
        held = sum(self._array_bytes(number) for number in {*state.held} - {*state.oldbuckets})
        return Bytes(_HEADER_BYTES, self._array_bytes(state.buckets), old, 0, held)

    def heap(self) -> Heap:
        """Arrays, and ``hiter.t0`` as a root of old ones."""
        header = HeapObject("hmap", _HEADER_BYTES)
        arrays = {n: HeapObject(f"buckets {n}", self._array_bytes(n)) for n in range(len(self.arrays))}
        header.point("buckets", arrays[len(self.arrays) - 1])
        for number in self.oldbuckets:
            header.point("oldbuckets", arrays[number])
        roots = {"m": HeapObject("m", 0, False, [("m", header)])}
        for number, it in enumerate(self.iterators):
            roots[f"iterator {number}"] = HeapObject("hiter", 0, False, [("h", header)])
            if it.t0 is not None:
                roots[f"iterator {number}"].point("t0", arrays[it.t0])
        return Heap(roots)

    def _array_bytes(self, number: int) -> int:
        each = self.t.BucketSize if self.settings.bucket_bytes is None else self.settings.bucket_bytes
        return each << self.arrays[number]

    def _evacuate(self) -> None:
        """One bucket, unless an iterator lives; after 2^B of them the old arrays are let go."""
        if not self.oldbuckets:
            return
        if self.live():
            self._note("blocked", iterators=len(self.live()))
            return
        self.nevacuate += 1
        if self.nevacuate == 1 << self.B:
            self.oldbuckets.clear()
            self._note("done", B=self.B)

    def _note(self, name: str, **facts: int) -> None:
        if self.log is not None:
            self.log.append(Event(name, facts))
