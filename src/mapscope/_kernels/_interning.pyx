# Equal strings made one. See reference/interning.py for the plain version.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

import numpy as np

cdef uint64_t PRIME = 0x1FFFFFFFFFFFFFFF     # 2^61 - 1


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
