# What the trace kernel works on: its state, the types that it knows, and the sets that it fills.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mapscope._kernels._index cimport Index, find_span
from mapscope._kernels._targets cimport Targets

cdef extern from *:
    """
    #include <stdint.h>
    #include <time.h>
    static inline uint64_t ms_load_word(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void ms_store_word(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint64_t ms_swap_word(uint64_t *p, uint64_t v) { return __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL); }
    static inline void ms_wait_a_little(void) { struct timespec t = {0, 20000}; nanosleep(&t, 0); }
    """
    uint64_t load_word "ms_load_word"(const uint64_t *p) noexcept nogil
    void store_word "ms_store_word"(uint64_t *p, uint64_t v) noexcept nogil
    uint64_t swap_word "ms_swap_word"(uint64_t *p, uint64_t v) noexcept nogil
    void wait_a_little "ms_wait_a_little"() noexcept nogil

cdef enum:
    OP_NONE = 0
    OP_PTR = 1
    OP_FILL = 2
    OP_EFACE = 3
    OP_IFACE = 4
    OP_FUNC = 5
    OP_SWISSDIR = 6
    OP_TRIENODE = 7

cdef enum:
    # What is known of an object, one word: the cover in the lowest two bits, how often the type changed, flags, and above
    # TYPE_SHIFT the type's number plus one. Most visits look at nothing else.
    COVER_MASK = 3
    CHANGE = 4
    CHANGES = 28            # the bits that CHANGE counts in
    ALLOCATED = 32
    MARKED = 64
    QUEUED = 128
    FLAGS = 224
    TYPE_SHIFT = 8
    QUEUED_TWICE = 0x8000000080     # in two words

cdef enum:
    # Bits of the array that others read.
    FLAG_ALLOCATED = 1
    FLAG_MARKED = 2

cdef enum:
    COVER_NONE = 0
    COVER_ELEM = 1
    COVER_FILL = 2
    COVER_HEADER = 3

cdef enum:
    MAX_UPGRADES = 6

cdef enum:
    AHEAD = 32      # a power of two
    HALF = 12       # of AHEAD

cdef enum:
    # Words of `shared`, each with a cache line to itself: how many leaves are in the ring and how many have been taken out,
    # who takes them out (1: someone), whether no more will come.
    SHARED_IN = 0
    SHARED_OUT = 8
    SHARED_LOCK = 16
    SHARED_DONE = 24
    BATCH = 512             # so many leaves at a time become visible to the other thread

cdef enum:
    # In place of an object's number, which is below (MOST_OBJECTS in goruntime/index.py).
    NOWHERE = 0xFFFFFFFE    # the pointer leads behind the last slot of a span
    OUTSIDE = 0xFFFFFFFF    # to static data

cdef struct Met:
    # A pointer that waits for its visit; `oid`: the object, once the pointer is warm; `kind`: type << 2 | cover. LEAF in
    # heap/trace.py.
    uint64_t value
    uint32_t oid
    int32_t kind

cdef struct Trace:
    # What one round works on: the fields of TraceState and TypeTable (see reference/trace.py), as pointers.
    Index ix
    Targets to
    uint8_t *flags          # NULL where they are told afterwards
    uint32_t *known         # by object: see above
    int32_t *queue          # spans with typed objects that wait: nqueue from queue_head on, round
    uint8_t *in_queue       # by span
    int64_t queue_head
    int64_t nqueue
    int64_t here            # the span that is being walked, or -1,
    int64_t reached         # and how far: an object id
    uint64_t *plain_stack
    int64_t nplain
    int64_t stack_cap
    # types
    const int64_t *t_off
    const int32_t *t_words
    const uint64_t *t_iface
    const uint8_t *t_pseudo
    const uint64_t *desc
    const uint64_t *h_keys
    const int32_t *h_vals
    uint64_t h_mask
    uint64_t types_lo
    uint64_t types_hi
    uint64_t text_lo
    uint64_t text_hi
    uint64_t outside_lo
    uint64_t outside_hi
    # outputs
    uint64_t *pending       # pairs (type address, data word)
    int64_t npending
    int64_t pending_cap
    uint64_t *loose         # hash set of addresses: typed values that are no slot of their own
    int32_t *loose_type
    int64_t nloose
    uint64_t loose_mask
    uint64_t *loose_stack   # positions in the set, still to be walked
    int64_t nloose_stack
    int64_t dangling
    Met *queued             # pointers to leaves, for whoever has time: a ring of places (a power of two)
    uint64_t places
    uint64_t *shared        # SHARED_…
    uint64_t nqueued
    uint64_t taken          # how many of them the other thread had taken when that was looked at last
    Met met[AHEAD]          # a ring: those from nvisited to nmet wait, those up to nwarm are warm
    uint64_t nmet
    uint64_t nwarm
    uint64_t nvisited


cdef inline int32_t lookup(const Trace *t, uint64_t key) noexcept nogil:
    # Open addressing; -1 unknown, -2 known not to be a type.
    cdef uint64_t at = (key * <uint64_t>0x9E3779B97F4A7C15) >> 20
    cdef uint64_t step
    for step in range(t.h_mask + 1):
        at &= t.h_mask
        if t.h_keys[at] == key:
            return t.h_vals[at]
        if t.h_keys[at] == 0:
            return -1
        at += 1
    return -1


cdef inline void note_loose(Trace *t, uint64_t address, int32_t type_id) noexcept nogil:
    # A typed pointer to static data, or into the middle of a slot: walked once an address, by the type's descriptors.
    cdef uint64_t at
    if t.t_words[type_id] <= 0 or address & 7 or t.nloose * 2 > <int64_t>t.loose_mask:
        return
    at = (address * <uint64_t>0x9E3779B97F4A7C15) >> 20
    while True:
        at &= t.loose_mask
        if t.loose[at] == address:
            return
        if t.loose[at] == 0:
            t.loose[at] = address
            t.loose_type[at] = type_id
            t.loose_stack[t.nloose_stack] = at
            t.nloose += 1
            t.nloose_stack += 1
            return
        at += 1


cdef inline void push(uint64_t *stack, int64_t *n, int64_t cap, uint64_t entry) noexcept nogil:
    if n[0] < cap:
        stack[n[0]] = entry
        n[0] += 1


cdef inline uint64_t words_of(const Trace *t, int32_t type_id) noexcept nogil:
    # How many descriptors a type has; words is -1 for one without any.
    return <uint64_t>t.t_words[type_id] if t.t_words[type_id] > 0 else 0


cdef inline void line_up(Trace *t, int64_t s) noexcept nogil:
    # A span that has objects which wait: once, at the end.
    cdef int64_t at = t.queue_head + t.nqueue
    if t.in_queue[s]:
        return
    t.in_queue[s] = 1
    t.queue[at if at < t.ix.nspans else at - t.ix.nspans] = <int32_t>s
    t.nqueue += 1


cdef inline void enqueue(Trace *t, uint64_t address, int64_t oid) noexcept nogil:
    # A typed object waits until its span is walked. In the span that is being walked, those ahead are met anyhow.
    cdef int64_t s = find_span(&t.ix, address)
    t.known[oid] |= QUEUED
    if s != t.here or oid <= t.reached:
        line_up(t, s)


cdef inline int32_t type_of(const Trace *t, int64_t oid) noexcept nogil:
    # -1: not known.
    return <int32_t>(t.known[oid] >> TYPE_SHIFT) - 1
