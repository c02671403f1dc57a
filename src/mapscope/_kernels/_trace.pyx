# Marks the heap from the roots and spreads types on the way. See reference/trace.py for the plain version.
#
# One walk does both: the pointer words of an object come from the pointer bitmap (so marking is exactly the collector's),
# and where the object's type is known, the descriptor of that word says what it points to. Typed objects are walked first,
# untyped ones only when no typed one is left, so that most objects are walked once.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mapscope._kernels._index cimport Span, ctz64, find_span, host_of, ld64, load64, maskword, prefetch, slot_of
from mapscope._kernels._setup cimport load_leaves, load_walk, save_walk
from mapscope._kernels._targets cimport HOLDS_LEAVES, HOLDS_NOTHING, HOLDS_POINTERS, page_of
from mapscope._kernels._visit cimport visit, warm
from mapscope._kernels._walk cimport (
    AHEAD, ALLOCATED, BATCH, CHANGE, COVER_ELEM, COVER_FILL, COVER_MASK, COVER_NONE, FLAG_ALLOCATED, FLAG_MARKED, FLAGS, HALF,
    OP_EFACE, OP_FILL, OP_FUNC, OP_IFACE, OP_NONE, OP_PTR, OP_SWISSDIR, OP_TRIENODE, OUTSIDE, QUEUED, QUEUED_TWICE, SHARED_DONE,
    SHARED_IN, SHARED_LOCK, SHARED_OUT, TYPE_SHIFT, Met, Trace, line_up, load_word, lookup, store_word, swap_word, type_of,
    wait_a_little, words_of,
)


cdef enum:
    FETCH_KNOWN = 1024
    FETCH_BYTES = 16384


cdef inline void hand_over(Trace *t, uint64_t v, int32_t kind) noexcept nogil:
    # A pointer to a leaf: nothing is walked from there, so whoever has time may visit it. One at a time does, in the order in
    # which they were met: what comes out does not depend on who it was.
    cdef Met *one
    if t.nqueued - t.taken == t.places:
        make_room(t)
    one = &t.queued[t.nqueued & (t.places - 1)]
    one.value = v
    one.oid = 0
    one.kind = kind
    t.nqueued += 1
    if t.nqueued & (BATCH - 1) == 0:
        store_word(&t.shared[SHARED_IN], t.nqueued)


cdef void make_room(Trace *t) noexcept nogil:
    # The ring was full when its end was looked at last.
    t.taken = load_word(&t.shared[SHARED_OUT])
    while t.nqueued - t.taken == t.places:
        store_word(&t.shared[SHARED_IN], t.nqueued)
        if not take_leaves(t, t.places >> 1):
            wait_a_little()
        t.taken = load_word(&t.shared[SHARED_OUT])


cdef bint take_leaves(Trace *t, uint64_t most) noexcept nogil:
    # Visits leaves that were handed over, the oldest first; False where another thread is at it, or there are none.
    cdef uint64_t at, end
    cdef int64_t i
    if swap_word(&t.shared[SHARED_LOCK], 1):
        return False
    at, end = t.shared[SHARED_OUT], load_word(&t.shared[SHARED_IN])
    if end - at > most:
        end = at + most
    for i in range(-HALF, <int64_t>(end - at)):
        if at + i + AHEAD < end:
            prefetch(&t.to.pages[page_of(&t.ix, t.queued[(at + i + AHEAD) & (t.places - 1)].value)])
        if at + i + HALF < end:
            warm(t, &t.queued[(at + i + HALF) & (t.places - 1)])
        if i >= 0:
            visit(t, &t.queued[(at + i) & (t.places - 1)])
    store_word(&t.shared[SHARED_OUT], end)
    store_word(&t.shared[SHARED_LOCK], 0)
    return end != at


