# Reading lines of text in C: what the kernels of text profiles share. All readers take a place and give the one after what
# they read, or -1; a place of -1 stays -1.
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcmp

cdef enum:
    NTABLES = 4
    DIGITS = 19


cdef struct Text:
    const uint8_t *data
    int64_t size
    bint fill
    int64_t *column[NTABLES]
    int64_t width[NTABLES]
    int64_t count[NTABLES]


cdef inline bint space(uint8_t c) noexcept nogil:
    return c == 32 or 9 <= c <= 13


cdef inline bint digit(uint8_t c) noexcept nogil:
    return 48 <= c <= 57


cdef inline int64_t line_end(const Text *t, int64_t at) noexcept nogil:
    cdef const void *found = memchr(t.data + at, 10, t.size - at) if at < t.size else NULL
    return t.size if found == NULL else <const uint8_t *>found - t.data


cdef inline bint blank(const Text *t, int64_t at, int64_t end) noexcept nogil:
    while at < end:
        if not space(t.data[at]):
            return False
        at += 1
    return True


cdef inline int64_t spaces(const Text *t, int64_t at, int64_t end) noexcept nogil:
    # Past any blanks (not tabs).
    while at < end and t.data[at] == 32:
        at += 1
    return at


cdef inline int64_t byte(const Text *t, int64_t at, int64_t end, uint8_t wanted) noexcept nogil:
    # Past one byte.
    return at + 1 if 0 <= at < end and t.data[at] == wanted else -1


cdef inline int64_t word(const Text *t, int64_t at, int64_t end, const char *wanted, int64_t size) noexcept nogil:
    if at < 0 or end - at < size or memcmp(t.data + at, wanted, size) != 0:
        return -1
    return at + size


cdef inline int64_t number(const Text *t, int64_t at, int64_t end, int64_t *value) noexcept nogil:
    # -?\d{1,19}, of which all are taken; more digits are no number.
    cdef bint negative
    cdef uint64_t result = 0
    cdef int64_t begin
    if at < 0 or at >= end:
        return -1
    negative = t.data[at] == 45
    at += negative
    begin = at
    while at < end and digit(t.data[at]):
        if at - begin == DIGITS:
            return -1
        result = result * 10 + (t.data[at] - 48)
        at += 1
    if at == begin:
        return -1
    if result >> 63:  # the nearest that fits
        value[0] = <int64_t>(<uint64_t>1 << 63) if negative else <int64_t>((<uint64_t>1 << 63) - 1)
    else:
        value[0] = -<int64_t>result if negative else <int64_t>result
    return at


cdef inline int64_t address(const Text *t, int64_t at, int64_t end, uint64_t *value) noexcept nogil:
    # 0x[0-9a-f]{1,16}; more digits are no address.
    cdef uint8_t c
    cdef int64_t begin
    cdef uint64_t result = 0
    at = word(t, at, end, b"0x", 2)
    if at < 0:
        return -1
    begin = at
    while at < end:
        c = t.data[at]
        if digit(c):
            c = c - 48
        elif 97 <= c <= 102:
            c = c - 87
        else:
            break
        if at - begin == 16:
            return -1
        result = result << 4 | c
        at += 1
    value[0] = result
    return at if at > begin else -1


cdef inline int64_t *new_row(Text *t, int kind) noexcept nogil:
    cdef int64_t row = t.count[kind]
    t.count[kind] = row + 1
    return t.column[kind] + row * t.width[kind] if t.fill else NULL


cdef inline int64_t past_blanks(const Text *t, int64_t at, int64_t end) noexcept nogil:
    # " +"
    cdef int64_t after
    if at < 0:
        return -1
    after = spaces(t, at, end)
    return after if after > at else -1


cdef inline Text text_of(const uint8_t[::1] data) noexcept:
    cdef Text t
    cdef int kind
    t.data = &data[0] if data.shape[0] else NULL
    t.size = data.shape[0]
    t.fill = False
    for kind in range(NTABLES):
        t.count[kind] = 0
        t.width[kind] = 0
        t.column[kind] = NULL
    return t


cdef inline void into(Text *t, int kind, int64_t[:, ::1] table) noexcept:
    # Rows of this kind go there, from now on.
    t.fill = True
    t.width[kind] = table.shape[1]
    t.column[kind] = &table[0, 0] if table.shape[0] else NULL
