# From spans to objects: gathering structs, allocation bits, and one pointer bitmap whatever the release keeps.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from mapscope._kernels._index cimport Index, Span, fill_index, find_span, host_of, ld64, load64, maskword, prefetch, slot_of

cdef enum:
    ALLOCATED = 1
    MAX_STRUCT = 4096
    NEXT = 4
    BITMAPS_AHEAD = 8


cdef bint copy_bytes(const Index *ix, uint64_t address, uint64_t n, uint8_t *out) noexcept nogil:
    # n bytes from address on, page by page; False when one is missing (out is then part filled).
    cdef uint64_t step
    cdef const uint8_t *p
    while n:
        step = 4096 - (address & 4095)
        if step > n:
            step = n
        p = host_of(ix, address)
        if p == NULL:
            return False
        memcpy(out, p, step)
        out += step
        address += step
        n -= step
    return True


cdef int pages_only(Index *ix, object h) except -1:
    cdef const int32_t[::1] chunk_slot = h.chunk_slot
    cdef const uint64_t[::1] page_host = h.page_host
    ix.chunk_slot = &chunk_slot[0]
    ix.chunks = chunk_slot.shape[0]
    ix.page_host = &page_host[0] if page_host.shape[0] else NULL
    return 0


def gather(pages, const uint64_t[::1] addresses, uint8_t[:, ::1] out, uint8_t[::1] ok):
    """Copies ``out.shape[1]`` bytes at each address into its row; ``ok`` is 1 where all were there."""
    cdef Index ix
    cdef int64_t i
    cdef uint64_t size = out.shape[1]
    pages_only(&ix, pages)
    if size == 0:
        return
    with nogil:
        for i in range(addresses.shape[0]):
            ok[i] = copy_bytes(&ix, addresses[i], size, &out[i, 0])


def gather_fields(
    pages, const uint64_t[::1] addresses, int64_t size, const int64_t[:, ::1] fields, uint64_t[:, ::1] out, uint8_t[::1] ok,
):
    """Fields of the structs at each address, as columns; see reference/spans.py."""
    cdef Index ix
    cdef int64_t i, k, b
    cdef uint64_t v
    cdef const uint8_t *p
    cdef uint8_t[MAX_STRUCT] whole
    pages_only(&ix, pages)
    if size > MAX_STRUCT:
        raise ValueError(f"structs of {size} bytes")
    with nogil:
        for i in range(addresses.shape[0]):
            if i + 2 * NEXT < addresses.shape[0]:
                p = host_of(&ix, addresses[i + 2 * NEXT])
                if p != NULL:
                    prefetch(p)
            p = host_of(&ix, addresses[i])
            if p == NULL or <int64_t>(addresses[i] & 4095) + size > 4096:
                p = &whole[0] if copy_bytes(&ix, addresses[i], <uint64_t>size, &whole[0]) else NULL
            ok[i] = p != NULL
            for k in range(fields.shape[0]):
                v = 0
                if p != NULL:
                    if fields[k, 1] == 8:
                        v = ld64(p + fields[k, 0])
                    else:
                        for b in range(fields[k, 1]):
                            v |= <uint64_t>p[fields[k, 0] + b] << <uint64_t>(8 * b)
                out[k, i] = v


cdef inline void fetch_ahead(const Index *ix, const uint64_t[::1] addresses, int64_t i) noexcept nogil:
    # The span of an address that is asked for some turns later.
    cdef int64_t s
    if i + 2 * NEXT < addresses.shape[0]:
        s = find_span(ix, addresses[i + 2 * NEXT])
        if s >= 0:
            prefetch(&ix.spans[s])


def find_objects(h, const uint64_t[::1] addresses, int64_t[::1] out, uint64_t[::1] base):
    """Object id and slot address of each address; -1 where none of the spans' slots holds it."""
    cdef Index ix
    cdef int64_t i, s, slot
    cdef const Span *sp
    fill_index(&ix, h)
    with nogil:
        for i in range(addresses.shape[0]):
            fetch_ahead(&ix, addresses, i)
            out[i] = -1
            base[i] = 0
            s = find_span(&ix, addresses[i])
            if s < 0:
                continue
            sp = &ix.spans[s]
            slot = slot_of(sp, addresses[i])
            if slot >= 0:
                out[i] = sp.first + slot
                base[i] = sp.base + <uint64_t>slot * sp.elemsize


