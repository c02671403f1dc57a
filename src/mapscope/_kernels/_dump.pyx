# Walks the records of a heap dump; see reference/dump.py, which has the same functions.
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from mapscope._kernels._index cimport Index, Span, fill_index

cdef enum:
    DONE = 0
    FULL = 1
    CUT = 2
    SPOILED = 3
    OBJECT = 1
    TAGS = 32
    PAGE = 8192
    LARGEST = 32768

cdef struct Reader:
    const uint8_t *data
    uint64_t at
    uint64_t end
    int wrong           # 0, or CUT, or SPOILED


cdef inline uint64_t number(Reader *r) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while True:
        if r.at >= r.end:
            r.wrong = CUT
            return 0
        byte = r.data[r.at]
        r.at += 1
        if shift == 63 and byte > 1:
            r.wrong = SPOILED
            return 0
        value |= <uint64_t>(byte & 127) << shift
        if byte < 128:
            return value
        shift += 7


cdef inline uint64_t run_of_bytes(Reader *r, uint64_t *at) noexcept nogil:
    cdef uint64_t size = number(r)
    if r.wrong:
        return 0
    if size > r.end - r.at:
        r.wrong = CUT
        return 0
    at[0] = r.at
    r.at += size
    return size


cdef uint64_t count_fields(Reader *r, uint64_t size) noexcept nogil:
    # How many pointer fields are listed, all of which lie in size bytes.
    cdef uint64_t kind, offset, count = 0
    while True:
        kind = number(r)
        if r.wrong or kind == 0:
            return count
        offset = number(r)
        if r.wrong:
            return count
        if kind != 1 or offset & 7 or offset >= size or size - offset < 8:
            r.wrong = SPOILED
            return count
        count += 1


cdef void any_fields(Reader *r) noexcept nogil:
    cdef uint64_t kind
    while True:
        kind = number(r)
        if r.wrong or kind == 0:
            return
        if kind != 1:
            r.wrong = SPOILED
            return
        number(r)
        if r.wrong:
            return


cdef void skip(Reader *r, const char *shape, int64_t length) noexcept nogil:
    cdef int64_t i
    cdef uint64_t at, n
    for i in range(length):
        if shape[i] == c'v':
            number(r)
        elif shape[i] == c's':
            run_of_bytes(r, &at)
        elif shape[i] == c'f':
            any_fields(r)
        else:
            n = number(r)
            while n and not r.wrong:
                run_of_bytes(r, &at)
                if not r.wrong:
                    run_of_bytes(r, &at)
                if not r.wrong:
                    number(r)
                n -= 1
        if r.wrong:
            return


