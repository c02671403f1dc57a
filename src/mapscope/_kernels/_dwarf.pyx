"""One unit of .debug_info in one pass: which named things stand at its top level, and where.

The same function in plain Python, with the same contract, is ``mapscope._kernels.reference.dwarf``; its docstring is
the documentation of both. Nothing is read outside the buffers: every step is checked against the end of the unit.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memchr

cdef enum:
    FULL = -1
    MALFORMED = -2
    UNKNOWN_FORM = -3
    WIDTH = 6
    MAX_DEPTH = 100000

cdef struct Cursor:
    const uint8_t *data
    Py_ssize_t at
    Py_ssize_t end
    int bad


cdef inline uint64_t fixed(Cursor *c, int size) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    if c.end - c.at < size:
        c.bad = MALFORMED
        return 0
    for i in range(size):
        value |= (<uint64_t> c.data[c.at + i]) << (8 * i)
    c.at += size
    return value


cdef inline uint64_t uleb(Cursor *c) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while c.at < c.end and shift < 70:
        byte = c.data[c.at]
        c.at += 1
        if shift < 64:
            value |= (<uint64_t> (byte & 0x7F)) << shift
        shift += 7
        if byte < 0x80:
            return value
    c.bad = MALFORMED
    return 0


cdef inline uint64_t sleb(Cursor *c) noexcept nogil:
    cdef uint64_t value = 0
    cdef int shift = 0
    cdef uint8_t byte
    while c.at < c.end and shift < 70:
        byte = c.data[c.at]
        c.at += 1
        if shift < 64:
            value |= (<uint64_t> (byte & 0x7F)) << shift
        shift += 7
        if byte < 0x80:
            if byte & 0x40 and shift < 64:
                value |= (<uint64_t> 0xFFFFFFFFFFFFFFFF) << shift
            return value
    c.bad = MALFORMED
    return 0


cdef inline void skip(Cursor *c, uint64_t size) noexcept nogil:
    if <uint64_t> (c.end - c.at) < size:
        c.bad = MALFORMED
        return
    c.at += <Py_ssize_t> size


cdef inline Py_ssize_t terminator(const uint8_t *data, uint64_t start, Py_ssize_t end) noexcept nogil:
    """Position of the NUL that ends the string at ``start``, or -1."""
    cdef const void *hit
    if start >= <uint64_t> end:
        return -1
    hit = memchr(data + start, 0, end - <Py_ssize_t> start)
    if hit == NULL:
        return -1
    return <const uint8_t *> hit - data


cdef inline uint64_t entry(
    const uint8_t *data, Py_ssize_t end, uint64_t base, uint64_t index, int size, int *bad
) noexcept nogil:
    """Entry ``index`` of a table of ``size``-byte little-endian words that starts at ``base``."""
    cdef uint64_t value = 0
    cdef int i
    cdef uint64_t room = <uint64_t> end - base
    if base > <uint64_t> end or index > room / size or room - index * size < <uint64_t> size:
        bad[0] = 1
        return 0
    for i in range(size):
        value |= (<uint64_t> data[base + index * size + i]) << (8 * i)
    return value


def index_unit(
    const uint8_t[::1] info not None,
    const uint8_t[::1] strings not None,
    const uint8_t[::1] line_strings not None,
    const uint8_t[::1] str_offsets not None,
    const uint8_t[::1] addresses not None,
    const int32_t[::1] rows not None,
    const int32_t[::1] tags not None,
    const uint8_t[::1] children not None,
    const int32_t[::1] first not None,
    const int32_t[::1] attributes not None,
    const int32_t[::1] forms not None,
    const int64_t[::1] implicit not None,
    const int64_t[::1] unit not None,
    uint64_t[:, ::1] out not None,
    Py_ssize_t row,
):
    cdef Cursor c
    cdef Cursor e
    cdef Py_ssize_t capacity = out.shape[0], text_end, i
    cdef Py_ssize_t strings_end = strings.shape[0], lines_end = line_strings.shape[0]
    cdef Py_ssize_t offsets_end = str_offsets.shape[0], addresses_end = addresses.shape[0]
    cdef uint64_t codes = rows.shape[0], code, value, name, hashed, kept, type_, start, flags, form_u
    cdef uint64_t unit_offset = unit[2], str_base = unit[6], addr_base = unit[7]
    cdef int version = unit[3], address_size = unit[4], offset_size = unit[5]
    cdef int depth = 0, keep, bad = 0, kind, form, attribute, tag, ref_size, signed_
    cdef int32_t abbreviation, j
    cdef const uint8_t *p_info = &info[0] if info.shape[0] else NULL
    cdef const uint8_t *p_str = &strings[0] if strings_end else NULL
    cdef const uint8_t *p_line = &line_strings[0] if lines_end else NULL
    cdef const uint8_t *p_off = &str_offsets[0] if offsets_end else NULL
    cdef const uint8_t *p_addr = &addresses[0] if addresses_end else NULL
    cdef const uint8_t *text
    cdef Py_ssize_t block, block_end, die

    if unit[0] < 0 or unit[1] > info.shape[0] or address_size not in (4, 8) or offset_size not in (4, 8):
        return MALFORMED
    ref_size = address_size if version <= 2 else offset_size
    c.data = p_info
    c.at = unit[0]
    c.end = unit[1]
    c.bad = 0
    e.data = p_info
    while c.at < c.end:
        die = c.at
        code = uleb(&c)
        if c.bad:
            return MALFORMED
        if code == 0:
            if depth == 0:
                break  # padding behind the unit's own DIE
            depth -= 1
            if depth == 0:
                break
            continue
        if code >= codes or rows[code] < 0:
            return MALFORMED
        abbreviation = rows[code]
        tag = tags[abbreviation]
        keep = depth == 1 and (
            tag == 0x34 or tag == 0x2E or tag == 0x27 or tag == 0x13 or tag == 0x16 or tag == 0x0F or tag == 0x01
            or tag == 0x24 or tag == 0x15 or tag == 0x17 or tag == 0x04 or tag == 0x02 or tag == 0x38
        )
        name = 0
        hashed = 0
        kept = 0
        type_ = 0
        flags = 0
        for j in range(first[abbreviation], first[abbreviation + 1]):
            form = forms[j]
            if form == 0x16:  # indirect: the form itself stands before the value
                form_u = uleb(&c)
                if c.bad:
                    return MALFORMED
                if form_u == 0x16 or form_u == 0x21 or form_u > 0xFFFF:
                    return UNKNOWN_FORM
                form = <int> form_u
            # kind: 0 other, 1 integer, 2 reference, 3 block, 4 string here, 5 .debug_str, 6 .debug_line_str,
            # 7 string index, 8 address index, 9 address
            kind = 0
            signed_ = 0
            value = 0
            start = 0
            if form == 0x08:
                kind = 4
                start = c.at
                text_end = terminator(p_info, start, c.end)
                if text_end < 0:
                    return MALFORMED
                c.at = text_end + 1
            elif form == 0x0B or form == 0x0C:
                kind = 1
                value = fixed(&c, 1)
            elif form == 0x05:
                kind = 1
                value = fixed(&c, 2)
            elif form == 0x06:
                kind = 1
                value = fixed(&c, 4)
            elif form == 0x07:
                kind = 1
                value = fixed(&c, 8)
            elif form == 0x0F:
                kind = 1
                value = uleb(&c)
            elif form == 0x0D:
                kind = 1
                signed_ = 1
                value = sleb(&c)
            elif form == 0x10:
                kind = 2
                value = fixed(&c, ref_size)
            elif form == 0x11:
                kind = 2
                value = fixed(&c, 1) + unit_offset
            elif form == 0x12:
                kind = 2
                value = fixed(&c, 2) + unit_offset
            elif form == 0x13:
                kind = 2
                value = fixed(&c, 4) + unit_offset
            elif form == 0x14:
                kind = 2
                value = fixed(&c, 8) + unit_offset
            elif form == 0x15:
                kind = 2
                value = uleb(&c) + unit_offset
            elif form == 0x01:
                kind = 9
                value = fixed(&c, address_size)
            elif form == 0x18 or form == 0x09:
                kind = 3
                value = uleb(&c)
                start = c.at
                skip(&c, value)
            elif form == 0x0A:
                kind = 3
                value = fixed(&c, 1)
                start = c.at
                skip(&c, value)
            elif form == 0x03:
                kind = 3
                value = fixed(&c, 2)
                start = c.at
                skip(&c, value)
            elif form == 0x04:
                kind = 3
                value = fixed(&c, 4)
                start = c.at
                skip(&c, value)
            elif form == 0x19:
                kind = 1
                value = 1
            elif form == 0x17 or form == 0x1D or form == 0x1F20 or form == 0x1F21:
                skip(&c, offset_size)
            elif form == 0x0E:
                kind = 5
                value = fixed(&c, offset_size)
            elif form == 0x1F:
                kind = 6
                value = fixed(&c, offset_size)
            elif form == 0x1A or form == 0x1F02:
                kind = 7
                value = uleb(&c)
            elif form == 0x25:
                kind = 7
                value = fixed(&c, 1)
            elif form == 0x26:
                kind = 7
                value = fixed(&c, 2)
            elif form == 0x27:
                kind = 7
                value = fixed(&c, 3)
            elif form == 0x28:
                kind = 7
                value = fixed(&c, 4)
            elif form == 0x1B or form == 0x1F01:
                kind = 8
                value = uleb(&c)
            elif form == 0x29:
                kind = 8
                value = fixed(&c, 1)
            elif form == 0x2A:
                kind = 8
                value = fixed(&c, 2)
            elif form == 0x2B:
                kind = 8
                value = fixed(&c, 3)
            elif form == 0x2C:
                kind = 8
                value = fixed(&c, 4)
            elif form == 0x21:
                kind = 1
                signed_ = 1
                value = <uint64_t> implicit[j]
            elif form == 0x1E:
                skip(&c, 16)
            elif form == 0x20 or form == 0x24:
                skip(&c, 8)
            elif form == 0x1C:
                skip(&c, 4)
            elif form == 0x22 or form == 0x23:
                uleb(&c)
            else:
                return UNKNOWN_FORM
            if c.bad:
                return MALFORMED
            if not keep:
                continue
            attribute = attributes[j]
            if attribute == 0x03:  # name
                if kind == 7:
                    bad = 0
                    value = entry(p_off, offsets_end, str_base, value, offset_size, &bad)
                    if bad:
                        continue
                    kind = 5
                if kind == 4:
                    name = (<uint64_t> 1 << 56) | start
                    text = p_info
                    text_end = terminator(p_info, start, c.end)
                elif kind == 5:
                    name = (<uint64_t> 2 << 56) | (value & 0xFFFFFFFFFFFFFF)
                    start = value
                    text = p_str
                    text_end = terminator(p_str, value, strings_end)
                elif kind == 6:
                    name = (<uint64_t> 3 << 56) | (value & 0xFFFFFFFFFFFFFF)
                    start = value
                    text = p_line
                    text_end = terminator(p_line, value, lines_end)
                else:
                    continue
                if text_end < 0:
                    name = 0
                    continue
                hashed = 0xCBF29CE484222325
                for i in range(<Py_ssize_t> start, text_end):
                    hashed = (hashed ^ text[i]) * <uint64_t> 0x100000001B3
            elif attribute == 0x49:  # type
                if kind == 2:
                    type_ = value
            elif attribute == 0x31 or attribute == 0x47:  # abstract_origin, specification
                if kind == 2 and type_ == 0:
                    type_ = value
                    flags |= 4
            elif attribute == 0x3C:  # declaration
                if value:
                    flags |= 2
            elif attribute == 0x1C:  # const_value
                if kind == 1 and tag == 0x27:
                    kept = value
                    flags |= 9 if signed_ else 1
            elif attribute == 0x11:  # low_pc
                if tag == 0x2E:
                    if kind == 9:
                        kept = value
                        flags |= 1
                    elif kind == 8:
                        bad = 0
                        value = entry(p_addr, addresses_end, addr_base, value, address_size, &bad)
                        if not bad:
                            kept = value
                            flags |= 1
            elif attribute == 0x02 and tag == 0x34 and kind == 3 and value >= 2:  # location
                e.at = <Py_ssize_t> start + 1
                e.end = <Py_ssize_t> (start + value)
                e.bad = 0
                if p_info[start] == 0x03 and value == <uint64_t> address_size + 1:
                    kept = fixed(&e, address_size)
                    flags |= 1
                elif p_info[start] == 0xA1 or p_info[start] == 0xFB:
                    value = uleb(&e)
                    bad = e.bad or e.at != e.end
                    if not bad:
                        value = entry(p_addr, addresses_end, addr_base, value, address_size, &bad)
                    if not bad:
                        kept = value
                        flags |= 1
        if keep and (name != 0 or (tag == 0x2E and flags & 4 and flags & 1)):
            if row >= capacity:
                return FULL
            out[row, 0] = die
            out[row, 1] = <uint64_t> tag | flags << 32
            out[row, 2] = name
            out[row, 3] = hashed
            out[row, 4] = kept
            out[row, 5] = type_
            row += 1
        if children[abbreviation]:
            depth += 1
            if depth > MAX_DEPTH:
                return MALFORMED
        elif depth == 0:
            break
    return row
