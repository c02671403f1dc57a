# Text profiles of debug=2 to columns. See reference/stacktext.py for the plain version, the tables and the format.
from libc.stdint cimport int64_t, uint8_t, uint64_t

from mapscope._kernels._lines cimport Text, address, blank, byte, digit, into, line_end, new_row, number, space, text_of, word

cdef enum:
    GOROUTINES = 0
    FRAMES = 1
    CREATORS = 2


cdef int64_t head(const Text *t, int64_t at, int64_t end, int64_t *id, int64_t *state_end) noexcept nogil:
    # Where the state begins, -1 where the line is no head: goroutine N( gp=\S+)?( m=\S+)?( mp=\S+)? \[([^\]]*)\]:\s*$
    cdef int64_t value, after
    cdef int k
    at = word(t, at, end, b"goroutine ", 10)
    if at < 0 or (at < end and t.data[at] == 45):
        return -1
    at = number(t, at, end, id)
    if at < 0:
        return -1
    for k in range(3):
        if k == 0:
            after = word(t, at, end, b" gp=", 4)
        elif k == 1:
            after = word(t, at, end, b" m=", 3)
        else:
            after = word(t, at, end, b" mp=", 4)
        if after >= 0 and after < end and not space(t.data[after]):
            at = after
            while at < end and not space(t.data[at]):
                at += 1
    at = word(t, at, end, b" [", 2)
    if at < 0:
        return -1
    value = at
    while at < end and t.data[at] != 93:
        at += 1
    state_end[0] = at
    at = word(t, at, end, b"]:", 2)
    return value if at >= 0 and blank(t, at, end) else -1


cdef bint minutes(const Text *t, int64_t at, int64_t end, int64_t *value) noexcept nogil:
    # The first part of a state, between ", ", that is N minutes.
    cdef int64_t part, found
    while True:
        part = at
        while part < end and not (t.data[part] == 44 and part + 1 < end and t.data[part + 1] == 32):
            part += 1
        found = word(t, number(t, at, part, value), part, b" minutes", 8)
        if found == part:
            return True
        if part >= end:
            return False
        at = part + 2


cdef bint place(const Text *t, int64_t at, int64_t end, int64_t *file_end, int64_t *line, uint64_t *offset) noexcept nogil:
    # \t(.*):N( \+(PC))?( fp=\S+.*)?$, the last colon that fits.
    cdef int64_t colon, after, more
    if byte(t, at, end, 9) < 0:
        return False
    colon = end - 1
    while colon > at:
        if t.data[colon] == 58:
            after = number(t, colon + 1, end, line)
            if after >= 0:
                offset[0] = 0
                more = address(t, word(t, after, end, b" +", 2), end, offset)
                if more >= 0:
                    after = more
                else:
                    offset[0] = 0
                more = word(t, after, end, b" fp=", 4)
                if after == end or (more >= 0 and more < end and not space(t.data[more])):
                    file_end[0] = colon
                    return True
        colon -= 1
    return False


cdef int64_t created(const Text *t, int64_t at, int64_t end) noexcept nogil:
    # Where the function of "created by (.*?)( in goroutine N)?$" ends; -1 where the line is another.
    cdef int64_t begin = word(t, at, end, b"created by ", 11), digits = end, value
    if begin < 0:
        return -1
    while digits > begin and digit(t.data[digits - 1]):
        digits -= 1
    if digits > begin and t.data[digits - 1] == 45:
        digits -= 1
    if digits - 14 >= begin and number(t, digits, end, &value) == end and word(t, digits - 14, end, b" in goroutine ", 14) >= 0:
        return digits - 14
    return end


cdef inline int64_t function_end(const Text *t, int64_t at, int64_t end) noexcept nogil:
    cdef int64_t paren = end - 1
    if at == end or t.data[end - 1] != 41:
        return end
    while paren >= at and t.data[paren] != 40:
        paren -= 1
    return paren if paren >= at else end - 1


cdef int64_t stack(Text *t, int64_t *at, int64_t deepest) noexcept nogil:
    # The frames up to a blank line; how many lines were read.
    cdef int64_t end, stop, next_end, file_end, line, lines = 0, deep = 0
    cdef uint64_t offset
    cdef int64_t *row
    cdef bint is_place
    while at[0] <= t.size:
        end = line_end(t, at[0])
        if blank(t, at[0], end):
            break
        lines += 1
        next_end = line_end(t, end + 1) if end < t.size else end
        is_place = end < t.size and place(t, end + 1, next_end, &file_end, &line, &offset)
        stop = created(t, at[0], end)
        if stop >= 0:
            row = new_row(t, CREATORS)
            if row != NULL:
                row[0], row[1] = at[0] + 11, stop
        elif is_place and deep < deepest:
            deep += 1
            row = new_row(t, FRAMES)
            if row != NULL:
                row[0], row[1], row[2], row[3] = at[0], function_end(t, at[0], end), end + 2, file_end
                row[4], row[5] = line, <int64_t>offset
        at[0] = end + 1
        if is_place:
            lines += 1
            at[0] = next_end + 1
    return lines


def goroutines(const uint8_t[::1] data, int64_t deepest, tables, int64_t[::1] counts):
    """A debug=2 text: counts the rows of each table, or fills them; -1, or the number of a line that begins no goroutine."""
    cdef Text t = text_of(data)
    cdef int64_t at = 0, end, state, state_end = 0, id = 0, wait, line = 0, bad = -1
    cdef int64_t *row
    cdef bint waits
    cdef int kind
    if tables is not None:
        for kind in range(3):
            into(&t, kind, tables[kind])
    with nogil:
        while at <= t.size:
            end = line_end(&t, at)
            line += 1
            state = head(&t, at, end, &id, &state_end)
            if state < 0:
                if not blank(&t, at, end):
                    bad = line
                    break
                at = end + 1
                continue
            at = end + 1
            line += stack(&t, &at, deepest)
            wait = 0
            waits = minutes(&t, state, state_end, &wait)
            row = new_row(&t, GOROUTINES)
            if row != NULL:
                row[0], row[1], row[2], row[3] = id, waits, wait if waits else 0, state
                row[4] = state
                while row[4] < state_end and t.data[row[4]] != 44:
                    row[4] += 1
                row[5], row[6] = t.count[FRAMES], t.count[CREATORS]
    for kind in range(3):
        counts[kind] = t.count[kind]
    return bad
