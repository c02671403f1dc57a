# From the state of the walk (see reference/trace.py) to what its kernel works on, and back.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mapscope._kernels._index cimport fill_index
from mapscope._kernels._targets cimport fill_targets
from mapscope._kernels._walk cimport SHARED_IN, SHARED_OUT, Met, Trace


cdef inline int load_leaves(Trace *t, object h, object st, object types) except -1:
    # What the visit of leaves needs.
    cdef uint8_t[::1] flags = st.flags
    cdef bint at_once = st.at_once
    cdef uint32_t[::1] known = st.known
    cdef const int32_t[::1] t_words = types.words
    cdef const uint8_t[::1] t_pseudo = types.pseudo
    cdef const uint8_t[::1] ring = st.leaves.view("u1")
    cdef uint64_t[::1] shared = st.shared
    fill_index(&t.ix, h)
    fill_targets(&t.to, st.targets)
    t.flags = &flags[0] if at_once else NULL
    t.known = &known[0]
    t.t_words = &t_words[0]
    t.t_pseudo = &t_pseudo[0]
    t.places = ring.shape[0] // sizeof(Met)
    t.queued = <Met *>&ring[0]
    t.shared = &shared[0]
    t.nqueued, t.taken = shared[SHARED_IN], shared[SHARED_OUT]
    t.dangling = 0
    return 0


cdef inline int load_walk(Trace *t, object h, object st, object types) except -1:
    cdef int32_t[::1] queue = st.queue
    cdef uint8_t[::1] in_queue = st.in_queue
    cdef uint64_t[::1] plain_stack = st.plain_stack
    cdef uint64_t[::1] pending = st.pending
    cdef uint64_t[::1] loose = st.loose
    cdef int32_t[::1] loose_type = st.loose_type
    cdef uint64_t[::1] loose_stack = st.loose_stack
    cdef const int64_t[::1] t_off = types.offsets
    cdef const uint64_t[::1] t_iface = types.iface
    cdef const uint64_t[::1] desc = types.descriptors
    cdef const uint64_t[::1] h_keys = types.hash_keys
    cdef const int32_t[::1] h_vals = types.hash_values
    load_leaves(t, h, st, types)
    t.queue = &queue[0]
    t.in_queue = &in_queue[0]
    t.queue_head = st.queue_head
    t.nqueue = st.nqueue
    t.here = t.reached = -1
    t.plain_stack = &plain_stack[0]
    t.stack_cap = plain_stack.shape[0]
    t.nplain = st.nplain
    t.t_off = &t_off[0]
    t.t_iface = &t_iface[0]
    t.desc = &desc[0]
    t.h_keys = &h_keys[0]
    t.h_vals = &h_vals[0]
    t.h_mask = h_keys.shape[0] - 1
    t.types_lo, t.types_hi = types.types_range
    t.text_lo, t.text_hi = types.text_range
    t.outside_lo, t.outside_hi = types.module_range
    t.pending = &pending[0]
    t.pending_cap = pending.shape[0] // 2
    t.npending = 0
    t.loose = &loose[0]
    t.loose_type = &loose_type[0]
    t.loose_stack = &loose_stack[0]
    t.loose_mask = loose.shape[0] - 1
    t.nloose = st.nloose
    t.nloose_stack = st.nloose_stack
    t.nmet = t.nwarm = t.nvisited = 0
    return 0


cdef inline int save_walk(const Trace *t, object st) except -1:
    # What the walk has changed, but for what lies in arrays.
    st.queue_head, st.nqueue = t.queue_head, t.nqueue
    st.nplain = t.nplain
    st.npending = t.npending
    st.nloose = t.nloose
    st.nloose_stack = t.nloose_stack
    st.dangling = st.dangling + t.dangling
    return 0
