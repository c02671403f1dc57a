"""The graph of live objects: who points to whom, from one node above all roots down to the last object.

Node 0 stands above all. Then come the *groups* of roots, in a fixed order: variables, goroutine stacks, objects with
a finalizer, records of the runtime, maps and iterators on stacks (see RootKind). Then every marked object, in the
order of object ids. Edges are kept as CSR: those of node i end in ``targets[offsets[i]:offsets[i + 1]]``.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope.arrays import unique
from mapscope.errors import LayoutError
from mapscope.goruntime.index import HeapIndex
from mapscope.heap.edges import MOST_EDGES, MOST_NODES, Edges, ObjectGraph, live_before
from mapscope.heap.model import Heap
from mapscope.heap.statics import Statics
from mapscope.heap.trace import MARKED

I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]


class RootKind(IntEnum):
    """What a group of roots is; groups are ordered by it."""

    GLOBAL = 0
    """A package-level variable, or one word of ``.data`` or ``.bss``. Key: its address."""
    GOROUTINE = 1
    """The stack of a goroutine. Key: its row in the table of goroutines."""
    REGISTER = 2
    """Registers of a thread that runs no goroutine. Key: 0."""
    FINALIZER = 3
    """An object with a finalizer, which keeps what it points to. Key: its address."""
    RUNTIME = 4
    """A record of the runtime: a finalizer, a cleanup, a weak handle. Key: its address."""
    MAP = 5
    """A map's header on a stack; its group lies below that of the goroutine. Key: its address."""
    ITERATOR = 6
    """An iterator over a map on a stack; its group, too, lies below that of the goroutine. Key: its address."""
    ITERATORS = 7
    """All iterators over one map, where one asks what they keep together. Key: address of the map."""
    UNSURE = 8
    """Above the next kind. Ways through it are taken only where there is no other. Key: 0."""
    UNSURE_STACK = 9
    """Words of a stack that only a conservative scan takes for pointers. Key: row of the goroutine."""
    UNKNOWN = 10
    """What was marked although no root above reaches it. Key: 0."""


class RootTable(Struct, frozen=True):
    """Groups of roots by node (row 0 is the node above all), and the words that make them roots.

    ``kind`` uint8, ``key`` uint64, ``parent`` int32 by group. One row a word, ordered by group and address:
    ``word_group`` int32, ``word_address`` uint64 (0: a register), ``word_target`` int32 (a node), ``word_frame`` int64
    (index into ``Heap.frames.frames``; -1: in none).
    """

    kind: npt.NDArray[np.uint8]
    key: U8
    parent: I4
    word_group: I4
    word_address: U8
    word_target: I4
    word_frame: I8

    def __len__(self) -> int:
        return len(self.kind)

    def find(self, kind: RootKind, key: int) -> int:
        """The node of a group, or -1."""
        low, high = np.searchsorted(self.kind[1:], [kind, kind + 1])
        at = int(low) + int(np.searchsorted(self.key[1 + low : 1 + high], np.uint64(key)))
        return at + 1 if at < high and int(self.key[1 + at]) == key else -1

    def words_of(self, node: int) -> slice:
        """Rows of the words of a group."""
        low, high = np.searchsorted(self.word_group, [node, node + 1])
        return slice(int(low), int(high))


