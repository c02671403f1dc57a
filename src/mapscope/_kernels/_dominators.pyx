# Immediate dominators by Semi-NCA (Georgiadis, Tarjan, Werneck: Finding Dominators in Practice, 2006), and subtree sums.
# See reference/dominators.py for the plain version. No recursion, 32-bit numbers.
#
# Everything between the search and the answer works on preorder numbers, which lie close together in memory. The search
# itself collects the edges that are not in its tree: only nodes that such an edge enters can have a dominator other than
# their parent. Walks up the dominator tree have a budget; where hostile or unlucky shapes use it up (a long list whose
# elements are also held from elsewhere), skew-binary jump pointers (Myers, 1983) make each walk logarithmic.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from mapscope._kernels._index cimport prefetch

import numpy as np

cdef enum:
    AHEAD = 16
    WALKS = 8


cdef struct Place:
    # Of a node: where its edges begin, and its preorder number or -1. Looked up for every edge: so both share a cache line.
    uint32_t begin
    int32_t number


cdef inline void fetch_children(const Place *places, const int32_t *targets, uint32_t e, uint32_t end) noexcept nogil:
    if end > e + AHEAD:
        end = e + AHEAD
    while e < end:
        prefetch(&places[targets[e]])
        e += 1


cdef int64_t search(Place *places, const int32_t *targets, int32_t *vertex, int32_t *parent, uint32_t *cursor, int32_t *side,
                    int64_t *nside) noexcept nogil:
    # Depth first from node 0. side: pairs (from, to) of preorder numbers, of the edges that are not in the tree. cursor: by
    # depth, where to go on.
    cdef int64_t n = 1, c = 0, k = 0, depth = 0
    cdef int32_t t, b
    cdef uint32_t e = places[0].begin, end = places[1].begin
    places[0].number = 0
    vertex[0] = 0
    parent[0] = 0
    fetch_children(places, targets, e, end)
    while True:
        if e == end:
            if c == 0:
                break
            c = parent[c]
            depth -= 1
            e = cursor[depth]
            end = places[vertex[c] + 1].begin
            continue
        t = targets[e]
        e += 1
        if e < end:  # what the next one leads to is waited for otherwise
            prefetch(&targets[places[targets[e]].begin])
        b = places[t].number
        if b < 0:
            places[t].number = <int32_t>n
            vertex[n] = t
            parent[n] = <int32_t>c
            if places[t].begin == places[t + 1].begin:
                n += 1
                continue
            cursor[depth] = e
            depth += 1
            if end > e + AHEAD:
                prefetch(&places[targets[e + AHEAD]])
            c = n
            n += 1
            e = places[t].begin
            end = places[t + 1].begin
            fetch_children(places, targets, e, end)
        elif parent[b] != c and b != 0:
            side[2 * k] = <int32_t>c
            side[2 * k + 1] = b
            k += 1
    nside[0] = k
    return n


cdef inline int32_t evaluate(int32_t *label, int32_t *ancestor, int32_t *path, int32_t v, int32_t w) noexcept nogil:
    # Smallest semidominator on the way from v up to below w; the way is compressed.
    cdef int64_t depth = 0
    cdef int32_t p, least
    if ancestor[v] <= w:
        return label[v]
    while ancestor[v] > w:
        path[depth] = v
        depth += 1
        v = ancestor[v]
    p = v
    least = label[v]
    while depth:
        depth -= 1
        v = path[depth]
        ancestor[v] = ancestor[p]
        if least < label[v]:
            label[v] = least
        else:
            least = label[v]
        p = v
    return label[v]


cdef int64_t walk(int32_t *idom, const int32_t *places, const int32_t *semi, int64_t nplaces, int64_t budget) noexcept nogil:
    # Second phase: the nearest ancestor in the dominator tree at or above the semidominator. Answers where it gave up.
    cdef int64_t k
    cdef int32_t d, s
    for k in range(nplaces - 1, -1, -1):
        d = idom[places[k]]
        s = semi[k]
        while d > s:
            d = idom[d]
            budget -= 1
        idom[places[k]] = d
        if budget < 0:
            return k
    return 0


cdef void jump_walk(int32_t *idom, int64_t n, const int32_t *places, const int32_t *semi, int64_t k,
                    int32_t *depth, int32_t *jump) noexcept nogil:
    # The same from place k - 1 on, with a jump pointer for every node.
    cdef int64_t w
    cdef int32_t d, s, j
    depth[0] = 0
    jump[0] = 0
    for w in range(1, n):
        if k > 0 and places[k - 1] == w:
            k -= 1
            d = idom[w]
            s = semi[k]
            while d > s:
                d = jump[d] if jump[d] >= s else idom[d]
            idom[w] = d
        d = idom[w]
        j = jump[d]
        depth[w] = depth[d] + 1
        jump[w] = jump[j] if depth[d] - depth[j] == depth[j] - depth[jump[j]] else d


