# Profiles in protocol buffers to columns and back. See reference/pprof.py for the plain version, the columns and the format.
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    NCOLUMNS = 13
    NWIDTHS = 13

cdef enum:
    STRINGS = 0
    SAMPLE_TYPES = 1
    SAMPLES = 2
    LOCATIONS_OF = 3
    VALUES = 4
    LABELS = 5
    MAPPINGS = 6
    LOCATIONS = 7
    LINES = 8
    FUNCTIONS = 9
    COMMENTS = 10
    SCALARS = 11
    TYPE_OF_PERIOD = 12

cdef enum:
    OPEN = -1

cdef int WIDTH[NWIDTHS]
WIDTH[:] = [2, 2, 3, 1, 1, 4, 10, 5, 3, 5, 1, 16, 2]


cdef struct Reading:
    const uint8_t *data
    int64_t at
    int64_t bad
    bint fill
    int64_t *column[NCOLUMNS]
    int64_t count[NCOLUMNS]


cdef inline bint varint(Reading *r, int64_t end, uint64_t *value) noexcept nogil:
    cdef uint64_t result = 0
    cdef int shift = 0
    cdef uint8_t byte
    while r.at < end and shift < 70:
        byte = r.data[r.at]
        r.at += 1
        result |= <uint64_t>(byte & 0x7F) << shift if shift < 64 else 0
        if byte < 0x80:
            value[0] = result
            return True
        shift += 7
    r.bad = r.at
    return False


cdef inline int64_t *row_of(Reading *r, int kind) noexcept nogil:
    # A new row of a table, filled with zeros by whoever made the column.
    cdef int64_t row = r.count[kind]
    r.count[kind] = row + 1
    return r.column[kind] + row * WIDTH[kind] if r.fill else NULL


cdef bint repeated(Reading *r, int64_t end, int wire, int kind) noexcept nogil:
    # One number, or the packed numbers up to the end of the field.
    cdef uint64_t value
    cdef int64_t stop
    cdef int64_t *row
    if wire == 0:
        if not varint(r, end, &value):
            return False
        row = row_of(r, kind)
        if row != NULL:
            row[0] = <int64_t>value
        return True
    if not length(r, end, &stop):
        return False
    while r.at < stop:
        if not varint(r, stop, &value):
            return False
        row = row_of(r, kind)
        if row != NULL:
            row[0] = <int64_t>value
    return True


cdef inline bint length(Reading *r, int64_t end, int64_t *stop) noexcept nogil:
    cdef uint64_t size
    if not varint(r, end, &size):
        return False
    if size > <uint64_t>(end - r.at):
        r.bad = r.at
        return False
    stop[0] = r.at + <int64_t>size
    return True


cdef inline bint skip(Reading *r, int64_t end, int wire) noexcept nogil:
    cdef uint64_t value
    cdef int64_t stop
    if wire == 0:
        return varint(r, end, &value)
    if wire == 2:
        if not length(r, end, &stop):
            return False
        r.at = stop
        return True
    stop = 8 if wire == 1 else 4 if wire == 5 else 0
    if stop == 0 or end - r.at < stop:
        r.bad = r.at
        return False
    r.at += stop
    return True


cdef inline bint tag(Reading *r, int64_t end, uint64_t *number, int *wire) noexcept nogil:
    cdef uint64_t key
    if not varint(r, end, &key):
        return False
    number[0] = key >> 3
    wire[0] = <int>(key & 7)
    if number[0] == 0 or number[0] > 0x1FFFFFFF:
        r.bad = r.at
        return False
    return True


cdef bint record(Reading *r, int64_t end, int kind, int64_t *row) noexcept nogil:
    # A message of numbers: field k goes to row[k - 1]. Lines of a location, and labels of a sample, have their own tables.
    cdef uint64_t number, value
    cdef int64_t stop
    cdef int wire
    while r.at < end:
        if not tag(r, end, &number, &wire):
            return False
        if kind == LOCATIONS and number == 4 and wire == 2:
            if not length(r, end, &stop) or not record(r, stop, LINES, row_of(r, LINES)):
                return False
        elif wire == 0 and number <= <uint64_t>WIDTH[kind] and not (kind == LOCATIONS and number == 4):
            if not varint(r, end, &value):
                return False
            if row != NULL:
                row[number - 1] = <int64_t>value
        elif not skip(r, end, wire):
            return False
    if kind == LOCATIONS and row != NULL:
        row[3] = r.count[LINES]
    return True


