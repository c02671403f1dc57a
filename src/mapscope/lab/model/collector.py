"""What the collector finds: objects, the pointers between them, and the roots. Small enough to be asked who keeps what.

An object is scanned by its type's pointer mask: a word that the mask does not name keeps nothing (``nevacuate``, or the
overflow pointer of buckets without pointers). A pointer into an object keeps the whole object
(runtime/mgcmark.go, scanobject and greyobject).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

HMAP = {"buckets": 2, "oldbuckets": 3, "extra": 5}
"""Pointer words of an ``hmap`` (with ``clearSeq`` before it, extra is word 6)."""
MAPEXTRA = {"overflow": 0, "oldoverflow": 1, "nextOverflow": 2}
HITER = {"key": 0, "elem": 1, "t": 2, "h": 3, "buckets": 4, "bptr": 5, "overflow": 6, "oldoverflow": 7}
MAP = {"dirPtr": 2}
TABLE = {"groups.data": 2}
ITER = {"key": 0, "elem": 1, "typ": 2, "m": 3, "tab": 9, "group.data": 10}


def mask(pointers: dict[str, int]) -> str:
    """A pointer mask as the runtime's tools write it: a digit a word, up to the last pointer."""
    return "".join("1" if word in pointers.values() else "0" for word in range(max(pointers.values()) + 1))


@dataclass(eq=False, slots=True)
class HeapObject:
    """An allocated object. ``bytes``: of its slot."""

    name: str
    bytes: int
    structure: bool = True
    """Part of the map; False for what keys and elems point to."""
    pointers: list[tuple[str, HeapObject]] = field(default_factory=list)
    """Name of the field, and what it points to or into."""

    def point(self, name: str, target: HeapObject | None) -> None:
        """Write a pointer; None is nil."""
        if target is not None:
            self.pointers.append((name, target))


@dataclass(frozen=True, slots=True)
class Heap:
    """Roots by name: ``m`` is the map variable, ``iterator 0`` and so on the open iterators."""

    roots: dict[str, HeapObject]

    def live(self, roots: Iterable[str] | None = None) -> set[HeapObject]:
        """What is reached from these roots, or from all. An iterator on a stack is a root and no object of the heap."""
        stack = [self.roots[name] for name in (self.roots if roots is None else roots)]
        found = set(stack)
        while stack:
            for _, target in stack.pop().pointers:
                if target not in found:
                    found.add(target)
                    stack.append(target)
        return found

    def kept_by(self, *roots: str) -> set[HeapObject]:
        """What only these roots keep: it would be freed if they were gone."""
        return self.live() - self.live(name for name in self.roots if name not in roots)

    def bytes_kept_by(self, *roots: str, structure: bool | None = None) -> int:
        """Bytes of that; ``structure``: of the map's own objects alone (True), of the others alone (False)."""
        return sum(one.bytes for one in self.kept_by(*roots) if structure in (None, one.structure))

    def chain(self, root: str, name: str) -> list[str] | None:
        """The fields from a root to an object of that name, by the fewest steps; None when it is not reached."""
        first = self.roots[root]
        came: dict[HeapObject, tuple[HeapObject, str] | None] = {first: None}
        for at in self._breadth_first(first, came):
            if at.name == name:
                steps: list[str] = []
                step = came[at]
                while step is not None:
                    steps.append(step[1])
                    step = came[step[0]]
                return [root, *reversed(steps)]
        return None

    @staticmethod
    def _breadth_first(
        first: HeapObject, came: dict[HeapObject, tuple[HeapObject, str] | None]
    ) -> Iterator[HeapObject]:
        queue = [first]
        for at in queue:  # grows
            yield at
            for name, target in at.pointers:
                if target not in came:
                    came[target] = at, name
                    queue.append(target)