cdef inline void meet(Trace *t, uint64_t v, int32_t type_id, uint8_t cover) noexcept nogil:
    cdef int64_t page = page_of(&t.ix, v)
    cdef uint8_t holds = t.to.holds[page] if page >= 0 else HOLDS_NOTHING
    if holds == HOLDS_LEAVES:
        hand_over(t, v, type_id * 4 + cover)
    elif holds == HOLDS_POINTERS:
        put_off(t, v, page, type_id * 4 + cover)
    elif type_id >= 0 and t.t_words[type_id] > 0 and t.outside_lo <= v < t.outside_hi:
        put_off(t, v, -1, type_id * 4 + cover)


cdef void put_off(Trace *t, uint64_t v, int64_t page, int32_t kind) noexcept nogil:
    # A pointer that has been met is visited AHEAD pointers later. Meanwhile what its visit looks at comes into the cache: first
    # what its page tells, and half way, when that is there, what is known of the object. Page -1 is outside.
    cdef Met *one = &t.met[t.nmet & (AHEAD - 1)]
    if t.nmet - t.nvisited == AHEAD:
        visit(t, one)
        t.nvisited += 1
    one.value = v
    one.kind = kind
    one.oid = OUTSIDE if page < 0 else 0
    if page >= 0:
        prefetch(&t.to.pages[page])
    t.nmet += 1
    if t.nmet - t.nwarm > HALF:
        warm(t, &t.met[t.nwarm & (AHEAD - 1)])
        t.nwarm += 1


cdef inline bint visit_next(Trace *t) noexcept nogil:
    # The pointer that has waited longest; False where none waits.
    if t.nmet == t.nvisited:
        return False
    if t.nwarm == t.nvisited:
        warm(t, &t.met[t.nvisited & (AHEAD - 1)])
        t.nwarm += 1
    visit(t, &t.met[t.nvisited & (AHEAD - 1)])
    t.nvisited += 1
    return True


cdef inline bint follow_iface(Trace *t, uint64_t tw, uint64_t v, bint is_eface) noexcept nogil:
    # The data word v of an interface whose first word is tw. False: nothing is known of tw.
    cdef int32_t found = lookup(t, tw)
    cdef uint64_t d
    if found >= 0:
        d = t.t_iface[found]
        if (d & 255) == OP_FUNC:
            follow_func(t, v)
        elif (d & 255) == OP_NONE:
            meet(t, v, -1, COVER_NONE)
        else:
            meet(t, v, <int32_t>(d >> 8), COVER_ELEM if (d & 255) == OP_PTR else COVER_FILL)
        return True
    if found == -1 and is_eface and tw != 0:
        if t.npending < t.pending_cap:
            t.pending[2 * t.npending] = tw
            t.pending[2 * t.npending + 1] = v
            t.npending += 1
            return True
    return False


cdef inline void follow_func(Trace *t, uint64_t v) noexcept nogil:
    # v points to a closure object, whose first word is the function's entry (runtime: funcval).
    cdef uint64_t fn = 0
    cdef int32_t found = -1
    if load64(&t.ix, v, &fn) and fn >= t.text_lo and fn < t.text_hi:
        found = lookup(t, fn)
    meet(t, v, found if found >= 0 else -1, COVER_ELEM)


cdef inline void follow(Trace *t, uint64_t d, uint64_t v, uint64_t address) noexcept nogil:
    # One pointer word with a known descriptor. `address` is where the word lies.
    cdef uint64_t w = 0
    cdef int32_t arg = <int32_t>(d >> 8)
    cdef int op = <int>(d & 255)
    cdef const uint8_t *p
    if op == OP_PTR:
        meet(t, v, arg, COVER_ELEM)
    elif op == OP_NONE:
        meet(t, v, -1, COVER_NONE)
    elif op == OP_FILL:
        meet(t, v, arg, COVER_FILL)
    elif op == OP_EFACE or op == OP_IFACE:
        if not load64(&t.ix, address - 8, &w) or not follow_iface(t, w, v, op == OP_EFACE):
            meet(t, v, -1, COVER_NONE)
    elif op == OP_FUNC:
        follow_func(t, v)
    elif op == OP_SWISSDIR:
        # maps.Map.dirPtr: one group when dirLen (the next word) is 0, else an array of *table, whose type is arg + 1.
        if load64(&t.ix, address + 8, &w) and w != 0:
            meet(t, v, arg + 1, COVER_FILL)
        else:
            meet(t, v, arg, COVER_ELEM)
    elif op == OP_TRIENODE:
        # internal/sync.node: its first byte says entry (arg) or indirect (arg + 1).
        p = host_of(&t.ix, v)
        meet(t, v, arg if p != NULL and p[0] else arg + 1, COVER_ELEM)
    else:
        meet(t, v, -1, COVER_NONE)


