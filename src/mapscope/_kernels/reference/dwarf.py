"""One unit of .debug_info in one pass, in plain Python: the fallback and the oracle of ``_kernels._dwarf``."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FULL: Final = -1
MALFORMED: Final = -2
UNKNOWN_FORM: Final = -3
WIDTH: Final = 6

_MAX_DEPTH: Final = 100_000
_MASK: Final = (1 << 64) - 1
_KEPT_TAGS: Final = frozenset({0x34, 0x2E, 0x27, 0x13, 0x16, 0x0F, 0x01, 0x24, 0x15, 0x17, 0x04, 0x02, 0x38})
_FIXED: Final = {0x0B: 1, 0x0C: 1, 0x05: 2, 0x06: 4, 0x07: 8}
_REFERENCES: Final = {0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8}
_BLOCKS: Final = {0x0A: 1, 0x03: 2, 0x04: 4}
_INDEXED: Final = {0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4}
_ADDRESSED: Final = {0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4}
_SKIPPED: Final = {0x1E: 16, 0x20: 8, 0x24: 8, 0x1C: 4}
_OFFSETS: Final = frozenset({0x17, 0x1D, 0x1F20, 0x1F21})


class MalformedError(Exception):
    """A value runs past the end of its unit."""


class UnknownFormError(Exception):
    """A form that no DWARF version up to 5 defines."""


class Cursor:
    """A position in bytes that never passes ``end``."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes | memoryview, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def skip(self, size: int) -> int:
        """Steps over ``size`` bytes; where they start."""
        start = self.at
        if size > self.end - start:
            raise MalformedError
        self.at = start + size
        return start

    def fixed(self, size: int) -> int:
        """A little-endian word of ``size`` bytes."""
        start = self.skip(size)
        return int.from_bytes(self.data[start : start + size], "little")

    def leb(self) -> tuple[int, int, int]:
        """``(value, bits, last byte)`` of up to ten LEB128 bytes."""
        value = shift = 0
        while self.at < self.end and shift < 70:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value & _MASK, shift, byte
        raise MalformedError

    def uleb(self) -> int:
        """An unsigned LEB128."""
        if self.at < self.end and self.data[self.at] < 0x80:  # most are one byte
            self.at += 1
            return self.data[self.at - 1]
        return self.leb()[0]

    def sleb(self) -> int:
        """A signed LEB128, as 64 bits in two's complement."""
        value, bits, last = self.leb()
        return (value | _MASK << bits) & _MASK if last & 0x40 and bits < 64 else value

    def string(self) -> int:
        """Steps over a NUL-terminated string; its start."""
        start = self.at
        end = terminator(self.data, start, self.end)
        if end < 0:
            raise MalformedError
        self.at = end + 1
        return start


def terminator(data: bytes | memoryview, start: int, end: int) -> int:
    """Position of the NUL that ends the string at ``start``, or -1."""
    size = 64  # names are short: look at a little first
    while start < end:
        stop = min(start + size, end)
        found = bytes(data[start:stop]).find(0)
        if found >= 0:
            return start + found
        start, size = stop, size * 8
    return -1


def entry(data: bytes | memoryview, base: int, index: int, size: int) -> int | None:
    """Word ``index`` of a table at ``base``, or None outside the table."""
    at = base + index * size
    return int.from_bytes(data[at : at + size], "little") if at + size <= len(data) else None