cdef bint sample(Reading *r, int64_t end, int64_t *row) noexcept nogil:
    cdef uint64_t number
    cdef int64_t stop
    cdef int wire
    while r.at < end:
        if not tag(r, end, &number, &wire):
            return False
        if number <= 2 and (wire == 0 or wire == 2):
            if not repeated(r, end, wire, LOCATIONS_OF if number == 1 else VALUES):
                return False
        elif number == 3 and wire == 2:
            if not length(r, end, &stop) or not record(r, stop, LABELS, row_of(r, LABELS)):
                return False
        elif not skip(r, end, wire):
            return False
    if row != NULL:
        row[0] = r.count[LOCATIONS_OF]
        row[1] = r.count[VALUES]
        row[2] = r.count[LABELS]
    return True


cdef bint profile(Reading *r, int64_t end) noexcept nogil:
    cdef uint64_t number, value
    cdef int64_t stop
    cdef int64_t *row
    cdef int wire, kind
    while r.at < end:
        if not tag(r, end, &number, &wire):
            return False
        if wire == 2 and number <= 6:
            if not length(r, end, &stop):
                return False
            if number == 6:
                row = row_of(r, STRINGS)
                if row != NULL:
                    row[0] = r.at
                    row[1] = stop
                r.at = stop
            elif number == 2:
                if not sample(r, stop, row_of(r, SAMPLES)):
                    return False
            else:
                kind = SAMPLE_TYPES if number == 1 else MAPPINGS if number == 3 else LOCATIONS if number == 4 else FUNCTIONS
                if not record(r, stop, kind, row_of(r, kind)):
                    return False
        elif wire == 2 and number == 11:
            if not length(r, end, &stop) or not record(r, stop, TYPE_OF_PERIOD, r.column[TYPE_OF_PERIOD]):
                return False
        elif number == 13 and (wire == 0 or wire == 2):
            if not repeated(r, end, wire, COMMENTS):
                return False
        elif wire == 0 and 7 <= number <= 15 and number != 11:
            if not varint(r, end, &value):
                return False
            if r.fill:
                r.column[SCALARS][number] = <int64_t>value
        elif not skip(r, end, wire):
            return False
    return True


def decode(const uint8_t[::1] data, tables, int64_t[::1] counts):
    """Counts rows (``tables`` None) or fills them; -1, or the place in ``data`` where it is no profile."""
    cdef Reading r
    cdef int64_t[:, ::1] table
    cdef int kind
    cdef bint good = True
    r.at = 0
    r.bad = 0
    r.fill = tables is not None
    r.data = &data[0] if data.shape[0] else NULL
    for kind in range(NCOLUMNS):
        r.count[kind] = 0
        r.column[kind] = NULL
        if tables is not None:
            table = tables[kind]
            if table.shape[0]:
                r.column[kind] = &table[0, 0]
    with nogil:
        good = profile(&r, data.shape[0])
    for kind in range(NCOLUMNS):
        counts[kind] = r.count[kind]
    return -1 if good else r.bad


cdef struct Writing:
    uint8_t *out
    int64_t at


cdef inline int64_t width(uint64_t value) noexcept nogil:
    cdef int64_t size = 1
    while value >= 0x80:
        value >>= 7
        size += 1
    return size


cdef inline void put(Writing *w, uint64_t value) noexcept nogil:
    if w.out == NULL:
        w.at += width(value)
        return
    while value >= 0x80:
        w.out[w.at] = <uint8_t>(value | 0x80)
        w.at += 1
        value >>= 7
    w.out[w.at] = <uint8_t>value
    w.at += 1


cdef inline int64_t size_of(const int64_t *row, int fields, int without) noexcept nogil:
    cdef int64_t size = 0
    cdef int k
    for k in range(fields):
        if row[k] != 0 and k != without:
            size += 1 + width(<uint64_t>row[k])
    return size


cdef inline void put_row(Writing *w, const int64_t *row, int fields, int without) noexcept nogil:
    cdef int k
    for k in range(fields):
        if row[k] != 0 and k != without:
            put(w, (k + 1) << 3)
            put(w, <uint64_t>row[k])


cdef void put_messages(Writing *w, int number, const int64_t[:, ::1] rows, int64_t begin, int64_t end) noexcept nogil:
    cdef int64_t i
    for i in range(begin, end):
        put(w, number << 3 | 2)
        put(w, <uint64_t>size_of(&rows[i, 0], <int>rows.shape[1], OPEN))
        put_row(w, &rows[i, 0], <int>rows.shape[1], OPEN)