cdef int64_t span_of_object(const Index *ix, int64_t oid) noexcept nogil:
    # The last span whose first object is not behind oid, which must be one.
    cdef int64_t low = 0, high = ix.nspans, mid
    while high - low > 1:
        mid = (low + high) >> 1
        if ix.spans[mid].first <= oid:
            low = mid
        else:
            high = mid
    return low


def slot_sizes(h, const uint64_t[::1] addresses, uint64_t[::1] out):
    """Bytes of the slot that holds each address; 0 where there is none."""
    cdef Index ix
    cdef int64_t i, s
    fill_index(&ix, h)
    with nogil:
        for i in range(addresses.shape[0]):
            fetch_ahead(&ix, addresses, i)
            s = find_span(&ix, addresses[i])
            out[i] = ix.spans[s].elemsize if s >= 0 and slot_of(&ix.spans[s], addresses[i]) >= 0 else 0


def slots_of(h, const int64_t[::1] objects, uint64_t[::1] address, uint64_t[::1] size):
    """Address and bytes of the slot of each object id; 0 for what is none."""
    cdef Index ix
    cdef int64_t i, oid
    cdef const Span *sp = NULL
    fill_index(&ix, h)
    with nogil:
        for i in range(objects.shape[0]):
            oid = objects[i]
            if oid < 0 or oid >= ix.nobjects:
                address[i] = size[i] = 0
                continue
            if sp == NULL or oid < sp.first or oid >= sp.first + <int64_t>sp.nelems:
                sp = &ix.spans[span_of_object(&ix, oid)]
            address[i] = sp.base + <uint64_t>(oid - sp.first) * sp.elemsize
            size[i] = sp.elemsize


cdef inline void spread(uint64_t bits, uint8_t *out) noexcept nogil:
    # ALLOCATED (1) into each of eight bytes whose bit is set: each byte keeps its own bit alone, and with what that lacks to
    # 128 added, the highest bit is set where the own one was.
    cdef uint64_t bytes_
    memcpy(&bytes_, out, 8)
    bits = (bits * <uint64_t>0x0101010101010101) & <uint64_t>0x8040201008040201
    bytes_ |= ((bits + <uint64_t>0x00406070787C7E7F) >> 7) & <uint64_t>0x0101010101010101
    memcpy(out, &bytes_, 8)


def alloc_flags(h, const uint64_t[::1] freeindex, const uint64_t[::1] allocbits, uint8_t[::1] flags):
    """Sets bit 0 of ``flags`` for allocated slots (runtime: mspan.isFree). Returns how many spans had no readable bits."""
    cdef Index ix
    cdef int64_t s, unreadable = 0
    cdef uint32_t i, below
    cdef const Span *sp
    cdef const uint8_t *p
    cdef uint8_t *own
    fill_index(&ix, h)
    if not ix.nobjects:
        return 0
    with nogil:
        for s in range(ix.nspans):
            sp = &ix.spans[s]
            own = &flags[0] + sp.first
            below = sp.nelems if freeindex[s] >= sp.nelems else <uint32_t>freeindex[s]
            for i in range(below):
                own[i] |= ALLOCATED
            p = NULL
            i = below
            while i < sp.nelems:
                if p == NULL or (i & 7) == 0:
                    p = host_of(&ix, allocbits[s] + (i >> 3))
                    if p == NULL:
                        unreadable += 1
                        break
                if (i & 7) == 0 and i + 8 <= sp.nelems:
                    spread(p[0], own + i)
                    i += 8
                    continue
                if (p[0] >> (i & 7)) & 1:
                    own[i] |= ALLOCATED
                i += 1
    return unreadable


cdef inline void put_bits(uint64_t *mask, uint64_t bit, uint64_t value, uint64_t n) noexcept nogil:
    # Writes n (1..64) bits of value at position bit.
    cdef uint64_t k = bit >> 6, s = bit & 63
    cdef uint64_t ones = <uint64_t>0xFFFFFFFFFFFFFFFF if n == 64 else ((<uint64_t>1 << n) - 1)
    value &= ones
    mask[k] = (mask[k] & ~(ones << s)) | (value << s)
    if s + n > 64:
        mask[k + 1] = (mask[k + 1] & ~(ones >> (64 - s))) | (value >> (64 - s))


