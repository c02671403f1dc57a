# Text profiles to columns. See reference/proftext.py for the plain version, the tables and the formats.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memchr, memcmp, memcpy

import numpy as np

cdef enum:
    RECORDS = 0
    PCS = 1
    NAMED = 2
    FACTS = 3
    GOROUTINES = 0
    FRAMES = 1
    CREATORS = 2
    NTABLES = 4
    DIGITS = 19

cdef uint64_t LARGEST = 0x7FFFFFFFFFFFFFFF
cdef uint64_t PRIME = 0x1FFFFFFFFFFFFFFF     # 2^61 - 1


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
    # Past one byte; -1 where it is another. All readers take and give -1.
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
    if result > LARGEST:
        value[0] = <int64_t>(LARGEST + 1) if negative else <int64_t>LARGEST
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


cdef bint record(Text *t, int64_t at, int64_t end, int numbers, int64_t deepest) noexcept nogil:
    cdef int64_t value[4]
    cdef int64_t before, kept = 0, pc_count = t.count[PCS]
    cdef int64_t *row
    cdef uint64_t pc
    cdef int k
    for k in range(4):
        value[k] = 0
    at = number(t, spaces(t, at, end), end, &value[0])
    if numbers == 4:
        at = number(t, past_blanks(t, byte(t, at, end, 58), end), end, &value[1])
        at = byte(t, past_blanks(t, at, end), end, 91)
        if at < 0:
            return False
        at = number(t, spaces(t, at, end), end, &value[2])
        at = number(t, past_blanks(t, byte(t, at, end, 58), end), end, &value[3])
        at = byte(t, at, end, 93)
    at = byte(t, past_blanks(t, at, end), end, 64)
    if at < 0:
        return False
    while True:
        before = at
        at = address(t, past_blanks(t, at, end), end, &pc)
        if at < 0:
            break
        if kept < deepest:
            row = new_row(t, PCS)
            if row != NULL:
                row[0] = <int64_t>pc
            kept += 1
    if not blank(t, before, end):
        t.count[PCS] = pc_count
        return False
    row = new_row(t, RECORDS)
    if row != NULL:
        for k in range(4):
            row[k] = value[k]
        row[4] = t.count[PCS]
        row[5] = t.count[NAMED]
    return True


cdef bint named(Text *t, int64_t begin, int64_t end) noexcept nogil:
    # #\t(PC)\t+(\S.*?)\+PC\t+(.*):N\s*$
    cdef uint64_t pc, other
    cdef int64_t last = end, colon, value, name, at, file
    cdef int64_t *row
    at = address(t, word(t, begin, end, b"#\t", 2), end, &pc)
    if byte(t, at, end, 9) < 0:
        return False
    while at < end and t.data[at] == 9:
        at += 1
    name = at
    if at >= end or space(t.data[at]):
        return False
    while last > name and space(t.data[last - 1]):
        last -= 1
    colon = last
    while colon > name and digit(t.data[colon - 1]):
        colon -= 1
    if colon > name and t.data[colon - 1] == 45:
        colon -= 1
    if colon == name or t.data[colon - 1] != 58 or number(t, colon, last, &value) != last:
        return False
    colon -= 1
    at = name + 1
    while at < colon:
        if t.data[at] == 43:
            file = address(t, at + 1, colon, &other)
            if byte(t, file, colon, 9) >= 0:
                while file < colon and t.data[file] == 9:
                    file += 1
                if pc == <uint64_t>0xFFFFFFFFFFFFFFFF:
                    return True
                row = new_row(t, NAMED)
                if row != NULL:
                    row[0], row[1], row[2], row[3], row[4] = <int64_t>(pc + 1), name, at, file, colon
                    row[5] = value
                    (t.column[RECORDS] + (t.count[RECORDS] - 1) * t.width[RECORDS])[5] = t.count[NAMED]
                return True
        at += 1
    return False


cdef void fact(Text *t, int64_t begin, int64_t end) noexcept nogil:
    # # (\w+) = N(?: / N)?\s*$
    cdef int64_t at = word(t, begin, end, b"# ", 2), value, other, name_end, more
    cdef int64_t *row
    if at < 0:
        return
    while at < end and (digit(t.data[at]) or 65 <= t.data[at] <= 90 or 97 <= t.data[at] <= 122 or t.data[at] == 95):
        at += 1
    name_end = at
    at = number(t, word(t, at, end, b" = ", 3), end, &value)
    if at < 0 or name_end == begin + 2:
        return
    more = number(t, word(t, at, end, b" / ", 3), end, &other)
    if not blank(t, more if more >= 0 else at, end):
        return
    row = new_row(t, FACTS)
    if row != NULL:
        row[0], row[1], row[2] = begin + 2, name_end, value


cdef Text opened(const uint8_t[::1] data, tables, list widths):
    cdef Text t
    cdef int64_t[:, ::1] table
    cdef int kind
    t.data = &data[0] if data.shape[0] else NULL
    t.size = data.shape[0]
    t.fill = tables is not None
    for kind in range(NTABLES):
        t.count[kind] = 0
        t.column[kind] = NULL
        t.width[kind] = widths[kind] if kind < len(widths) else 0
        if tables is not None and kind < len(widths):
            table = tables[kind]
            if table.shape[0]:
                t.column[kind] = &table[0, 0]
    return t


