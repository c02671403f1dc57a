# What the string keys of maps lie in. See reference/mapkeys.py for the plain version and the parameters.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from mapscope._kernels._index cimport Index, Span, fill_index, find_span, host_of, ld16, ld64, load64, prefetch, slot_of
from mapscope._kernels._maprows cimport (
    C_B, C_BSIZE, C_BUCKETS, C_COUNT, C_KEYS, C_KSTRIDE, C_OLD, C_SAME, EVACUATED_EMPTY, EVACUATED_X, MIN_TOPHASH, S_DIR, S_GSIZE,
    S_KEYS, S_KSTRIDE, S_LEN, array_fits, chain_budget,
)

cdef enum:
    BATCH = 64


cdef struct Keys:
    # String keys that wait, so that what is looked up of each comes into the cache meanwhile.
    uint64_t ptr[BATCH]
    uint64_t length[BATCH]
    int64_t place[BATCH]    # the span, then the object id; -1: the key is not in the heap
    int64_t n


cdef inline void add_string(const Index *ix, Keys *keys, uint64_t address, uint8_t *seen, int64_t *touched, int64_t *ntouched,
                            int64_t cap, const uint32_t *rounded, uint64_t *out) noexcept nogil:
    # One string key, by the address of its two words.
    cdef uint64_t ptr = 0, length = 0
    cdef int64_t s
    if not load64(ix, address, &ptr) or not load64(ix, address + 8, &length) or length == 0:
        return
    s = find_span(ix, ptr)
    if s < 0:
        return
    prefetch(&ix.spans[s])
    keys.ptr[keys.n] = ptr
    keys.length[keys.n] = length
    keys.place[keys.n] = s
    keys.n += 1
    if keys.n == BATCH:
        count_strings(ix, keys, seen, touched, ntouched, cap, rounded, out)


cdef void count_strings(const Index *ix, Keys *keys, uint8_t *seen, int64_t *touched, int64_t *ntouched, int64_t cap,
                        const uint32_t *rounded, uint64_t *out) noexcept nogil:
    # The keys that wait: out[0] keys, out[1] length bytes, out[2] bytes of distinct objects, out[3] distinct objects, out[4]
    # bytes that a copy of each key would take.
    cdef int64_t k, i, oid
    cdef const Span *sp
    cdef uint64_t length
    cdef uint64_t size[BATCH]
    for k in range(keys.n):
        sp = &ix.spans[keys.place[k]]
        i = slot_of(sp, keys.ptr[k])
        keys.place[k] = -1
        if i >= 0 and keys.length[k] <= sp.base + <uint64_t>(i + 1) * sp.elemsize - keys.ptr[k]:
            keys.place[k] = sp.first + i
            size[k] = sp.elemsize
            prefetch(seen + sp.first + i)
    for k in range(keys.n):
        oid = keys.place[k]
        if oid < 0:
            continue
        length = keys.length[k]
        out[0] += 1
        out[1] += length
        out[4] += rounded[(length + 7) >> 3] if length <= 32768 else (length + 8191) & ~<uint64_t>8191
        if seen[oid] or ntouched[0] >= cap:
            continue
        seen[oid] = 1
        touched[ntouched[0]] = oid
        ntouched[0] += 1
        out[2] += size[k]
        out[3] += 1
    keys.n = 0


cdef void strings_of(const Index *ix, const uint64_t *one, bint is_swiss, const uint64_t *lay, uint8_t *seen, int64_t *touched,
                     int64_t cap, const uint32_t *rounded, uint64_t *out) noexcept nogil:
    cdef int64_t n = 0, k
    cdef uint64_t i, g, j, b, nb, address, top = 0, over = 0, table = 0, before = 0, budget, data, groups
    cdef const uint8_t *p
    cdef Keys keys
    keys.n = 0
    if is_swiss:
        nb = one[S_LEN] if one[S_LEN] else 1
        for i in range(nb):
            if one[S_LEN]:
                if not load64(ix, one[S_DIR] + 8 * i, &table):
                    break
                if table == before:
                    continue
                before = table
                p = host_of(ix, table)
                if p == NULL or (table & 4095) > 4096 - 32:
                    continue
                data = ld64(p + lay[5])
                groups = ld16(p + lay[1]) >> 3
            else:
                data = one[S_DIR]
                groups = 1
            for g in range(groups):
                if not load64(ix, data + g * one[S_GSIZE], &top):
                    break
                for j in range(8):
                    if not (top >> (8 * j)) & 0x80:
                        address = data + g * one[S_GSIZE] + one[S_KEYS] + j * one[S_KSTRIDE]
                        add_string(ix, &keys, address, seen, touched, &n, cap, rounded, out)
    else:
        for k in range(2):
            address = one[C_BUCKETS] if k == 0 else one[C_OLD]
            if address == 0 or one[C_B] >= 44 or one[C_BSIZE] < 16:
                continue
            nb = <uint64_t>1 << one[C_B]
            if k == 1 and not one[C_SAME]:
                nb >>= 1
            if not array_fits(ix, address, nb, one[C_BSIZE]):
                continue
            budget = chain_budget(ix, nb, one[C_COUNT])
            for b in range(nb):
                over = address + b * one[C_BSIZE]
                while over != 0 and budget > 0:
                    budget -= 1
                    if not load64(ix, over, &top):
                        break
                    if k == 1 and EVACUATED_X <= (top & 255) <= EVACUATED_EMPTY:
                        break
                    for j in range(8):
                        if ((top >> (8 * j)) & 255) >= MIN_TOPHASH:
                            add_string(ix, &keys, over + one[C_KEYS] + j * one[C_KSTRIDE], seen, touched, &n, cap, rounded, out)
                    if not load64(ix, over + one[C_BSIZE] - 8, &over):
                        break
    count_strings(ix, &keys, seen, touched, &n, cap, rounded, out)
    for k in range(n):
        seen[touched[k]] = 0


def string_keys(h, const uint64_t[:, ::1] rows, bint is_swiss, const uint64_t[::1] lay, uint8_t[::1] seen, int64_t[::1] touched,
                const uint32_t[::1] rounded, uint64_t[:, ::1] out):
    """R16 for maps with string keys: five sums each (see count_strings). ``seen`` is zero by object id, and is left zero;
    ``rounded[k]`` is the size class of 8*k bytes, k to 4096."""
    cdef Index ix
    cdef int64_t row
    fill_index(&ix, h)
    with nogil:
        for row in range(rows.shape[0]):
            strings_of(&ix, &rows[row, 0], is_swiss, &lay[0], &seen[0], &touched[0], touched.shape[0], &rounded[0], &out[row, 0])