cdef inline void plain_word(Trace *t, uint64_t before, bint before_is_scalar, uint64_t v) noexcept nogil:
    # A pointer word of unknown meaning. A scalar word before it that is a type or itab makes the two an interface.
    if before_is_scalar and before >= t.outside_lo and before < t.outside_hi:
        if follow_iface(t, before, v, before >= t.types_lo and before < t.types_hi):
            return
    meet(t, v, -1, COVER_NONE)


cdef void scan_object(Trace *t, uint64_t entry, bint typed) noexcept nogil:
    cdef const Span *sp = &t.ix.spans[entry >> 32]
    cdef uint64_t i = entry & <uint64_t>0xFFFFFFFF
    cdef int64_t oid = sp.first + <int64_t>i
    cdef uint64_t base = sp.base + i * sp.elemsize
    cdef uint64_t nwords = sp.elemsize >> 3
    cdef uint64_t start = sp.header
    cdef uint64_t bit0 = sp.maskbit + ((base - sp.base) >> 3)
    cdef const uint8_t *p = <const uint8_t *>(sp.host + i * sp.elemsize) if sp.host else NULL
    cdef int32_t type_id = type_of(t, oid) if typed else -1
    cdef uint64_t tw = 0
    cdef bint fill = False
    cdef const uint64_t *desc = NULL
    cdef uint64_t k, m, w, v, rel, before, d, lap = 0
    cdef bint scalar
    if type_id >= 0:
        fill = (t.known[oid] & COVER_MASK) >= COVER_FILL
        tw = words_of(t, type_id)
        desc = t.desc + t.t_off[type_id]
    elif nwords > 0 and not (maskword(&t.ix, bit0) & 1):
        # An untyped object whose first word is the entry of a known closure is that closure.
        v = 0
        if p != NULL:
            v = ld64(p)
        else:
            load64(&t.ix, base, &v)
        if v >= t.text_lo and v < t.text_hi:
            type_id = lookup(t, v)
            if type_id >= 0:
                t.known[oid] = (<uint32_t>type_id + 1) << TYPE_SHIFT | (t.known[oid] & FLAGS) | CHANGE | COVER_ELEM
                tw = words_of(t, type_id)
                desc = t.desc + t.t_off[type_id]
    k = 0
    while k < nwords:
        m = maskword(&t.ix, bit0 + k)
        if nwords - k < 64:
            m &= (<uint64_t>1 << (nwords - k)) - 1
        while m:
            w = k + <uint64_t>ctz64(m)
            m &= m - 1
            if p != NULL:
                v = ld64(p + 8 * w)
            elif not load64(&t.ix, base + 8 * w, &v):
                continue
            if v < 4096:
                continue
            d = OP_NONE
            if type_id >= 0 and tw > 0:
                rel = w - start - lap
                if rel < tw:
                    d = desc[rel]
                elif fill:
                    # mostly the next element of an array, for which a division takes long
                    rel = rel - tw if rel - tw < tw else rel % tw
                    lap = w - start - rel if w >= start else 0
                    d = desc[rel]
                if d != OP_NONE:
                    follow(t, d, v, base + 8 * w)
                else:
                    meet(t, v, -1, COVER_NONE)
                continue
            before = 0
            scalar = False
            if w > start and not (maskword(&t.ix, bit0 + w - 1) & 1):
                scalar = True
                if p != NULL:
                    before = ld64(p + 8 * w - 8)
                else:
                    load64(&t.ix, base + 8 * w - 8, &before)
            plain_word(t, before, scalar, v)
        k += 64


