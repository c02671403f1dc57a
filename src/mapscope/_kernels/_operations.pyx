# Instructions in words to operations, by forms. See reference/operations.py for the plain version and the parameters.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from mapscope._kernels._index cimport ld64

cdef enum:
    NUMBERS = 4
    WIDTH = 200
    DIGITS = 16
    BEFORE = 7      # bytes of "[rip + "


cdef inline bint is_word(uint8_t c) noexcept nogil:
    return 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122


cdef inline int digit(uint8_t c) noexcept nogil:
    # The hexadecimal digit (small letters), -1 for anything else.
    if 48 <= c <= 57:
        return c - 48
    return c - 87 if 97 <= c <= 102 else -1


cdef int64_t number_at(const uint8_t *text, int64_t length, int64_t i, uint64_t *number) noexcept nogil:
    # How many bytes a hexadecimal number or a single digit takes at text[i]; 0 where there is none.
    cdef int64_t at = i + 1
    cdef int value
    if i and (is_word(text[i - 1]) or text[i - 1] == 42 or text[i - 1] == 46):     # *, .
        return 0
    number[0] = text[i] - 48
    if text[i] == 48 and i + 2 < length and text[i + 1] == 120 and digit(text[i + 2]) >= 0:
        at = i + 2
        while at < length and at - i < 2 + DIGITS:
            value = digit(text[at])
            if value < 0:
                break
            number[0] = number[0] << 4 | <uint64_t>value
            at += 1
    if at < length and (is_word(text[at]) or text[at] == 46):
        return 0
    return at - i


cdef int32_t form_of(
    const uint8_t *name, int64_t names, const uint8_t *text, int64_t room, uint64_t end, uint8_t *key, int64_t *numbers
) noexcept nogil:
    # Fills key and numbers; how many bytes of key are used.
    cdef int64_t i = 0, length = 0, taken
    cdef int found = 0
    cdef uint64_t number = 0
    cdef int32_t used = 0
    memset(key, 0, WIDTH)
    memset(numbers, 0, NUMBERS * sizeof(int64_t))
    while used < names and name[used]:
        key[used] = name[used]
        used += 1
    used += 1
    while length < room and text[length]:
        length += 1
    while i < length:
        taken = 0
        if found < NUMBERS and 48 <= text[i] <= 57:
            taken = number_at(text, length, i, &number)
        if not taken:
            key[used] = text[i]
            used += 1
            i += 1
            continue
        if i >= BEFORE and memcmp(&text[i - BEFORE], b"[rip + ", BEFORE) == 0:
            number += end
        elif i >= BEFORE and memcmp(&text[i - BEFORE], b"[rip - ", BEFORE) == 0:
            number = end - number
            key[used - 2] = 43
        numbers[found] = <int64_t>number
        found += 1
        key[used] = <uint8_t>found
        used += 1
        i += taken
    return used


cdef inline uint64_t hashed(const uint8_t *key, int32_t used) noexcept nogil:
    cdef uint64_t h = 0x9E3779B97F4A7C15
    cdef int32_t i = 0
    while i < used:         # key is zeros up to WIDTH, a multiple of 8
        h = (h ^ ld64(&key[i])) * <uint64_t>0xBF58476D1CE4E5B9
        h ^= h >> 29
        i += 8
    return h


def forms(
    const uint64_t[:] address, const uint16_t[:] size, const uint8_t[:, :] mnemonic, const uint8_t[:, :] operands, w,
    int32_t[::1] form, int64_t[:, ::1] numbers,
):
    """The form of each instruction, and its numbers."""
    cdef uint8_t[:, ::1] texts = w.texts
    cdef int32_t[::1] table = w.table
    cdef int64_t count = w.count, most = texts.shape[0], n = address.shape[0], row, known
    cdef uint64_t mask = <uint64_t>table.shape[0] - 1, at
    cdef uint8_t[WIDTH] key
    cdef int64_t[NUMBERS] found
    cdef int32_t used
    if (
        texts.shape[1] != WIDTH or numbers.shape[1] != NUMBERS or <uint64_t>table.shape[0] & mask
        or table.shape[0] <= most or not 0 <= count <= most or mnemonic.shape[1] + operands.shape[1] >= WIDTH
        or size.shape[0] != n or mnemonic.shape[0] != n or operands.shape[0] != n or form.shape[0] < n
        or numbers.shape[0] < n or (n and (mnemonic.strides[1] != 1 or operands.strides[1] != 1))
    ):
        raise ValueError("tables of forms do not fit together")
    with nogil:
        for row in range(n):
            used = form_of(
                &mnemonic[row, 0], mnemonic.shape[1], &operands[row, 0], operands.shape[1], address[row] + size[row],
                key, found,
            )
            memcpy(&numbers[row, 0], found, sizeof(found))
            at = hashed(key, used)
            at ^= at >> 32
            while True:
                at &= mask
                known = table[at] - 1
                if known < 0 or (known < count and memcmp(&texts[known, 0], key, WIDTH) == 0):
                    break
                at += 1
            if known < 0 and count < most:
                known = count
                memcpy(&texts[known, 0], key, WIDTH)
                table[at] = <int32_t>(known + 1)
                count += 1
            form[row] = <int32_t>known
    w.count = count


cdef inline int64_t put(const int64_t *part, const int64_t *numbers) noexcept nogil:
    cdef int64_t which = part[1]
    if which > 0 and which <= NUMBERS:
        return <int64_t>(<uint64_t>part[0] + <uint64_t>numbers[which - 1])
    if which < 0 and which >= -NUMBERS:
        return <int64_t>(<uint64_t>part[0] - <uint64_t>numbers[-which - 1])
    return part[0]


def expand(
    const uint64_t[:] address, const uint16_t[:] size, const int32_t[::1] form, const int64_t[:, ::1] numbers,
    const int64_t[::1] first, const int64_t[:, ::1] parts, int64_t[:, ::1] out,
):
    """The operations of all instructions in ``out``; how many there are."""
    cdef int64_t n = address.shape[0], row, part, made = 0, room = out.shape[0], known = first.shape[0] - 1, last
    cdef int32_t of
    if (
        numbers.shape[1] != NUMBERS or parts.shape[1] != 7 or out.shape[1] != 6 or size.shape[0] != n
        or form.shape[0] < n or numbers.shape[0] < n
    ):
        raise ValueError("tables of operations do not fit together")
    with nogil:
        for row in range(n):
            of = form[row]
            if of < 0 or of >= known:
                continue
            last = min(first[of + 1], parts.shape[0])
            for part in range(max(first[of], <int64_t>0), last):
                if made < room:
                    out[made, 0] = <int64_t>address[row]
                    out[made, 1] = <int64_t>(address[row] + size[row])
                    out[made, 2] = parts[part, 0]
                    out[made, 3] = put(&parts[part, 1], &numbers[row, 0])
                    out[made, 4] = put(&parts[part, 3], &numbers[row, 0])
                    out[made, 5] = put(&parts[part, 5], &numbers[row, 0])
                made += 1
    return made
