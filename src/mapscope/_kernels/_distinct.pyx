# Distinct numbers in the order in which they first come. See reference/distinct.py for the plain version.
from libc.stdint cimport int32_t, int64_t, uint64_t

import numpy as np

from mapscope._kernels._index cimport prefetch

cdef enum:
    AHEAD = 8


cdef inline uint64_t place(uint64_t key, int shift) noexcept nogil:
    # Fibonacci hashing of the key folded onto itself: the high bits of a product depend on all bits of the key.
    return ((key ^ (key >> 29)) * <uint64_t>0x9E3779B97F4A7C15) >> shift


def distinct(const uint64_t[::1] keys, int32_t[::1] codes, int64_t[::1] first):
    """Fills ``codes`` (by row: which of the distinct keys) and ``first`` (by distinct key: its first row); how many there are."""
    cdef int64_t n = keys.shape[0], row, found = 0
    cdef int bits = 4
    cdef uint64_t at, mask
    cdef int32_t code
    while (<int64_t>1 << bits) < 2 * n:
        bits += 1
    cdef int32_t[::1] table = np.full(1 << bits, -1, dtype=np.int32)
    mask = (<uint64_t>1 << bits) - 1
    with nogil:
        for row in range(n):
            if row + AHEAD < n:
                prefetch(&table[place(keys[row + AHEAD], 64 - bits)])
            at = place(keys[row], 64 - bits)
            while True:
                code = table[at]
                if code < 0:
                    code = <int32_t>found
                    table[at] = code
                    first[found] = row
                    found += 1
                    break
                if keys[first[code]] == keys[row]:
                    break
                at = (at + 1) & mask
            codes[row] = code
    return found
