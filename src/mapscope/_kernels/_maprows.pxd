# What the kernels that walk maps share: the columns of a map's row, and bounds of what its header could explain.
from libc.stdint cimport int64_t, uint64_t

from mapscope._kernels._index cimport Index, find_span, slot_of

cdef enum:
    MIN_TOPHASH = 5      # runtime/map.go: minTopHash; below it are the marks of empty and evacuated cells
    EVACUATED_X = 2
    EVACUATED_EMPTY = 4

cdef enum:
    # columns of a classic map's row
    C_B = 0
    C_SAME = 1
    C_BUCKETS = 2
    C_OLD = 3
    C_COUNT = 4
    C_BSIZE = 5
    C_KEYS = 6
    C_KSTRIDE = 7
    C_KIND = 8           # 1: keys are held by pointer
    C_ELEMS = 9
    C_ESTRIDE = 10
    C_EIND = 11
    C_WIDTH = 12

cdef enum:
    # columns of a Swiss map's row
    S_DIR = 0
    S_LEN = 1
    S_GSIZE = 2
    S_KEYS = 3
    S_KSTRIDE = 4
    S_KIND = 5
    S_ELEMS = 6
    S_ESTRIDE = 7
    S_EIND = 8
    S_SCAN = 9           # 1: read the control words too (live cells, histogram, pointers)
    S_WIDTH = 10


cdef inline uint64_t slot_base(const Index *ix, uint64_t address) noexcept nogil:
    # Address of the heap slot that holds address; address itself when none does.
    cdef int64_t s = find_span(ix, address)
    cdef int64_t i
    if s < 0:
        return address
    i = slot_of(&ix.spans[s], address)
    return ix.spans[s].base + <uint64_t>i * ix.spans[s].elemsize if i >= 0 else address


cdef inline uint64_t slot_bytes(const Index *ix, uint64_t address) noexcept nogil:
    # Size of the heap slot that holds address, 0 when none does.
    cdef int64_t s = find_span(ix, address)
    if s < 0 or slot_of(&ix.spans[s], address) < 0:
        return 0
    return ix.spans[s].elemsize


cdef inline uint64_t chain_budget(const Index *ix, uint64_t buckets, uint64_t count) noexcept nogil:
    # Overflow buckets that an honest map of so many buckets and entries can have. The count may be damaged, and a chain a
    # ring: but every overflow bucket that does not lie behind the array is an object of its own.
    return 4 * buckets + (count if count < <uint64_t>ix.nobjects else <uint64_t>ix.nobjects) + 4096


cdef inline bint array_fits(const Index *ix, uint64_t array, uint64_t buckets, uint64_t bucket_size) noexcept nogil:
    # An array must fit its slot; one outside the heap (a map on a stack) has a bucket or a few.
    cdef uint64_t size = slot_bytes(ix, array)
    return buckets <= size // bucket_size if size else buckets <= 64
