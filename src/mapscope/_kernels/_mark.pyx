# Marks the heap as the collector would, with part of one object left out: what only that part keeps alive stays unmarked.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from mapscope._kernels._index cimport Index, Span, ctz64, fill_index, find_span, ld64, load64, maskword, prefetch, slot_of

import numpy as np

cdef enum:
    ALLOCATED = 1
    MARKED = 2
    EVACUATED_X = 2
    EVACUATED_EMPTY = 4


cdef inline void visit(const Index *ix, uint8_t *flags, uint64_t *stack, int64_t *n, uint64_t v) noexcept nogil:
    cdef int64_t s = find_span(ix, v)
    cdef int64_t i, oid
    cdef const Span *sp
    if s < 0:
        return
    sp = &ix.spans[s]
    i = slot_of(sp, v)
    if i < 0:
        return
    oid = sp.first + i
    if (flags[oid] & (ALLOCATED | MARKED)) != ALLOCATED:
        return
    flags[oid] |= MARKED
    if not sp.noscan:
        if sp.host:
            prefetch(<const void *>(sp.host + <uint64_t>i * sp.elemsize))
        stack[n[0]] = (<uint64_t>s << 32) | <uint64_t>i
        n[0] += 1


cdef inline bint skipped(const uint64_t *skip, int64_t nskip, int64_t *cursor, uint64_t address) noexcept nogil:
    # Whether address lies in one of the ascending ranges; addresses are asked for in ascending order.
    while cursor[0] < nskip and skip[2 * cursor[0] + 1] <= address:
        cursor[0] += 1
    return cursor[0] < nskip and skip[2 * cursor[0]] <= address


def mark(h, uint8_t[::1] flags, const int64_t[:, ::1] regions, const uint8_t[::1] mask, const uint64_t[::1] loose,
         int64_t except_object, const uint64_t[:, ::1] skip):
    """Sets bit 1 of ``flags`` for every object that the regions and loose values reach, reading the pointer words of object
    ``except_object`` only outside the ascending address ranges ``skip`` (n × 2: low, high)."""
    cdef Index ix
    cdef int64_t n = 0, r, w, oid, cursor
    cdef uint64_t entry, i, base, nwords, bit0, k, m, v, address
    cdef const Span *sp
    cdef const uint8_t *p
    cdef const uint64_t *ranges = NULL
    fill_index(&ix, h)
    if ix.nobjects == 0:
        return
    if skip.shape[0]:
        ranges = &skip[0, 0]
    cdef uint64_t[::1] stack = np.empty(ix.nobjects, dtype=np.uint64)
    with nogil:
        for r in range(loose.shape[0]):
            visit(&ix, &flags[0], &stack[0], &n, loose[r])
        for r in range(regions.shape[0]):
            for w in range(regions[r, 1]):
                if regions[r, 3] >= 0 and not (mask[regions[r, 3] + (w >> 3)] >> (w & 7)) & 1:
                    continue
                if load64(&ix, <uint64_t>regions[r, 0] + 8 * <uint64_t>w, &v) and v >= 4096:
                    visit(&ix, &flags[0], &stack[0], &n, v)
        while n:
            n -= 1
            entry = stack[n]
            sp = &ix.spans[entry >> 32]
            i = entry & <uint64_t>0xFFFFFFFF
            oid = sp.first + <int64_t>i
            base = sp.base + i * sp.elemsize
            nwords = sp.elemsize >> 3
            bit0 = sp.maskbit + ((base - sp.base) >> 3)
            p = <const uint8_t *>(sp.host + i * sp.elemsize) if sp.host else NULL
            cursor = 0
            k = 0
            while k < nwords:
                m = maskword(&ix, bit0 + k)
                if nwords - k < 64:
                    m &= (<uint64_t>1 << (nwords - k)) - 1
                while m:
                    address = base + 8 * (k + <uint64_t>ctz64(m))
                    m &= m - 1
                    if oid == except_object and skipped(ranges, skip.shape[0], &cursor, address):
                        continue
                    if p != NULL:
                        v = ld64(p + (address - base))
                    elif not load64(&ix, address, &v):
                        continue
                    if v >= 4096:
                        visit(&ix, &flags[0], &stack[0], &n, v)
                k += 64


def stale_buckets(h, uint64_t old, uint64_t count, uint64_t size, uint64_t[:, ::1] skip, uint64_t[::1] out):
    """Ranges of keys and elems of evacuated old buckets: rows of ``skip``, how many is the answer. ``out[0]`` gets the number
    of those buckets that still hold a pointer that is not nil. The range takes in the overflow word: what hangs on evacuated
    overflow buckets is as stale."""
    cdef Index ix
    cdef uint64_t b, address, top, w, v, rows = 0, bit
    cdef int64_t s
    cdef const Span *sp
    cdef bint any_pointer
    fill_index(&ix, h)
    with nogil:
        for b in range(count):
            address = old + b * size
            s = find_span(&ix, address)
            if s < 0 or not load64(&ix, address, &top):
                continue
            if not EVACUATED_X <= (top & 255) <= EVACUATED_EMPTY:
                continue
            sp = &ix.spans[s]
            any_pointer = False
            w = 8
            while w + 8 < size and w < sp.base + sp.bytes - address:
                bit = sp.maskbit + ((address + w - sp.base) >> 3)
                if maskword(&ix, bit) & 1 and load64(&ix, address + w, &v) and v:
                    any_pointer = True
                    break
                w += 8
            skip[rows, 0] = address + 8
            skip[rows, 1] = address + size
            rows += 1
            if any_pointer:
                out[0] += 1
    return rows
