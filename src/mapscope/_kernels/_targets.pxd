# Where a pointer leads, told from small tables: a byte and a word for each page, and the sizes of each kind of span. Spans
# themselves are a cache line each, and a heap of a gigabyte has a hundred thousand of them. Filled from goruntime/targets.py.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mapscope._kernels._index cimport Index, Span, find_span, slot_of

cdef struct Kind:
    # What slots of a span are like; KIND_DTYPE in goruntime/targets.py.
    uint32_t divmul
    uint32_t nelems
    uint32_t elemsize
    uint8_t noscan
    uint8_t header
    uint8_t pad[2]

cdef struct Targets:
    # By page, that is slot of the chunk << 13 | page in it: `holds`, whether a span lies there (HOLDS_…), and `pages`, id of
    # the span's first object << 32 | kind << 16 | page in the span. Of kind 0 only the span itself tells more.
    const uint8_t *holds
    const uint64_t *pages
    const Kind *kinds

cdef struct Target:
    int64_t oid
    int64_t slot
    uint64_t rest       # bytes from the start of the slot
    uint8_t noscan
    uint8_t header

cdef enum:
    HOLDS_NOTHING = 0
    HOLDS_POINTERS = 1
    HOLDS_LEAVES = 2


cdef inline int fill_targets(Targets *to, object targets) except -1:
    cdef const uint8_t[::1] holds = targets.holds
    cdef const uint64_t[::1] pages = targets.pages
    cdef const uint8_t[::1] kinds = targets.kind_bytes
    to.holds = &holds[0] if holds.shape[0] else NULL
    to.pages = &pages[0] if pages.shape[0] else NULL
    to.kinds = <const Kind *>&kinds[0]
    return 0


cdef inline int64_t page_of(const Index *ix, uint64_t address) noexcept nogil:
    # Where the tables tell of an address, -1 for one that lies in no chunk.
    cdef uint64_t chunk = address >> 26
    if chunk >= ix.chunks:
        return -1
    return <int64_t>((<uint64_t>ix.chunk_slot[chunk] << 13) | ((address >> 13) & 8191))


cdef inline bint locate(const Index *ix, const Targets *to, uint64_t address, Target *out) noexcept nogil:
    # Of an address in a page that holds something. False behind the last slot of a span.
    cdef uint64_t entry = to.pages[page_of(ix, address)], offset, i
    cdef const Kind *kind = &to.kinds[(entry >> 16) & 0xFFFF]
    cdef const Span *sp
    cdef int64_t found
    if kind.nelems == 0:
        sp = &ix.spans[find_span(ix, address)]
        found = slot_of(sp, address)
        if found < 0:
            return False
        out.oid = sp.first + found
        out.slot = found
        out.rest = address - sp.base - <uint64_t>found * sp.elemsize
        out.noscan, out.header = sp.noscan, sp.header
        return True
    offset = ((entry & 0xFFFF) << 13) | (address & 8191)
    i = (offset * kind.divmul) >> 32
    if i >= kind.nelems or offset - i * kind.elemsize >= kind.elemsize:
        return False
    out.oid = <int64_t>(entry >> 32) + <int64_t>i
    out.slot = <int64_t>i
    out.rest = offset - i * kind.elemsize
    out.noscan, out.header = kind.noscan, kind.header
    return True