cdef int64_t span_base(uint64_t address, uint64_t size, const uint8_t *pages) noexcept nogil:
    cdef uint64_t base, within, back
    if address == 0 or address >= <uint64_t>1 << 48 or address & 7 or size & 7 or size == 0:
        return -1
    if size > LARGEST:
        if address % PAGE or size % PAGE or size >= <uint64_t>1 << 47:
            return -1
        return <int64_t>address
    for back in range(pages[size >> 3]):
        if address // PAGE < back:
            return -1
        base = (address // PAGE - back) * PAGE
        within = address - base
        if within % size == 0 and within + size <= <uint64_t>pages[size >> 3] * PAGE:
            return <int64_t>base
    return -1


def scan(
    const uint8_t[::1] data, shapes, bytes kept, const uint8_t[::1] pages, int64_t[::1] state, int64_t[:, ::1] spans,
    int64_t[:, ::1] others,
):
    """Walks the records from ``state[0]`` on: 0 done, 1 an output is full, 2 cut, 3 spoiled."""
    cdef const char *shape[TAGS]
    cdef int64_t length[TAGS]
    cdef uint8_t keep[TAGS]
    cdef int64_t tags = min(len(shapes), TAGS), i, row
    cdef const char *text
    cdef Reader r
    cdef uint64_t tag, address, size, at, pointers
    cdef int64_t record, base
    cdef int answer = DONE
    if pages.shape[0] <= LARGEST // 8:
        raise ValueError("pages: too short")
    for i in range(tags):
        text = shapes[i]
        shape[i] = text
        length[i] = len(shapes[i])
        keep[i] = kept[i]
    r.data = &data[0] if data.shape[0] else NULL
    r.end = data.shape[0]
    r.wrong = 0
    with nogil:
        while True:
            if state[1] >= spans.shape[0] or state[2] >= others.shape[0]:
                answer = FULL
                break
            record = state[0]
            r.at = record
            tag = number(&r)
            if r.wrong:
                break
            if tag == 0:
                state[0] = r.at
                break
            if tag >= <uint64_t>tags or length[tag] == 0:
                r.wrong = SPOILED
                break
            if tag == OBJECT:
                address = number(&r)
                if r.wrong:
                    break
                size = run_of_bytes(&r, &at)
                if r.wrong:
                    break
                base = span_base(address, size, &pages[0])
                if base < 0:
                    r.wrong = SPOILED
                    break
                pointers = count_fields(&r, size)
                if r.wrong:
                    break
                row = state[1] - 1
                if (row < 0 or spans[row, 0] != base or spans[row, 1] != <int64_t>size or state[4] != record
                        or state[3] >= <int64_t>address):
                    row += 1
                    spans[row, 0] = base
                    spans[row, 1] = size
                    spans[row, 2] = record
                    spans[row, 3] = 0
                    spans[row, 4] = 0
                    state[1] += 1
                spans[row, 3] += 1
                if pointers:
                    spans[row, 4] = 1
                state[3] = address
                state[4] = r.at
            else:
                at = r.at
                skip(&r, shape[tag], length[tag])
                if r.wrong:
                    break
                if keep[tag]:
                    others[state[2], 0] = tag
                    others[state[2], 1] = at
                    state[2] += 1
            state[0] = r.at
    return r.wrong if r.wrong else answer


def decode(const uint8_t[::1] data, bytes shape, const int64_t[::1] offsets, uint64_t[:, ::1] out):
    """The fields of the records at ``offsets`` as rows of ``out``; how many rows were read."""
    cdef const char *text = shape
    cdef int64_t length = len(shape), i, k, column, width = 0
    cdef Reader r
    cdef uint64_t size, at = 0
    for k in range(length):
        width += 2 if text[k] == c's' else 1
    if out.shape[0] < offsets.shape[0] or (out.shape[0] and out.shape[1] != width):
        raise ValueError("out: wrong shape")
    r.data = &data[0] if data.shape[0] else NULL
    r.end = data.shape[0]
    with nogil:
        for i in range(offsets.shape[0]):
            r.at = offsets[i]
            r.wrong = 0
            column = 0
            for k in range(length):
                if text[k] == c'v':
                    out[i, column] = number(&r)
                elif text[k] == c's':
                    size = run_of_bytes(&r, &at)
                    out[i, column] = at
                    column += 1
                    out[i, column] = size
                else:
                    out[i, column] = r.at
                    any_fields(&r)
                if r.wrong:
                    break
                column += 1
            if r.wrong:
                break
        else:
            i = offsets.shape[0]
    return i


def field_bits(const uint8_t[::1] data, uint64_t at, uint64_t size, uint8_t[::1] bits):
    """Sets a bit a word for the pointer fields listed at ``at``. 0, or 1 if they are spoiled."""
    cdef Reader r
    cdef uint64_t kind, offset
    if <uint64_t>bits.shape[0] * 64 < size:
        raise ValueError("bits: too short")
    r.data = &data[0] if data.shape[0] else NULL
    r.at = at
    r.end = data.shape[0]
    r.wrong = 0
    with nogil:
        count_fields(&r, size)
        if not r.wrong:
            r.at = at
            while number(&r):
                offset = number(&r)
                bits[offset >> 6] |= 1 << ((offset >> 3) & 7)
    return 1 if r.wrong else 0


def copy(
    const uint8_t[::1] data, const int64_t[::1] offsets, const int64_t[::1] sizes, uint8_t[::1] target,
    const int64_t[::1] places,
):
    """Copies runs of bytes of the data to places of ``target``; those that do not lie in both are left out."""
    cdef int64_t i, end = data.shape[0], room = target.shape[0]
    with nogil:
        for i in range(offsets.shape[0]):
            if offsets[i] < 0 or places[i] < 0 or sizes[i] <= 0:
                continue
            if offsets[i] > end or places[i] > room or sizes[i] > end - offsets[i] or sizes[i] > room - places[i]:
                continue
            memcpy(&target[places[i]], &data[offsets[i]], sizes[i])


def fill(
    const uint8_t[::1] data, const int64_t[:, ::1] rows, uint8_t[::1] target, const int64_t[::1] places, h,
    uint8_t[::1] flags, uint64_t[::1] ptrmask,
):
    """Lays the objects of every span out: contents, allocated slots and pointer bits. How many were none."""
    cdef Index ix
    cdef int64_t s, n, dropped = 0
    cdef const Span *sp
    cdef Reader r
    cdef uint64_t tag, address, size, at = 0, slot, place, kind, offset, bit
    cdef uint64_t room = target.shape[0], bits = ptrmask.shape[0] * 64, objects = flags.shape[0]
    fill_index(&ix, h)
    if rows.shape[0] != ix.nspans or places.shape[0] != ix.nspans:
        raise ValueError("rows and places: one for each span")
    r.data = &data[0] if data.shape[0] else NULL
    r.end = data.shape[0]
    with nogil:
        for s in range(ix.nspans):
            sp = &ix.spans[s]
            r.at = rows[s, 2]
            r.wrong = 0
            for n in range(rows[s, 3]):
                tag = number(&r)
                if r.wrong:
                    break
                address = number(&r)
                if r.wrong:
                    break
                size = run_of_bytes(&r, &at)
                if r.wrong or tag != OBJECT or <int64_t>size != rows[s, 1] or size == 0 or address < sp.base:
                    break
                slot = (address - sp.base) // size
                if slot >= sp.nelems:
                    dropped += 1
                    any_fields(&r)
                    if r.wrong:
                        break
                    continue
                place = places[s] + slot * size
                bit = sp.maskbit + slot * (size >> 3)
                if place > room or size > room - place or bit + (size >> 3) > bits or sp.first + slot >= objects:
                    break
                memcpy(&target[place], &data[at], size)
                flags[sp.first + slot] |= 1
                while True:
                    kind = number(&r)
                    if r.wrong or kind == 0:
                        break
                    offset = number(&r)
                    if r.wrong:
                        break
                    if kind != 1 or offset >= size:
                        r.wrong = SPOILED
                        break
                    ptrmask[(bit + (offset >> 3)) >> 6] |= <uint64_t>1 << ((bit + (offset >> 3)) & 63)
                if r.wrong:
                    break
    return dropped
