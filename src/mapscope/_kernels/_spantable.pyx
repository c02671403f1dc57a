# From the runtime's spans to the index of the heap, one pass a step. See reference/spantable.py for the plain version and the
# parameters.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from mapscope._kernels._index cimport Span
from mapscope._kernels._targets cimport HOLDS_LEAVES, HOLDS_POINTERS, Kind

cdef enum:
    # rows of ``columns``
    STATE = 0
    SPANCLASS = 1
    BASE = 2
    PAGES = 3
    SIZE = 4
    COUNT = 5
    IN_USE = 1
    MANUAL = 2
    # verdicts
    NOTHING = 0
    GOOD = 1
    BAD = 2
    OWN = 3
    GO_PAGE = 8192
    CLASSES = 136
    KINDS = 1024            # places of a hash table, a power of two
    TRIES = 8


cdef inline int32_t slot_of_chunk(const int32_t[::1] chunk_slot, uint64_t address) noexcept nogil:
    cdef uint64_t chunk = address >> 26
    return chunk_slot[<int64_t>chunk] if chunk < <uint64_t>chunk_slot.shape[0] else 0


def pages(const int32_t[::1] chunk_slot, const uint64_t[:, ::1] runs, uint64_t[::1] page_host):
    """Where the pages of runs lie in this process; see reference/spantable.py."""
    cdef int64_t r, at
    cdef uint64_t page, stop
    cdef int32_t slot
    with nogil:
        for r in range(runs.shape[0]):
            page = runs[r, 0]
            while page < runs[r, 1]:
                stop = (page | 16383) + 1
                if stop > runs[r, 1]:
                    stop = runs[r, 1]
                slot = slot_of_chunk(chunk_slot, page << 12)
                at = (<int64_t>slot << 14) + <int64_t>(page & 16383)
                if slot > 0 and at + <int64_t>(stop - page) <= page_host.shape[0]:
                    while page < stop:
                        page_host[at] = runs[r, 2] + (page - runs[r, 0]) * runs[r, 3]
                        at += 1
                        page += 1
                page = stop


def judge(const uint64_t[:, ::1] columns, const uint8_t[::1] ok, const uint8_t[::1] arena, uint64_t most, uint8_t[::1] verdict):
    """Which spans are in use and pass the checks; see reference/spantable.py."""
    cdef int64_t i
    cdef uint64_t base, pages, size, count, bytes_, chunk
    cdef bint inside
    with nogil:
        for i in range(columns.shape[1]):
            verdict[i] = NOTHING
            if not ok[i] or (columns[STATE, i] != IN_USE and columns[STATE, i] != MANUAL):
                continue
            base, pages, size, count = columns[BASE, i], columns[PAGES, i], columns[SIZE, i], columns[COUNT, i]
            chunk = base >> 26
            inside = chunk < <uint64_t>arena.shape[0] and arena[<int64_t>chunk] and base % GO_PAGE == 0 and pages < (<uint64_t>1 << 35)
            if columns[STATE, i] == MANUAL:
                verdict[i] = OWN if inside else NOTHING
                continue
            bytes_ = pages * GO_PAGE
            if (
                inside and pages > 0 and size >= 8 and size <= bytes_ and count > 0 and count <= most and count <= bytes_ // size
                and columns[SPANCLASS, i] < CLASSES
            ):
                verdict[i] = GOOD
            else:
                verdict[i] = BAD


def apart(const uint64_t[::1] base, const uint64_t[::1] size, const int32_t[::1] chunk_slot, uint8_t[::1] keep):
    """Which of the ascending spans overlap none before them and lie in chunks that follow each other."""
    cdef int64_t i
    cdef uint64_t highest = 0, end
    cdef int32_t first, last
    with nogil:
        for i in range(base.shape[0]):
            end = base[i] + size[i]
            first, last = slot_of_chunk(chunk_slot, base[i]), slot_of_chunk(chunk_slot, end - 1)
            keep[i] = (
                base[i] >= highest and first > 0 and last > 0
                and <uint64_t>(last - first) == ((end - 1) >> 26) - (base[i] >> 26)
            )
            if end > highest:
                highest = end


def write(const uint64_t[:, ::1] columns, const int64_t[::1] order, uint8_t[::1] spans):
    """The fields of spans that the runtime tells; see reference/spantable.py."""
    cdef Span *out
    cdef int64_t i, row
    if not order.shape[0]:
        return
    out = <Span *>&spans[0]
    with nogil:
        for i in range(order.shape[0]):
            row = order[i]
            out[i].base = columns[BASE, row]
            out[i].elemsize = columns[SIZE, row]
            out[i].bytes = columns[PAGES, row] * GO_PAGE
            out[i].nelems = <uint32_t>columns[COUNT, row]
            out[i].noscan = columns[SPANCLASS, row] & 1


