# Follows the operations of one function. See reference/flow.py for the plain version and the parameters.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memset

from mapscope._kernels._flowstate cimport (
    ADD, ADDRESS, ARGUMENT, ARGUMENTS, BACKWARD, BRANCH, CALL, CALLED, COMPARED, COMPARE_GLOBAL, CONSTANT, CONTEXT,
    DEEPEST, EXCHANGE, EXCHANGED, EXCHANGE_GLOBAL, FIELD, FORWARD, JUMP, KILL, LOAD, LOADED_GLOBAL, LOAD_GLOBAL,
    LOAD_STACK, MADE, MAX_SLOTS, MAX_STATES, MOVE, NO_VALUE, RESULT, STACK_ADDRESS, STOP, STORE, STORED, STORED_GLOBAL,
    STORE_GLOBAL, STORE_STACK, WORD, Event, Held, Op, Value, Walk, arrive, constant, depth_at, event, find, find_op,
    forget, get, keep, minus, plus, put, slot_of, value_of, width_of,
)


cdef int compare(const void *a, const void *b) noexcept nogil:
    cdef int64_t x = (<const int64_t *>a)[0], y = (<const int64_t *>b)[0]
    return (x > y) - (x < y)


cdef void find_slots(Walk *w) noexcept nogil:
    # Fills keys (there is room for one for each operation) and how often each is written.
    cdef int64_t i, key, depth, last, found = 0, word, at
    cdef const Op *op
    for i in range(w.n):
        op = &w.ops[i]
        if op.code == STORE_STACK and op.b >= 0:
            key = minus(op.a, depth_at(w, op.address))
            if not key & 7:
                w.keys[found] = key
                found += 1
    qsort(w.keys, <size_t>found, sizeof(int64_t), compare)
    for i in range(found):
        if w.nkeys == 0 or w.keys[w.nkeys - 1] != w.keys[i]:
            w.keys[w.nkeys] = w.keys[i]
            w.nkeys += 1
    if w.nkeys > MAX_SLOTS:
        w.nkeys = MAX_SLOTS
    for i in range(w.n):
        op = &w.ops[i]
        if op.code == STORE_STACK:
            depth = depth_at(w, op.address)
            if depth:
                key = minus(op.a, depth)
                word = key & ~7
                last = plus(key, width_of(op.c))
                while word < last:
                    at = slot_of(w, word)
                    if at >= 0 and w.writes[at] < 2:
                        w.writes[at] += 1
                    word = plus(word, 8)
        elif op.code == STACK_ADDRESS:
            at = slot_of(w, minus(op.b, depth_at(w, op.address)) & ~7)
            if at >= 0:
                w.writes[at] = 2


cdef void find_labels(Walk *w) noexcept nogil:
    cdef int64_t i, at
    cdef const Op *op
    cdef uint8_t how
    for i in range(w.n):
        op = &w.ops[i]
        # (the jump back to the entry comes after the stack grew: the arguments are what they were)
        if (op.code == BRANCH or op.code == JUMP) and op.a and op.a != w.entry:
            at = find_op(w, op.a)
            if at < 0:
                continue
            how = BACKWARD if op.a <= op.address else FORWARD
            while at < w.n and w.ops[at].address == op.a:
                w.labels[at] |= how
                at += 1


cdef void call(Walk *w, const Op *op) noexcept nogil:
    cdef int64_t i, k, at, target = op.a
    cdef int32_t value, first
    cdef Event *e
    at = find(w.barriers, w.nbarriers, target)
    if at < w.nbarriers and w.barriers[at] == target:
        put(w, w.barrier, NO_VALUE)
        return
    for i in range(w.nduffs):
        if w.duffs[2 * i] <= target < w.duffs[2 * i + 1]:
            for k in range(w.nscratch):
                put(w, w.scratch[k], NO_VALUE)
            return
    at = find(w.wanted, w.nwanted, target)
    if w.every or (at < w.nwanted and w.wanted[at] == target):
        e = event(w, CALLED, op, target)
        e.depth = depth_at(w, op.address)
        for i in range(min(<int64_t>ARGUMENTS, w.narguments)):
            e.values[i] = get(w, w.arguments[i])
        for k in range(w.nkeys):
            value = w.fixed[k] if w.fixed[k] >= 0 else w.state[w.nregisters + k]
            if value < 0 or w.nheld >= w.room:
                continue
            for i in range(ARGUMENTS):
                if e.values[i] == value:
                    w.held[w.nheld].event = w.nevents - 1
                    w.held[w.nheld].key = w.keys[k]
                    w.held[w.nheld].value = value
                    w.nheld += 1
                    break
    first = NO_VALUE
    if w.narguments:
        first = get(w, w.arguments[0])
        if first >= 0 and w.values[first].kind != CONSTANT:
            first = NO_VALUE
    memset(w.state, 0xFF, <size_t>w.nregisters * sizeof(int32_t))
    if w.narguments:
        put(w, w.arguments[0], value_of(w, RESULT, op.address, target, first))


