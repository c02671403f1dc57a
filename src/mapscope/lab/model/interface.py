"""What every model of a map can do, so that a scenario can ask all of them the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol

from mapscope.lab.model.collector import Heap

Key = Hashable
"""A key: anything that equals itself. NaN is left out: its hash is drawn anew each time (runtime/alg.go, f64hash)."""
Elem = object
"""An elem: anything; the models only move it."""
Hasher = Callable[[Key, int], int]
"""The hash (64 bits) of a key under a seed: ``maptype.Hasher``."""
Rand = Callable[[], int]
"""A random number of 64 bits: ``runtime.rand``."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened inside an operation, named by the runtime's function."""

    name: str
    facts: dict[str, int] = field(default_factory=dict)


Log = list[Event]


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes of heap slots that a map and its open iterators keep, by part. Contents of pointers are not counted."""

    header: int
    """``hmap`` with ``mapextra``, or ``maps.Map``."""
    buckets: int
    """The bucket array; of a Swiss map directory, tables and groups."""
    oldbuckets: int
    """The old bucket array. Swiss maps have none."""
    overflow: int
    """Overflow buckets outside the arrays, and the lists of them. Swiss maps have none."""
    pinned: int
    """What only open iterators keep: arrays, overflow buckets, tables and groups that the map has left behind."""

    @property
    def total(self) -> int:
        """All parts."""
        return self.header + self.buckets + self.oldbuckets + self.overflow + self.pinned


class Cursor(Protocol):
    """An open iterator. ``key`` is None at the end, as the runtime writes nil there."""

    @property
    def key(self) -> Key | None:
        """The key at which it stands."""

    @property
    def elem(self) -> Elem:
        """The elem of that key."""


class MapModel(Protocol):
    """One map. Operations are those of Go; each has finished before the next begins."""

    log: Log | None
    """Where events go; None records nothing."""

    def __len__(self) -> int:
        """``len(m)``."""

    def assign(self, key: Key, elem: Elem) -> None:
        """``m[key] = elem``."""

    def delete(self, key: Key) -> None:
        """``delete(m, key)``."""

    def lookup(self, key: Key) -> tuple[Elem, bool]:
        """``elem, ok := m[key]``."""

    def clear(self) -> None:
        """``clear(m)``."""

    def iterate(self) -> Cursor:
        """``for key, elem := range m`` up to its first entry. The iterator is open until :meth:`stop`."""

    def step(self, cursor: Cursor) -> bool:
        """The next entry; False at the end, which does not close the iterator: its frame is still there."""

    def stop(self, cursor: Cursor) -> None:
        """Leave the loop: nothing of the iterator is a root any more."""

    def state(self) -> object:
        """All that the differential test compares, as frozen records of plain data."""

    def heap(self) -> Heap:
        """The objects of the map and the roots that lead to them: to ask who keeps what."""

    def bytes(self) -> Bytes:
        """What is kept now."""
