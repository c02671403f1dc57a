"""The states of a map and the ways between them, found by running a model: what the diagram of section 2.1 should show.

Each kind of write and read is done over and over from every state that was found, where it begins and where one more
write would end it, with two hashes: a good one, and one that sends nine keys after another to the same bucket, so that
overflow buckets pile up and same-size growths come.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mapscope.lab.model.article import ArticleMap
from mapscope.lab.model.buckets import sameSizeGrow
from mapscope.lab.model.classic import ClassicMap
from mapscope.lab.model.interface import Cursor, Hasher, Key, MapModel
from mapscope.lab.model.making import make, mixed_hash
from mapscope.lab.model.swiss import SwissMap

PATIENCE = 1000
"""How often a write is repeated from one state."""
SHORT_PATIENCE = 20
"""How often the rest."""


@dataclass(frozen=True, slots=True)
class Node:
    """A state: what holds of some fields of the header, in words."""

    name: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """An action in a state, and what it came to. ``events``: the runtime's functions that had to do with it."""

    source: Node
    action: str
    events: tuple[str, ...]
    target: Node


@dataclass(frozen=True, slots=True)
class Machine:
    """All that was found, in the order in which it was found. The first node is that of a new map."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def changes(self) -> tuple[Edge, ...]:
        """Edges that lead to another state."""
        return tuple(edge for edge in self.edges if edge.source != edge.target)

    def node(self, name: str) -> Node:
        """The node of that name. Raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)


@dataclass(slots=True)
class Walker:
    """A model, and which keys are in it."""

    model: MapModel
    fresh: int = 0
    keys: list[int] = field(default_factory=list)
    """Keys that are in the map, the oldest first."""
    cursor: Cursor | None = None

    def act(self, action: str) -> tuple[str, ...]:
        """Do it; the names of the events, each once."""
        self.model.log = []
        match action:
            case "new key":
                self.add()
            case "new key beside an open range":
                if self.cursor is None:
                    self.cursor = self.model.iterate()
                self.add()
            case "new key for the oldest":
                self.drop()
                self.add()
            case "update":
                if self.keys:
                    self.model.assign(self.keys[-1], None)
            case "delete":
                self.drop()
            case "delete of an absent key":
                self.model.delete(-1)
            case "clear":
                self.model.clear()
                self.keys.clear()
            case "read":
                self.model.lookup(self.keys[0] if self.keys else -1)
            case "range":
                cursor = self.model.iterate()
                while cursor.key is not None and self.model.step(cursor):
                    pass
                self.model.stop(cursor)
        return tuple(dict.fromkeys(event.name for event in self.model.log))

    def add(self) -> None:
        """A key that was never there."""
        self.fresh += 1
        self.keys.append(self.fresh)
        self.model.assign(self.fresh, None)

    def drop(self) -> None:
        """The oldest key."""
        if self.keys:
            self.model.delete(self.keys.pop(0))


ACTIONS = (
    "new key",
    "new key beside an open range",
    "new key for the oldest",
    "update",
    "delete",
    "delete of an absent key",
    "clear",
    "read",
    "range",
)


