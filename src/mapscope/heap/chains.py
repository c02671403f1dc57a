"""Chains: the way from a root to an object, and all ways that differ, merged into a tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field
from msgspec.structs import replace

from mapscope.heap.distinct import distinct_sorted
from mapscope.heap.graph import Graph, RootKind
from mapscope.heap.steps import Step, Steps, StepTable

I4 = npt.NDArray[np.int32]

HEAD, TAIL = 4, 24
"""Steps that a long chain keeps at its two ends; the others are one step that says how many there were."""
MAX_CHAINS = 2000
"""Chains that are told apart for one object: to each of its referrers, and from each root."""
_MAX_WORDS = 64
_INDEX = re.compile(r"\[\d+\]")
_GOROUTINE = re.compile(r"^goroutine \d+")

Chain = tuple[Step, ...]
_Path = tuple[tuple[int, ...], int, tuple[int, ...]]
"""First nodes, how many are left out, last nodes."""


class ChainTable(Struct, frozen=True):
    """Many chains: that of row i has the steps ``codes[begin:end]``, where ``ranges[i]`` is (begin, end)."""

    steps: StepTable
    codes: npt.NDArray[np.int32]
    ranges: npt.NDArray[np.int64]

    def chains(self) -> list[Chain]:
        """The same, one by one."""
        steps = self.steps.steps()
        flat = [steps[code] for code in self.codes.tolist()]
        return [tuple(flat[begin:end]) for begin, end in self.ranges.tolist()]


class ChainTree(Struct, frozen=True):
    """Chains merged from their roots on, as far as kind, type, name and field agree (element numbers are ignored).

    ``chains`` go through here, through ``objects`` distinct ones of ``bytes`` in all; ``step`` is one of them.
    """

    step: Step
    chains: int
    objects: int
    bytes: int
    children: tuple[ChainTree, ...]


class AllChains(Struct, frozen=True):
    """What :meth:`Chains.all` finds."""

    shortest: Chain
    trees: tuple[ChainTree, ...]
    """By root, the one with most chains first."""
    chains: int
    """How many are merged in the trees."""
    more: int
    """Referrers and roots beyond :data:`MAX_CHAINS`, which were left out."""
    referrers: int
    """Objects and roots that point to the object itself."""
    roots: int
    """Roots that reach it."""


class Chains:
    """Chains over one graph."""

    def __init__(self, graph: Graph, steps: Steps) -> None:
        """``steps`` of the same graph."""
        self._graph = graph
        self._steps = steps
        self._depths: dict[int, tuple[int, tuple[int, ...]]] = {}

    def shortest(self, nodes: Sequence[int]) -> list[Chain]:
        """The shortest chain to each node; long ones lose steps in the middle. Empty where no root leads."""
        return self.columns(np.array(nodes, dtype=np.int64)).chains()

    def columns(self, nodes: npt.NDArray[np.int64]) -> ChainTable:
        """The same as columns."""
        before = self._graph.before
        ladder = [np.where(before[nodes] < 0, 0, nodes)]
        while len(ladder) < HEAD + TAIL and ladder[-1].any():
            ladder.append(before[ladder[-1]].astype(np.int64))
        ways = np.stack(ladder[::-1], axis=1)  # from the root on, zeros before it
        long = np.flatnonzero(before[ways[:, 0]] != 0)
        ways[long] = 0
        there = (ways != 0) & (ways != self._graph.roots.find(RootKind.UNSURE, 0))
        following = np.full(ways.shape, -1, dtype=np.int64)
        following[:, :-1] = ways[:, 1:]
        pairs = [_coded(ways[there], following[there])]
        ranges = np.zeros((len(nodes), 2), dtype=np.int64)
        ranges[:, 1] = np.cumsum(there.sum(axis=1))
        ranges[1:, 0] = ranges[:-1, 1]
        at = int(ranges[-1, 1]) if len(ranges) else 0
        for row in long.tolist():
            path = np.array(_path_pairs(self._path(int(nodes[row]), before)), dtype=np.int64).reshape(-1, 2)
            ranges[row] = at, at + len(path)
            at += len(path)
            pairs.append(_coded(path[:, 0], path[:, 1]))
        codes, which = distinct_sorted(np.concatenate(pairs))
        return ChainTable(self._steps.table(*_decoded(codes)), which, ranges)

    def _path(self, node: int, before: I4) -> _Path:
        """First nodes, how many are left out, last nodes."""
        if before[node] < 0:
            return (), 0, ()
        tail = [node]
        while len(tail) < HEAD + TAIL and before[tail[-1]] != 0:
            tail.append(int(before[tail[-1]]))
        above = int(before[tail[-1]])
        if above == 0:
            return (), 0, self._visible(tail[::-1])
        depth, start = self._start(above, before)
        head = (*start, *tail[: TAIL - 1 : -1])[:HEAD]
        return self._visible(head), depth + len(tail) - TAIL - len(head), tuple(tail[TAIL - 1 :: -1])

    def _start(self, node: int, before: I4) -> tuple[int, tuple[int, ...]]:
        """How many nodes the way to ``node`` has, and its first ones; every node is climbed over once."""
        memo = self._depths if before is self._graph.before else {}
        way: list[int] = []
        while node and node not in memo:
            way.append(node)
            node = int(before[node])
        depth, head = memo[node] if node else (0, ())
        for at in range(len(way) - 1, -1, -1):
            depth += 1
            if len(head) < HEAD:
                head = (*head, way[at])
            memo[way[at]] = depth, head
        return depth, head

    def _visible(self, nodes: Sequence[int]) -> tuple[int, ...]:
        """Without the node that only groups the unsure stacks."""
        kinds = self._graph.roots.kind
        return tuple(n for n in nodes if n >= len(kinds) or kinds[n] != RootKind.UNSURE)

    def _chains(self, paths: Sequence[_Path]) -> list[Chain]:
        """Steps for the paths, each pair of nodes looked up once."""
        pairs = [_path_pairs(path) for path in paths]
        columns = np.array([pair for path in pairs for pair in path], dtype=np.int64).reshape(-1, 2)
        codes, which = distinct_sorted(_coded(columns[:, 0], columns[:, 1]))
        ends = np.cumsum([0, *map(len, pairs)])
        return ChainTable(self._steps.table(*_decoded(codes)), which, np.stack([ends[:-1], ends[1:]], axis=1)).chains()

    def all(self, node: int) -> AllChains:
        """Every way to ``node`` that is worth telling apart, merged.

        These are, for each object that points to ``node``, the shortest chain to it that does not pass ``node``, once
        for each field that does so; and from each root that reaches ``node``, the shortest chain from there.
        """
        graph = self._graph
        paths: dict[_Path, None] = {}
        referrers = graph.referrers(node)
        before, after = graph.blocked(node), graph.towards(node)
        holding = referrers[(before[referrers] >= 0) & (referrers != 0)] if len(referrers) else referrers
        for referrer in holding[:MAX_CHAINS].tolist():
            head, skipped, tail = self._path(referrer, before)
            paths[head, skipped, (*tail, node)] = None
        kinds = graph.roots.kind[1:]
        groups = np.flatnonzero((after[1 : graph.base] >= 0) & (kinds != RootKind.UNSURE)) + 1
        groups = groups[groups != node]
        for group in groups[:MAX_CHAINS].tolist():
            paths[self._forward(group, node, after)] = None
        chains = self._chains(list(paths))
        every = list(zip(paths, chains, strict=True))
        every += self._other_fields(every, node)
        (shortest,) = self.shortest([node])
        more = max(len(holding) - MAX_CHAINS, 0) + max(len(groups) - MAX_CHAINS, 0)
        return AllChains(shortest, self._merge(every), len(every), more, len(holding), len(groups))

    def _forward(self, group: int, node: int, after: I4) -> _Path:
        """The way from a group of roots to ``node``."""
        parent = int(self._graph.roots.parent[group])
        way = [group] if not parent else [parent, group]
        way = list(self._visible(way))
        at = group
        while at != node:
            at = int(after[at])
            way.append(at)
        if len(way) <= HEAD + TAIL:
            return (), 0, tuple(way)
        return tuple(way[:HEAD]), len(way) - HEAD - TAIL, tuple(way[-TAIL:])

    def _other_fields(self, chains: Iterable[_Found], node: int) -> list[_Found]:
        """The same chains once more for each further field of the last holder that leads to ``node``."""
        graph = self._graph
        more: list[_Found] = []
        seen: set[int] = set()
        for path, chain in chains:
            holder = path[2][-2] if len(path[2]) > 1 else -1
            if node < graph.base or holder < 0 or holder in seen:
                continue
            seen.add(holder)
            steps = self._holder_steps(holder, node)
            other = (step for step in steps if _shape(step) != _shape(chain[-2]))
            more.extend((path, (*chain[:-2], step, chain[-1])) for step in other)
        return more

    def _holder_steps(self, holder: int, node: int) -> list[Step]:
        """One step for each field of ``holder`` that leads to the object, fields of other elements left out."""
        graph = self._graph
        if holder < graph.base:
            rows = graph.roots.words_of(holder)
            words = graph.roots.word_address[rows][graph.roots.word_target[rows] == node][:_MAX_WORDS].tolist()
            if graph.roots.kind[holder] != RootKind.GLOBAL:
                return []
            steps = [self._steps.static(int(graph.roots.key[holder]), word, leads=True) for word in words]
        else:
            offsets = self._steps.words_to(holder, node, _MAX_WORDS)
            steps = self._steps.objects(np.full(len(offsets), holder), offsets).steps()
        return list({_shape(step): step for step in reversed(steps)}.values())

    def _merge(self, chains: Sequence[_Found]) -> tuple[ChainTree, ...]:
        """The tree, the branch with most chains first."""
        top = _Branch(_NOTHING)
        shallow: dict[int, int] = {}
        for path, chain in chains:
            nodes = [*path[0], *([-1] if path[1] else []), *path[2]]
            branch = top
            for node, step in zip(nodes, chain, strict=True):
                branch = branch.children.setdefault(_shape(step), _Branch(step))
                branch.chains += 1
                if node >= self._graph.base:
                    branch.nodes.add(node)
                    shallow[node] = 0
        nodes_seen = np.array(sorted(shallow), dtype=np.int64)
        ids = self._graph.object_of(nodes_seen)
        sizes = self._graph.index.sizes_of(ids).tolist() if len(ids) else []
        shallow.update(zip(nodes_seen.tolist(), sizes, strict=True))
        return tuple(branch.frozen(shallow) for branch in top.ordered())


_Found = tuple[_Path, Chain]
_NOTHING = Step("", 0, None, None, None)


class _Branch(Struct):
    """A tree while it grows. At most HEAD + TAIL + 3 deep, so that recursion is safe."""

    step: Step
    chains: int = 0
    nodes: set[int] = field(default_factory=set)
    children: dict[Step, _Branch] = field(default_factory=dict)

    def ordered(self) -> list[_Branch]:
        return sorted(self.children.values(), key=lambda b: (-b.chains, b.step.address))

    def frozen(self, shallow: dict[int, int]) -> ChainTree:
        held = sum(shallow[node] for node in self.nodes)
        children = tuple(child.frozen(shallow) for child in self.ordered())
        return ChainTree(self.step, self.chains, len(self.nodes), held, children)


def _path_pairs(path: _Path) -> list[tuple[int, int]]:
    """Pairs of nodes as ``Steps.table`` takes them."""
    head, skipped, tail = path
    first = [*zip(head, (*head[1:], -2), strict=False)]
    return [*first, *([(0, skipped)] if skipped else []), *zip(tail, (*tail[1:], -1), strict=False)]


def _coded(nodes: npt.NDArray[np.int64], following: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pairs as single numbers in the same order."""
    return nodes << 32 | following + 2


def _decoded(codes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return codes >> 32, (codes & 0xFFFFFFFF) - 2


def _shape(step: Step) -> Step:
    """What is the same for steps that are merged."""
    name = step.name and _GOROUTINE.sub("goroutine", step.name)
    return replace(
        step,
        address=step.address if step.kind == "global" else 0,
        field=step.field and _INDEX.sub("[*]", step.field),
        name=name,
        goroutine=None,
    )
