"""What holds most: suspects and the way down to where memory gathers, on small graphs drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mapscope.heap import dominators
from mapscope.heap.dominators import Dominators
from mapscope.heap.graph import Graph, RootTable

ROOTS = 3
"""Nodes before the objects: the one above all, and two variables."""


def tree(edges: dict[int, list[int]], sizes: dict[int, int]) -> Dominators:
    """Dominators of a graph in which node 0 leads to the two variables 1 and 2."""
    nodes = 1 + max([ROOTS - 1, *edges, *sizes, *(t for ends in edges.values() for t in ends)])
    none = np.zeros(0, dtype=np.int64)
    roots = RootTable(
        np.zeros(ROOTS, dtype=np.uint8), np.zeros(ROOTS, dtype=np.uint64), np.zeros(ROOTS, dtype=np.int32),
        none.astype(np.int32), none.astype(np.uint64), none.astype(np.int32), none,
    )  # fmt: skip
    ends = [[1, 2], *(edges.get(node, []) for node in range(1, nodes))]
    offsets = np.cumsum([0, *map(len, ends)]).astype(np.uint32)

    class Sized(Graph):
        def shallow(self):
            return np.array([sizes.get(node, 0) for node in range(nodes)], dtype=np.uint64)

    targets = np.array([t for each in ends for t in each], dtype=np.int32)
    return Dominators(Sized(None, none.astype(np.uint64), roots, offsets, targets, none))


def kinds(found: Dominators, of: dict[int, int]) -> np.ndarray:
    """Type id by node, -1 where ``of`` does not say it."""
    return np.array([of.get(node, -1) for node in range(len(found.graph))], dtype=np.int32)


def test_the_way_down_goes_on_while_one_child_has_most():
    found = tree({1: [3], 3: [4], 4: [5, 6]}, {3: 1, 4: 10, 5: 50, 6: 39})
    assert found.way(1) == (1, 3, 4)
    (suspect,) = found.suspects(kinds(found, {}))
    assert (suspect.nodes, suspect.retained, suspect.way, suspect.count) == ((1,), 100, (1, 3, 4), 1)


def test_below_a_variable_that_spreads_out_lie_its_parts():
    found = tree({1: [3, 4, 5], 3: [6]}, {3: 1, 6: 44, 4: 45, 5: 9, 2: 1})
    assert [(s.nodes, s.retained) for s in found.suspects(kinds(found, {}))] == [((3,), 45), ((4,), 45)]


def test_many_of_one_type_are_one_suspect():
    many = list(range(3, 103))
    found = tree({1: many}, dict.fromkeys(many, 7) | {103: 5})
    (suspect,) = found.suspects(kinds(found, dict.fromkeys(many, 4)))
    assert (suspect.count, suspect.retained) == (100, 700)
    assert set(suspect.nodes) <= set(many)
    assert found.suspects(kinds(found, {})) == ()


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 14])
def test_of_equal_ones_the_first_are_listed(monkeypatch, chunk):
    monkeypatch.setattr(dominators, "_CHUNK", chunk)
    many = list(range(3, 103))
    sizes = {node: 7 + (node in (50, 90)) for node in many}
    found = tree({1: many}, sizes)
    of = {node: 4 + node % 2 for node in many if node != 3}
    odd, even = sorted(found.suspects(kinds(found, of)), key=lambda s: s.count)
    assert (odd.count, odd.retained, odd.nodes) == (49, 343, tuple(range(5, 36, 2)))
    assert (even.count, even.retained) == (50, 352)
    assert even.nodes == (50, 90, *range(4, 31, 2))


def test_what_two_variables_hold_belongs_to_neither():
    found = tree({1: [3], 2: [3], 3: [4]}, {3: 1, 4: 99})
    assert found.idom[3] == 0
    assert found.largest(2).tolist()[0] == 3
    assert [s.nodes for s in found.suspects(kinds(found, {}))] == [(3,)]
    assert int(found.retained[1]) == int(found.retained[2]) == 0


def test_a_heap_without_objects_has_no_suspects():
    found = tree({}, {})
    assert found.suspects(kinds(found, {})) == ()
    assert not len(found.largest(0))


def test_the_highest_dominator_of_nodes_however_deep():
    line = {node: [node + 1] for node in range(3, 400)}
    found = tree({1: [3], 2: [600, 601], 600: [602], 601: [602]} | line, {3: 1})
    nodes = [0, 1, 2, 3, 4, 60, 200, 400, 600, 602]
    wanted = [0, 1, 2, 1, 1, 1, 1, 1, 2, 2]
    for deepest in range(1, len(nodes) + 1):
        assert found.tops(np.array(nodes[:deepest])).tolist() == wanted[:deepest]
    assert found.tops(np.zeros(0, dtype=np.int64)).tolist() == []
