# The life of a classic map of Go, write by write. See reference/classicmap.py for the plain version.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

import numpy as np

from mapscope._kernels._index cimport prefetch

cdef enum:
    SLOTS = 8
    REST = 0
    ONE = 1
    X = 2
    GONE = 4
    LEAST = 5
    ASSIGN = 0
    DELETE = 1
    COLUMNS = 11
    LARGEST_B = 26    # indices of buckets are int32
    AHEAD = 8


cdef struct Array:
    int64_t base       # 2^b
    int64_t made       # with the overflow buckets made with them
    int64_t used       # with those apart
    int64_t room
    uint8_t *tophash
    uint64_t *keys
    int32_t *overflow


cdef struct Map:
    Array now
    Array old
    int64_t b, count, noverflow, nevacuate, oldapart, extra, lists, oldlists, next_free, load, known
    uint64_t seed
    const int64_t *made
    bint growing, same, scanned


cdef void drop(Array *a) noexcept nogil:
    free(a.tophash)
    free(a.keys)
    free(a.overflow)
    memset(a, 0, sizeof(Array))


cdef int make(Array *a, int64_t base, int64_t made) noexcept nogil:
    memset(a, 0, sizeof(Array))
    a.base = base
    a.made = a.used = a.room = made
    a.tophash = <uint8_t *>calloc(made, SLOTS)
    a.keys = <uint64_t *>calloc(made, SLOTS * sizeof(uint64_t))
    a.overflow = <int32_t *>calloc(made, sizeof(int32_t))
    if not a.tophash or not a.keys or not a.overflow:
        drop(a)
        return -1
    memset(a.overflow, 0xFF, made * sizeof(int32_t))
    return 0


cdef int64_t more(Array *a) noexcept nogil:
    # A bucket apart; -1 when there is no memory.
    cdef int64_t room = a.room
    cdef void *p
    if a.used == room:
        room += room // 8 + 16
        p = realloc(a.tophash, room * SLOTS)
        if not p:
            return -1
        a.tophash = <uint8_t *>p
        p = realloc(a.keys, room * SLOTS * sizeof(uint64_t))
        if not p:
            return -1
        a.keys = <uint64_t *>p
        p = realloc(a.overflow, room * sizeof(int32_t))
        if not p:
            return -1
        a.overflow = <int32_t *>p
        a.room = room
    memset(&a.tophash[a.used * SLOTS], 0, SLOTS)
    memset(&a.keys[a.used * SLOTS], 0, SLOTS * sizeof(uint64_t))
    a.overflow[a.used] = -1
    a.used += 1
    return a.used - 1


cdef int array(Map *h, int64_t b) noexcept nogil:
    if b >= h.known or b > LARGEST_B:
        return -1
    if make(&h.now, <int64_t>1 << b, h.made[b]) < 0:
        return -1
    if h.now.made > h.now.base:
        h.next_free = h.now.base
        h.extra = 1
    return 0


cdef inline uint8_t top_of(uint64_t hash) noexcept nogil:
    cdef uint8_t top = <uint8_t>(hash >> 56)
    return top + LEAST if top < LEAST else top


