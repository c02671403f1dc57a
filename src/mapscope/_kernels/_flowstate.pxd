# What the dataflow kernel knows: the state of registers and slots, values, events, and states that wait at labels.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memset

cdef enum:
    MOVE = 0
    ADDRESS = 1
    ADD = 2
    LOAD = 3
    LOAD_GLOBAL = 4
    LOAD_STACK = 5
    STORE = 6
    STORE_GLOBAL = 7
    STORE_STACK = 8
    STACK_ADDRESS = 9
    KILL = 10
    CALL = 11
    JUMP = 12
    BRANCH = 13
    STOP = 14
    EXCHANGE = 15
    EXCHANGE_GLOBAL = 16
    COMPARE_GLOBAL = 17

cdef enum:
    CALLED = 0
    STORED_GLOBAL = 1
    STORED = 2
    LOADED_GLOBAL = 3
    EXCHANGED = 4
    COMPARED = 5
    MADE = 6

cdef enum:
    CONSTANT = 0
    WORD = 1
    CONTEXT = 2
    ARGUMENT = 3
    FIELD = 4
    RESULT = 5

cdef enum:
    NO_VALUE = -1
    MAX_STATES = 4096
    MAX_SLOTS = 4096
    DEEPEST = 3
    WIDEST = 64
    ARGUMENTS = 5

# What is known of the operation that begins at a label: it is jumped to from behind, from ahead; its state was lost.
cdef enum:
    BACKWARD = 1
    FORWARD = 2
    LOST = 4

cdef struct Op:
    int64_t address
    int64_t end
    int64_t code
    int64_t a
    int64_t b
    int64_t c

cdef struct Event:
    int64_t kind
    int64_t address
    int64_t target
    int64_t depth
    int64_t values[5]

cdef struct Value:
    int64_t kind
    int64_t x
    int64_t y
    int64_t z

cdef struct Held:
    int64_t event
    int64_t key
    int64_t value

cdef struct Walk:
    const Op *ops
    int64_t n
    const int64_t *ends
    const int64_t *deep
    int64_t ndeep
    int64_t nends
    int64_t low             # the run of code with one depth that was asked for last
    int64_t high
    int64_t depth
    int64_t entry
    int64_t nregisters
    const int64_t *arguments
    int64_t narguments
    const int64_t *scratch
    int64_t nscratch
    int64_t context
    int64_t barrier
    const int64_t *barriers
    int64_t nbarriers
    const int64_t *duffs
    int64_t nduffs
    const int64_t *wanted
    int64_t nwanted
    bint every
    Event *events
    int64_t nevents
    Value *values
    int64_t nvalues
    int32_t *table          # rows of values by their hash, -1: free
    uint64_t mask
    Held *held
    int64_t nheld
    int64_t room            # of held
    int64_t *keys           # offsets of the slots that are followed, sorted
    int64_t nkeys
    uint8_t *writes         # by slot: how often written, up to 2
    int32_t *fixed          # by slot: the value of one that is written once
    int32_t *state          # registers, then slots
    uint8_t *labels         # by operation
    int32_t *kept           # by operation: number of its state + 1
    int32_t **states
    int32_t *unused         # numbers of states that are not in use
    int64_t nunused


cdef inline int64_t plus(int64_t a, int64_t b) noexcept nogil:
    return <int64_t>(<uint64_t>a + <uint64_t>b)


cdef inline int64_t minus(int64_t a, int64_t b) noexcept nogil:
    return <int64_t>(<uint64_t>a - <uint64_t>b)


