# Walks goroutine stacks frame by frame. See reference/stacks.py for the plain version, the parameters and the bits.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from mapscope._kernels._index cimport Index, load64

cdef enum:
    VALID = 1
    TOP = 2
    SP_WRITE = 4
    INJECTED = 8
    SIGPANIC = 16
    ASYNC = 32
    NO_FRAME = 64
    BAD_SIZE = 128

cdef enum:
    AFTER_SIGPANIC = 1
    CONSERVATIVE = 2
    EXACT = 4
    INNERMOST = 8
    IGNORE_SP_WRITE = 16
    HAVE_LR = 32

cdef enum:
    WALKING = 0
    COMPLETE = 1
    UNKNOWN_PC = 2
    OUTSIDE = 3
    UNREADABLE = 4
    STUCK = 5
    SWITCHED = 6
    FRAMELESS = 7
    ENDED = 8

cdef enum:
    MAX_STILL = 64

cdef struct Walk:
    Index ix
    bint uses_lr
    uint64_t *pc
    uint64_t *sp
    uint64_t *lr
    const uint64_t *low
    const uint64_t *high
    uint8_t *note
    uint8_t *state
    int32_t *still
    const uint64_t *keys
    const int32_t *rows
    uint64_t mask
    const int64_t *delta
    const uint8_t *kind
    int32_t *frame_stack
    uint64_t *frame_pc
    uint64_t *frame_sp
    uint64_t *frame_fp
    uint8_t *frame_note
    int64_t nframes
    int64_t frame_cap


cdef inline int32_t lookup(const Walk *w, uint64_t key) noexcept nogil:
    cdef uint64_t at = (key * <uint64_t>0x9E3779B97F4A7C15) >> 20
    cdef uint64_t step
    for step in range(w.mask + 1):
        at &= w.mask
        if w.keys[at] == key:
            return w.rows[at]
        if w.keys[at] == 0:
            return -1
        at += 1
    return -1


cdef inline void emit(Walk *w, int64_t i, uint64_t pc, uint64_t sp, uint64_t fp, uint8_t note) noexcept nogil:
    w.frame_stack[w.nframes] = <int32_t>i
    w.frame_pc[w.nframes] = pc
    w.frame_sp[w.nframes] = sp
    w.frame_fp[w.nframes] = fp
    w.frame_note[w.nframes] = note
    w.nframes += 1


cdef uint8_t step(Walk *w, int64_t i, uint8_t kind, int64_t delta) noexcept nogil:
    # One frame of stack i; its new state.
    cdef uint64_t pc = w.pc[i], sp = w.sp[i], lr = w.lr[i], fp, back = 0, saved = 0
    cdef uint8_t note = w.note[i]
    if note & HAVE_LR:
        note &= ~<uint8_t>HAVE_LR
        w.note[i] = note
        if not kind & VALID and lr != 0:
            w.pc[i] = lr
            w.lr[i] = 0
            return WALKING
        if delta != 0:
            lr = 0
    if not kind & VALID:
        return UNKNOWN_PC
    if kind & NO_FRAME:
        return FRAMELESS
    if kind & BAD_SIZE:
        if not kind & TOP:
            return FRAMELESS
        delta = 0
    fp = sp + <uint64_t>delta + (0 if w.uses_lr else 8)
    if sp & 7 or sp < w.low[i] or sp > w.high[i] or fp < sp:
        return OUTSIDE
    if kind & TOP:
        emit(w, i, pc, sp, fp, note | (CONSERVATIVE if kind & ASYNC else 0))
        return COMPLETE
    if fp > w.high[i]:
        return OUTSIDE
    if w.uses_lr:
        back = lr
        if (note & INNERMOST and sp < fp) or lr == 0:
            if not load64(&w.ix, sp, &back):
                return UNREADABLE
    elif not load64(&w.ix, fp - 8, &back):
        return UNREADABLE
    emit(w, i, pc, sp, fp, note | (CONSERVATIVE if kind & ASYNC else 0))
    if kind & SP_WRITE and not note & IGNORE_SP_WRITE:
        return SWITCHED
    if back == 0:
        return ENDED
    w.still[i] = w.still[i] + 1 if fp == sp else 0
    if (back == pc and fp == sp) or w.still[i] > MAX_STILL:
        return STUCK
    note = 0
    if kind & INJECTED:
        note |= EXACT
    if kind & SIGPANIC:
        note |= AFTER_SIGPANIC
    if kind & ASYNC:
        note |= CONSERVATIVE
    if w.uses_lr and kind & INJECTED:
        if not load64(&w.ix, fp, &saved):
            return UNREADABLE
        note |= HAVE_LR
        fp += 16
    w.pc[i] = back
    w.sp[i] = fp
    w.lr[i] = saved
    w.note[i] = note
    return WALKING