class Graph(Struct):
    """Live objects and roots with their edges.

    ``before``: by node, the one before it on a shortest way from node 0; no rows until ``reach`` has looked.
    """

    index: HeapIndex
    directory: U8
    roots: RootTable
    offsets: npt.NDArray[np.uint32]
    targets: I4
    before: I4

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def base(self) -> int:
        """The first node that is an object."""
        return len(self.roots)

    @property
    def objects(self) -> ObjectGraph:
        """The edges between objects alone, as EdgeSearch found them, in one part."""
        own = self.offsets[self.base]
        part = Edges(self.offsets[self.base :] - own, self.targets[int(own) :] - np.int32(self.base))
        return ObjectGraph(self.directory, [part])

    def node_of(self, objects: I8) -> I8:
        """Node of each object id; -1 where it is not live (or the id is negative)."""
        ids = np.maximum(objects, 0)
        bit = self.directory[2 * (ids >> 6)] >> (ids & 63).astype(np.uint64) & np.uint64(1)
        return np.where((objects >= 0) & (bit != 0), self.base + live_before(self.directory, ids), -1)

    def object_of(self, nodes: I8) -> I8:
        """Object id of each node; -1 for the roots."""
        out = np.empty(len(nodes), dtype=np.int64)
        load("graph").objects_at(self.directory, np.asarray(nodes, dtype=np.int64) - self.base, out)
        return out

    def address_of(self, nodes: I8) -> U8:
        """Slot address of each node; 0 for the roots."""
        objects = self.object_of(nodes)
        return np.where(objects >= 0, self.index.address_of(np.maximum(objects, 0)), np.uint64(0))

    def sizes_of(self, nodes: I8) -> U8:
        """Bytes of some nodes, as ``shallow``."""
        objects = self.object_of(nodes)
        return np.where(objects >= 0, self.index.sizes_of(np.maximum(objects, 0)), np.uint64(0))

    def shallow(self) -> U8:
        """Bytes of each node: the slot of an object, 0 for roots."""
        out = np.zeros(len(self), dtype=np.uint64)
        load("graph").sizes(self.index, self.directory, out[self.base :])
        return out

    def referrers(self, node: int) -> I8:
        """Nodes with an edge to ``node``, ascending, each once."""
        at = np.flatnonzero(self.targets == node)
        return unique(np.searchsorted(self.offsets, at, side="right") - 1)

    def blocked(self, node: int) -> I4:
        """``before`` as it were without ``node`` (-1: none); -1 where nothing else leads."""
        before, queue = np.full(len(self), -1, dtype=np.int32), np.empty(len(self), dtype=np.int32)
        hub = self.roots.find(RootKind.UNSURE, 0)
        if hub >= 0:
            before[hub] = 0  # entered when all else is done
        load("graph").shortest(self.offsets, self.targets, 0, node, before, queue)
        if hub >= 0:
            load("graph").shortest(self.offsets, self.targets, hub, node, before, queue)
            before[hub] = 0
        return before

    def towards(self, node: int) -> I4:
        """By node, the next one on a shortest way to ``node``; -1 where there is none."""
        back, sources = np.empty(len(self) + 1, dtype=np.uint32), np.empty(len(self.targets), dtype=np.int32)
        kernels = load("graph")
        kernels.reverse(self.offsets, self.targets, back, sources)
        after = np.full(len(self), -1, dtype=np.int32)
        kernels.shortest(back, sources, node, 0, after, np.empty(len(self), dtype=np.int32))
        return after


def join_roots(
    heap: Heap, objects: ObjectGraph, statics: Statics, stack_maps: U8, iterators: U8, joined: U8 | None = None
) -> Graph:
    """The graph of ``heap`` without its shortest ways. Uses up ``objects``.

    ``stack_maps``, ``iterators``: ascending addresses of those that lie on stacks. ``joined``: by iterator, the map
    whose group it hangs on in place of its goroutine's; 0: its goroutine's.

    Raises LayoutError when the graph has more than two thousand million nodes.
    """
    words = _Words.join([_static_words(heap, statics, objects.directory), _stack_words(heap)])
    return _connect(heap.index, objects, _groups(heap, stack_maps, iterators, joined, words))


def reach(graph: Graph) -> Graph:
    """The graph with the shortest ways to every object: itself, or one with another root above what none reached."""
    graph.before = graph.blocked(-1)
    lost = np.flatnonzero(graph.before < 0)
    if not len(lost):
        return graph
    groups, strays = _Groups.of(graph), graph.object_of(lost)
    entered = np.zeros(len(graph), dtype=np.bool_)
    entered[graph.targets] = True
    graph = _connect(graph.index, graph.objects, groups.with_strays(strays[~entered[lost]]))
    graph.before = graph.blocked(-1)
    if (graph.before < 0).any():  # they hold each other in a ring
        graph = _connect(graph.index, graph.objects, groups.with_strays(strays))
        graph.before = graph.blocked(-1)
    return graph


