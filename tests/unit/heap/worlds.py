"""Graphs over small heaps made in memory, beside plain models of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from mapscope.goruntime.targets import build_targets
from mapscope.heap.edges import EdgeSearch
from mapscope.heap.graph import Graph, RootKind, _connect, _Groups, reach
from mapscope.heap.steps import Step, Steps, StepTable
from tests.unit.kernels.heaps import MARKED, World, random_world


@dataclass
class Model:
    """What a graph should be: ends of the edges of each node, and the offsets of the words behind each edge."""

    graph: Graph
    edges: list[list[int]]
    world: World
    """Keeps the bytes that the graph's index points to."""
    words: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def distances(self, start: int = 0, without: int = -1) -> dict[int, int]:
        """Steps from ``start`` to each node that is reached."""
        far, work = {start: 0}, [start]
        for node in work:
            for t in self.edges[node]:
                if t not in far and t != without:
                    far[t] = far[node] + 1
                    work.append(t)
        return far


class PlainSteps(Steps):
    """Steps whose names are node numbers and whose fields are offsets; where words lie is found as ever."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    @property
    def _leads(self):
        return build_targets(self._graph.index)

    def objects(self, nodes, offsets):
        return StepTable.of([
            Step("object", node, "T", f"+{offset}" if offset >= 0 else None, str(node))
            for node, offset in zip(nodes.tolist(), offsets.tolist(), strict=True)
        ])  # fmt: skip

    def root(self, node, child):
        return self.static(int(self._graph.roots.key[node]), self._word(node, child)[0], leads=child >= 0)

    def static(self, key, address, *, leads):
        return Step("global", key + 1, None, f"+{address}" if leads else None, f"root {key + 1}")


def make(plans, start: int, seed: int, kinds: list[RootKind]) -> Model:
    """A heap of ``plans`` in which one group of roots a kind holds a few objects; all that they reach is live."""
    world = random_world(plans, start, seed)
    rng = random.Random(seed)
    pointers = [pointees(world, oid) for oid in range(len(world.slots))]
    held = [
        sorted(rng.sample(range(len(world.slots)), rng.randrange(1, min(5, len(world.slots) + 1))))
        if kind != RootKind.UNSURE
        else []
        for kind in kinds
    ]
    live, work = set(), [oid for oids in held for oid in oids]
    while work:
        oid = work.pop()
        if oid not in live:
            live.add(oid)
            work += [to for _, to in pointers[oid]]
    flags = np.zeros(len(world.slots), dtype=np.uint8)
    flags[list(live)] = MARKED
    graph = reach(
        _connect(world.index, EdgeSearch(world.index, build_targets(world.index), flags).take(), groups_of(kinds, held))
    )
    rank = {oid: graph.base + at for at, oid in enumerate(sorted(live))}
    parents = graph.roots.parent.tolist()
    edges = [[child for child in range(1, graph.base) if parents[child] == node] for node in range(graph.base)]
    for group, oids in enumerate(held, 1):
        edges[group] += [rank[oid] for oid in oids]
    model = Model(graph, edges, world, sizes=[0] * graph.base)
    for oid in sorted(live):
        node = rank[oid]
        model.edges.append([rank[to] for _, to in pointers[oid] if to != oid])
        model.sizes.append(world.slots[oid].size)
        for at, to in pointers[oid]:
            model.words.setdefault((node, rank[to]), []).append(at)
    return model


def groups_of(kinds: list[RootKind], held: list[list[int]]) -> _Groups:
    """One group for each of ``kinds`` (ascending), which holds the objects ``held``."""
    hub = kinds.index(RootKind.UNSURE) + 1 if RootKind.UNSURE in kinds else 0
    rows = [(group, oid) for group, oids in enumerate(held, 1) for oid in oids]
    return _Groups(
        np.array(kinds, dtype=np.uint8),
        np.arange(len(kinds), dtype=np.uint64) * (np.array(kinds) != RootKind.UNSURE),
        np.array([hub if kind == RootKind.UNSURE_STACK else 0 for kind in kinds], dtype=np.int32),
        np.array([group for group, _ in rows], dtype=np.int64),
        np.arange(len(rows), dtype=np.uint64) * np.uint64(8),
        np.array([oid for _, oid in rows], dtype=np.int64),
        np.full(len(rows), -1, dtype=np.int64),
    )


def pointees(world: World, oid: int) -> list[tuple[int, int]]:
    """Byte offset and object id for each pointer word of a slot that points to a slot."""
    slot = world.slots[oid]
    if world.span_of(slot).noscan:
        return []
    words = ((address, value) for address, value in world.words_of(slot) if value >= 4096)
    found = ((address - slot.base, world.slot_at(value)) for address, value in words)
    return [(at, to.oid) for at, to in found if to is not None]