def place(const int32_t[::1] chunk_slot, const uint64_t[::1] page_host, uint8_t[::1] spans, int32_t[::1] page_span):
    """The fields of spans that the evidence tells, and the table from pages to spans. Answers how many slots there are."""
    cdef Span *sp
    cdef int64_t i, k, slot, objects = 0, count = spans.shape[0] // <int64_t>sizeof(Span), first
    cdef int64_t spans_room = page_span.shape[0], pages_room = page_host.shape[0]
    cdef uint64_t within, host
    if not count:
        return 0
    sp = <Span *>&spans[0]
    with nogil:
        for i in range(count):
            slot = slot_of_chunk(chunk_slot, sp[i].base)
            within = sp[i].base & 0x3FFFFFF
            sp[i].first = objects
            objects += sp[i].nelems
            sp[i].maskbit = (<uint64_t>slot << 23) + (within >> 3)
            sp[i].divmul = 0
            if sp[i].nelems > 1:
                sp[i].divmul = <uint32_t>(((<uint64_t>1 << 32) + sp[i].elemsize - 1) // sp[i].elemsize)
            first = (slot << 13) + <int64_t>(within >> 13)
            if slot <= 0 or sp[i].bytes > <uint64_t>spans_room * GO_PAGE or first + <int64_t>(sp[i].bytes // GO_PAGE) > spans_room:
                objects = -1
                break
            for k in range(<int64_t>(sp[i].bytes // GO_PAGE)):
                page_span[first + k] = <int32_t>i
            first = (slot << 14) + <int64_t>(within >> 12)
            if first + <int64_t>(sp[i].bytes >> 12) > pages_room:
                objects = -1
                break
            host = page_host[first]
            for k in range(<int64_t>(sp[i].bytes >> 12)):
                if host == 0 or page_host[first + k] != host + <uint64_t>k * 4096:
                    host = 0
                    break
            sp[i].host = host
    if objects < 0:
        raise ValueError("a span outside of the page table")
    return objects


def targets(const int32_t[::1] chunk_slot, const uint8_t[::1] spans, uint8_t[::1] holds, uint64_t[::1] pages, uint8_t[::1] kinds):
    """What a page and the kind of its span tell of a pointer there; see reference/spantable.py."""
    cdef const Span *sp
    cdef Kind *of
    cdef int64_t i, k, first, count = spans.shape[0] // <int64_t>sizeof(Span)
    cdef int64_t room = kinds.shape[0] // <int64_t>sizeof(Kind), places = pages.shape[0]
    cdef int32_t at[KINDS]
    cdef uint64_t where, size
    cdef int64_t kind, known = 1
    if not count or not room:
        return
    sp = <const Span *>&spans[0]
    of = <Kind *>&kinds[0]
    with nogil:
        for k in range(KINDS):
            at[k] = 0
        for i in range(count):
            kind = 0
            if sp[i].nelems > 1 and sp[i].elemsize < (<uint64_t>1 << 32) and sp[i].bytes <= <uint64_t>GO_PAGE << 16:
                where = (sp[i].elemsize * 31 + sp[i].nelems * 4 + sp[i].noscan * 2 + sp[i].header) * <uint64_t>0x9E3779B97F4A7C15 >> 54
                for k in range(TRIES):
                    kind = at[(where + <uint64_t>k) & (KINDS - 1)]
                    if kind == 0:
                        if known == room:
                            break
                        kind = known
                        known += 1
                        at[(where + <uint64_t>k) & (KINDS - 1)] = <int32_t>kind
                        of[kind].divmul, of[kind].nelems = sp[i].divmul, sp[i].nelems
                        of[kind].elemsize = <uint32_t>sp[i].elemsize
                        of[kind].noscan, of[kind].header = sp[i].noscan, sp[i].header
                        break
                    if (
                        of[kind].elemsize == sp[i].elemsize and of[kind].nelems == sp[i].nelems
                        and of[kind].noscan == sp[i].noscan and of[kind].header == sp[i].header
                    ):
                        break
                    kind = 0
            first = (<int64_t>slot_of_chunk(chunk_slot, sp[i].base) << 13) + <int64_t>((sp[i].base & 0x3FFFFFF) >> 13)
            size = sp[i].bytes // GO_PAGE
            if size > <uint64_t>places or first + <int64_t>size > places or first + <int64_t>size > holds.shape[0]:
                continue
            for k in range(<int64_t>size):
                holds[first + k] = HOLDS_LEAVES if sp[i].noscan else HOLDS_POINTERS
                pages[first + k] = <uint64_t>sp[i].first << 32 | <uint64_t>kind << 16 | (<uint64_t>k if kind else 0)
