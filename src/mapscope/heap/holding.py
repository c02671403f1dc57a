"""Who holds it: chains, dominators and retained sizes of a heap, each computed when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.arrays import among
from mapscope.errors import UsageError
from mapscope.heap.chains import AllChains, Chain, Chains, ChainTable
from mapscope.heap.dominators import Dominators
from mapscope.heap.domtree import DominatorTree, by_type, left_out, rows_of, top_nodes
from mapscope.heap.edges import EdgeSearch, ObjectGraph
from mapscope.heap.fields import short_name
from mapscope.heap.graph import Graph, RootKind, join_roots, reach
from mapscope.heap.later import Later
from mapscope.heap.lookup import Lookup
from mapscope.heap.model import Heap
from mapscope.heap.statics import Statics
from mapscope.heap.steps import Step, Steps, StepTable
from mapscope.heap.trace import MARKED
from mapscope.units import hex_addr

_MAX_CLIMB = 64
"""Dominators of a map that are looked at for one that is an iterator."""

U8 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int64]


class Held(Struct, frozen=True):
    """Who holds one object."""

    chain: Chain
    """The shortest from a root; its last step is the object."""
    retained: int
    """Bytes that would be free without it, its own included."""
    dominator: Step | None
    """The nearest object or root that every chain passes; None where roots hold it independently."""


class HeldTable(Struct, frozen=True):
    """Who holds many objects, as columns.

    ``live``: bool by row; the others mean nothing where it is False. ``retained``: uint64 bytes by row. ``above``:
    int32 by row, index into ``dominators``, -1 where roots hold it independently.
    """

    live: npt.NDArray[np.bool_]
    chains: ChainTable
    retained: U8
    dominators: StepTable
    above: npt.NDArray[np.int32]

    @classmethod
    def unknown(cls, rows: int) -> HeldTable:
        """Nothing is known of ``rows`` objects."""
        none = StepTable.of([])
        chains = ChainTable(none, np.zeros(0, np.int32), np.zeros((rows, 2), np.int64))
        sizes, above = np.zeros(rows, np.uint64), np.full(rows, -1, np.int32)
        return cls(np.zeros(rows, np.bool_), chains, sizes, none, above)

    def rows(self) -> list[Held | None]:
        """The same, one by one."""
        over = [*self.dominators.steps(), None]
        columns = (self.live.tolist(), self.chains.chains(), self.retained.tolist(), self.above.tolist())
        return [
            Held(chain, retained, over[above]) if live else None
            for live, chain, retained, above in zip(*columns, strict=True)
        ]


class Dominator(Struct, frozen=True):
    """One node of the dominator tree in words."""

    step: Step
    retained: int
    shallow: int
    count: int
    """More than one: so many objects of one type below one dominator, ``step`` is the largest of them."""
    chain: Chain
    gathers: Chain
    """From it down to where its memory gathers, itself left out: dominators, not necessarily neighbours."""


class Branch(Struct, frozen=True):
    """What one node of the dominator tree keeps, one floor down."""

    retained: int
    shallow: int
    children: int
    """Nodes right below it."""
    rows: tuple[tuple[int, Step, int, int, bool], ...]
    """The first of them, those that retain most: node, step, retained and own bytes, whether it has any below it."""
    rest: int
    """Bytes that the others retain."""


class Holding:
    """Questions about one heap. Addresses are of anything in the process that holds or is held."""

    def __init__(
        self,
        heap: Heap,
        stack_maps: Mapping[int, str | None],
        iterators: Mapping[int, str | None] | None = None,
        joined: Mapping[int, int] | None = None,
        objects: Callable[[], ObjectGraph] | None = None,
    ) -> None:
        """``stack_maps``, ``iterators``: type of each map, of the map of each iterator, on a stack, by address.

        ``joined``: the map of iterators that count as one, to ask what they keep together. ``objects``: answers the
        edges between objects, to be used up; where something has begun to look for them.
        """
        self._heap = heap
        self._joined = dict(joined or {})
        self._stack_maps = dict(sorted(stack_maps.items()))
        self._iterators = dict(sorted((iterators or {}).items()))
        self._objects = objects or EdgeSearch(heap.index, heap.state.targets, heap.state.flags).take
        self._edges = Later(self._join_roots)
        self._graph = Later(lambda: reach(self._edges.get()))
        self._dominators = Later(lambda: Dominators(self._edges.get()))
        self._prepared: dict[bytes, ChainTable] = {}

    def start(self) -> None:
        """Begins the edges and then dominators in the other thread; the ways to objects are left to this one."""
        self._edges.start()
        self._dominators.start()

    @cached_property
    def _statics(self) -> Statics:
        return Statics(self._heap.process, self._heap.variables)

    @property
    def graph(self) -> Graph:
        """The graph of live objects."""
        return self._graph.get()

    def _join_roots(self) -> Graph:
        addresses = np.array(list(self._stack_maps), dtype=np.uint64)
        iterators = np.array(list(self._iterators), dtype=np.uint64)
        objects, joined = self._objects(), None
        self._objects = lambda: self.graph.objects  # the first are used up
        if len(objects) != np.count_nonzero(self._heap.state.flags & MARKED):  # begun before the last was found
            objects = EdgeSearch(self._heap.index, self._heap.state.targets, self._heap.state.flags).take()
        if self._joined:
            joined = np.array([self._joined.get(one, 0) for one in self._iterators], dtype=np.uint64)
        return join_roots(self._heap, objects, self._statics, addresses, iterators, joined)

    @property
    def dominators(self) -> Dominators:
        """The dominator tree."""
        graph, found = self.graph, self._dominators.get()
        if found.graph is not graph:  # it was begun on one without a root above what no other reaches
            self._dominators = Later(lambda: Dominators(graph))
            found = self._dominators.get()
        return found

    @cached_property
    def lookup(self) -> Lookup:
        """What lies at any address."""
        return Lookup(self._heap, self._statics, self._steps)

    @cached_property
    def _steps(self) -> Steps:
        return Steps(self._heap, self.graph, self._statics, self._stack_maps | self._iterators)

    @cached_property
    def _chains(self) -> Chains:
        return Chains(self.graph, self._steps)

    def chain(self, address: int) -> Chain:
        """The shortest chain from a root to what lies at ``address``. UsageError where nothing does that is live."""
        node, offset = self._node(address)
        if node < 0:
            return (self._outside(address),)
        (found,) = self._chains.shortest([node])
        return self._to_word(found, node, offset)

    def one(self, address: int) -> Held:
        """Chain, retained size and dominator of what lies at ``address``. UsageError as for ``chain``."""
        node, _ = self._node(address)
        above = int(self.dominators.idom[node]) if node >= 0 else 0
        over = self._describe(np.array([above], dtype=np.int64)).steps()[0] if above > 0 else None
        return Held(self.chain(address), self.retained(address), over)

    def chains(self, address: int) -> AllChains:
        """All chains to what lies at ``address`` that are worth telling apart. UsageError as for ``chain``."""
        node, _ = self._node(address)
        if node < 0:
            raise UsageError(f"{hex_addr(address)} is itself a root: nothing holds it", "give the address of an object")
        return self._chains.all(node)

    def retained(self, address: int) -> int:
        """Bytes that would be free without the object at ``address``."""
        node, _ = self._node(address)
        return int(self.dominators.retained[node]) if node >= 0 else 0

    def pinned(self, iterator: int) -> int:
        """Bytes that only the iterator at an address keeps: its words on the stack, or its object."""
        node = self._iterator(iterator)
        return int(self.dominators.retained[node]) if node > 0 else 0

    def join(self, joined: Mapping[int, int]) -> Holding:
        """The same heap where the iterators of one map count as one: map by address of the iterator."""
        return Holding(self._heap, self._stack_maps, self._iterators, joined, self._objects)

    def together(self, address: int) -> tuple[int, bool]:
        """What the joined iterators over the map at an address keep, and whether that takes in the map."""
        node, (at,) = self.graph.roots.find(RootKind.ITERATORS, address), self._nodes(np.array([address], np.uint64))
        if node < 0:
            return 0, False
        at = int(at)
        for _ in range(_MAX_CLIMB):
            if at <= 0 or at == node:
                break
            at = int(self.dominators.idom[at])
        return int(self.dominators.retained[node]), at == node

    def several(self, address: int) -> bool:
        """Whether roots hold what lies at an address independently of each other."""
        (node,) = self._nodes(np.array([address], dtype=np.uint64)).tolist()
        return node > 0 and int(self.dominators.idom[node]) == 0

    def stack_keeps(self, row: int) -> int:
        """Bytes that only the stack of a goroutine keeps. ``row``: of the table of goroutines."""
        node = self.graph.roots.find(RootKind.GOROUTINE, row)
        return int(self.dominators.retained[node]) if node > 0 else 0

    def kept_by(self, address: int, iterator: int, row: int) -> str:
        """Who alone keeps what lies at an address: ``iterator``; ``stack``, that of the goroutine; or "" for others."""
        roots = self.graph.roots
        stacks = {roots.find(kind, row) for kind in (RootKind.GOROUTINE, RootKind.UNSURE_STACK)} if row >= 0 else set()
        (at,) = self._nodes(np.array([address], dtype=np.uint64)).tolist()
        own = self._iterator(iterator)
        for _ in range(_MAX_CLIMB):
            if at <= 0:
                break
            if at == own:
                return "iterator"
            if at in stacks:
                return "stack"
            at = int(self.dominators.idom[at])
        return ""

    def _iterator(self, address: int) -> int:
        node = self.graph.roots.find(RootKind.ITERATOR, address)
        return node if node >= 0 else int(self._nodes(np.array([address], dtype=np.uint64))[0])

    def held(self, addresses: Sequence[int]) -> list[Held | None]:
        """Chain, retained size and dominator of many objects at once; None for what is not live."""
        return self.columns(np.array(addresses, dtype=np.uint64)).rows()

    def prepare(self, addresses: U8) -> bool:
        """Makes the chains for ``columns`` of the same addresses now, while the other thread is at the dominators.

        Answers whether it was: when they are there, nothing is gained by it.
        """
        if not self._dominators.under_way:
            return False
        self._prepared[addresses.tobytes()] = self._chains.columns(np.maximum(self._nodes(addresses), 0))
        return True

    def columns(self, addresses: U8) -> HeldTable:
        """The same as columns."""
        nodes = self._nodes(addresses)
        live = nodes >= 0
        known = nodes[live]
        chains = self._prepared.pop(addresses.tobytes(), None)
        if chains is None:  # before the dominators, which the other thread may be at
            chains = self._chains.columns(np.maximum(nodes, 0))
        above, retained, codes = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.uint64), nodes * 0 - 1
        above[live], retained[live] = self.dominators.idom[known], self.dominators.retained[known]
        over, which = np.unique(above[above > 0], return_inverse=True)
        codes[above > 0] = which.reshape(-1)
        return HeldTable(live, chains, retained, self._describe(over), codes.astype(np.int32))

    def largest(self, top: int) -> list[Dominator]:
        """The nodes that retain most, of those that no other dominates; at most ``top`` (0: all)."""
        nodes = self.dominators.largest(top).tolist()
        return self._in_words(
            [((node,), 1, int(self.dominators.retained[node]), self.dominators.way(node)) for node in nodes]
        )

    def branch(self, node: int, top: int) -> Branch:
        """The dominator tree right below a node (0: the whole heap), at most ``top`` rows. UsageError for no node."""
        if not 0 <= node < len(self.graph):
            raise UsageError(f"the dominator tree has no node {node}", "start at the whole heap: node 0")
        nodes, count, total = self.dominators.first_children(node, top)
        kept, own = self.dominators.retained[nodes], self.graph.sizes_of(nodes)
        retained = int(self.dominators.retained[node])
        shallow = int(self.graph.sizes_of(np.array([node], dtype=np.int64))[0])
        words = (nodes.tolist(), self._describe(nodes).steps(), kept.tolist(), own.tolist(), (kept > own).tolist())
        return Branch(retained, shallow, count, tuple(zip(*words, strict=True)), total - int(kept.sum()))

    def suspects(self) -> list[Dominator]:
        """The few dominators that hold most of the heap."""
        types = self._types  # first: the other thread may still be at the dominators
        found = self.dominators.suspects(types)
        return self._in_words([(s.nodes, s.count, s.retained, s.way) for s in found])

    def tree(self, most: int) -> DominatorTree:
        """The top of the dominator tree, at most ``most`` nodes."""
        tree = self.dominators
        nodes, parent = top_nodes(tree, most)
        rows = rows_of(tree, nodes)
        count, size, rest, rest_bytes = left_out(tree, nodes, parent, rows)
        records = self._heap.types.records
        groups = by_type(tree, rows, self._types, size, rest_bytes, lambda kind: short_name(records[kind].name))
        own = self.graph.sizes_of(nodes)
        return DominatorTree(
            parent, self._describe(nodes), tree.retained[nodes], own, count, size, tree.total, rest, rest_bytes, groups
        )

    @cached_property
    def _types(self) -> npt.NDArray[np.int32]:
        """Type id of each node."""
        state, base = self._heap.state, self.graph.base
        out = np.full(len(self.graph), -1, dtype=np.int32)
        out[base:] = state.types_of(self._heap.live)
        return out

    def _in_words(self, rows: Sequence[tuple[tuple[int, ...], int, int, tuple[int, ...]]]) -> list[Dominator]:
        chains = self._chains.shortest([nodes[0] for nodes, _, _, _ in rows])
        sizes = self.graph.sizes_of(np.array([nodes[0] for nodes, _, _, _ in rows], dtype=np.int64)).tolist()
        out = []
        for (_, count, retained, way), chain, shallow in zip(rows, chains, sizes, strict=True):
            step, *below = self._describe(np.array(way, dtype=np.int64)).steps()
            out.append(Dominator(step, retained, shallow, count, chain, tuple(below)))
        return out

    def _describe(self, nodes: I8) -> StepTable:
        """A step without a field for each node."""
        order = np.argsort(nodes, kind="stable")
        made = self._steps.table(nodes[order], np.full(len(nodes), -1))
        address, word = np.empty_like(made.address), np.empty_like(made.word)
        address[order], word[order] = made.address, made.word
        return StepTable(address, word, made.words)

    def _nodes(self, addresses: U8) -> I8:
        """Node of the object, or of the map on a stack, at each address; -1 where nothing is live."""
        ids, _ = self._heap.index.find(addresses)
        nodes = self.graph.node_of(ids)
        roots = self.graph.roots
        for at in np.flatnonzero(nodes < 0).tolist():
            nodes[at] = roots.find(RootKind.MAP, int(addresses[at]))
        return nodes

    def _node(self, address: int) -> tuple[int, int]:
        """Node and offset of an address; the node is -1 for a root that is no node."""
        if not 0 <= address < 1 << 64:
            raise UsageError(f"{address:#x} is no address", "give it as the report does: 0xc000012345")
        where = np.array([address], dtype=np.uint64)
        ids, bases = self._heap.index.find(where)
        (node,) = self._nodes(where).tolist()
        if node >= 0:
            return int(node), address - int(bases[0]) if int(ids[0]) >= 0 else 0
        if int(ids[0]) >= 0:
            raise UsageError(
                f"the object at {hex_addr(int(bases[0]))} is garbage: no root reaches it",
                "the next collection frees it; ask for a live object",
            )
        place, inside = self._statics.starts(where)
        if inside[0]:
            return max(self.graph.roots.find(RootKind.GLOBAL, int(place[0])), -1), 0
        if self._row(address) is None and address not in self._stack_maps:
            raise UsageError(
                f"nothing that the Go heap, a stack or a variable holds lies at {hex_addr(address)}",
                "list maps with their addresses: mapscope maps EVIDENCE",
            )
        return -1, 0

    def goroutine_rows(self, addresses: U8) -> I8:
        """Row of the goroutine whose stack every chain to each object or map passes; -1 where there is no such one."""
        nodes = self._nodes(addresses)
        roots = self.graph.roots
        top = self.dominators.tops(np.maximum(nodes, 0))
        is_root = (nodes >= 0) & (top > 0) & (top < self.graph.base)
        at = np.where(is_root, top, 0)
        stack = among(roots.kind[at], [RootKind.GOROUTINE, RootKind.UNSURE_STACK]) & is_root
        return np.where(stack, roots.key[at].astype(np.int64), -1)

    def _row(self, address: int) -> int | None:
        """Row of the goroutine on whose stack the address lies."""
        table = self._heap.goroutines
        hits = np.flatnonzero((table.stack_lo <= address) & (address < table.stack_hi))
        return int(hits[0]) if len(hits) else None

    def _outside(self, address: int) -> Step:
        """The one step of something that is a root by itself."""
        row = self._row(address)
        if row is None:
            return self._steps.static(
                int(self._statics.starts(np.array([address], dtype=np.uint64))[0][0]), address, leads=True
            )
        return self._steps.goroutine(row, address, -1)

    def _to_word(self, chain: Chain, node: int, offset: int) -> Chain:
        """The chain with the field at ``offset`` of its last object, where that is not its start."""
        if node < self.graph.base or not offset or not chain:
            return chain
        return (*chain[:-1], *self._steps.objects(np.array([node]), np.array([offset])).steps())