cdef int64_t size_of_messages(const int64_t[:, ::1] rows, int64_t begin, int64_t end) noexcept nogil:
    cdef int64_t i, one, size = 0
    for i in range(begin, end):
        one = size_of(&rows[i, 0], <int>rows.shape[1], OPEN)
        size += 1 + width(<uint64_t>one) + one
    return size


cdef int64_t size_of_packed(const int64_t[:, ::1] rows, int64_t begin, int64_t end) noexcept nogil:
    cdef int64_t i, size = 0
    for i in range(begin, end):
        size += width(<uint64_t>rows[i, 0])
    return size


cdef void put_packed(Writing *w, int number, const int64_t[:, ::1] rows, int64_t begin, int64_t end) noexcept nogil:
    cdef int64_t i
    if begin == end:
        return
    put(w, number << 3 | 2)
    put(w, <uint64_t>size_of_packed(rows, begin, end))
    for i in range(begin, end):
        put(w, <uint64_t>rows[i, 0])


cdef inline int64_t framed(int64_t size) noexcept nogil:
    return 1 + width(<uint64_t>size) + size if size else 0


def encode(const uint8_t[::1] text, tables, out):
    """The bytes of a profile: how many when ``out`` is None, else they are put there. See reference/pprof.py."""
    cdef const int64_t[:, ::1] strings = tables[STRINGS]
    cdef const int64_t[:, ::1] sample_types = tables[SAMPLE_TYPES]
    cdef const int64_t[:, ::1] samples = tables[SAMPLES]
    cdef const int64_t[:, ::1] locations_of = tables[LOCATIONS_OF]
    cdef const int64_t[:, ::1] values = tables[VALUES]
    cdef const int64_t[:, ::1] labels = tables[LABELS]
    cdef const int64_t[:, ::1] mappings = tables[MAPPINGS]
    cdef const int64_t[:, ::1] locations = tables[LOCATIONS]
    cdef const int64_t[:, ::1] lines = tables[LINES]
    cdef const int64_t[:, ::1] functions = tables[FUNCTIONS]
    cdef const int64_t[:, ::1] comments = tables[COMMENTS]
    cdef const int64_t[:, ::1] scalars = tables[SCALARS]
    cdef const int64_t[:, ::1] period = tables[TYPE_OF_PERIOD]
    cdef uint8_t[::1] target
    cdef Writing w
    cdef int64_t i, size, l0 = 0, v0 = 0, b0 = 0, n0 = 0
    cdef int k
    w.out = NULL
    w.at = 0
    if out is not None:
        target = out
        if target.shape[0]:
            w.out = &target[0]
    with nogil:
        put_messages(&w, 1, sample_types, 0, sample_types.shape[0])
        for i in range(samples.shape[0]):
            size = framed(size_of_packed(locations_of, l0, samples[i, 0]))
            size += framed(size_of_packed(values, v0, samples[i, 1])) + size_of_messages(labels, b0, samples[i, 2])
            put(&w, 2 << 3 | 2)
            put(&w, <uint64_t>size)
            put_packed(&w, 1, locations_of, l0, samples[i, 0])
            put_packed(&w, 2, values, v0, samples[i, 1])
            put_messages(&w, 3, labels, b0, samples[i, 2])
            l0, v0, b0 = samples[i, 0], samples[i, 1], samples[i, 2]
        put_messages(&w, 3, mappings, 0, mappings.shape[0])
        for i in range(locations.shape[0]):
            size = size_of(&locations[i, 0], 5, 3) + size_of_messages(lines, n0, locations[i, 3])
            put(&w, 4 << 3 | 2)
            put(&w, <uint64_t>size)
            put_row(&w, &locations[i, 0], 5, 3)
            put_messages(&w, 4, lines, n0, locations[i, 3])
            n0 = locations[i, 3]
        put_messages(&w, 5, functions, 0, functions.shape[0])
        for i in range(strings.shape[0]):
            size = strings[i, 1] - strings[i, 0]
            put(&w, 6 << 3 | 2)
            put(&w, <uint64_t>size)
            if w.out != NULL and size:
                memcpy(w.out + w.at, &text[strings[i, 0]], size)
            w.at += size
        for k in range(7, 16):
            if k == 11:
                if size_of(&period[0, 0], 2, OPEN):
                    put_messages(&w, 11, period, 0, 1)
            elif k == 13:
                put_packed(&w, 13, comments, 0, comments.shape[0])
            elif scalars[0, k] != 0:
                put(&w, k << 3)
                put(&w, <uint64_t>scalars[0, k])
    return w.at
