# Text profiles of debug=1 to columns. See reference/proftext.py for the plain version, the tables and the formats.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc, qsort

from mapscope._kernels._lines cimport Text, address, blank, byte, digit, into, line_end, new_row, number, past_blanks, space, spaces, text_of, word

cdef enum:
    RECORDS = 0
    PCS = 1
    NAMED = 2
    FACTS = 3


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


def records(const uint8_t[::1] data, int numbers, int64_t deepest, tables, int64_t[::1] counts):
    """A debug=1 text: counts the rows of each table, or fills them; -1, or the number of a line that is none."""
    cdef Text t = text_of(data)
    cdef int64_t at, end, line = 1, bad = -1
    cdef int kind
    if tables is not None:
        for kind in range(4):
            into(&t, kind, tables[kind])
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