def records(const uint8_t[::1] data, int numbers, int64_t deepest, tables, int64_t[::1] counts):
    """A debug=1 text: counts the rows of each table, or fills them; -1, or the number of a line that is none."""
    cdef Text t = opened(data, tables, [6, 1, 6, 3])
    cdef int64_t at, end, line = 1, bad = -1
    cdef int kind
    with nogil:
        at = line_end(&t, 0) + 1
        while at <= t.size:
            end = line_end(&t, at)
            line += 1
            if at < end and t.data[at] == 35:
                if t.count[RECORDS] and not named(&t, at, end):
                    fact(&t, at, end)
            elif not blank(&t, at, end) and not record(&t, at, end, numbers, deepest):
                bad = line
                break
            at = end + 1
    for kind in range(4):
        counts[kind] = t.count[kind]
    return bad


cdef struct Name:
    uint64_t pc
    int64_t row


cdef int by_pc(const void *a, const void *b) noexcept nogil:
    cdef const Name *x = <const Name *>a
    cdef const Name *y = <const Name *>b
    if x.pc != y.pc:
        return 1 if x.pc > y.pc else -1
    return 1 if x.row > y.row else -1 if x.row < y.row else 0


def attach(const int64_t[:, ::1] samples, const int64_t[:, ::1] pcs, const int64_t[:, ::1] names, int32_t[::1] rows):
    """For each address its row of NAMED, the last in its record; -1 where none names it."""
    cdef int64_t i, k, low, high, middle, size, most = 0, pc0 = 0, name0 = 0
    cdef uint64_t pc
    cdef Name *sorted_names
    for i in range(samples.shape[0]):
        size = samples[i, 5] - name0
        name0 = samples[i, 5]
        most = max(most, size)
    sorted_names = <Name *>malloc((most + 1) * sizeof(Name))
    if sorted_names == NULL:
        raise MemoryError
    name0 = 0
    with nogil:
        for i in range(samples.shape[0]):
            size = samples[i, 5] - name0
            for k in range(size):
                sorted_names[k].pc = <uint64_t>names[name0 + k, 0]
                sorted_names[k].row = name0 + k
            if size > 1:
                qsort(sorted_names, size, sizeof(Name), by_pc)
            for k in range(pc0, samples[i, 4]):
                pc = <uint64_t>pcs[k, 0]
                low = 0
                high = size
                while low < high:  # the first beyond pc
                    middle = (low + high) >> 1
                    if sorted_names[middle].pc <= pc:
                        low = middle + 1
                    else:
                        high = middle
                rows[k] = <int32_t>sorted_names[low - 1].row if low and sorted_names[low - 1].pc == pc else -1
            pc0 = samples[i, 4]
            name0 = samples[i, 5]
    free(sorted_names)


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
    """The same for a debug=2 text. -1, or the number of a line that begins no goroutine."""
    cdef Text t = opened(data, tables, [7, 6, 2])
    cdef int64_t at = 0, end, state, state_end = 0, id = 0, wait, line = 0, bad = -1
    cdef int64_t *row
    cdef bint waits
    cdef int kind
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


cdef inline uint64_t times(uint64_t a, uint64_t b) noexcept nogil:
    # a * b modulo 2^61 - 1, both below it, by halves.
    cdef uint64_t ah = a >> 31, al = a & 0x7FFFFFFF, bh = b >> 31, bl = b & 0x7FFFFFFF
    cdef uint64_t middle = al * bh + ah * bl
    cdef uint64_t sum_ = ah * bh * 2 + (middle >> 30) + ((middle & 0x3FFFFFFF) << 31) + al * bl
    sum_ = (sum_ & PRIME) + (sum_ >> 61)
    return sum_ - PRIME if sum_ >= PRIME else sum_


cdef inline uint64_t hashed(const uint8_t *text, int64_t size, uint64_t base) noexcept nogil:
    # The text as a polynomial in ``base``: two of one length agree for few bases only.
    cdef uint64_t result = <uint64_t>size + 1, chunk
    cdef int64_t k = 0
    cdef int shift
    while k < size:
        chunk = 0
        shift = 0
        while k < size and shift < 56:
            chunk |= <uint64_t>text[k] << shift
            shift += 8
            k += 1
        result = times(result, base) + chunk
        result = (result & PRIME) + (result >> 61)
        if result >= PRIME:
            result -= PRIME
    return times(result, base)


def intern(const uint8_t[::1] data, const int64_t[:, ::1] spans, uint64_t seed, int32_t[::1] codes, int64_t[::1] first):
    """Which of the different strings each span is, and the first row of each; how many there are."""
    cdef int64_t n = spans.shape[0], row, found = 0, size, at, other
    cdef uint64_t base = seed % (PRIME - 2) + 2
    cdef const uint8_t *text = &data[0] if data.shape[0] else NULL
    cdef int32_t[::1] table
    cdef int32_t code
    cdef int64_t mask = 15
    while mask < 2 * n:
        mask = 2 * mask + 1
    table = np.full(mask + 1, -1, dtype=np.int32)
    with nogil:
        for row in range(n):
            size = spans[row, 1] - spans[row, 0]
            at = <int64_t>(hashed(text + spans[row, 0], size, base) & <uint64_t>mask)
            while True:
                code = table[at]
                if code < 0:
                    code = <int32_t>found
                    table[at] = code
                    first[found] = row
                    found += 1
                    break
                other = first[code]
                if spans[other, 1] - spans[other, 0] == size and (
                    memcmp(text + spans[other, 0], text + spans[row, 0], size) == 0
                ):
                    break
                at = (at + 1) & mask
            codes[row] = code
    return found


def gather(const uint8_t[::1] data, const int64_t[:, ::1] spans, uint8_t[::1] out):
    """The strings one behind the other in ``out``, which must have room for all."""
    cdef int64_t row, size, at = 0
    with nogil:
        for row in range(spans.shape[0]):
            size = spans[row, 1] - spans[row, 0]
            if size:
                memcpy(&out[at], &data[spans[row, 0]], size)
            at += size
