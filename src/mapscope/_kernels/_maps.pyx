# What lies below a map's header: buckets and chains (classic), directory, tables and groups (Swiss).
# One C loop over maps; every walk is bounded by what the header could explain. See reference/maps.py for the plain version.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from mapscope._kernels._index cimport Index, Span, fill_index, find_span, host_of, ld16, ld64, load64, popcount64, prefetch, slot_of
from mapscope._kernels._maprows cimport (
    C_B, C_BSIZE, C_BUCKETS, C_COUNT, C_EIND, C_ELEMS, C_ESTRIDE, C_KEYS, C_KIND, C_KSTRIDE, C_OLD, C_SAME, EVACUATED_EMPTY,
    EVACUATED_X, MIN_TOPHASH, S_DIR, S_EIND, S_ELEMS, S_ESTRIDE, S_GSIZE, S_KEYS, S_KIND, S_KSTRIDE, S_LEN, S_SCAN, array_fits,
    chain_budget, slot_base, slot_bytes,
)

cdef enum:
    MARKED = 2

cdef enum:
    # columns of a classic map's result
    R_LIVE = 0
    R_OVERFLOW = 1
    R_OVERFLOW_BYTES = 2
    R_EVACUATED = 3
    R_OLD_OVERFLOW = 4
    R_OLD_OVERFLOW_BYTES = 5
    R_INDIRECT = 6
    R_UNREADABLE = 7
    R_CORRUPT = 8
    R_WIDTH = 9

cdef enum:
    NEXT = 6            # maps ahead whose bucket is fetched
    BUCKETS_AHEAD = 16


cdef inline bint is_marked(const Index *ix, const uint8_t *flags, uint64_t address) noexcept nogil:
    cdef int64_t s = find_span(ix, address)
    cdef int64_t i
    if s < 0:
        return False
    i = slot_of(&ix.spans[s], address)
    return i >= 0 and (flags[ix.spans[s].first + i] & MARKED) != 0


cdef uint64_t bucket_live(const Index *ix, uint64_t bucket, uint64_t top, const uint64_t *m, uint64_t *indirect) noexcept nogil:
    # Live cells of one bucket, by its tophash bytes; adds the slots of keys and elems held by pointer.
    cdef uint64_t live = 0, i, p = 0
    if not m[C_KIND] and not m[C_EIND]:
        # all bytes at once: of one below 128, what MIN_TOPHASH lacks to 128 brings the highest bit
        live = ((top & <uint64_t>0x7F7F7F7F7F7F7F7F) + (128 - MIN_TOPHASH) * <uint64_t>0x0101010101010101) | top
        return popcount64(live & <uint64_t>0x8080808080808080)
    for i in range(8):
        if ((top >> (8 * i)) & 255) < MIN_TOPHASH:
            continue
        live += 1
        if m[C_KIND] and load64(ix, bucket + m[C_KEYS] + i * m[C_KSTRIDE], &p):
            indirect[0] += slot_bytes(ix, p)
        if m[C_EIND] and load64(ix, bucket + m[C_ELEMS] + i * m[C_ESTRIDE], &p):
            indirect[0] += slot_bytes(ix, p)
    return live


cdef inline const uint8_t *in_one_piece(const Index *ix, uint64_t address, uint64_t n, uint64_t size) noexcept nogil:
    # Where n buckets of that size lie in this process, NULL where they are not all in one span that lies in one piece.
    cdef int64_t s = find_span(ix, address)
    cdef const Span *sp
    if s < 0:
        return NULL
    sp = &ix.spans[s]
    if sp.host == 0 or n > sp.bytes // size or address - sp.base > sp.bytes - n * size:
        return NULL
    return <const uint8_t *>(sp.host + (address - sp.base))