cdef void scan_typed(Trace *t, uint64_t address, int64_t words, int32_t type_id) noexcept nogil:
    # A value of a known type that is no slot of its own. In the heap only the pointer words of its slot count: the type may be
    # wrong, or longer than what is left of the slot, and what the collector does not follow keeps nothing alive.
    cdef uint64_t count = words_of(t, type_id)
    cdef const uint64_t *desc = t.desc + t.t_off[type_id]
    cdef int64_t s = find_span(&t.ix, address), w, i, left
    cdef uint64_t v, d, bit0 = 0
    cdef const Span *sp
    if count == 0:
        return
    if s >= 0:
        sp = &t.ix.spans[s]
        i = slot_of(sp, address)
        left = <int64_t>(sp.base + <uint64_t>(i + 1) * sp.elemsize - address) >> 3 if i >= 0 else 0
        words = words if words < left else left
        bit0 = sp.maskbit + ((address - sp.base) >> 3)
    for w in range(words):
        d = desc[<uint64_t>w % count]
        if d == OP_NONE or (s >= 0 and not maskword(&t.ix, bit0 + <uint64_t>w) & 1):
            continue
        if load64(&t.ix, address + 8 * <uint64_t>w, &v) and v >= 4096:
            follow(t, d, v, address + 8 * <uint64_t>w)


cdef void scan_region(Trace *t, uint64_t address, int64_t words, const uint8_t *mask, bint stack) noexcept nogil:
    # Roots without a type: a masked run of words (data, bss), or a stack (every word, no meaning).
    cdef int64_t w
    cdef uint64_t v, before
    for w in range(words):
        if mask != NULL and not (mask[w >> 3] >> (w & 7)) & 1:
            continue
        if not load64(&t.ix, address + 8 * <uint64_t>w, &v) or v < 4096:
            continue
        if stack or w == 0 or mask == NULL or (mask[(w - 1) >> 3] >> ((w - 1) & 7)) & 1:
            meet(t, v, -1, COVER_NONE)
            continue
        before = 0
        load64(&t.ix, address + 8 * <uint64_t>w - 8, &before)
        plain_word(t, before, True, v)


cdef void scan_span(Trace *t, int64_t s) noexcept nogil:
    # All objects of a span that wait, by ascending slot, those too that come to wait on the way. Ends early when the caller is
    # needed.
    cdef const Span *sp = &t.ix.spans[s]
    cdef int64_t i = 0, n = sp.nelems
    cdef uint32_t *known = &t.known[sp.first]
    t.here = s
    while i < n:
        if i + 4 <= n and not (ld64(known + i) | ld64(known + i + 2)) & <uint64_t>QUEUED_TWICE:
            i += 4
            continue
        if known[i] & QUEUED:
            if t.npending >= t.pending_cap:
                t.here = -1
                line_up(t, s)
                return
            known[i] &= ~<uint32_t>QUEUED
            t.reached = sp.first + i
            scan_object(t, (<uint64_t>s << 32) | <uint64_t>i, True)
        i += 1
    t.here = -1


cdef inline void fetch_next(const Trace *t) noexcept nogil:
    # Of the span that is walked next, what is looked at first: what is known of its objects, its pointer bits, and the first
    # lines of its pages, behind which the processor goes on by itself. Of the one after it, where it lies.
    cdef int64_t after = t.queue_head + 1 if t.queue_head + 1 < t.ix.nspans else 0
    cdef const Span *sp
    cdef uint64_t k, known, size
    if t.nqueue > 1:
        prefetch(&t.ix.spans[t.queue[after]])
    if t.nqueue > 0:
        sp = &t.ix.spans[t.queue[t.queue_head]]
        known = <uint64_t>sp.nelems * 4
        for k in range(0, known if known < FETCH_KNOWN else FETCH_KNOWN, 64):
            prefetch(<const uint8_t *>&t.known[sp.first] + k)
        prefetch(&t.ix.ptrmask[sp.maskbit >> 6])
        if sp.host:
            size = sp.bytes if sp.bytes < FETCH_BYTES else FETCH_BYTES
            for k in range(0, size, 4096):
                prefetch(<const uint8_t *>(sp.host + k))
                prefetch(<const uint8_t *>(sp.host + k + 64))
                prefetch(<const uint8_t *>(sp.host + k + 128))


