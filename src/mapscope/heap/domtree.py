"""The top of the dominator tree as a table: what retains most, and below each node what is left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapscope.heap.dominators import Dominators
from mapscope.heap.steps import StepTable

I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]

MOST_LEVELS = 24
"""Levels of the table; what lies deeper is left out of the node above it, like all that is small."""


@dataclass(frozen=True, slots=True)
class DominatorTree:
    """Nodes of the dominator tree, parents before children, siblings by retained size.

    ``parent``: row of the parent, -1 for those that nothing else dominates. ``retained``, ``shallow``: bytes.
    ``left_out``, ``left_out_bytes``: children that are not in the table, and what they retain. ``total``: live bytes of
    the heap; what no row holds is in ``rest``, ``rest_bytes``.
    """

    parent: I8
    steps: StepTable
    retained: U8
    shallow: U8
    left_out: I8
    left_out_bytes: U8
    total: int
    rest: int
    rest_bytes: int


def top_nodes(tree: Dominators, most: int) -> tuple[I8, I8]:
    """Nodes of the tree that retain most, with the row of each one's parent: parents first, then by size.

    At most ``most``, at most MOST_LEVELS levels. All of equal size are in or out together.
    """
    retained = tree.retained
    least = np.uint64(max(tree.total // 5000, 1))
    chosen = np.flatnonzero(retained >= least)
    chosen = chosen[chosen > 0]
    if len(chosen) > most:
        limit = np.partition(retained[chosen], len(chosen) - most - 1)[len(chosen) - most - 1]
        chosen = chosen[retained[chosen] > limit]
    # who dominates retains at least as much, so the parent of a chosen one is chosen too
    parents = np.searchsorted(chosen, tree.idom[chosen])
    known = (parents < len(chosen)) & (chosen[np.minimum(parents, len(chosen) - 1)] == tree.idom[chosen])
    parents = np.where(known, parents, -1)
    level = np.where(known, -1, 0)
    for depth in range(1, MOST_LEVELS):
        below = (level < 0) & (level[np.maximum(parents, 0)] == depth - 1)
        if not below.any():
            break
        level[below] = depth
    order = np.lexsort((chosen, ~retained[chosen], level))
    order = order[level[order] >= 0]
    row = np.full(len(chosen) + 1, -1, dtype=np.int64)
    row[order] = np.arange(len(order))
    return chosen[order], row[parents[order]]


def left_out(tree: Dominators, nodes: I8, parent: I8) -> tuple[I8, U8, int, int]:
    """Children of each node that are not among ``nodes``: how many, what they retain; and the same of the top."""
    row_of = np.full(len(tree.idom), -1, dtype=np.int32)
    row_of[nodes] = np.arange(len(nodes), dtype=np.int32)
    children = np.zeros(len(nodes) + 1, dtype=np.int64)
    for at in range(1, len(tree.idom), 1 << 20):
        part = slice(at, at + (1 << 20))
        owner = row_of[tree.idom[part]]
        outside = (row_of[part] < 0) & (tree.retained[part] > 0)
        children += np.bincount(owner[outside & (owner >= 0)], minlength=len(nodes) + 1)
        children[-1] += int((outside & (tree.idom[part] == 0)).sum())
    retained = tree.retained[nodes]
    inside = np.zeros(len(nodes) + 1, dtype=np.uint64)
    np.add.at(inside, parent, retained)
    own = tree.graph.sizes_of(nodes)
    rest = int(tree.total) - int(inside[-1])
    return children[:-1], retained - own - inside[:-1], int(children[-1]), rest
