# The address index that all heap kernels share: from an address to its page, its span and its object.
# Filled from a mapscope.goruntime.index.HeapIndex; see there for the shapes of the arrays.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint64_t ms_ld64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
    static inline uint32_t ms_ld32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
    static inline uint16_t ms_ld16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
    static inline int ms_ctz64(uint64_t v) { return __builtin_ctzll(v); }
    static inline int ms_popcount64(uint64_t v) { return __builtin_popcountll(v); }
    static inline void ms_prefetch(const void *p) { __builtin_prefetch(p, 0, 1); }
    """
    uint64_t ld64 "ms_ld64"(const void *p) noexcept nogil
    uint32_t ld32 "ms_ld32"(const void *p) noexcept nogil
    uint32_t ld16 "ms_ld16"(const void *p) noexcept nogil
    int ctz64 "ms_ctz64"(uint64_t v) noexcept nogil
    int popcount64 "ms_popcount64"(uint64_t v) noexcept nogil
    void prefetch "ms_prefetch"(const void *p) noexcept nogil

# One span in use. 64 bytes, one cache line; the same fields as SPAN_DTYPE in goruntime/index.py.
cdef struct Span:
    uint64_t base
    uint64_t elemsize
    uint64_t host        # host address of base when the whole span is one run in the evidence, else 0
    int64_t first        # object id of slot 0
    uint64_t maskbit     # bit of base in ptrmask
    uint64_t bytes       # npages * page size
    uint32_t nelems
    uint32_t divmul      # ceil(2^32 / elemsize), 0 for a span of one object
    uint8_t noscan
    uint8_t header       # 1: slots start with a malloc header (a type word)
    uint8_t pad[6]

cdef struct Index:
    const int32_t *chunk_slot
    uint64_t chunks
    const uint64_t *page_host
    const int32_t *page_span
    const Span *spans
    int64_t nspans
    const uint64_t *ptrmask
    uint64_t maskwords
    int64_t nobjects

cdef inline int fill_index(Index *ix, object h) except -1:
    cdef const int32_t[::1] chunk_slot = h.chunk_slot
    cdef const uint64_t[::1] page_host = h.page_host
    cdef const int32_t[::1] page_span = h.page_span
    cdef const uint8_t[::1] spans = h.span_bytes
    cdef const uint64_t[::1] ptrmask = h.ptrmask
    ix.chunk_slot = &chunk_slot[0]
    ix.chunks = chunk_slot.shape[0]
    ix.page_host = &page_host[0] if page_host.shape[0] else NULL
    ix.page_span = &page_span[0] if page_span.shape[0] else NULL
    ix.spans = <const Span *>&spans[0] if spans.shape[0] else NULL
    ix.nspans = spans.shape[0] // sizeof(Span)
    ix.ptrmask = &ptrmask[0] if ptrmask.shape[0] else NULL
    ix.maskwords = ptrmask.shape[0]
    ix.nobjects = h.nobjects
    return 0

cdef inline const uint8_t *host_of(const Index *ix, uint64_t address) noexcept nogil:
    # Host address of one byte; the bytes up to the end of its 4 KB page follow it.
    # Slot 0, of chunks where nothing is mapped, has no pages.
    cdef uint64_t chunk = address >> 26
    cdef uint64_t page
    if chunk >= ix.chunks:
        return NULL
    page = ix.page_host[(<uint64_t>ix.chunk_slot[chunk] << 14) | ((address >> 12) & 16383)]
    if page == 0:
        return NULL
    return <const uint8_t *>page + (address & 4095)

cdef inline bint load64(const Index *ix, uint64_t address, uint64_t *value) noexcept nogil:
    cdef const uint8_t *p = host_of(ix, address)
    cdef const uint8_t *q
    cdef uint64_t v = 0
    cdef int i
    if p == NULL:
        return False
    if (address & 4095) <= 4088:
        value[0] = ld64(p)
        return True
    for i in range(8):
        q = host_of(ix, address + i)
        if q == NULL:
            return False
        v |= <uint64_t>q[0] << (8 * i)
    value[0] = v
    return True

cdef inline int64_t find_span(const Index *ix, uint64_t address) noexcept nogil:
    cdef uint64_t chunk = address >> 26
    if chunk >= ix.chunks:
        return -1
    return ix.page_span[(<uint64_t>ix.chunk_slot[chunk] << 13) | ((address >> 13) & 8191)]

cdef inline int64_t slot_of(const Span *sp, uint64_t address) noexcept nogil:
    # Index of the slot in its span, or -1 for the tail behind the last slot (runtime: mspan.objIndex).
    cdef uint64_t off = address - sp.base
    cdef uint64_t i = (off * sp.divmul) >> 32
    if i >= sp.nelems or off - i * sp.elemsize >= sp.elemsize:
        return -1
    return <int64_t>i

cdef inline uint64_t maskword(const Index *ix, uint64_t bit) noexcept nogil:
    # 64 pointer bits from bit number `bit` on; ptrmask has one word of padding at its end.
    cdef uint64_t k = bit >> 6
    cdef uint64_t s = bit & 63
    if s == 0:
        return ix.ptrmask[k]
    return (ix.ptrmask[k] >> s) | (ix.ptrmask[k + 1] << (64 - s))
