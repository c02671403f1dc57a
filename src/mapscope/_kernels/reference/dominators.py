"""Immediate dominators and subtree sums.

The compiled side uses Semi-NCA; this one is the algorithm of Lengauer and Tarjan with path compression (A Fast
Algorithm for Finding Dominators in a Flowgraph, 1979), so that tests which compare the two compare two methods. No
recursion.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def dominators(
    offsets: npt.NDArray[np.uint32],
    targets: npt.NDArray[np.int32],
    idom: npt.NDArray[np.int32],
    order: npt.NDArray[np.int32],
    budget: int = -1,
) -> int:
    """Fills ``idom`` (int32 by node: its immediate dominator; -1: not reached from node 0; 0 for node 0) and ``order``.

    The edges of node i end in ``targets[offsets[i]:offsets[i + 1]]``. ``order``: int32, the reached nodes, each behind
    its dominator; how many is the answer. ``budget`` is for the compiled side.
    """
    idom[:] = -1
    if not len(idom):
        return 0
    number, vertex, parent = _search(offsets.tolist(), targets.tolist(), len(idom))
    count = len(vertex)
    into: list[list[int]] = [[] for _ in range(count)]
    sources = np.repeat(np.arange(len(idom)), offsets[1:].astype(np.int64) - offsets[:-1].astype(np.int64))
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        if number[source] >= 0:
            into[number[target]].append(number[source])
    semi = list(range(count))
    label = list(range(count))
    ancestor = [-1] * count
    bucket: list[list[int]] = [[] for _ in range(count)]
    dominator = [0] * count

    def evaluate(v: int) -> int:
        path = []
        while ancestor[v] >= 0 and ancestor[ancestor[v]] >= 0:
            path.append(v)
            v = ancestor[v]
        if ancestor[v] < 0 and not path:
            return v
        for u in reversed(path):
            above = ancestor[u]
            if semi[label[above]] < semi[label[u]]:
                label[u] = label[above]
            ancestor[u] = ancestor[above]
        return label[path[0] if path else v]

    for w in range(count - 1, 0, -1):
        semi[w] = min(semi[evaluate(v)] for v in into[w])
        bucket[semi[w]].append(w)
        ancestor[w] = parent[w]
        for v in bucket[parent[w]]:
            u = evaluate(v)
            dominator[v] = u if semi[u] < semi[v] else parent[w]
        bucket[parent[w]] = []
    for w in range(1, count):
        if dominator[w] != semi[w]:
            dominator[w] = dominator[dominator[w]]
    vertices = np.array(vertex, dtype=np.int32)
    order[:count] = vertices
    idom[vertices] = vertices[np.array(dominator, dtype=np.int64)]
    return count


def _search(offsets: list[int], targets: list[int], nodes: int) -> tuple[list[int], list[int], list[int]]:
    """Depth first from node 0: preorder number by node (-1: not reached), node and parent's number by number."""
    number = [-1] * nodes
    number[0] = 0
    vertex, parent = [0], [0]
    stack = [(0, offsets[0])]
    while stack:
        node, e = stack.pop()
        while e < offsets[node + 1]:
            t = targets[e]
            e += 1
            if number[t] < 0:
                stack.append((node, e))
                parent.append(number[node])
                number[t] = len(vertex)
                vertex.append(t)
                stack.append((t, offsets[t]))
                break
    return number, vertex, parent


def subtree_sums(order: npt.NDArray[np.int32], idom: npt.NDArray[np.int32], sums: npt.NDArray[np.uint64]) -> None:
    """Adds what ``sums`` (uint64 by node) has for each node to all its dominators.

    ``order``: each node behind its dominator.
    """
    values, above = sums.tolist(), idom.tolist()
    for node in reversed(order.tolist()[1:]):
        values[above[node]] += values[node]
    sums[:] = np.array(values, dtype=np.uint64)