cdef void load(Walk *w, const Op *op) noexcept nogil:
    cdef int32_t base = get(w, op.b), made = NO_VALUE
    cdef int64_t at, deep
    if base >= 0:
        if w.values[base].kind == CONSTANT:
            at = plus(w.values[base].x, op.c)
            made = value_of(w, WORD, at, 0, 0)
            if w.every:
                event(w, LOADED_GLOBAL, op, at)
        else:
            deep = w.values[base].z if w.values[base].kind == FIELD else 0
            if deep < DEEPEST:
                made = value_of(w, FIELD, base, op.c, deep + 1)
    put(w, op.a, made)


cdef void store_stack(Walk *w, const Op *op) noexcept nogil:
    cdef int64_t key = minus(op.a, depth_at(w, op.address)), at, word = key & ~7
    cdef int64_t last = plus(key, width_of(op.c))
    cdef int32_t value = get(w, op.b)
    while word < last:
        at = slot_of(w, word)
        if at >= 0:
            w.state[w.nregisters + at] = NO_VALUE
        word = plus(word, 8)
    if value < 0:
        return
    at = slot_of(w, key)
    if at >= 0:
        w.state[w.nregisters + at] = value
        if w.writes[at] == 1:
            w.fixed[at] = value


cdef void step(Walk *w, const Op *op) noexcept nogil:
    cdef int64_t code = op.code, at = 0
    cdef int32_t value
    cdef Event *e
    if code == KILL:
        put(w, op.a, NO_VALUE)
    elif code == MOVE:
        put(w, op.a, get(w, op.b))
    elif code == LOAD_STACK:
        at = slot_of(w, minus(op.b, depth_at(w, op.address)))
        value = NO_VALUE
        if at >= 0:
            value = w.fixed[at] if w.fixed[at] >= 0 else w.state[w.nregisters + at]
        put(w, op.a, value)
    elif code == STORE_STACK:
        store_stack(w, op)
    elif code == LOAD:
        load(w, op)
    elif code == ADDRESS:
        put(w, op.a, value_of(w, CONSTANT, op.b, 0, 0))
        if w.every:
            event(w, MADE, op, op.b)
    elif code == LOAD_GLOBAL:
        put(w, op.a, value_of(w, WORD, op.b, 0, 0))
        if w.every:
            event(w, LOADED_GLOBAL, op, op.b)
    elif code == STORE_GLOBAL:
        e = event(w, STORED_GLOBAL, op, op.a)
        e.values[0] = get(w, op.b)
    elif code == STORE:
        value = get(w, op.c)
        if constant(w, op.a, &at):
            e = event(w, STORED_GLOBAL, op, plus(at, op.b))
            e.values[0] = value
        elif get(w, op.a) >= 0 and value >= 0:
            e = event(w, STORED, op, op.b)
            e.values[0] = get(w, op.a)
            e.values[1] = value
    elif code == CALL:
        call(w, op)
    elif code == ADD:
        if constant(w, op.b, &at):
            at = plus(at, op.c)
            put(w, op.a, value_of(w, CONSTANT, at, 0, 0))
            if w.every:
                event(w, MADE, op, at)
        else:
            put(w, op.a, NO_VALUE)
    elif code == STACK_ADDRESS:
        put(w, op.a, NO_VALUE)
        at = slot_of(w, minus(op.b, depth_at(w, op.address)))
        if at >= 0:
            w.state[w.nregisters + at] = NO_VALUE
    elif not w.every:
        return
    elif code == EXCHANGE_GLOBAL:
        event(w, EXCHANGED, op, op.a)
    elif code == COMPARE_GLOBAL:
        event(w, COMPARED, op, op.a)
    elif code == EXCHANGE and constant(w, op.a, &at):
        event(w, EXCHANGED, op, at)


cdef int walk(Walk *w) noexcept nogil:
    # -1: no memory.
    cdef int64_t i
    cdef const Op *op
    cdef bint reached = True
    find_slots(w)
    find_labels(w)
    forget(w)
    if w.n and w.ops[0].address == w.entry:
        for i in range(w.narguments):
            put(w, w.arguments[i], value_of(w, ARGUMENT, i, 0, 0))
        put(w, w.context, value_of(w, CONTEXT, 0, 0, 0))
    for i in range(w.n):
        op = &w.ops[i]
        if w.labels[i] or not reached:
            arrive(w, i, reached)
        reached = True
        if op.code == BRANCH or op.code == JUMP:
            if op.a > op.address and keep(w, op.a):
                return -1
            reached = op.code == BRANCH
        elif op.code == STOP:
            reached = False
        else:
            step(w, op)
    return 0


