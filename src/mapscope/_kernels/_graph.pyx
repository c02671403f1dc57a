# The live objects as a graph: dense numbers, roots, edges, shortest paths. See reference/graph.py for the plain version.
#
# Objects are numbered by rank among the marked ones (a bitmap with running counts, which stays in the cache). Pointers are
# resolved in batches, with the memory that the next step needs fetched ahead.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mapscope._kernels._index cimport (
    Index, Span, ctz64, fill_index, find_span, ld64, load64, maskword, popcount64, prefetch, slot_of,
)
from mapscope._kernels._targets cimport HOLDS_NOTHING, Target, Targets, fill_targets, locate as locate_target, page_of

cdef enum:
    MARKED = 2
    BATCH = 256
    AHEAD = 16
    LOWEST = 4096


cdef inline int64_t rank_of(const uint64_t *directory, int64_t oid) noexcept nogil:
    # Marked objects before oid, or -1 when oid itself is not marked.
    cdef const uint64_t *pair = directory + 2 * (oid >> 6)
    cdef uint64_t bit = <uint64_t>1 << (oid & 63)
    if not pair[0] & bit:
        return -1
    return <int64_t>pair[1] + popcount64(pair[0] & (bit - 1))


cdef inline int64_t live_before(const uint64_t *directory, int64_t oid) noexcept nogil:
    cdef const uint64_t *pair = directory + 2 * (oid >> 6)
    return <int64_t>pair[1] + popcount64(pair[0] & ((<uint64_t>1 << (oid & 63)) - 1))


cdef inline int64_t object_at(const Index *ix, uint64_t v) noexcept nogil:
    cdef int64_t s = find_span(ix, v)
    cdef int64_t i
    if s < 0:
        return -1
    i = slot_of(&ix.spans[s], v)
    return -1 if i < 0 else ix.spans[s].first + i


def number(const uint8_t[::1] flags, uint64_t[::1] directory):
    """Fills ``directory`` (pairs: 64 bits of marked objects, marked objects before them); how many there are."""
    cdef int64_t k, i, n = flags.shape[0], words = directory.shape[0] // 2
    cdef uint64_t bits, before = 0
    with nogil:
        for k in range(words):
            bits = 0
            if k * 64 + 64 <= n:  # eight flags at a time: their bits gather in the highest byte of the product
                for i in range(0, 64, 8):
                    bits |= (((ld64(&flags[k * 64 + i]) >> 1) & <uint64_t>0x0101010101010101) * <uint64_t>0x0102040810204080 >> 56) << i
            else:
                for i in range(k * 64, n):
                    bits |= <uint64_t>((flags[i] >> 1) & 1) << (i & 63)
            directory[2 * k] = bits
            directory[2 * k + 1] = before
            before += popcount64(bits)
    return before


def objects_at(const uint64_t[::1] directory, const int64_t[::1] ranks, int64_t[::1] out):
    """Id of the marked object with each rank; -1 for ranks that none has. Ascending ranks are found fastest."""
    cdef int64_t i, rank, low, high, mid, step, words = directory.shape[0] // 2, at = 0
    cdef uint64_t bits
    with nogil:
        for i in range(ranks.shape[0]):
            rank = ranks[i]
            out[i] = -1
            if rank < 0 or words == 0:
                continue
            # from where the last one was, in steps that double; then the last pair with no more than rank before it
            low, high, step = 0, words, 1
            if <int64_t>directory[2 * at + 1] <= rank:
                low = at
                while low + step < words and <int64_t>directory[2 * (low + step) + 1] <= rank:
                    low += step
                    step *= 2
                high = min(low + step, words)
            while high - low > 1:
                mid = (low + high) // 2
                if <int64_t>directory[2 * mid + 1] <= rank:
                    low = mid
                else:
                    high = mid
            at = low
            bits = directory[2 * low]
            rank -= <int64_t>directory[2 * low + 1]
            while rank > 0 and bits:
                bits &= bits - 1
                rank -= 1
            if bits:
                out[i] = low * 64 + <int64_t>ctz64(bits)


