"""Who keeps what alive alone: immediate dominators, retained sizes, and the few objects that hold most."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope.heap.graph import Graph

I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]

SUSPECT_SHARE = 0.1
"""A suspect retains at least this share of the live heap (Eclipse MAT asks for a fifth, and for objects alone)."""
FOLLOW_SHARE = 0.8
"""From a suspect on, the way down goes on while one child retains this share of its parent: there lies the heap."""
MAX_SUSPECTS = 5
_MAX_STEPS = 256
_MAX_CLIMB = 64
"""Floors that are climbed one by one; from where nodes lie deeper, the tops of all are told at once."""
_LISTED = 16
_CHUNK = 1 << 14


class Suspect(Struct, frozen=True):
    """A dominator, or many of one type, that holds a large part of the heap.

    ``nodes``: the dominators, the largest first (at most 16 are listed; ``count`` has all). ``way``: from the largest
    of them down to where its memory gathers, itself first.
    """

    nodes: tuple[int, ...]
    count: int
    retained: int
    way: tuple[int, ...]


class Dominators:
    """The dominator tree of a graph.

    ``idom`` int32, ``retained`` uint64 by node: its immediate dominator (0: no object and no root alone), and the bytes
    that would be free without it, its own among them.
    """

    def __init__(self, graph: Graph) -> None:
        """Computes all of it: about a second for ten million edges."""
        kernels = load("dominators")
        self.graph = graph
        self.idom: I4 = np.empty(len(graph), dtype=np.int32)
        order = np.empty(len(graph), dtype=np.int32)
        count = kernels.dominators(graph.offsets, graph.targets, self.idom, order)
        self.retained: U8 = graph.shallow()
        kernels.subtree_sums(order[:count], self.idom, self.retained)

    @property
    def total(self) -> int:
        """Live bytes of the heap."""
        return int(self.retained[0]) if len(self.retained) else 0

    def children(self, node: int) -> I8:
        """Nodes with ``node`` as immediate dominator, the one that retains most first."""
        return self._sorted(self._below(node))

    def first_children(self, node: int, top: int) -> tuple[I8, int, int]:
        """The ``top`` of them that retain most, in order, equal ones by node; and of all the count and the bytes."""
        found = self._below(node)
        sizes = self.retained[found]
        count, total = len(found), int(sizes.sum())
        if count > top > 0:
            edge = np.partition(sizes, count - top)[count - top]
            level = np.flatnonzero(sizes == edge)[: top - np.count_nonzero(sizes > edge)]
            found = found[np.sort(np.concatenate([np.flatnonzero(sizes > edge), level]))]
        return self._sorted(found[:top]), count, total

    def _below(self, node: int) -> I8:
        here = self.idom == node
        here[:1] = False
        found: I8 = np.flatnonzero(here)
        return found

    def _sorted(self, nodes: I8) -> I8:
        order: I8 = np.argsort(~self.retained[nodes], kind="stable")
        out: I8 = nodes[order]
        return out

    def tops(self, nodes: I8) -> I8:
        """Of each node its highest dominator below node 0; of node 0 itself."""
        top = nodes
        for _ in range(_MAX_CLIMB):
            above = self.idom[top]
            if not (above > 0).any():
                return top
            top = np.where(above > 0, above, top)
        found: I8 = self._tops[nodes].astype(np.int64)
        return found

    @cached_property
    def _tops(self) -> I4:
        """The same by node. Pointer jumping: a list of n objects takes log n rounds."""
        top = np.where(self.idom > 0, self.idom, np.arange(len(self.idom), dtype=np.int32))
        while True:
            higher = top[top]
            if np.array_equal(higher, top):
                return top
            top = higher

    def largest(self, top: int) -> I8:
        """The nodes right below node 0 that retain most: objects, variables, stacks; at most ``top`` (0: all)."""
        found = self._below(0)
        found = self._sorted(found[self.retained[found] > 0])
        return found[:top] if top else found

    def way(self, node: int) -> tuple[int, ...]:
        """From ``node`` down to where its memory gathers: the first without a child that has most of it."""
        out = [node]
        while len(out) < _MAX_STEPS:
            below = self._below(out[-1])
            first = int(below[self.retained[below].argmax()]) if len(below) else -1
            if first < 0 or self.retained[first] < FOLLOW_SHARE * float(self.retained[out[-1]]):
                break
            out.append(first)
        return tuple(out)

    def suspects(self, types: I4) -> tuple[Suspect, ...]:
        """The few that hold most. ``types``: type id of each node, negative for unknown ones and for roots.

        One node that holds enough is a suspect of its own, looked for below roots and below suspects that spread out;
        many of one type that do so together, with one dominator, are one suspect.
        """
        enough = SUSPECT_SHARE * self.total
        found: list[Suspect] = []
        work = [0]
        while work and enough and len(found) < MAX_SUSPECTS:
            below = self._below(work.pop(0))
            enough_alone = self.retained[below] >= enough
            large = self._sorted(below[enough_alone])
            for node in large[: MAX_SUSPECTS - len(found)].tolist():
                way = self.way(node)
                if node < self.graph.base and way[-1] == node:
                    work.append(node)  # a root that spreads out is no suspect; what lies below it may be
                else:
                    found.append(Suspect((node,), 1, int(self.retained[node]), way))
            found += self._groups(below[~enough_alone], types, enough)
        return tuple(sorted(found, key=lambda s: -s.retained)[:MAX_SUSPECTS])

    def _groups(self, nodes: I8, types: I4, enough: float) -> list[Suspect]:
        """Suspects of many small nodes of one type; millions of nodes are looked at a few thousand at a time."""
        parts = [nodes[at : at + _CHUNK] for at in range(0, len(nodes), _CHUNK)]
        sums = np.zeros(int(types.max(initial=-1)) + 1, dtype=np.float64)
        for part in parts:
            kinds = types[part]
            known = kinds >= 0
            sums += np.bincount(kinds[known], self.retained[part[known]].astype(np.float64), len(sums))
        return (
            [self._group(parts, types, kind) for kind in np.flatnonzero(sums >= enough).tolist()] if len(nodes) else []
        )

    def _group(self, parts: Iterable[I8], types: I4, kind: int) -> Suspect:
        """The suspect of the nodes of one type."""
        first, count, total = np.zeros(0, dtype=np.int64), 0, 0
        for part in parts:
            mine = part[types[part] == kind]
            sizes = self.retained[mine]
            count, total = count + len(mine), total + int(sizes.sum())
            if len(first) == _LISTED:
                mine = mine[sizes > self.retained[first[-1]]]
            if len(mine):
                first = self._sorted(np.concatenate([first, mine]))[:_LISTED]
        return Suspect(tuple(first.tolist()), count, total, self.way(int(first[0])))