cdef inline uint64_t draw(Map *h) noexcept nogil:
    cdef uint64_t z
    h.seed += <uint64_t>0x9E3779B97F4A7C15
    z = h.seed
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline bint over_load(Map *h, int64_t count) noexcept nogil:
    return count > SLOTS and count > h.load * ((<int64_t>1 << h.b) // 2)


cdef inline bint evacuated(const Array *a, int64_t bucket) noexcept nogil:
    return ONE < a.tophash[SLOTS * bucket] < LEAST


cdef int64_t new_overflow(Map *h, int64_t bucket) noexcept nogil:
    cdef int64_t new
    if h.next_free >= 0:
        new = h.next_free
        h.next_free = new + 1 if new + 1 < h.now.made else -1
    else:
        new = more(&h.now)
        if new < 0:
            return -1
    if h.b < 16 or (<uint32_t>draw(h) & ((<uint32_t>1 << (h.b - 15)) - 1)) == 0:
        h.noverflow += 1
    if not h.scanned:
        h.extra = 1
        h.lists = (h.lists if h.lists > 0 else 0) + 1
    h.now.overflow[bucket] = <int32_t>new
    return new


cdef bint search(Map *h, int64_t *bucket, uint64_t hash, int64_t *cell) noexcept nogil:
    cdef uint8_t top = top_of(hash), seen
    cdef int64_t c
    cell[0] = -1
    while True:
        for c in range(SLOTS * bucket[0], SLOTS * (bucket[0] + 1)):
            seen = h.now.tophash[c]
            if seen == top and h.now.keys[c] == hash:
                cell[0] = c
                return True
            if seen <= ONE:
                if cell[0] < 0:
                    cell[0] = c
                if seen == REST:
                    return False
        if h.now.overflow[bucket[0]] < 0:
            return False
        bucket[0] = h.now.overflow[bucket[0]]


cdef int evacuate(Map *h, int64_t first) noexcept nogil:
    cdef Array *old = &h.old
    cdef int64_t to[2]
    cdef int64_t filled[2]
    cdef int64_t bucket, cell, stop, place
    cdef uint8_t top
    cdef int y
    cdef bint unlinked = h.scanned  # from the first bucket on, up to one that lies in the array itself and is not cleared
    if not evacuated(old, first):
        to[0] = first
        to[1] = first + (0 if h.same else old.base)
        filled[0] = filled[1] = 0
        bucket = first
        while bucket >= 0:
            for cell in range(SLOTS * bucket, SLOTS * (bucket + 1)):
                top = old.tophash[cell]
                if top <= ONE:
                    old.tophash[cell] = GONE
                    continue
                y = 1 if not h.same and old.keys[cell] & <uint64_t>old.base else 0
                old.tophash[cell] = X + y
                if filled[y] == SLOTS:
                    to[y] = new_overflow(h, to[y])
                    if to[y] < 0:
                        return -1
                    filled[y] = 0
                place = SLOTS * to[y] + filled[y]
                h.now.tophash[place] = top
                h.now.keys[place] = old.keys[cell]
                filled[y] += 1
            if bucket >= old.made:
                h.oldapart -= unlinked
            elif bucket != first:
                unlinked = False
            bucket = old.overflow[bucket]
        if h.scanned:
            old.overflow[first] = -1
            memset(&old.keys[SLOTS * first], 0, SLOTS * sizeof(uint64_t))
    if first == h.nevacuate:
        h.nevacuate += 1
        stop = min(h.nevacuate + 1024, old.base)
        while h.nevacuate != stop and evacuated(old, h.nevacuate):
            h.nevacuate += 1
        if h.nevacuate == old.base:
            h.growing = h.same = False
            h.oldapart = 0
            h.oldlists = -1
            drop(old)
    return 0


cdef int grow_work(Map *h, int64_t bucket) noexcept nogil:
    if evacuate(h, bucket & (h.old.base - 1)) < 0:
        return -1
    if h.growing and evacuate(h, h.nevacuate) < 0:
        return -1
    return 0


cdef int hash_grow(Map *h) noexcept nogil:
    h.same = not over_load(h, h.count + 1)
    if not h.same:
        h.b += 1
    h.old = h.now
    memset(&h.now, 0, sizeof(Array))
    h.growing = True
    h.oldapart = h.old.used - h.old.made
    if array(h, h.b) < 0:
        return -1
    h.nevacuate = h.noverflow = 0
    if h.lists >= 0:
        h.oldlists = h.lists
        h.lists = -1
    return 0


cdef int assign(Map *h, uint64_t hash) noexcept nogil:
    cdef int64_t bucket, cell
    while True:
        bucket = <int64_t>(hash & ((<uint64_t>1 << h.b) - 1))
        if h.growing and grow_work(h, bucket) < 0:
            return -1
        if search(h, &bucket, hash, &cell):
            return 0
        if not h.growing and (over_load(h, h.count + 1) or h.noverflow >= <int64_t>1 << min(h.b, 15)):
            if hash_grow(h) < 0:
                return -1
            continue
        if cell < 0:
            bucket = new_overflow(h, bucket)
            if bucket < 0:
                return -1
            cell = SLOTS * bucket
        h.now.tophash[cell] = top_of(hash)
        h.now.keys[cell] = hash
        h.count += 1
        return 0


cdef void mark_rest(Map *h, int64_t first, int64_t bucket, int64_t cell) noexcept nogil:
    cdef int64_t before, after = h.now.overflow[bucket]
    if cell % SLOTS == SLOTS - 1:
        if after >= 0 and h.now.tophash[SLOTS * after] != REST:
            return
    elif h.now.tophash[cell + 1] != REST:
        return
    while True:
        h.now.tophash[cell] = REST
        if cell % SLOTS == 0:
            if bucket == first:
                return
            before = first
            while h.now.overflow[before] != bucket:
                before = h.now.overflow[before]
            bucket = before
            cell = SLOTS * bucket + SLOTS - 1
        else:
            cell -= 1
        if h.now.tophash[cell] != ONE:
            return


cdef int delete(Map *h, uint64_t hash) noexcept nogil:
    cdef int64_t first, bucket, cell
    if h.count == 0:
        return 0
    first = bucket = <int64_t>(hash & ((<uint64_t>1 << h.b) - 1))
    if h.growing and grow_work(h, bucket) < 0:
        return -1
    if not search(h, &bucket, hash, &cell):
        return 0
    if h.scanned:
        h.now.keys[cell] = 0
    h.now.tophash[cell] = ONE
    mark_rest(h, first, bucket, cell)
    h.count -= 1
    if h.count == 0:
        draw(h)
    return 0


cdef int clear(Map *h) noexcept nogil:
    if h.count == 0:
        return 0
    drop(&h.old)
    drop(&h.now)
    h.growing = h.same = False
    h.count = h.noverflow = h.nevacuate = h.oldapart = 0
    h.lists = h.oldlists = h.next_free = -1
    draw(h)
    return array(h, h.b)


cdef void tell(const Map *h, int64_t *row) noexcept nogil:
    row[0] = h.count
    row[1] = h.b
    row[2] = h.growing
    row[3] = h.same
    row[4] = h.noverflow
    row[5] = h.nevacuate
    row[6] = h.extra
    row[7] = h.now.used - h.now.made
    row[8] = h.oldapart
    row[9] = h.lists
    row[10] = h.oldlists


cdef tuple memory(const Array *a):
    cdef int64_t n = a.used
    tophash, keys, overflow = np.empty(SLOTS * n, np.uint8), np.empty(SLOTS * n, np.uint64), np.empty(n, np.int32)
    cdef uint8_t[::1] t = tophash
    cdef uint64_t[::1] k = keys
    cdef int32_t[::1] o = overflow
    if n:
        memcpy(&t[0], a.tophash, SLOTS * n)
        memcpy(&k[0], a.keys, SLOTS * n * sizeof(uint64_t))
        memcpy(&o[0], a.overflow, n * sizeof(int32_t))
    return tophash, keys, overflow


def run(const uint8_t[::1] ops, const uint64_t[::1] hashes, const int64_t[::1] at, int64_t b, int64_t load, bint scanned,
        const int64_t[::1] made, uint64_t seed, int64_t[:, ::1] rows, bint keep):
    """Leads a map through ``ops`` on ``hashes``; ``rows`` get the header at the operations ``at``; the answer is the memory."""
    cdef Map h
    cdef int64_t done, row = 0, n = ops.shape[0], nat = at.shape[0]
    cdef int bad = 0
    cdef uint64_t ahead
    if n != hashes.shape[0] or rows.shape[0] != nat or rows.shape[1] != COLUMNS:
        raise ValueError("ops and hashes, or at and rows, differ in length")
    memset(&h, 0, sizeof(Map))
    h.b = b
    h.load = load
    h.scanned = scanned
    h.seed = seed
    h.known = made.shape[0]
    h.made = &made[0] if h.known else NULL
    h.lists = h.oldlists = h.next_free = -1
    try:
        if array(&h, b) < 0:
            raise MemoryError
        with nogil:
            for done in range(n):
                while row < nat and at[row] <= done:
                    tell(&h, &rows[row, 0])
                    row += 1
                if done + AHEAD < n:
                    ahead = hashes[done + AHEAD] & ((<uint64_t>1 << h.b) - 1)
                    prefetch(&h.now.tophash[SLOTS * ahead])
                if ops[done] == ASSIGN:
                    bad = assign(&h, hashes[done])
                elif ops[done] == DELETE:
                    bad = delete(&h, hashes[done])
                else:
                    bad = clear(&h)
                if bad:
                    break
        if bad:
            raise MemoryError
        while row < nat:
            tell(&h, &rows[row, 0])
            row += 1
        if not keep:
            drop(&h.now)
            drop(&h.old)
        return memory(&h.now) + memory(&h.old)
    finally:
        drop(&h.now)
        drop(&h.old)
