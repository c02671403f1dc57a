"""The edges between live objects alone: what does not depend on roots. They are found part by part, in two threads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope.arrays import zeros
from mapscope.errors import LayoutError
from mapscope.goruntime.index import HeapIndex
from mapscope.goruntime.targets import Targets
from mapscope.heap.later import Later

I4 = npt.NDArray[np.int32]
U4 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint64]

MOST_NODES = (1 << 31) - 2
MOST_EDGES = (1 << 32) - 2
_PART = 16 << 20
"""Bytes of memory with pointers that are looked through at a time."""
_ROOM = 16 << 20
"""Numbers that are made place for at once: many parts share the huge pages."""


class Edges(Struct, frozen=True):
    """Edges of consecutive live objects: those of the i-th end in ``targets[offsets[i]:offsets[i + 1]]``.

    ``targets``: ranks among all live objects.
    """

    offsets: U4
    targets: I4


class ObjectGraph(Struct, frozen=True):
    """Edges between live objects alone, numbered by rank among them.

    ``directory``: uint64 pairs (64 bits of live objects, live objects before them), by object id. ``parts``: in the
    order of the objects; whoever makes a graph of it takes them out one by one.
    """

    directory: U8
    parts: list[Edges]

    def __len__(self) -> int:
        return sum(len(part.offsets) - 1 for part in self.parts)

    @property
    def edges(self) -> int:
        """How many there are."""
        return sum(len(part.targets) for part in self.parts)

    def take(self) -> Iterator[Edges]:
        """The parts, each of which is forgotten when the next one is asked for."""
        self.parts.reverse()
        while self.parts:
            yield self.parts.pop()


def live_before(directory: U8, objects: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many live objects come before each object id."""
    bits, before = directory[2 * (objects >> 6)], directory[2 * (objects >> 6) + 1]
    below = (np.uint64(1) << (objects & 63).astype(np.uint64)) - np.uint64(1)
    out: npt.NDArray[np.int64] = before.astype(np.int64) + _ones(bits & below)
    return out


def _ones(words: U8) -> npt.NDArray[np.int64]:
    """Bits that are set in each word."""
    two, four = np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    words = words - (words >> np.uint64(1) & np.uint64(0x5555555555555555))
    words = (words & two) + (words >> np.uint64(2) & two)
    words = words + (words >> np.uint64(4)) & four
    return (words * np.uint64(0x0101010101010101) >> np.uint64(56)).astype(np.int64)


class EdgeSearch:
    """The search for all edges between the objects that ``flags`` calls marked."""

    def __init__(self, index: HeapIndex, leads: Targets, flags: npt.NDArray[np.uint8]) -> None:
        """``leads``: where pointers lead in ``index``."""
        self._index, self._leads, self._flags = index, leads, flags
        self._begun: tuple[Later[U8], list[Later[Edges]]] | None = None
        self._rests: list[I4] = []

    def start(self) -> None:
        """Begins in the other thread."""
        directory, parts = self._begun = self._begin()
        directory.start()
        for part in parts:
            part.start()

    def _begin(self) -> tuple[Later[U8], list[Later[Edges]]]:
        directory = Later(self._number)
        bounds = self._bounds()
        return directory, [Later(partial(self._part, directory, low, high)) for low, high in pairwise(bounds)]

    def _bounds(self) -> list[int]:
        """Between which spans the parts end."""
        spans = self._index.spans
        sizes = np.where(spans["noscan"] != 0, 0, spans["bytes"]).astype(np.int64)
        ends = np.flatnonzero(np.diff(np.cumsum(sizes) // _PART)) + 1
        return [0, *ends.tolist(), len(spans)]

    def take(self) -> ObjectGraph:
        """All edges. What the other thread has not begun by now is done here; the next call searches again.

        Raises LayoutError when the heap has more than two thousand million live objects.
        """
        begun, self._begun = self._begun or self._begin(), None
        directory = begun[0].get()
        for part in reversed(begun[1]):  # the other thread is at the first ones
            part.get()
        found = ObjectGraph(directory, [part.get() for part in begun[1]])
        self._rests.clear()
        if found.edges > MOST_EDGES:
            many = f"{len(found):,} live objects hold more pointers than the graph can number"
            raise LayoutError(many, "tell us about it")
        return found

    def _number(self) -> U8:
        directory = np.zeros(2 * (self._index.nobjects // 64 + 1), dtype=np.uint64)
        live = load("graph").number(self._flags, directory)
        if live > MOST_NODES:
            raise LayoutError(f"{live:,} live objects are more than the graph can number", "tell us about it")
        return directory

    def _part(self, directory: Later[U8], low: int, high: int) -> Edges:
        """Edges of the objects in spans ``low`` to ``high``."""
        kernels, spans, numbers = load("graph"), self._index.spans[low:high], directory.get()
        if low == high:
            return Edges(np.zeros(1, dtype=np.uint32), np.zeros(0, dtype=np.int32))
        ends = np.array([spans["first"][0], spans["first"][-1] + spans["nelems"][-1]], dtype=np.int64)
        before, behind = live_before(numbers, ends).tolist()
        words = int((spans["bytes"] * (spans["noscan"] == 0)).sum()) // 8
        # memory that is never written takes no room: the bound may be generous
        bound = behind - before + 1 + min(words, 64 * len(self._index.ptrmask))
        room = self._room(bound)
        offsets, targets = room[: behind - before + 1].view(np.uint32), room[behind - before + 1 : bound]
        count = kernels.edges(self._index, self._leads, numbers, low, high, offsets, targets)
        self._rests.append(room[len(offsets) + count :])
        return Edges(offsets, targets[:count])

    def _room(self, bound: int) -> I4:
        """Place for so many numbers: what the last part of this thread left, where it is enough."""
        try:
            room = self._rests.pop()
        except IndexError:
            room = zeros(0, np.int32)
        return room if len(room) >= bound else zeros(max(bound, _ROOM), np.int32)