def trace(const int64_t[:, ::1] ops, const int64_t[::1] ends, const int64_t[::1] deep, int64_t entry, w):
    """Fills the outputs of ``w`` with what happens in ``ops``."""
    cdef Walk k
    cdef int64_t i, n = ops.shape[0], most = min(<int64_t>MAX_STATES, ops.shape[0])
    cdef int failed = 0
    cdef const int64_t[::1] arguments = w.arguments, scratch = w.scratch, barriers = w.barriers, wanted = w.wanted
    cdef const int64_t[:, ::1] duffs = w.duffs
    cdef int64_t[:, ::1] events = w.events, values = w.values, held = w.held
    memset(&k, 0, sizeof(Walk))
    k.nregisters = w.registers
    k.narguments = arguments.shape[0]
    if (
        ops.shape[1] != 6 or duffs.shape[1] != 2 or events.shape[1] != 9 or values.shape[1] != 4 or held.shape[1] != 3
        or events.shape[0] < n or values.shape[0] < n + k.narguments + 1 or not 0 <= k.nregisters <= 1024
    ):
        raise ValueError("no room for what happens in the operations")
    w.nevents = w.nvalues = w.nheld = 0
    if not n:
        return
    k.ops = <const Op *>&ops[0, 0]
    k.n = n
    k.nends = ends.shape[0]
    k.ndeep = deep.shape[0]
    k.ends = &ends[0] if k.nends else NULL
    k.deep = &deep[0] if k.ndeep else NULL
    k.low = 1           # no run of code yet
    k.entry = entry
    k.arguments = &arguments[0] if k.narguments else NULL
    k.nscratch = scratch.shape[0]
    k.scratch = &scratch[0] if k.nscratch else NULL
    k.context = w.context
    k.barrier = w.barrier
    k.nbarriers = barriers.shape[0]
    k.barriers = &barriers[0] if k.nbarriers else NULL
    k.nduffs = duffs.shape[0]
    k.duffs = &duffs[0, 0] if k.nduffs else NULL
    k.nwanted = wanted.shape[0]
    k.wanted = &wanted[0] if k.nwanted else NULL
    k.every = bool(w.every)
    k.events = <Event *>&events[0, 0]
    k.values = <Value *>&values[0, 0]
    k.room = held.shape[0]
    k.held = <Held *>&held[0, 0] if k.room else NULL
    k.mask = 63
    while k.mask < <uint64_t>(2 * (n + k.narguments + 1)):
        k.mask = 2 * k.mask + 1
    try:
        with nogil:
            k.table = <int32_t *>malloc(<size_t>(k.mask + 1) * sizeof(int32_t))
            k.keys = <int64_t *>malloc(<size_t>n * sizeof(int64_t))
            k.writes = <uint8_t *>calloc(<size_t>min(n, <int64_t>MAX_SLOTS), 1)
            k.fixed = <int32_t *>malloc(<size_t>min(n, <int64_t>MAX_SLOTS) * sizeof(int32_t))
            k.state = <int32_t *>malloc(<size_t>(k.nregisters + min(n, <int64_t>MAX_SLOTS)) * sizeof(int32_t))
            k.labels = <uint8_t *>calloc(<size_t>n, 1)
            k.kept = <int32_t *>calloc(<size_t>n, sizeof(int32_t))
            k.states = <int32_t **>calloc(<size_t>most, sizeof(int32_t *))
            k.unused = <int32_t *>malloc(<size_t>most * sizeof(int32_t))
            if (
                k.table == NULL or k.keys == NULL or k.writes == NULL or k.fixed == NULL or k.state == NULL
                or k.labels == NULL or k.kept == NULL or k.states == NULL or k.unused == NULL
            ):
                failed = -1
            else:
                memset(k.table, 0xFF, <size_t>(k.mask + 1) * sizeof(int32_t))
                memset(k.fixed, 0xFF, <size_t>min(n, <int64_t>MAX_SLOTS) * sizeof(int32_t))
                for i in range(most):
                    k.unused[i] = <int32_t>(most - 1 - i)
                k.nunused = most
                failed = walk(&k)
    finally:
        for i in range(most):
            if k.states != NULL:
                free(k.states[i])
        free(k.table)
        free(k.keys)
        free(k.writes)
        free(k.fixed)
        free(k.state)
        free(k.labels)
        free(k.kept)
        free(k.states)
        free(k.unused)
    if failed:
        raise MemoryError("no room for the states of a function")
    w.nevents = k.nevents
    w.nvalues = k.nvalues
    w.nheld = k.nheld