def dominators(const uint32_t[::1] offsets, const int32_t[::1] targets, int32_t[::1] idom, int32_t[::1] order,
               int64_t budget=-1):
    """Fills ``idom`` (by node: its immediate dominator; -1: not reached from node 0; 0 for node 0) and ``order``.

    ``order``: the reached nodes, each behind its dominator; how many is the answer. ``budget``: steps of plain walks, for
    tests.
    """
    cdef int64_t nodes = idom.shape[0], n = 0, nside = 0, i, k, lists = 0, nplaces, stopped
    cdef int32_t w, s, v, u
    if nodes == 0:
        return 0
    cdef uint32_t[::1] table = np.empty(2 * (nodes + 1), dtype=np.uint32)
    cdef int32_t[::1] parent = np.empty(nodes, dtype=np.int32)
    # as deep as the search goes, then as long as a path is: what is not written takes no memory
    cdef uint32_t[::1] stack = np.empty(nodes, dtype=np.uint32)
    cdef int32_t[::1] side = np.empty(2 * targets.shape[0] + 2, dtype=np.int32)
    cdef const int32_t *edge = &targets[0] if targets.shape[0] else NULL
    cdef Place *where = <Place *>&table[0]
    with nogil:
        for i in range(nodes + 1):
            where[i].begin = offsets[i]
            where[i].number = -1
        n = search(where, edge, &order[0], &parent[0], &stack[0], &side[0], &nside)
    # Edges into each node, as lists in the order of the nodes: places[k] has sources[first[k]:first[k + 1]].
    # Memory that has done its work serves again: the table as count, then as ancestor, and as label; the stack as path.
    cdef int32_t *count = <int32_t *>where
    cdef int32_t *ancestor = count
    cdef int32_t *label = count + nodes
    cdef int32_t *path = <int32_t *>&stack[0]
    with nogil:
        memset(count, 0, n * sizeof(int32_t))
        for i in range(nside):
            if i + AHEAD < nside:
                prefetch(&count[side[2 * (i + AHEAD) + 1]])
            w = side[2 * i + 1]
            if count[w] == 0:
                lists += 1
            count[w] += 1
    nplaces = lists
    cdef int32_t[::1] places = np.empty(max(nplaces, 1), dtype=np.int32)
    cdef int32_t[::1] semi = np.empty(max(nplaces, 1), dtype=np.int32)
    cdef int64_t[::1] first = np.empty(nplaces + 1, dtype=np.int64)
    cdef int32_t[::1] sources = np.empty(max(nside, 1), dtype=np.int32)
    with nogil:
        # descending, as the first phase wants them; count becomes the index of the list
        k = 0
        i = 0
        for w in range(<int32_t>n - 1, -1, -1):
            if count[w]:
                places[k] = w
                first[k] = i
                i += count[w]
                count[w] = <int32_t>k
                k += 1
        first[nplaces] = i
        for i in range(nside - 1, -1, -1):
            if i >= AHEAD:
                prefetch(&count[side[2 * (i - AHEAD) + 1]])
            k = count[side[2 * i + 1]]
            sources[first[k]] = side[2 * i]
            first[k] += 1
        for k in range(nplaces, 0, -1):
            first[k] = first[k - 1]
        first[0] = 0
        memcpy(ancestor, &parent[0], n * sizeof(int32_t))
        memcpy(label, &parent[0], n * sizeof(int32_t))
        for k in range(nplaces):
            w = places[k]
            s = parent[w]
            for i in range(first[k], first[k + 1]):
                v = sources[i]
                u = v if v < w else evaluate(label, ancestor, path, v, w)
                if u < s:
                    s = u
            label[w] = s
            semi[k] = s
        stopped = walk(&parent[0], &places[0], &semi[0], nplaces, budget if budget >= 0 else WALKS * n + 1024)
        if stopped:
            jump_walk(&parent[0], n, &places[0], &semi[0], stopped, label, path)
        memset(&idom[0], 255, nodes * sizeof(int32_t))  # -1: not reached
        for i in range(n):
            if i + AHEAD < n:
                prefetch(&idom[order[i + AHEAD]])
            idom[order[i]] = order[parent[i]]
    return n


def subtree_sums(const int32_t[::1] order, const int32_t[::1] idom, uint64_t[::1] sums):
    """Adds what ``sums`` has for each node to all its dominators. ``order``: each node behind its dominator."""
    cdef int64_t i, n = order.shape[0]
    cdef int32_t node
    with nogil:
        for i in range(n - 1, 0, -1):
            if i >= AHEAD:
                prefetch(&idom[order[i - AHEAD]])
                prefetch(&sums[order[i - AHEAD]])
            node = order[i]
            sums[idom[node]] += sums[node]