def mask_from_span_end(h, const int64_t[::1] which, const uint64_t[::1] bitmap, uint64_t[::1] ptrmask):
    """Go 1.22 on, slots up to 512 bytes: the bitmap that lies in the span itself, at address ``bitmap[k]``.

    Returns how many spans had no readable bitmap."""
    cdef Index ix
    cdef int64_t k, unreadable = 0
    cdef const Span *sp
    fill_index(&ix, h)
    cdef uint8_t *out
    if which.shape[0] == 0:
        return 0
    out = <uint8_t *>&ptrmask[0]
    with nogil:
        for k in range(which.shape[0]):
            if k + BITMAPS_AHEAD < which.shape[0]:
                # each lies in a page of its own, of which the processor cannot know
                sp = &ix.spans[which[k + BITMAPS_AHEAD]]
                if sp.host:
                    prefetch(<const uint8_t *>(sp.host + (bitmap[k + BITMAPS_AHEAD] - sp.base)))
                    prefetch(<const uint8_t *>(sp.host + (bitmap[k + BITMAPS_AHEAD] - sp.base)) + 64)
            sp = &ix.spans[which[k]]
            # spans are page-aligned, so their bits start at a whole byte
            if not copy_bytes(&ix, bitmap[k], sp.bytes >> 6, out + (sp.maskbit >> 3)):
                unreadable += 1
    return unreadable


def mask_from_types(h, const int64_t[::1] objects, const int32_t[::1] kinds, const int64_t[::1] type_words,
                    const int64_t[::1] type_bits, const uint64_t[::1] pool, uint64_t[::1] ptrmask):
    """Slots with a type word of their own or of the span: the type's mask, repeated; see reference/spans.py."""
    cdef Index ix
    cdef int64_t k, oid, ty
    cdef uint64_t w, limit, n, tw, rel, bit, b, s, value
    cdef const Span *sp = NULL
    fill_index(&ix, h)
    with nogil:
        for k in range(objects.shape[0]):
            oid = objects[k]
            ty = kinds[k]
            if ty < 0 or type_words[ty] <= 0 or oid < 0 or oid >= ix.nobjects:
                continue
            if sp == NULL or oid < sp.first or oid >= sp.first + <int64_t>sp.nelems:
                sp = &ix.spans[span_of_object(&ix, oid)]
            limit = sp.elemsize >> 3
            tw = <uint64_t>type_words[ty]
            bit = sp.maskbit + (<uint64_t>(oid - sp.first) * sp.elemsize >> 3)
            w = sp.header
            rel = 0
            while w < limit:
                n = tw - rel
                if n > 64:
                    n = 64
                if n > limit - w:
                    n = limit - w
                b = <uint64_t>type_bits[ty] + rel
                s = b & 63
                value = pool[b >> 6] >> s
                if s:
                    value |= pool[(b >> 6) + 1] << (64 - s)
                put_bits(&ptrmask[0], bit + w, value, n)
                w += n
                rel += n
                if rel >= tw:
                    rel = 0


def mask_from_arena_words(h, const int64_t[::1] which, const uint64_t[::1] arena_bitmap, uint64_t[::1] ptrmask):
    """Go 1.20, 1.21: one bit a word in heapArena.bitmap. ``arena_bitmap`` is as in mask_from_nibbles.

    Returns how many pages had no readable bitmap."""
    cdef Index ix
    cdef int64_t k, unreadable = 0
    cdef uint64_t done, arena, address
    cdef const Span *sp
    cdef uint8_t *out
    cdef uint64_t first_arena = arena_bitmap[0]
    cdef uint64_t arenas = arena_bitmap.shape[0] - 1
    fill_index(&ix, h)
    out = <uint8_t *>&ptrmask[0]
    with nogil:
        for k in range(which.shape[0]):
            sp = &ix.spans[which[k]]
            done = 0
            while done < sp.bytes:
                address = sp.base + done
                arena = (address >> 26) - first_arena
                if arena >= arenas or arena_bitmap[arena + 1] == 0 or not copy_bytes(
                    &ix, arena_bitmap[arena + 1] + ((address & 0x3FFFFFF) >> 6), 128, out + ((sp.maskbit + (done >> 3)) >> 3)
                ):
                    unreadable += 1
                done += 8192
    return unreadable