class _Words(Struct, frozen=True):
    """Root words that point to live objects, with the group that each belongs to."""

    kind: I8
    key: U8
    address: U8
    target: I8
    frame: I8

    @classmethod
    def join(cls, parts: list[_Words]) -> _Words:
        names = ("kind", "key", "address", "target", "frame")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _static_words(heap: Heap, statics: Statics, directory: U8) -> _Words:
    """Words of variables, of objects with finalizers, and of the runtime's own records."""
    kernels, index, roots = load("graph"), heap.index, heap.roots
    regions = np.ascontiguousarray(roots.regions, dtype=np.int64)
    none = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    count = kernels.root_words(index, regions, roots.mask, directory, *none)
    address, target, region = (np.zeros(count, dtype=d) for d in (np.uint64, np.int64, np.int64))
    kernels.root_words(index, regions, roots.mask, directory, address, target, region)
    key = regions[region, 0].astype(np.uint64)
    kind = np.full(count, RootKind.RUNTIME, dtype=np.int64)
    _, slot = index.find(key)
    kind[slot != 0], key[slot != 0] = RootKind.FINALIZER, slot[slot != 0]
    place, inside = statics.starts(address)
    kind[inside], key[inside] = RootKind.GLOBAL, place[inside]
    static = _Words(kind, key, address, target, np.full(count, -1, dtype=np.int64))
    return _Words.join([static, _record_words(heap)])


def _record_words(heap: Heap) -> _Words:
    """What records of the runtime hold that lie at no known address."""
    records = heap.roots.records
    target, _ = heap.index.find(records[:, 1])
    live = target >= 0
    live[live] = heap.state.flags[target[live]] & MARKED != 0
    key, count = records[live, 0], int(live.sum())
    kind, frame = np.full(count, RootKind.RUNTIME, dtype=np.int64), np.full(count, -1, dtype=np.int64)
    return _Words(kind, key, np.zeros(count, dtype=np.uint64), target[live], frame)


def _stack_words(heap: Heap) -> _Words:
    """Words of stacks and registers, as the scan of the stacks found them."""
    words = heap.frames.scan.words
    target, _ = heap.index.find(words.value)
    keep = target >= 0
    keep[keep] = heap.state.flags[target[keep]] & MARKED != 0
    kind = np.where(words.certain, int(RootKind.GOROUTINE), int(RootKind.UNSURE_STACK))[keep]
    row = words.stack[keep].astype(np.int64)
    kind[row < 0] = RootKind.REGISTER
    return _Words(kind, np.maximum(row, 0).astype(np.uint64), words.address[keep], target[keep], words.frame[keep])


class _Groups(Struct, frozen=True):
    """Kind, key and parent by group, counted from 1; group, address, object id and frame by word."""

    kind: npt.NDArray[np.uint8]
    key: U8
    parent: I4
    group: I8
    address: U8
    target: I8
    frame: I8

    @classmethod
    def of(cls, graph: Graph) -> _Groups:
        """Those that ``graph`` was made of."""
        roots = graph.roots
        return cls(
            roots.kind[1:], roots.key[1:], roots.parent[1:], roots.word_group.astype(np.int64), roots.word_address,
            graph.object_of(roots.word_target.astype(np.int64)), roots.word_frame,
        )  # fmt: skip

    def with_strays(self, objects: I8) -> _Groups:
        """The same with a last group that holds ``objects``."""
        return _Groups(
            np.append(self.kind, np.uint8(RootKind.UNKNOWN)),
            np.append(self.key, np.uint64(0)),
            np.append(self.parent, np.int32(0)),
            np.concatenate([self.group, np.full(len(objects), len(self.kind) + 1, dtype=np.int64)]),
            np.concatenate([self.address, np.zeros(len(objects), dtype=np.uint64)]),
            np.concatenate([self.target, objects]),
            np.concatenate([self.frame, np.full(len(objects), -1, dtype=np.int64)]),
        )