def root_words(h, const int64_t[:, ::1] regions, const uint8_t[::1] mask, const uint64_t[::1] directory,
               uint64_t[::1] address, int64_t[::1] target, int64_t[::1] region):
    """Words of the regions that point to a marked object: as many rows as fit are filled; how many there are."""
    cdef Index ix
    cdef int64_t r, w, oid, n = 0, room = address.shape[0]
    cdef uint64_t at, v
    fill_index(&ix, h)
    if ix.nobjects == 0:
        return 0
    with nogil:
        for r in range(regions.shape[0]):
            for w in range(regions[r, 1]):
                if regions[r, 3] >= 0 and not (mask[regions[r, 3] + (w >> 3)] >> (w & 7)) & 1:
                    continue
                at = <uint64_t>regions[r, 0] + 8 * <uint64_t>w
                if not load64(&ix, at, &v) or v < LOWEST:
                    continue
                oid = object_at(&ix, v)
                if oid < 0 or rank_of(&directory[0], oid) < 0:
                    continue
                if n < room:
                    address[n] = at
                    target[n] = oid
                    region[n] = r
                n += 1
    return n


cdef struct Graph:
    Index ix
    Targets to
    const uint64_t *directory
    int64_t base        # rank of the first object whose edges are looked for
    uint32_t *offsets
    int32_t *targets
    int64_t room
    int64_t n           # edges so far
    int64_t filled      # offsets are filled up to this object, counted from base


cdef struct Batch:
    uint64_t value[BATCH]
    int64_t source[BATCH]
    int64_t n


cdef inline int64_t led_to(const Index *ix, const Targets *leads, uint64_t v) noexcept nogil:
    # The object that an address lies in, -1 for none.
    cdef int64_t page = page_of(ix, v)
    cdef Target to
    if page < 0 or leads.holds[page] == HOLDS_NOTHING or not locate_target(ix, leads, v, &to):
        return -1
    return to.oid


cdef void flush(Graph *g, Batch *b) noexcept nogil:
    # Batch of pointer values to edges: object, then number, each a loop of its own.
    cdef int64_t k, rank, source
    cdef int64_t place[BATCH]
    for k in range(b.n):
        place[k] = led_to(&g.ix, &g.to, b.value[k])
        if place[k] >= 0:
            prefetch(g.directory + 2 * (place[k] >> 6))
    for k in range(b.n):
        if place[k] < 0:
            continue
        rank = rank_of(g.directory, place[k])
        source = b.source[k]
        if rank < 0 or rank == g.base + source:
            continue
        while g.filled < source:
            g.filled += 1
            g.offsets[g.filled] = <uint32_t>g.n
        # the same target twice in a row (table directories, slices of one array) is one edge
        if g.n > <int64_t>g.offsets[source] and g.targets[g.n - 1] == <int32_t>rank:
            continue
        if g.n < g.room:
            g.targets[g.n] = <int32_t>rank
            g.n += 1
    b.n = 0


def edges(h, leads, const uint64_t[::1] directory, int64_t first, int64_t last, uint32_t[::1] offsets,
          int32_t[::1] targets):
    """Edges of the marked objects in spans ``first`` to ``last``, by ranks; how many.

    ``leads``: the Targets of ``h``. ``offsets`` has a place for each of these objects and one more.
    """
    cdef Graph g
    cdef Batch b
    cdef int64_t s, node, i, oid
    cdef uint64_t k, m, v, nwords, bit0, at, address
    cdef const Span *sp
    cdef const uint8_t *p
    fill_index(&g.ix, h)
    fill_targets(&g.to, leads)
    last = min(last, g.ix.nspans)
    offsets[0] = 0
    if first >= last:
        return 0
    g.directory = &directory[0]
    g.base = live_before(g.directory, g.ix.spans[first].first)
    g.offsets = &offsets[0]
    g.targets = &targets[0] if targets.shape[0] else NULL
    g.room = targets.shape[0]
    g.n = 0
    g.filled = 0
    b.n = 0
    with nogil:
        for s in range(first, last):
            sp = &g.ix.spans[s]
            if sp.noscan:
                continue
            node = live_before(g.directory, sp.first) - g.base
            nwords = sp.elemsize >> 3
            for i in range(<int64_t>sp.nelems):
                oid = sp.first + i
                if not (g.directory[2 * (oid >> 6)] >> (oid & 63)) & 1:
                    continue
                at = <uint64_t>i * sp.elemsize
                bit0 = sp.maskbit + (at >> 3)
                p = <const uint8_t *>(sp.host + at) if sp.host else NULL
                k = 0
                while k < nwords:
                    m = maskword(&g.ix, bit0 + k)
                    if nwords - k < 64:
                        m &= (<uint64_t>1 << (nwords - k)) - 1
                    while m:
                        address = 8 * (k + <uint64_t>ctz64(m))
                        m &= m - 1
                        if p != NULL:
                            v = ld64(p + address)
                        elif not load64(&g.ix, sp.base + at + address, &v):
                            continue
                        if v < LOWEST:
                            continue
                        b.value[b.n] = v
                        b.source[b.n] = node
                        b.n += 1
                        if b.n == BATCH:
                            flush(&g, &b)
                    k += 64
                node += 1
        flush(&g, &b)
        while g.filled < <int64_t>offsets.shape[0] - 1:
            g.filled += 1
            g.offsets[g.filled] = <uint32_t>g.n
    return g.n