cdef inline int64_t find(const int64_t *sorted_, int64_t n, int64_t key) noexcept nogil:
    # The first row that is not below key.
    cdef int64_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) >> 1
        if sorted_[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline int64_t find_op(const Walk *w, int64_t address) noexcept nogil:
    # The first operation of the instruction at address, -1 where none begins.
    cdef int64_t low = 0, high = w.n, middle
    while low < high:
        middle = (low + high) >> 1
        if w.ops[middle].address < address:
            low = middle + 1
        else:
            high = middle
    return low if low < w.n and w.ops[low].address == address else -1


cdef inline int64_t slot_of(const Walk *w, int64_t key) noexcept nogil:
    cdef int64_t at = find(w.keys, w.nkeys, key)
    return at if at < w.nkeys and w.keys[at] == key else -1


cdef inline int64_t depth_at(Walk *w, int64_t address) noexcept nogil:
    cdef int64_t offset = minus(address, w.entry), low, high, middle
    if w.low <= offset < w.high:
        return w.depth
    low = 0
    high = w.nends
    while low < high:           # bisect_right
        middle = (low + high) >> 1
        if offset < w.ends[middle]:
            high = middle
        else:
            low = middle + 1
    w.low = w.ends[low - 1] if low else <int64_t>(<uint64_t>1 << 63)
    w.high = w.ends[low] if low < w.nends else <int64_t>0x7FFFFFFFFFFFFFFF
    w.depth = w.deep[low] if low < w.ndeep else 0
    return w.depth


cdef inline void forget(Walk *w) noexcept nogil:
    memset(w.state, 0xFF, <size_t>(w.nregisters + w.nkeys) * sizeof(int32_t))


cdef inline int32_t get(const Walk *w, int64_t register) noexcept nogil:
    return w.state[register] if 0 <= register < w.nregisters else NO_VALUE


cdef inline void put(Walk *w, int64_t register, int32_t value) noexcept nogil:
    if 0 <= register < w.nregisters:
        w.state[register] = value


cdef inline int32_t value_of(Walk *w, int64_t kind, int64_t x, int64_t y, int64_t z) noexcept nogil:
    cdef uint64_t at = <uint64_t>kind
    cdef int32_t row
    cdef Value *v
    at = (at ^ <uint64_t>x) * <uint64_t>0x9E3779B97F4A7C15
    at = ((at >> 29) ^ at ^ <uint64_t>y) * <uint64_t>0xBF58476D1CE4E5B9
    at = ((at >> 32) ^ at ^ <uint64_t>z) * <uint64_t>0x94D049BB133111EB
    at ^= at >> 31
    while True:
        at &= w.mask
        row = w.table[at]
        if row < 0:
            break
        v = &w.values[row]
        if v.kind == kind and v.x == x and v.y == y and v.z == z:
            return row
        at += 1
    row = <int32_t>w.nvalues
    w.table[at] = row
    v = &w.values[row]
    v.kind = kind
    v.x = x
    v.y = y
    v.z = z
    w.nvalues += 1
    return row


cdef inline Event *event(Walk *w, int64_t kind, const Op *op, int64_t target) noexcept nogil:
    cdef Event *e = &w.events[w.nevents]
    cdef int i
    e.kind = kind
    e.address = op.address
    e.target = target
    e.depth = 0
    for i in range(ARGUMENTS):
        e.values[i] = NO_VALUE
    w.nevents += 1
    return e


cdef inline bint constant(const Walk *w, int64_t register, int64_t *address) noexcept nogil:
    cdef int32_t value = get(w, register)
    if value < 0 or w.values[value].kind != CONSTANT:
        return False
    address[0] = w.values[value].x
    return True


cdef inline int64_t width_of(int64_t c) noexcept nogil:
    return 1 if c < 1 else WIDEST if c > WIDEST else c


cdef inline void agree(const Walk *w, int32_t *one) noexcept nogil:
    # Leaves in a state what it and the present one agree on.
    cdef int64_t i
    for i in range(w.nregisters + w.nkeys):
        if one[i] != w.state[i]:
            one[i] = NO_VALUE


cdef inline int keep(Walk *w, int64_t target) noexcept nogil:
    # The present state arrives at a label ahead. -1: no memory.
    cdef int64_t at = find_op(w, target)
    cdef int32_t number
    cdef size_t size = <size_t>(w.nregisters + w.nkeys) * sizeof(int32_t)
    if at < 0 or w.labels[at] & (BACKWARD | LOST) or not w.labels[at] & FORWARD:
        return 0
    if w.kept[at]:
        agree(w, w.states[w.kept[at] - 1])
        return 0
    if not w.nunused:
        w.labels[at] |= LOST
        return 0
    number = w.unused[w.nunused - 1]
    if w.states[number] == NULL:
        w.states[number] = <int32_t *>malloc(size)
        if w.states[number] == NULL:
            return -1
    w.nunused -= 1
    memcpy(w.states[number], w.state, size)
    w.kept[at] = number + 1
    return 0


cdef inline void arrive(Walk *w, int64_t at, bint reached) noexcept nogil:
    # The state at operation number at, of which the last one reached it or not.
    cdef int32_t *other
    cdef uint8_t how = w.labels[at]
    cdef bint first = at == 0 or w.ops[at - 1].address != w.ops[at].address
    if how & BACKWARD or (how & LOST and first):
        forget(w)
        return
    if how & FORWARD and w.kept[at]:
        other = w.states[w.kept[at] - 1]
        w.unused[w.nunused] = w.kept[at] - 1
        w.nunused += 1
        w.kept[at] = 0
        if reached:
            agree(w, other)
        memcpy(w.state, other, <size_t>(w.nregisters + w.nkeys) * sizeof(int32_t))
        return
    if not reached:     # by a jump that is not constant (a table of a switch)
        forget(w)
