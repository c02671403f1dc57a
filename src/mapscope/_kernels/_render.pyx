# Columns to lines of text. See reference/render.py for the plain version and the parameters.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    TEXT = 0
    NUMBER = 1
    SIGNED = 2
    HEX = 3
    WORD = 4
    LIST = 5
    MOST = 160

cdef struct Part:
    int kind
    const uint64_t *numbers
    const int32_t *codes
    const int64_t *ranges       # pairs (begin, end) into codes; a negative begin is null
    const uint8_t *text
    const int64_t *ends         # TEXT: its length; WORD, LIST: word i is text[ends[i]:ends[i + 1]]


cdef extern from *:
    """
    #include <stdint.h>
    static const uint64_t ms_powers[20] = {
        0ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL, 10000000000ULL,
        100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL, 1000000000000000ULL, 10000000000000000ULL,
        100000000000000000ULL, 1000000000000000000ULL, 10000000000000000000ULL};
    static inline int64_t ms_bits(uint64_t v) { return 64 - __builtin_clzll(v | 1); }
    /* 1233 / 4096 is the logarithm of 2 to the base 10, close enough for 64 bits */
    static inline int64_t ms_digits(uint64_t v) { int64_t t = (ms_bits(v) * 1233) >> 12; return t + (v >= ms_powers[t]); }
    static inline int64_t ms_nibbles(uint64_t v) { return (ms_bits(v) + 3) >> 2; }
    """
    int64_t digits "ms_digits"(uint64_t v) noexcept nogil
    int64_t nibbles "ms_nibbles"(uint64_t v) noexcept nogil


cdef inline int64_t size_of(const Part *p, int64_t row) noexcept nogil:
    cdef int64_t i, n
    cdef uint64_t v
    if p.kind == TEXT:
        return p.ends[0]
    if p.kind == NUMBER:
        return digits(p.numbers[row])
    if p.kind == SIGNED:
        v = p.numbers[row]
        return digits(v) if <int64_t>v >= 0 else 1 + digits(0 - v)
    if p.kind == HEX:
        v = p.numbers[row]
        return 4 + nibbles(v)
    if p.kind == WORD:
        i = p.codes[row]
        return 4 if i < 0 else p.ends[i + 1] - p.ends[i]
    if p.ranges[2 * row] < 0:
        return 4
    n = 2
    for i in range(p.ranges[2 * row], p.ranges[2 * row + 1]):
        n += p.ends[p.codes[i] + 1] - p.ends[p.codes[i]] + (1 if i > p.ranges[2 * row] else 0)
    return n


cdef inline uint8_t *decimal(uint8_t *at, uint64_t v) noexcept nogil:
    cdef int64_t n = digits(v), k
    for k in range(n - 1, -1, -1):
        at[k] = <uint8_t>(48 + v % 10)
        v //= 10
    return at + n


cdef inline uint8_t *word(uint8_t *at, const Part *p, int64_t i) noexcept nogil:
    cdef int64_t n = p.ends[i + 1] - p.ends[i]
    memcpy(at, p.text + p.ends[i], n)
    return at + n


cdef inline uint8_t *write(uint8_t *at, const Part *p, int64_t row) noexcept nogil:
    cdef int64_t i, n
    cdef uint64_t v
    if p.kind == TEXT:
        memcpy(at, p.text, p.ends[0])
        return at + p.ends[0]
    if p.kind == NUMBER:
        return decimal(at, p.numbers[row])
    if p.kind == SIGNED:
        v = p.numbers[row]
        if <int64_t>v < 0:
            at[0] = 45
            return decimal(at + 1, 0 - v)
        return decimal(at, v)
    if p.kind == HEX:
        v = p.numbers[row]
        n = nibbles(v)
        memcpy(at, b'"0x', 3)
        for i in range(n - 1, -1, -1):
            at[3 + i] = <uint8_t>((v & 15) + (48 if (v & 15) < 10 else 87))
            v >>= 4
        at[3 + n] = 34
        return at + 4 + n
    if p.kind == WORD:
        if p.codes[row] >= 0:
            return word(at, p, p.codes[row])
    elif p.ranges[2 * row] >= 0:
        at[0] = 91
        at += 1
        for i in range(p.ranges[2 * row], p.ranges[2 * row + 1]):
            if i > p.ranges[2 * row]:
                at[0] = 44
                at += 1
            at = word(at, p, p.codes[i])
        at[0] = 93
        return at + 1
    memcpy(at, b"null", 4)
    return at + 4


cdef int64_t fill_parts(list parts, Part *out) except -1:
    # The arrays stay alive in ``parts``.
    cdef const uint64_t[::1] numbers
    cdef const int32_t[::1] codes
    cdef const int64_t[:, ::1] ranges
    cdef const uint8_t[::1] text
    cdef const int64_t[::1] ends
    cdef int64_t k = 0
    if len(parts) > MOST:
        raise ValueError("too many parts")
    for part in parts:
        out[k].kind = part.kind
        if part.numbers is not None and len(part.numbers):
            numbers = part.numbers
            out[k].numbers = &numbers[0]
        if part.codes is not None and len(part.codes):
            codes = part.codes
            out[k].codes = &codes[0]
        if part.ranges is not None and len(part.ranges):
            ranges = part.ranges
            out[k].ranges = &ranges[0, 0]
        if part.text is not None and len(part.text):
            text = part.text
            out[k].text = &text[0]
        if part.ends is not None and len(part.ends):
            ends = part.ends
            out[k].ends = &ends[0]
        k += 1
    return k


def measure(list parts, int64_t[::1] ends):
    """Fills ``ends``: rows + 1 places, where each row of ``render`` starts and the last ends. Answers the last."""
    cdef Part part[MOST]
    cdef int64_t n = fill_parts(parts, part), row, k, rows = ends.shape[0] - 1, total = 0
    with nogil:
        ends[0] = 0
        for row in range(rows):
            for k in range(n):
                total += size_of(&part[k], row)
            ends[row + 1] = total
    return total


def render(list parts, int64_t rows, uint8_t[::1] out):
    """Writes the rows one behind the other into ``out``, which is as large as ``measure`` said."""
    cdef Part part[MOST]
    cdef int64_t n = fill_parts(parts, part), row, k
    cdef uint8_t *at
    if not out.shape[0]:
        return
    at = &out[0]
    with nogil:
        for row in range(rows):
            for k in range(n):
                at = write(at, &part[k], row)
