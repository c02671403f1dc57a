# One pointer: what its object is by then, and whether that is news. Both threads of the walk visit.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from mapscope._kernels._index cimport find_span, prefetch
from mapscope._kernels._targets cimport Target, locate
from mapscope._kernels._walk cimport (
    ALLOCATED, CHANGE, CHANGES, COVER_ELEM, COVER_FILL, COVER_HEADER, COVER_MASK, FLAG_ALLOCATED, FLAG_MARKED, FLAGS, MARKED,
    MAX_UPGRADES, NOWHERE, OUTSIDE, QUEUED, TYPE_SHIFT, Met, Trace, enqueue, note_loose, push,
)


cdef inline void warm(const Trace *t, Met *one) noexcept nogil:
    # The second half of waiting: what is known of the object comes into the cache.
    cdef Target to
    if one.oid == OUTSIDE:
        return
    if not locate(&t.ix, &t.to, one.value, &to):
        one.oid = NOWHERE
    else:
        one.oid = <uint32_t>to.oid
        prefetch(&t.known[to.oid])


cdef inline void visit(Trace *t, const Met *one) noexcept nogil:
    cdef uint64_t v = one.value, off
    cdef int32_t type_id = one.kind >> 2, old
    cdef uint32_t cover = one.kind & 3, was, word
    cdef int64_t oid = one.oid
    cdef Target to
    cdef bint better
    if oid == OUTSIDE:
        note_loose(t, v, type_id)
    if oid >= NOWHERE:
        return
    word = t.known[oid]
    old = <int32_t>(word >> TYPE_SHIFT) - 1
    was = word & COVER_MASK
    # Most pointers tell nothing new: they lead to where others of their type have led.
    if word & MARKED and (type_id < 0 or (type_id == old and cover <= was)):
        return
    if not word & ALLOCATED:
        t.dangling += 1
        return
    if not locate(&t.ix, &t.to, v, &to):
        return
    if type_id >= 0:
        off = to.rest
        if to.header and off >= 8:
            off -= 8
        if off != 0:
            # Interior: only a slice of a known element tells what the whole slot is, and only from an element's border.
            if cover != COVER_FILL or t.t_words[type_id] <= 0 or off % (<uint64_t>t.t_words[type_id] * 8) != 0:
                if cover == COVER_ELEM and old < 0 and not to.noscan:
                    note_loose(t, v, type_id)
                type_id = -1
    if t.flags != NULL and not word & MARKED:
        t.flags[oid] = FLAG_ALLOCATED | FLAG_MARKED
    if type_id < 0:
        if not word & MARKED:
            t.known[oid] = word | MARKED
            if not to.noscan:
                if old >= 0:
                    enqueue(t, v, oid)
                else:
                    push(t.plain_stack, &t.nplain, t.stack_cap, <uint64_t>find_span(&t.ix, v) << 32 | <uint64_t>to.slot)
        return
    if old < 0:
        better = True
    elif old == type_id:
        better = cover > was
    elif was == COVER_HEADER:
        better = t.t_pseudo[type_id] != 0
    elif t.t_pseudo[old]:
        better = False
    elif t.t_pseudo[type_id]:
        better = True
    else:
        better = was == COVER_ELEM and (cover == COVER_FILL or t.t_words[type_id] > t.t_words[old])
    if better and word & CHANGES < MAX_UPGRADES * CHANGE:
        word = (<uint32_t>type_id + 1) << TYPE_SHIFT | (word & (FLAGS | CHANGES)) + CHANGE | cover
    elif word & MARKED:
        return
    t.known[oid] = word | MARKED
    if not to.noscan and not word & QUEUED:
        enqueue(t, v, oid)
