"""Dominators on random and on unkind graphs, against removal of each node and against networkx."""

from __future__ import annotations

import time

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.kernels.heaps import SIDES, kernel


def csr(edges: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and targets of a graph that is given as the ends of each node's edges."""
    offsets = np.cumsum([0, *map(len, edges)]).astype(np.uint32)
    return offsets, np.array([t for ends in edges for t in ends], dtype=np.int32)


def dominators(side: str, offsets: np.ndarray, targets: np.ndarray, budget: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """Immediate dominators, and the reached nodes in order."""
    nodes = len(offsets) - 1
    idom, order = np.full(nodes, -7, dtype=np.int32), np.full(nodes, -7, dtype=np.int32)
    count = kernel(side, "dominators").dominators(offsets, targets, idom, order, budget)
    return idom, order[:count]


def reached(edges: list[list[int]], without: int = -1) -> set[int]:
    """Nodes that a walk from node 0 finds when ``without`` is gone."""
    found, work = {0} - {without}, [0] if without else []
    while work:
        for t in edges[work.pop()]:
            if t not in found and t != without:
                found.add(t)
                work.append(t)
    return found


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    nodes = draw(st.integers(1, 24))
    ends = st.lists(st.integers(0, nodes - 1), max_size=draw(st.sampled_from([1, 2, 3, 6])))
    return draw(st.lists(ends, min_size=nodes, max_size=nodes))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("budget", [-1, 0])
@settings(max_examples=300, deadline=None)
@given(edges=graphs(), seed=st.integers(0, 1000))
def test_removing_a_node_frees_its_subtree(side, budget, edges, seed):
    offsets, targets = csr(edges)
    idom, order = dominators(side, offsets, targets, budget)
    there = reached(edges)
    assert set(order.tolist()) == there
    assert {node for node, above in enumerate(idom.tolist()) if above < 0} == set(range(len(edges))) - there
    rank = {node: at for at, node in enumerate(order.tolist())}
    assert all(rank[int(idom[node])] < rank[node] for node in there - {0})
    assert idom[0] == 0
    sizes = np.random.default_rng(seed).integers(0, 1 << 40, len(edges)).astype(np.uint64)
    sums = sizes.copy()
    kernel(side, "dominators").subtree_sums(order, idom, sums)
    for node in there:
        gone = there - reached(edges, without=node)
        assert int(sums[node]) == sum(sizes[list(gone)].tolist())


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("budget", [-1, 0])
@pytest.mark.parametrize(("nodes", "degree"), [(300, 1), (300, 2), (300, 4), (2000, 1.5), (2000, 3)])
def test_as_networkx_says(side, budget, nodes, degree):
    rng = np.random.default_rng(nodes)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(nodes))
    ends = rng.integers(0, nodes, (int(nodes * degree), 2)).tolist()
    graph.add_edges_from([*ends, *((0, int(t)) for t in rng.integers(1, nodes, 5))])
    offsets, targets = csr([list(graph.successors(node)) for node in range(nodes)])
    idom, _ = dominators(side, offsets, targets, budget)
    told = nx.immediate_dominators(graph, 0)
    wanted = np.full(nodes, -1)
    for node, above in told.items():
        wanted[node] = 0 if above is None else above
    wanted[0] = 0
    assert idom.tolist() == wanted.tolist()


@pytest.mark.parametrize("side", SIDES)
def test_a_list_of_a_million_needs_no_recursion(side):
    nodes = 1_000_000 if side == "compiled" else 200_000
    offsets = np.minimum(np.arange(nodes + 1), nodes - 1).astype(np.uint32)
    idom, order = dominators(side, offsets, np.arange(1, nodes, dtype=np.int32))
    assert np.array_equal(idom[1:], np.arange(nodes - 1))
    assert len(order) == nodes
    sums = np.ones(nodes, dtype=np.uint64)
    kernel(side, "dominators").subtree_sums(order, idom, sums)
    assert np.array_equal(sums, np.arange(nodes, 0, -1))


@pytest.mark.parametrize("side", SIDES)
def test_a_long_list_whose_records_are_held_twice_is_no_trap(side):
    """A queue of requests, each also in a table: a walk from every record up the whole list would never end."""
    length = 400_000 if side == "compiled" else 50_000
    first, table = 1, 1 + length
    record = table + 1 + np.arange(length)
    links = np.stack([np.minimum(first + np.arange(length) + 1, table - 1), record], axis=1)
    links[-1, 0] = record[-1]
    root = np.array([table, first])
    targets = np.concatenate([root, links.reshape(-1), record]).astype(np.int32)
    counts = np.concatenate([[2], np.full(length, 2), [length], np.zeros(length, dtype=np.int64)])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32)
    for swapped in (False, True):
        targets[:2] = root[::-1] if swapped else root
        begin = time.process_time()
        idom, _ = dominators(side, offsets, targets)
        assert time.process_time() - begin < 30
        assert np.array_equal(idom[first + 1 : table], np.arange(first, table - 1))
        assert not idom[record].any()
        assert idom[first] == 0


@pytest.mark.parametrize("side", SIDES)
def test_no_node_at_all(side):
    idom, order = dominators(side, np.zeros(1, dtype=np.uint32), np.zeros(0, dtype=np.int32))
    assert not len(idom)
    assert not len(order)
