"""The top of the dominator tree as a table: what retains most, and below each node what is left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.heap.dominators import Dominators
from mapscope.heap.steps import StepTable

I4 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint64]

_CHUNK = 1 << 20
MOST_GROUPS = 200
"""Types of children that are left out, over all nodes."""
_MOST_PARENTS = 32
"""Nodes whose left-out children are told apart by type."""
MOST_LEVELS = 24
"""Levels of the table; what lies deeper is left out of the node above it, like all that is small."""


class DominatorTree(Struct, frozen=True):
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
    groups: LeftOut


class LeftOut(Struct, frozen=True):
    """Much of what is left out, by type: ``count`` children of one type below one row, and what they retain.

    ``parent``: row, -1 for the top. ``names[name]``: the type. The largest first.
    """

    parent: I8
    name: I8
    names: tuple[str, ...]
    count: I8
    retained: U8


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


def rows_of(tree: Dominators, nodes: I8) -> I4:
    """By node, its row among ``nodes``; -1 for the others."""
    out = np.full(len(tree.idom), -1, dtype=np.int32)
    out[nodes] = np.arange(len(nodes), dtype=np.int32)
    return out


def left_out(tree: Dominators, nodes: I8, parent: I8, row_of: I4) -> tuple[I8, U8, int, int]:
    """Children of each node that are not among ``nodes``: how many, what they retain; and the same of the top.

    ``row_of``: as ``rows_of`` gives it.
    """
    children = np.zeros(len(nodes) + 1, dtype=np.int64)
    for at in range(1, len(tree.idom), _CHUNK):
        part = slice(at, at + _CHUNK)
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


def by_type(tree: Dominators, row_of: I4, types: I4, left: U8, rest: int, name_of: Callable[[int], str]) -> LeftOut:
    """The left-out children of the rows that leave out most, by type.

    ``types``: type id of each node, negative for roots and unknown ones. ``left``: bytes left out of each row;
    ``rest``: of the top. ``name_of``: the name of a type, by its id.
    """
    sizes = np.append(left, np.uint64(max(rest, 0)))  # the top is the last
    parents = np.argsort(~sizes, kind="stable")[:_MOST_PARENTS]
    parents = parents[sizes[parents] >= max(tree.total // 1000, 1)]
    slot_of = np.full(len(sizes), -1, dtype=np.int64)
    slot_of[parents] = np.arange(len(parents))
    kinds = int(types.max(initial=-1)) + 1
    count = np.zeros(len(parents) * kinds, dtype=np.int64)
    retained = np.zeros(len(parents) * kinds, dtype=np.uint64)
    for at in range(1, len(tree.idom), _CHUNK):
        part = slice(at, at + _CHUNK)
        above = tree.idom[part]
        slot = slot_of[np.where(above == 0, len(sizes) - 1, row_of[above])]
        slot[(above != 0) & (row_of[above] < 0)] = -1
        mine = np.flatnonzero((slot >= 0) & (row_of[part] < 0) & (types[part] >= 0) & (tree.retained[part] > 0))
        key = slot[mine] * kinds + types[part][mine]
        found, which = np.unique(key, return_inverse=True)
        count[found] += np.bincount(which, minlength=len(found))
        size = np.zeros(len(found), dtype=np.uint64)
        np.add.at(size, which, tree.retained[part][mine])
        retained[found] += size
    order = np.argsort(~retained, kind="stable")[:MOST_GROUPS]
    order = order[count[order] > 1]
    row = parents[order // max(kinds, 1)]
    used, name = np.unique(order % max(kinds, 1), return_inverse=True)
    names = tuple(name_of(kind) for kind in used.tolist())
    return LeftOut(np.where(row == len(left), -1, row), name.reshape(-1), names, count[order], retained[order])