def sizes(h, const uint64_t[::1] directory, uint64_t[::1] out):
    """Slot size of every marked object, by rank."""
    cdef Index ix
    cdef int64_t s, i, n
    fill_index(&ix, h)
    if ix.nobjects == 0:
        return
    with nogil:
        for s in range(ix.nspans):
            n = live_before(&directory[0], ix.spans[s].first)
            for i in range(n, n + live_in(&directory[0], ix.spans[s].first, ix.spans[s].nelems)):
                out[i] = ix.spans[s].elemsize


cdef inline int64_t live_in(const uint64_t *directory, int64_t first, int64_t count) noexcept nogil:
    return live_before(directory, first + count) - live_before(directory, first)


def shortest(const uint32_t[::1] offsets, const int32_t[::1] targets, int64_t start, int64_t blocked,
             int32_t[::1] before, int32_t[::1] queue):
    """Breadth first from node ``start``: ``before`` (-1 on entry) gets the node before each on a shortest path.

    ``start`` is before itself. Node ``blocked`` (-1: none) is not entered. Answers how many nodes were reached; ``queue``
    holds them in order.
    """
    cdef int64_t head = 0, tail = 1, n = before.shape[0], node, t
    cdef uint32_t e, end
    if n == 0:
        return 0
    before[start] = <int32_t>start
    queue[0] = <int32_t>start
    with nogil:
        while head < tail:
            if head + AHEAD < tail:
                prefetch(&offsets[queue[head + AHEAD]])
            if head + AHEAD // 2 < tail:
                e = offsets[queue[head + AHEAD // 2]]
                if e < <uint32_t>targets.shape[0]:
                    prefetch(&targets[e])
            if head + AHEAD // 4 < tail:
                node = queue[head + AHEAD // 4]
                e = offsets[node]
                end = min(offsets[node + 1], e + AHEAD)
                while e < end:
                    prefetch(&before[targets[e]])
                    e += 1
            node = queue[head]
            head += 1
            e = offsets[node]
            end = offsets[node + 1]
            while e < end:
                if end - e > AHEAD:
                    prefetch(&before[targets[e + AHEAD]])
                t = targets[e]
                e += 1
                if before[t] >= 0 or t == blocked:
                    continue
                before[t] = <int32_t>node
                queue[tail] = <int32_t>t
                tail += 1
    return tail


def reverse(const uint32_t[::1] offsets, const int32_t[::1] targets, uint32_t[::1] back_offsets, int32_t[::1] sources):
    """The same edges by their end: ``sources[back_offsets[t]:back_offsets[t + 1]]`` point to node t, in ascending order."""
    cdef int64_t node, n = offsets.shape[0] - 1, m = targets.shape[0], i
    cdef uint32_t e, here, sum = 0
    with nogil:
        for i in range(n + 1):
            back_offsets[i] = 0
        for i in range(m):
            if i + AHEAD < m:
                prefetch(&back_offsets[targets[i + AHEAD]])
            back_offsets[targets[i]] += 1
        # to the end of each list, then filled from behind, which leaves the starts
        for i in range(n):
            sum += back_offsets[i]
            back_offsets[i] = sum
        back_offsets[n] = sum
        for node in range(n - 1, -1, -1):
            for i in range(<int64_t>offsets[node + 1] - 1, <int64_t>offsets[node] - 1, -1):
                if i >= AHEAD:
                    prefetch(&back_offsets[targets[i - AHEAD]])
                back_offsets[targets[i]] -= 1
                sources[back_offsets[targets[i]]] = <int32_t>node


cdef inline int64_t next_word(const Index *ix, const Targets *leads, const Span *sp, uint64_t base, uint64_t *k, uint64_t *m,
                              uint64_t *at) noexcept nogil:
    # The object that the next pointer word of the slot at base points to, its byte offset in at[0]; -2 behind the last word,
    # -1 for a word that points to no object. m[0]: what is left of the mask before word number k[0]; start with both 0.
    cdef uint64_t nwords = sp.elemsize >> 3
    cdef uint64_t v
    while not m[0]:
        if k[0] >= nwords:
            return -2
        m[0] = maskword(ix, sp.maskbit + ((base - sp.base) >> 3) + k[0])
        if nwords - k[0] < 64:
            m[0] &= (<uint64_t>1 << (nwords - k[0])) - 1
        k[0] += 64
    at[0] = 8 * (k[0] - 64 + <uint64_t>ctz64(m[0]))
    m[0] &= m[0] - 1
    if not load64(ix, base + at[0], &v) or v < LOWEST:
        return -1
    return led_to(ix, leads, v)


def locate(h, leads, const int64_t[::1] sources, const int64_t[::1] targets, int64_t[::1] out):
    """Byte offset of the first pointer word in object ``sources[i]`` that points to object ``targets[i]``, -1 where none does.

    The pairs are distinct and in ascending order; each source is read once. ``leads``: the Targets of ``h``.
    """
    cdef Index ix
    cdef Targets tables
    cdef int64_t i = 0, end, n = sources.shape[0], oid, low, high, mid, left, at_span = 0
    cdef uint64_t k, m, at = 0, base
    cdef const Span *sp
    fill_index(&ix, h)
    fill_targets(&tables, leads)
    with nogil:
        while i < n:
            end = i
            while end < n and sources[end] == sources[i]:
                out[end] = -1
                end += 1
            # from the span of the one before, in steps that double
            low, high = at_span, 1
            while low + high < ix.nspans and ix.spans[low + high].first <= sources[i]:
                low += high
                high *= 2
            high = min(low + high, ix.nspans)
            while high - low > 1:
                mid = (low + high) // 2
                if ix.spans[mid].first <= sources[i]:
                    low = mid
                else:
                    high = mid
            at_span = low
            sp = &ix.spans[low]
            base = sp.base + <uint64_t>(sources[i] - sp.first) * sp.elemsize
            k = 0
            m = 0
            left = end - i
            while left and not sp.noscan:
                oid = next_word(&ix, &tables, sp, base, &k, &m, &at)
                if oid == -2:
                    break
                low, high = i, end
                while low < high:
                    mid = (low + high) // 2
                    if targets[mid] < oid:
                        low = mid + 1
                    else:
                        high = mid
                if low < end and targets[low] == oid and out[low] < 0:
                    out[low] = <int64_t>at
                    left -= 1
            i = end


def words_to(h, leads, int64_t source, int64_t target, int64_t[::1] out):
    """Byte offsets of the pointer words in object ``source`` that point to object ``target``: how many; as many as fit in
    ``out``. ``leads``: the Targets of ``h``."""
    cdef Index ix
    cdef Targets tables
    cdef int64_t s, n = 0, oid
    cdef uint64_t k = 0, m = 0, at = 0, base
    cdef const Span *sp
    fill_index(&ix, h)
    fill_targets(&tables, leads)
    with nogil:
        s = 0
        while s + 1 < ix.nspans and ix.spans[s + 1].first <= source:
            s += 1
        sp = &ix.spans[s]
        base = sp.base + <uint64_t>(source - sp.first) * sp.elemsize
        while not sp.noscan:
            oid = next_word(&ix, &tables, sp, base, &k, &m, &at)
            if oid == -2:
                break
            if oid == target:
                if n < out.shape[0]:
                    out[n] = <int64_t>at
                n += 1
    return n