def _groups(heap: Heap, stack_maps: U8, iterators: U8, joined: U8 | None, words: _Words) -> _Groups:
    """Numbers the groups. Those of a map and of an iterator hang on their goroutine's, which may have no own word."""
    own = np.stack([words.kind.astype(np.uint64), words.key], axis=1)
    pairs = own.copy()
    name = "swissmap" if heap.process.types.swiss_maps else "hmap"
    for kind, starts, struct in ((RootKind.MAP, stack_maps, name), (RootKind.ITERATOR, iterators, "mapiter")):
        if len(starts):
            start = _start_of(starts, np.uint64(heap.process.layouts.struct(struct).size), words)
            pairs[start != 0, 0], pairs[start != 0, 1] = kind, start[start != 0]
    inside = (pairs != own).any(axis=1)
    # with an index, which nobody wants, NumPy does not import masked arrays: see mapscope.arrays
    (inner, _), owners = np.unique(np.column_stack([pairs, own])[inside], axis=0, return_index=True), own[:0]
    if len(inner):
        fresh = (inner[1:, :2] != inner[:-1, :2]).any(axis=1)
        inner = inner[np.concatenate([[True], fresh])]  # the surest kind comes first
        owners = inner[:, 2:]
        if joined is not None:
            above = joined[np.minimum(np.searchsorted(iterators, inner[:, 1]), len(iterators) - 1)]
            which = (inner[:, 0] == RootKind.ITERATOR) & (above != 0)
            owners[which, 0], owners[which, 1] = RootKind.ITERATORS, above[which]
    hub = np.array([[RootKind.UNSURE, 0]], dtype=np.uint64)[: int((words.kind == RootKind.UNSURE_STACK).any())]
    groups, which = np.unique(np.concatenate([pairs, owners, hub]), axis=0, return_inverse=True)
    which = which.reshape(-1) + 1
    parent = np.zeros(len(groups), dtype=np.int32)
    held = (groups[:, 0] == RootKind.MAP) | (groups[:, 0] == RootKind.ITERATOR)
    parent[held] = which[len(pairs) : len(pairs) + len(owners)]
    parent[groups[:, 0] == RootKind.UNSURE_STACK] = which[-1] if len(hub) else 0
    which = which[: len(pairs)]
    order = np.lexsort((words.address, which))
    return _Groups(
        groups[:, 0].astype(np.uint8), groups[:, 1].copy(), parent, which[order], words.address[order],
        words.target[order], words.frame[order],
    )  # fmt: skip


def _start_of(starts: U8, size: np.uint64, words: _Words) -> U8:
    """Address of the map header or iterator on a stack that each word lies in, 0 for none."""
    at = starts[np.maximum(np.searchsorted(starts, words.address, side="right") - 1, 0)]
    stack = (words.kind == RootKind.GOROUTINE) | (words.kind == RootKind.UNSURE_STACK)
    return np.where(stack & (words.address >= at) & (words.address - at < size), at, np.uint64(0))


def _connect(index: HeapIndex, objects: ObjectGraph, groups: _Groups) -> Graph:
    """Edges from node 0 to the groups, from the groups to objects, and between objects. Uses up ``objects``."""
    base, live, own = len(groups.kind) + 1, len(objects), len(groups.kind) + len(groups.group)
    edges = own + objects.edges
    if base + live > MOST_NODES or edges > MOST_EDGES:
        raise LayoutError(f"{live:,} live objects are more than the graph can number", "tell us about it")
    offsets, targets = np.empty(base + live + 1, dtype=np.uint32), np.empty(edges, dtype=np.int32)
    graph = Graph(index, objects.directory, _table(groups), offsets, targets, np.empty(0, dtype=np.int32))
    graph.roots.word_target[:] = graph.node_of(groups.target)
    source = np.concatenate([groups.parent.astype(np.int64), groups.group])
    end = np.concatenate([np.arange(1, base), graph.roots.word_target])
    targets[:own] = end[np.argsort(source, kind="stable")]
    offsets[0] = 0
    offsets[1 : base + 1] = np.cumsum(np.bincount(source, minlength=base))
    node, edge = base, own
    for part in objects.take():
        np.add(part.targets, np.int32(base), out=targets[edge : edge + len(part.targets)])
        np.add(part.offsets[1:], np.uint32(edge), out=offsets[node + 1 : node + len(part.offsets)])
        node, edge = node + len(part.offsets) - 1, edge + len(part.targets)
    return graph


def _table(groups: _Groups) -> RootTable:
    return RootTable(
        np.concatenate([np.zeros(1, dtype=np.uint8), groups.kind]),
        np.concatenate([np.zeros(1, dtype=np.uint64), groups.key]),
        np.concatenate([np.zeros(1, dtype=np.int32), groups.parent]),
        groups.group.astype(np.int32),
        groups.address,
        np.zeros(len(groups.target), dtype=np.int32),
        groups.frame,
    )