def read_value(c: Cursor, form: int, implicit: int, unit: list[int]) -> tuple[str, int, int]:
    """``(kind, value, start)`` of one attribute; ``start`` is where a block or a string here begins.

    ``unit`` is as in ``index_unit``. The value of a block is its length, of a signed number its two's complement.
    """
    if form == 0x08:
        return "here", 0, c.string()
    if form in _FIXED:
        return "integer", c.fixed(_FIXED[form]), 0
    if form == 0x0F:
        return "integer", c.uleb(), 0
    _, _, base, version, address_size, offset_size, _, _ = unit
    if form == 0x16:
        form = c.uleb()
        if form in (0x16, 0x21):
            raise UnknownFormError
        return read_value(c, form, implicit, unit)
    if form == 0x0D:
        return "signed", c.sleb(), 0
    if form == 0x10:
        return "reference", c.fixed(address_size if version <= 2 else offset_size), 0
    if form in _REFERENCES:
        return "reference", c.fixed(_REFERENCES[form]) + base & _MASK, 0
    if form == 0x15:
        return "reference", c.uleb() + base & _MASK, 0
    if form == 0x01:
        return "address", c.fixed(address_size), 0
    if form in (0x18, 0x09) or form in _BLOCKS:
        size = c.fixed(_BLOCKS[form]) if form in _BLOCKS else c.uleb()
        return "block", size, c.skip(size)
    if form == 0x19:
        return "integer", 1, 0
    if form in _OFFSETS:
        return "offset", c.fixed(offset_size), 0
    if form == 0x0E:
        return "string", c.fixed(offset_size), 0
    if form == 0x1F:
        return "line string", c.fixed(offset_size), 0
    if form in (0x1A, 0x1F02) or form in _INDEXED:
        return "string index", c.fixed(_INDEXED[form]) if form in _INDEXED else c.uleb(), 0
    if form in (0x1B, 0x1F01) or form in _ADDRESSED:
        return "address index", c.fixed(_ADDRESSED[form]) if form in _ADDRESSED else c.uleb(), 0
    if form == 0x21:
        return "signed", implicit & _MASK, 0
    if form in _SKIPPED:
        return "other", 0, c.skip(_SKIPPED[form])
    if form in (0x22, 0x23):
        return "list index", c.uleb(), 0
    raise UnknownFormError