def mask_from_nibbles(h, const int64_t[::1] which, const uint64_t[::1] arena_bitmap, uint64_t[::1] ptrmask):
    """Go 1.19: two bits a word in heapArena.bitmap (runtime/mbitmap.go, heapBits): a byte holds four words, pointer bits low,
    scan bits high; no scan bit ends the object. ``arena_bitmap`` is indexed by address >> 26 minus its element 0."""
    cdef Index ix
    cdef int64_t k, unreadable = 0
    cdef uint64_t address, word, limit, w, arena, bit
    cdef uint32_t i
    cdef int shift
    cdef const Span *sp
    cdef const uint8_t *p
    cdef uint64_t first_arena = arena_bitmap[0]
    cdef uint64_t arenas = arena_bitmap.shape[0] - 1
    fill_index(&ix, h)
    with nogil:
        for k in range(which.shape[0]):
            sp = &ix.spans[which[k]]
            limit = sp.elemsize >> 3
            for i in range(sp.nelems):
                for w in range(limit):
                    address = sp.base + <uint64_t>i * sp.elemsize + 8 * w
                    arena = (address >> 26) - first_arena
                    if arena >= arenas or arena_bitmap[arena + 1] == 0:
                        unreadable += 1
                        break
                    word = (address & 0x3FFFFFF) >> 3
                    p = host_of(&ix, arena_bitmap[arena + 1] + (word >> 2))
                    if p == NULL:
                        unreadable += 1
                        break
                    shift = word & 3
                    if not (p[0] >> (4 + shift)) & 1:
                        break
                    if (p[0] >> shift) & 1:
                        bit = sp.maskbit + ((address - sp.base) >> 3)
                        ptrmask[bit >> 6] |= <uint64_t>1 << (bit & 63)
    return unreadable


def slots_like(
    h, const int64_t[::1] which, const uint8_t[::1] flags, uint8_t need, uint64_t want, uint64_t every, int64_t shifts,
    int64_t[::1] ids, uint8_t[::1] at,
):
    """Slots whose pointer bits are those that are asked for; see reference/spans.py."""
    cdef Index ix
    cdef int64_t k, n = 0, room = ids.shape[0], shift
    cdef uint32_t i
    cdef uint64_t v, words, mask, bit
    cdef const Span *sp
    cdef const Span *later
    cdef const uint8_t *own
    cdef const uint8_t *bits
    fill_index(&ix, h)
    bits = <const uint8_t *>ix.ptrmask
    with nogil:
        for k in range(which.shape[0]):
            sp = &ix.spans[which[k]]
            words = sp.elemsize >> 3
            # spans of one size lie far apart, and so does what is known of their slots
            if k + 2 * NEXT < which.shape[0]:
                prefetch(&ix.spans[which[k + 2 * NEXT]])
            if k + NEXT < which.shape[0]:
                later = &ix.spans[which[k + NEXT]]
                prefetch(&flags[0] + later.first)
                prefetch(&flags[0] + later.first + 64)
                prefetch(bits + (later.maskbit >> 3))
                prefetch(bits + (later.maskbit >> 3) + 64)
            mask = (<uint64_t>1 << words) - 1 if words < 64 else <uint64_t>0xFFFFFFFFFFFFFFFF
            own = &flags[0] + sp.first
            for i in range(sp.nelems):
                if own[i] & need != need:
                    continue
                bit = sp.maskbit + (<uint64_t>i * sp.elemsize >> 3)
                # of 64 bits from a byte on, 57 are from any bit of it on
                v = mask & (ld64(bits + (bit >> 3)) >> (bit & 7) if words <= 57 else maskword(&ix, bit))
                for shift in range(shifts):
                    if v >> <uint64_t>shift & every == want:
                        if n < room:
                            ids[n] = sp.first + <int64_t>i
                            at[n] = <uint8_t>shift
                        n += 1
    return n


def sum_marked(h, const uint8_t[::1] flags, int64_t[::1] out):
    """How many slots of each span are allocated (``out[2 * s]``) and marked (``out[2 * s + 1]``)."""
    cdef Index ix
    cdef int64_t s, a, m
    cdef uint32_t i
    cdef const Span *sp
    fill_index(&ix, h)
    with nogil:
        for s in range(ix.nspans):
            sp = &ix.spans[s]
            a = 0
            m = 0
            for i in range(sp.nelems):
                a += flags[sp.first + i] & 1
                m += (flags[sp.first + i] >> 1) & 1
            out[2 * s] = a
            out[2 * s + 1] = m