def nine_a_bucket(key: Key, seed: int) -> int:
    """A hash that sends nine keys after another to the same bucket."""
    number = key if isinstance(key, int) else 0
    return mixed_hash(key, seed) >> 56 << 56 | (number // 9 & (1 << 56) - 1)


@functools.cache
def state_machine(release: str) -> Machine:
    """Of the map of a release ("1.23", "1.26"), or of the article's ("article"). Takes one to five seconds, once."""
    if release == "article":
        return explore([ArticleMap], node_of)
    hashers: tuple[Hasher, ...] = (mixed_hash, nine_a_bucket)
    return explore([_maker(release, hasher) for hasher in hashers], node_of)


def _maker(release: str, hasher: Hasher) -> Callable[[], MapModel]:
    return lambda: make(release, hasher=hasher)


def explore(makers: list[Callable[[], MapModel]], name: Callable[[MapModel], Node]) -> Machine:
    """Every state that is reached by repeating actions, from new maps on."""
    nodes: dict[Node, None] = {}
    edges: dict[Edge, None] = {}
    for maker in makers:
        seen: set[tuple[Node, bool]] = set()
        waiting: list[tuple[tuple[str, ...], Node, bool]] = [((), name(maker()), False)]
        for path, node, brink in waiting:  # grows
            if (node, brink) in seen:
                continue
            seen.add((node, brink))
            nodes.setdefault(node)
            for action in ACTIONS:
                waiting += _repeat(maker, path, action, name, edges)
    for edge in edges:
        nodes.setdefault(edge.source)
        nodes.setdefault(edge.target)
    return Machine(tuple(nodes), tuple(edges))


def _repeat(
    maker: Callable[[], MapModel],
    path: tuple[str, ...],
    action: str,
    name: Callable[[MapModel], Node],
    edges: dict[Edge, None],
) -> Iterator[tuple[tuple[str, ...], Node, bool]]:
    """Do one thing many times and note every edge.

    Says the ways to the states that were met: to their beginnings, and to their brinks (True), where one more of this
    leads out.
    """
    walker = Walker(maker())
    for step in path:
        walker.act(step)
    node = name(walker.model)
    met = {node}
    patience = SHORT_PATIENCE if action in ("clear", "read", "range") else PATIENCE
    for times in range(1, patience + 1):
        events = walker.act(action)
        target = name(walker.model)
        edges.setdefault(Edge(node, action, events, target))
        if target != node:
            yield (*path, *[action] * (times - 1)), node, True
        if target not in met:
            met.add(target)
            yield (*path, *[action] * times), target, False
        node = target


def node_of(model: MapModel) -> Node:
    """The state of a model, by its own fields."""
    if isinstance(model, ClassicMap):
        return _classic(model)
    if isinstance(model, SwissMap):
        return _swiss(model)
    assert isinstance(model, ArticleMap)
    return _article(model)


def _classic(h: ClassicMap) -> Node:
    """A classic map: arrays, and how far ``nevacuate`` is."""
    if h.buckets is None:
        return Node("new", (("buckets", "nil"), ("oldbuckets", "nil"), ("nevacuate", "0")))
    fields = [("buckets", "2^B")]
    if h.oldbuckets is None:
        reached = {1 << h.B >> 1: "2^(B-1)", 1 << h.B: "2^B"}[h.nevacuate] if h.nevacuate else "0"
        name = {"0": "filled", "2^(B-1)": "doubled", "2^B": "grown to the same size"}[reached]
        return Node(name, (*fields, ("oldbuckets", "nil"), ("nevacuate", reached)))
    same = h.flags & sameSizeGrow
    old = "2^B" if same else "2^(B-1)"
    name = "growing to the same size" if same else "doubling"
    return Node(name, (*fields, ("oldbuckets", old), ("nevacuate", f"< {old}")))


def _swiss(m: SwissMap) -> Node:
    """A Swiss map: what ``dirPtr`` leads to. There is never an old array."""
    if not m.directory:
        return Node("one group", (("dirPtr", "group"),)) if m.small else Node("new", (("dirPtr", "nil"),))
    tables = len({t.number for t in m.directory})
    if tables == 1:
        return Node("one table", (("dirPtr", "[1]*table"), ("globalDepth", "0")))
    return Node("several tables", (("dirPtr", "[2^globalDepth]*table"), ("globalDepth", "> 0")))


def _article(a: ArticleMap) -> Node:
    """The article's map, with its own words for the three states of its table."""
    if not a.oldbuckets:
        done = "2^B" if a.nevacuate else "0"
        return Node("migrated" if a.nevacuate else "initial", (("oldbuckets", "nil"), ("nevacuate", done)))
    held = "blocked" if a.live() else "growing"
    arrays = "one array" if len(a.oldbuckets) == 1 else "several arrays"
    return Node(f"{held}, {arrays}", (("oldbuckets", arrays), ("nevacuate", "< 2^B")))