def unwind(pages, w):
    """Walks every stack of ``w`` that is WALKING; see reference/stacks.py."""
    cdef Walk walk
    cdef const int32_t[::1] chunk_slot = pages.chunk_slot
    cdef const uint64_t[::1] page_host = pages.page_host
    cdef uint64_t[::1] pc = w.pc
    cdef uint64_t[::1] sp = w.sp
    cdef uint64_t[::1] lr = w.lr
    cdef const uint64_t[::1] low = w.low
    cdef const uint64_t[::1] high = w.high
    cdef uint8_t[::1] note = w.note
    cdef uint8_t[::1] state = w.state
    cdef int32_t[::1] still = w.still
    cdef const uint64_t[::1] keys = w.keys
    cdef const int32_t[::1] rows = w.rows
    cdef const int64_t[::1] delta = w.delta
    cdef const uint8_t[::1] kind = w.kind
    cdef int32_t[::1] frame_stack = w.frame_stack
    cdef uint64_t[::1] frame_pc = w.frame_pc
    cdef uint64_t[::1] frame_sp = w.frame_sp
    cdef uint64_t[::1] frame_fp = w.frame_fp
    cdef uint8_t[::1] frame_note = w.frame_note
    cdef uint64_t[::1] pending = w.pending
    cdef int64_t npending = w.npending
    cdef int64_t pending_cap = pending.shape[0]
    cdef int64_t i, n = pc.shape[0]
    cdef int32_t row
    if n == 0 or page_host.shape[0] == 0:
        return
    walk.ix.chunk_slot = &chunk_slot[0]
    walk.ix.chunks = chunk_slot.shape[0]
    walk.ix.page_host = &page_host[0]
    walk.uses_lr = w.uses_lr
    walk.pc = &pc[0]
    walk.sp = &sp[0]
    walk.lr = &lr[0]
    walk.low = &low[0]
    walk.high = &high[0]
    walk.note = &note[0]
    walk.state = &state[0]
    walk.still = &still[0]
    walk.keys = &keys[0]
    walk.rows = &rows[0]
    walk.mask = keys.shape[0] - 1
    walk.delta = &delta[0]
    walk.kind = &kind[0]
    walk.frame_stack = &frame_stack[0]
    walk.frame_pc = &frame_pc[0]
    walk.frame_sp = &frame_sp[0]
    walk.frame_fp = &frame_fp[0]
    walk.frame_note = &frame_note[0]
    walk.nframes = w.nframes
    walk.frame_cap = frame_pc.shape[0]
    with nogil:
        for i in range(n):
            while state[i] == WALKING and walk.nframes < walk.frame_cap and npending < pending_cap:
                row = lookup(&walk, pc[i]) if pc[i] != 0 else -1
                if row < 0 and pc[i] != 0:
                    pending[npending] = pc[i]
                    npending += 1
                    break
                state[i] = step(&walk, i, kind[row] if row >= 0 else 0, delta[row] if row >= 0 else 0)
    w.nframes = walk.nframes
    w.npending = npending