def name_hash(text: bytes) -> int:
    """FNV-1a, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in text:
        value = (value ^ byte) * 0x100000001B3 & _MASK
    return value


def _location(
    info: bytes | memoryview, addresses: bytes | memoryview, unit: list[int], at: int, size: int
) -> int | None:
    """The address that a location expression of one DW_OP_addr or DW_OP_addrx gives, else None."""
    address_size = unit[4]
    if size < 2:
        return None
    if info[at] == 0x03 and size == address_size + 1:
        return int.from_bytes(info[at + 1 : at + size], "little")
    if info[at] in (0xA1, 0xFB):
        cursor = Cursor(info, at + 1, at + size)
        try:
            index = cursor.uleb()
        except MalformedError:
            return None
        return entry(addresses, unit[7], index, address_size) if cursor.at == cursor.end else None
    return None


def index_unit(
    info: bytes | memoryview,
    strings: bytes | memoryview,
    line_strings: bytes | memoryview,
    str_offsets: bytes | memoryview,
    addresses: bytes | memoryview,
    rows: NDArray[np.int32],
    tags: NDArray[np.int32],
    children: NDArray[np.uint8],
    first: NDArray[np.int32],
    attributes: NDArray[np.int32],
    forms: NDArray[np.int32],
    implicit: NDArray[np.int64],
    unit: NDArray[np.int64],
    out: NDArray[np.uint64],
    row: int,
) -> int:
    """Writes one row for every named type, variable, constant and function at the top level of one unit.

    Args:
        info: ``.debug_info``.
        strings: ``.debug_str``; line_strings: ``.debug_line_str``; str_offsets: ``.debug_str_offsets``;
            addresses: ``.debug_addr``. Each may be empty.
        rows: (highest abbreviation code + 1,) index of a code's abbreviation, -1 where it has none.
        tags, children: (n,) of each abbreviation. first: (n + 1,) where its attributes begin in the next three.
        attributes, forms, implicit: (m,) attribute, form, and the value of DW_FORM_implicit_const.
        unit: (8,) where the unit's DIE begins, where the unit ends, offset of the unit's header, DWARF version, size
            of an address, size of an offset (4 or 8), DW_AT_str_offsets_base, DW_AT_addr_base.
        out: (capacity, 6) rows to fill: offset of the DIE · tag in the low 32 bits and flags above them · where its
            name lies (section << 56 | offset; section 1 .debug_info, 2 .debug_str, 3 .debug_line_str; 0 no name) ·
            FNV-1a hash of the name's bytes · value (a variable's address, a constant's value in two's complement, a
            function's low_pc) · absolute offset of its type, or of its abstract origin or specification.
            Flags: 1 the value is there, 2 a declaration, 4 the last column is an origin, 8 the value is signed.
        row: the first row to fill.

    Returns:
        The row after the last one filled, or ``FULL``, ``MALFORMED``, ``UNKNOWN_FORM``. A function without a name is
        kept when it has an origin and a low_pc (an out-of-line copy of an inlined function).
    """
    u = [int(x) for x in unit]
    if u[0] < 0 or u[1] > len(info) or u[4] not in (4, 8) or u[5] not in (4, 8):
        return MALFORMED
    cursor = Cursor(info, u[0], u[1])
    depth = 0
    try:
        while cursor.at < cursor.end:
            die = cursor.at
            code = cursor.uleb()
            if code == 0:
                depth -= 1
                if depth <= 0:
                    break
                continue
            if code >= len(rows) or rows[code] < 0:
                return MALFORMED
            abbreviation = int(rows[code])
            tag = int(tags[abbreviation])
            keep = depth == 1 and tag in _KEPT_TAGS
            name = hashed = kept = type_ = flags = 0
            for j in range(int(first[abbreviation]), int(first[abbreviation + 1])):
                kind, value, start = read_value(cursor, int(forms[j]), int(implicit[j]), u)
                if not keep:
                    continue
                attribute = int(attributes[j])
                if attribute == 0x03:
                    if kind == "string index":
                        found = entry(str_offsets, u[6], value, u[5])
                        if found is None:
                            continue
                        kind, value = "string", found
                    if kind == "here":
                        section, data, at, limit = 1, info, start, cursor.end
                    elif kind == "string":
                        section, data, at, limit = 2, strings, value, len(strings)
                    elif kind == "line string":
                        section, data, at, limit = 3, line_strings, value, len(line_strings)
                    else:
                        continue
                    end = terminator(data, at, limit)
                    if end < 0:
                        name = 0
                        continue
                    name = section << 56 | at & (1 << 56) - 1
                    hashed = name_hash(bytes(data[at:end]))
                elif attribute == 0x49:
                    if kind == "reference":
                        type_ = value
                elif attribute in (0x31, 0x47):
                    if kind == "reference" and type_ == 0:
                        type_ = value
                        flags |= 4
                elif attribute == 0x3C:
                    flags |= 2 if value else 0
                elif attribute == 0x1C:
                    if kind in ("integer", "signed") and tag == 0x27:
                        kept = value
                        flags |= 9 if kind == "signed" else 1
                elif (attribute == 0x11 and tag == 0x2E) or (attribute == 0x02 and tag == 0x34):
                    address: int | None = None
                    if attribute == 0x02:
                        address = _location(info, addresses, u, start, value) if kind == "block" else None
                    elif kind == "address":
                        address = value
                    elif kind == "address index":
                        address = entry(addresses, u[7], value, u[4])
                    if address is not None:
                        kept = address
                        flags |= 1
            if keep and (name != 0 or (tag == 0x2E and flags & 5 == 5)):
                if row >= len(out):
                    return FULL
                out[row] = (die, tag | flags << 32, name, hashed, kept, type_)
                row += 1
            if children[abbreviation]:
                depth += 1
                if depth > _MAX_DEPTH:
                    return MALFORMED
            elif depth == 0:
                break
    except MalformedError:
        return MALFORMED
    except UnknownFormError:
        return UNKNOWN_FORM
    return row