cdef void drain(Trace *t) noexcept nogil:
    # Typed objects first, then loose values; an untyped object only when none of these is left and no type waits for the
    # caller.
    cdef uint64_t entry
    cdef int64_t oid, s
    cdef int32_t type_id
    while True:
        while t.nqueue and t.npending < t.pending_cap:
            s = t.queue[t.queue_head]
            t.queue_head = t.queue_head + 1 if t.queue_head + 1 < t.ix.nspans else 0
            t.nqueue -= 1
            t.in_queue[s] = 0
            fetch_next(t)
            scan_span(t, s)
        if visit_next(t):
            continue
        if t.npending >= t.pending_cap:
            return
        if t.nloose_stack:
            t.nloose_stack -= 1
            entry = t.loose_stack[t.nloose_stack]
            type_id = t.loose_type[entry]
            scan_typed(t, t.loose[entry], t.t_words[type_id], type_id)
            continue
        if t.npending or not t.nplain:
            return
        t.nplain -= 1
        entry = t.plain_stack[t.nplain]
        oid = t.ix.spans[entry >> 32].first + <int64_t>(entry & <uint64_t>0xFFFFFFFF)
        if type_of(t, oid) < 0:
            scan_object(t, entry, False)


cdef void finish(Trace *t) noexcept nogil:
    # The round has met its last pointer: the leaves that are left are visited.
    store_word(&t.shared[SHARED_IN], t.nqueued)
    while load_word(&t.shared[SHARED_OUT]) != t.nqueued:
        if not take_leaves(t, t.places):
            wait_a_little()
    store_word(&t.shared[SHARED_DONE], 1)


def visit_leaves(h, st, types):
    """Visits leaves while ``trace`` hands them over; see reference/trace.py."""
    cdef Trace t
    load_leaves(&t, h, st, types)
    with nogil:
        while not load_word(&t.shared[SHARED_DONE]):
            if not take_leaves(&t, t.places):
                wait_a_little()
    return t.dangling


def begin(const uint8_t[::1] flags, uint32_t[::1] known):
    """Words of objects of which no more is known than ``flags`` say; see reference/trace.py."""
    cdef int64_t i
    with nogil:
        for i in range(known.shape[0]):
            known[i] = <uint32_t>(flags[i] & (FLAG_ALLOCATED | FLAG_MARKED)) * ALLOCATED


def settle(const uint32_t[::1] known, uint8_t[::1] flags):
    """Tells by ``flags`` what the words of objects say; see reference/trace.py."""
    cdef int64_t i
    with nogil:
        for i in range(known.shape[0]):
            flags[i] = <uint8_t>(known[i] // ALLOCATED & (FLAG_ALLOCATED | FLAG_MARKED))


def trace(h, st, types, regions, mask, pairs):
    """One round of the walk; see reference/trace.py for the parameters. Returns nothing: the state is in ``st``."""
    cdef Trace t
    cdef const int64_t[:, ::1] reg = regions
    cdef const uint8_t[::1] root_mask = mask
    cdef const uint64_t[:, ::1] seeds = pairs
    cdef int64_t r
    if h.nobjects == 0:
        st.shared[SHARED_DONE] = 1
        return
    load_walk(&t, h, st, types)
    with nogil:
        for r in range(seeds.shape[0]):
            if not follow_iface(&t, seeds[r, 0], seeds[r, 1], False):
                meet(&t, seeds[r, 1], -1, COVER_NONE)
        for r in range(reg.shape[0]):
            # columns: address, words, type id or -1, offset of its mask in bytes or -1, 1 for a stack
            if reg[r, 2] >= 0:
                scan_typed(&t, <uint64_t>reg[r, 0], reg[r, 1], <int32_t>reg[r, 2])
            else:
                scan_region(&t, <uint64_t>reg[r, 0], reg[r, 1], &root_mask[reg[r, 3]] if reg[r, 3] >= 0 else NULL, reg[r, 4] != 0)
        drain(&t)
        finish(&t)
    save_walk(&t, st)