cdef inline void fetch_bucket(const Index *ix, const uint8_t *buckets, uint64_t b, uint64_t n, uint64_t size) noexcept nogil:
    # Of an array: the end of a bucket that is reached soon, and the overflow bucket of one that is reached sooner.
    cdef const uint8_t *p
    cdef uint64_t over
    if b + BUCKETS_AHEAD < n:
        prefetch(buckets + (b + BUCKETS_AHEAD) * size + size - 8)
    if b + BUCKETS_AHEAD // 2 < n:
        over = ld64(buckets + (b + BUCKETS_AHEAD // 2) * size + size - 8)
        p = host_of(ix, over) if over else NULL
        if p != NULL:
            prefetch(p)
            prefetch(p + size - 8)


cdef bint walk_made(const Index *ix, const uint8_t *flags, const uint64_t *m, uint64_t n, uint64_t low, uint64_t high,
                    uint64_t *out) noexcept nogil:
    # What the overflow buckets keep that were made with an old array of n buckets and lie in it. An evacuated chain is
    # unlinked at its first bucket alone, so what hangs on one of these stays. There are n/16, and as many as the size class
    # has room for (runtime/map.go: makeBucketArray, evacuate). False: a ring.
    cdef uint64_t b, over, size = m[C_BSIZE], budget = chain_budget(ix, n, m[C_COUNT])
    for b in range(n, min((high - low) // size, n + (n >> 1) + 1)):
        over = 0
        load64(ix, low + (b + 1) * size - 8, &over)
        while over != 0 and not low <= over < high and is_marked(ix, flags, over):
            if budget == 0:
                return False
            budget -= 1
            out[R_OLD_OVERFLOW_BYTES] += slot_bytes(ix, over)
            if not load64(ix, over + size - 8, &over):
                break
    return True


cdef void walk_classic(const Index *ix, const uint8_t *flags, const uint64_t *m, uint64_t *out, uint64_t *histogram,
                       uint64_t nhist, uint64_t *chains, uint64_t nchains) noexcept nogil:
    cdef uint64_t n, b, address, top = 0, over = 0, live, length, budget, low, high, size
    cdef bint old, evacuated, apart
    cdef int part
    cdef const uint8_t *buckets
    n = <uint64_t>1 << m[C_B]
    budget = chain_budget(ix, n, m[C_COUNT])
    for part in range(2):
        old = part == 1
        if old and m[C_OLD] == 0:
            break
        if old:
            n = n if m[C_SAME] else n >> 1
            low = m[C_OLD]
        else:
            low = m[C_BUCKETS]
        if low == 0:
            continue
        size = slot_bytes(ix, low)
        if not array_fits(ix, low, n, m[C_BSIZE]):
            out[R_CORRUPT] = 1
            return
        # the array may start behind a malloc header, so the slot's end is not low + size
        high = slot_base(ix, low) + size if size else low + n * m[C_BSIZE]
        buckets = in_one_piece(ix, low, n, m[C_BSIZE]) if n >= BUCKETS_AHEAD else NULL
        for b in range(n):
            address = low + b * m[C_BSIZE]
            if buckets != NULL:
                fetch_bucket(ix, buckets, b, n, m[C_BSIZE])
                top = ld64(buckets + b * m[C_BSIZE])
            elif not load64(ix, address, &top):
                out[R_UNREADABLE] = 1
                break
            evacuated = old and EVACUATED_X <= (top & 255) <= EVACUATED_EMPTY
            if evacuated:
                out[R_EVACUATED] += 1
                live = 0
            else:
                live = bucket_live(ix, address, top, m, &out[R_INDIRECT])
            length = 0
            apart = True
            over = 0
            if buckets != NULL:
                over = ld64(buckets + (b + 1) * m[C_BSIZE] - 8)
            else:
                load64(ix, address + m[C_BSIZE] - 8, &over)
            while over != 0:
                if budget == 0:
                    out[R_CORRUPT] = 1
                    return
                budget -= 1
                if not load64(ix, over, &top):
                    out[R_UNREADABLE] = 1
                    break
                if old and not is_marked(ix, flags, over):
                    break
                length += 1
                if low <= over < high:
                    apart = not old  # the rest of the chain counts at this one: see walk_made
                elif apart:
                    out[R_OLD_OVERFLOW_BYTES if old else R_OVERFLOW_BYTES] += slot_bytes(ix, over)
                if old:
                    out[R_OLD_OVERFLOW] += not evacuated
                else:
                    out[R_OVERFLOW] += 1
                if not evacuated:
                    live += bucket_live(ix, over, top, m, &out[R_INDIRECT])
                if not load64(ix, over + m[C_BSIZE] - 8, &over):
                    break
            out[R_LIVE] += live
            if histogram != NULL and not old:
                histogram[live if live < nhist else nhist - 1] += 1
                chains[length if length < nchains else nchains - 1] += 1
        if old and not walk_made(ix, flags, m, n, low, high, out):
            out[R_CORRUPT] = 1
            return


def classic(h, const uint8_t[::1] flags, const uint64_t[:, ::1] maps, uint64_t[:, ::1] out):
    """Walks the buckets of classic maps: rows of C_WIDTH numbers in, rows of R_WIDTH numbers out (zeroed by the caller)."""
    cdef Index ix
    cdef int64_t k
    cdef const uint8_t *p
    fill_index(&ix, h)
    if maps.shape[0] == 0:
        return
    with nogil:
        for k in range(maps.shape[0]):
            if k + NEXT < maps.shape[0]:  # most maps are small, and the bucket of each lies elsewhere
                p = host_of(&ix, maps[k + NEXT, C_BUCKETS])
                if p != NULL:
                    prefetch(p)
                    prefetch(p + 64)
            if maps[k, C_B] < 44 and maps[k, C_BSIZE] >= 16:
                walk_classic(&ix, &flags[0] if flags.shape[0] else NULL, &maps[k, 0], &out[k, 0], NULL, 0, NULL, 0)


def classic_histogram(h, const uint8_t[::1] flags, const uint64_t[::1] one, uint64_t[::1] out, uint64_t[::1] occupancy,
                      uint64_t[::1] chains):
    """The same for one map, with buckets by entries (chain included) and by overflow buckets; the last cell is "or more"."""
    cdef Index ix
    fill_index(&ix, h)
    if one[C_B] >= 44 or one[C_BSIZE] < 16:
        return
    with nogil:
        walk_classic(&ix, &flags[0] if flags.shape[0] else NULL, &one[0], &out[0], &occupancy[0], occupancy.shape[0],
                     &chains[0], chains.shape[0])


cdef enum:
    T_USED = 0
    T_TABLES = 1
    T_GROUPS = 2
    T_CAPACITY = 3
    T_GROWTH_LEFT = 4
    T_TOMBSTONES = 5
    T_TABLE_BYTES = 6
    T_GROUP_BYTES = 7
    T_LIVE = 8
    T_INDIRECT = 9
    T_UNREADABLE = 10
    T_CORRUPT = 11
    T_WIDTH = 12

cdef enum:
    MAX_GROUPS = 128     # maxTableCapacity / 8 (internal/runtime/maps/table.go)


cdef void walk_groups(const Index *ix, const uint64_t *m, uint64_t data, uint64_t groups, uint64_t *out, uint64_t *histogram) noexcept nogil:
    cdef uint64_t g, ctrl = 0, i, p = 0, live
    cdef uint64_t group
    for g in range(groups):
        group = data + g * m[S_GSIZE]
        if not load64(ix, group, &ctrl):
            out[T_UNREADABLE] = 1
            return
        live = 0
        for i in range(8):
            if (ctrl >> (8 * i)) & 0x80:      # ctrlEmpty 0x80, ctrlDeleted 0xfe; full cells have the top bit clear
                continue
            live += 1
            if m[S_KIND] and load64(ix, group + m[S_KEYS] + i * m[S_KSTRIDE], &p):
                out[T_INDIRECT] += slot_bytes(ix, p)
            if m[S_EIND] and load64(ix, group + m[S_ELEMS] + i * m[S_ESTRIDE], &p):
                out[T_INDIRECT] += slot_bytes(ix, p)
        out[T_LIVE] += live
        if histogram != NULL:
            histogram[live] += 1


cdef void walk_swiss(const Index *ix, const uint64_t *lay, const uint64_t *m, uint64_t *out, uint64_t *histogram,
                     uint64_t *tables, uint64_t max_tables) noexcept nogil:
    # lay: offsets in the table struct of used, capacity, growthLeft, localDepth, index, groups.data, groups.lengthMask
    cdef uint64_t i, table = 0, before = 0, data = 0, mask = 0, used, capacity, growth, depth
    cdef const uint8_t *p
    cdef int64_t tombs
    if m[S_LEN] == 0:
        if m[S_DIR]:
            out[T_GROUPS] = 1
            out[T_CAPACITY] = 8
            out[T_GROUP_BYTES] = slot_bytes(ix, m[S_DIR])
            if m[S_SCAN]:
                walk_groups(ix, m, m[S_DIR], 1, out, histogram)
        return
    if slot_bytes(ix, m[S_DIR]) < 8 * m[S_LEN]:
        out[T_CORRUPT] = 1
        return
    i = 0
    while i < m[S_LEN]:
        if not load64(ix, m[S_DIR] + 8 * i, &table):
            out[T_UNREADABLE] = 1
            return
        if table == before:
            i += 1
            continue
        before = table
        p = host_of(ix, table)
        # a table is 32 bytes in a 32-byte slot: it never crosses a page
        if p == NULL or (table & 4095) > 4096 - 32:
            out[T_UNREADABLE] = 1
            i += 1
            continue
        used = ld16(p + lay[0])
        capacity = ld16(p + lay[1])
        growth = ld16(p + lay[2])
        depth = p[lay[3]]
        data = ld64(p + lay[5])
        mask = ld64(p + lay[6])
        out[T_TABLES] += 1
        if capacity > 1024 or capacity & 7 or mask != (capacity >> 3) - 1:
            out[T_CORRUPT] = 1
            i += 1
            continue
        out[T_USED] += used
        out[T_CAPACITY] += capacity
        out[T_GROUPS] += capacity >> 3
        out[T_GROWTH_LEFT] += growth
        if capacity > 8:
            tombs = <int64_t>(capacity * 7 >> 3) - <int64_t>used - <int64_t>growth
        else:
            tombs = <int64_t>capacity - 1 - <int64_t>used - <int64_t>growth
        if tombs > 0:
            out[T_TOMBSTONES] += <uint64_t>tombs
        out[T_TABLE_BYTES] += slot_bytes(ix, table)
        out[T_GROUP_BYTES] += slot_bytes(ix, data)
        if tables != NULL and out[T_TABLES] <= max_tables:
            tables[8 * (out[T_TABLES] - 1)] = table
            tables[8 * (out[T_TABLES] - 1) + 1] = used
            tables[8 * (out[T_TABLES] - 1) + 2] = capacity
            tables[8 * (out[T_TABLES] - 1) + 3] = growth
            tables[8 * (out[T_TABLES] - 1) + 4] = depth
            tables[8 * (out[T_TABLES] - 1) + 5] = ld64(p + lay[4])
            tables[8 * (out[T_TABLES] - 1) + 6] = <uint64_t>(tombs if tombs > 0 else 0)
        if m[S_SCAN]:
            walk_groups(ix, m, data, capacity >> 3, out, histogram)
        i += 1


def swiss(h, const uint64_t[::1] lay, const uint64_t[:, ::1] maps, uint64_t[:, ::1] out):
    """Walks directories and tables of Swiss maps: rows of S_WIDTH in, rows of T_WIDTH out (zeroed by the caller)."""
    cdef Index ix
    cdef int64_t k
    cdef const uint8_t *p
    fill_index(&ix, h)
    if maps.shape[0] == 0:
        return
    with nogil:
        for k in range(maps.shape[0]):
            if k + NEXT < maps.shape[0]:  # most maps are small, and the bucket of each lies elsewhere
                p = host_of(&ix, maps[k + NEXT, C_BUCKETS])
                if p != NULL:
                    prefetch(p)
                    prefetch(p + 64)
            if maps[k, S_LEN] <= <uint64_t>1 << 36:
                walk_swiss(&ix, &lay[0], &maps[k, 0], &out[k, 0], NULL, NULL, 0)


def swiss_detail(h, const uint64_t[::1] lay, const uint64_t[::1] one, uint64_t[::1] out, uint64_t[::1] occupancy,
                 uint64_t[:, ::1] tables):
    """The same for one map, with groups by entries (9 cells) and its first tables (address, used, capacity, growthLeft,
    localDepth, index, tombstones, 0)."""
    cdef Index ix
    fill_index(&ix, h)
    if one[S_LEN] > <uint64_t>1 << 36:
        return
    with nogil:
        walk_swiss(&ix, &lay[0], &one[0], &out[0], &occupancy[0], &tables[0, 0], tables.shape[0])
