"""Units, abbreviations and single entries (DIEs) of .debug_info. DWARF 2 to 5, 32- and 64-bit format.

``mapscope.binary.dwarf`` finds the entries worth reading with one compiled pass; here one entry is decoded at a time,
in plain Python. Sources: DWARF 4 and 5, chapter 7. All offsets are absolute in their section.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from mapscope._kernels.reference.dwarf import Cursor, MalformedError, UnknownFormError, entry, read_value
from mapscope.errors import FormatError

_HINT: Final = "the debug information is damaged; rebuild, or strip it and let the layout tables serve"
_MAX_UNITS: Final = 1 << 17
_MAX_CODE: Final = 1 << 16
_MAX_STRING: Final = 1 << 16
_MAX_CHILDREN: Final = 1 << 20
_SECTIONS: Final = ("info", "abbrev", "str", "line_str", "str_offsets", "addr")

DW_AT_NAME: Final = 0x03
_DW_AT_STR_OFFSETS_BASE: Final = 0x72
_DW_AT_ADDR_BASE: Final = 0x73
_DW_AT_GNU_ADDR_BASE: Final = 0x2133
_FORM_IMPLICIT: Final = 0x21
_FORM_ADDR, _FORM_STRING, _FORM_UDATA, _FORM_REF_ADDR = 0x01, 0x08, 0x0F, 0x10
_FORMS_OF_A_BYTE: Final = (0x0B, 0x0C)
"""DW_FORM_data1, DW_FORM_flag."""
_SHORT: Final = 64
"""Bytes of a string that are looked at first: names are short."""


class Abbreviations(Struct, frozen=True):
    """One abbreviation table, twice: as ``index_unit`` wants it, and by code for decoding one entry.

    ``entries``: code → (tag, has children, ((attribute, form, implicit value), ...)).
    """

    entries: dict[int, tuple[int, bool, tuple[tuple[int, int, int], ...]]]
    rows: NDArray[np.int32]
    tags: NDArray[np.int32]
    children: NDArray[np.uint8]
    first: NDArray[np.int32]
    attributes: NDArray[np.int32]
    forms: NDArray[np.int32]
    implicit: NDArray[np.int64]


class Unit(Struct, frozen=True):
    """One compilation unit. ``words`` is what the readers need, in the order that ``index_unit`` documents."""

    offset: int
    first_die: int
    end: int
    version: int
    address_size: int
    offset_size: int
    abbreviations: Abbreviations
    words: list[int]


class Value(NamedTuple):
    """One attribute's value. ``kind`` is read_value's: integer, signed, reference, address, block, offset, string...

    ``data`` holds a block's bytes; ``number`` is signed where the form is.
    """

    kind: str
    number: int
    data: bytes = b""
    text: str = ""


class Die(NamedTuple):
    """One decoded entry; ``next`` is where the entry after it begins (its first child, if it has children)."""

    offset: int
    tag: int
    has_children: bool
    attributes: dict[int, Value]
    next: int

    @property
    def name(self) -> str:
        """DW_AT_name, or the empty string."""
        found = self.attributes.get(DW_AT_NAME)
        return found.text if found else ""

    def number(self, attribute: int) -> int | None:
        """The attribute's value where it is a number or a reference, else None."""
        found = self.attributes.get(attribute)
        return None if found is None or found.kind in ("block", "text") else found.number


class DebugInfo:
    """The sections of one file's DWARF and its units.

    Attributes:
        units: every unit whose header and abbreviations could be read, by offset.
        skipped: how many units could not.
    """

    def __init__(self, sections: dict[str, memoryview]) -> None:
        """Takes ``.debug_<name>`` under ``name``; only ``info`` and ``abbrev`` are necessary.

        Raises:
            FormatError: the unit headers make no sense from the first one on, or there are absurdly many.
        """
        empty = memoryview(b"")
        self.info, self.abbrev, self.strings, self.line_strings, self.str_offsets, self.addresses = (
            sections.get(name, empty) for name in _SECTIONS
        )
        self.skipped = 0
        self._tables: dict[int, Abbreviations] = {}
        # Tables that overlap cannot make us parse the section again and again.
        self._abbrev_budget = 8 * len(self.abbrev) + (1 << 16)
        self.units: list[Unit] = []
        self._scan_units()
        self._starts = [unit.offset for unit in self.units]

    def _scan_units(self) -> None:
        at = 0
        while at < len(self.info):
            if len(self.units) + self.skipped >= _MAX_UNITS:
                raise FormatError(f".debug_info: more than {_MAX_UNITS} units", _HINT)
            start = at
            cursor = Cursor(self.info, at, len(self.info))
            try:
                length, size = cursor.fixed(4), 4
                if length == 0xFFFFFFFF:
                    length, size = cursor.fixed(8), 8
                elif length >= 0xFFFFFFF0:
                    raise MalformedError
                at = cursor.at + length
                if at > len(self.info):
                    raise MalformedError
            except MalformedError:
                if not self.units:
                    raise FormatError(f".debug_info: no unit at {start:#x}", _HINT) from None
                self.skipped += 1  # what follows cannot be found without this length
                return
            cursor.end = at
            try:
                self.units.append(self._unit(start, cursor, size))
            except (MalformedError, UnknownFormError, FormatError):
                self.skipped += 1

    def _unit(self, offset: int, cursor: Cursor, offset_size: int) -> Unit:
        version = cursor.fixed(2)
        if version == 5:
            kind, address_size, table = cursor.fixed(1), cursor.fixed(1), cursor.fixed(offset_size)
            if kind in (4, 5):  # skeleton, split compile: an 8-byte id
                cursor.skip(8)
            elif kind in (2, 6):  # type units: a signature and an offset
                cursor.skip(8 + offset_size)
        elif 2 <= version <= 4:
            table, address_size = cursor.fixed(offset_size), cursor.fixed(1)
        else:
            raise FormatError(f".debug_info: unit of DWARF version {version} at {offset:#x}", _HINT)
        if address_size not in (4, 8):
            raise FormatError(f".debug_info: addresses of {address_size} bytes at {offset:#x}", _HINT)
        # Where the first table of .debug_str_offsets and .debug_addr starts, for units that give no base.
        header = 0 if version < 5 else 8 if offset_size == 4 else 16
        words = [cursor.at, cursor.end, offset, version, address_size, offset_size, header, header]
        unit = Unit(
            offset, cursor.at, cursor.end, version, address_size, offset_size, self._abbreviations(table), words
        )
        if cursor.at < cursor.end:
            top = self.die(unit, cursor.at)
            if top is not None:
                for index, names in (
                    (6, (_DW_AT_STR_OFFSETS_BASE,)),
                    (7, (_DW_AT_ADDR_BASE, _DW_AT_GNU_ADDR_BASE)),
                ):
                    for name in names:
                        base = top.number(name)
                        if base is not None and 0 <= base < 1 << 62:
                            words[index] = base
        return unit

    def _abbreviations(self, offset: int) -> Abbreviations:
        found = self._tables.get(offset)
        if found is not None:
            return found
        cursor = Cursor(self.abbrev, offset, len(self.abbrev))
        if offset >= len(self.abbrev):
            raise MalformedError
        entries: dict[int, tuple[int, bool, tuple[tuple[int, int, int], ...]]] = {}
        while cursor.at < cursor.end and (code := cursor.uleb()) != 0:
            tag, has_children = cursor.uleb(), cursor.fixed(1) != 0
            attributes: list[tuple[int, int, int]] = []
            while True:
                attribute, form = cursor.uleb(), cursor.uleb()
                implicit = _signed(cursor.sleb()) if form == _FORM_IMPLICIT else 0
                if attribute == 0 and form == 0:
                    break
                attributes.append((min(attribute, 0x7FFFFFFF), min(form, 0x7FFFFFFF), implicit))
            if code > _MAX_CODE:
                raise MalformedError
            entries.setdefault(code, (min(tag, 0x7FFFFFFF), has_children, tuple(attributes)))
        self._abbrev_budget -= cursor.at - offset
        if self._abbrev_budget < 0:
            raise FormatError(".debug_abbrev: its tables overlap", _HINT)
        table = self._tables[offset] = _columns(entries)
        return table

    def unit_at(self, offset: int) -> Unit | None:
        """The unit that holds the entry at ``offset``, or None."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return None
        unit = self.units[index]
        return unit if unit.first_die <= offset < unit.end else None

    def die(self, unit: Unit, offset: int) -> Die | None:
        """Decodes the entry at ``offset``; None for the null entry that ends a list of children.

        Raises:
            FormatError: what stands there is no entry of the unit.
        """
        plain = self._plain(unit, offset)
        if plain is not None:
            return plain
        cursor = Cursor(self.info, offset, unit.end)
        try:
            code = cursor.uleb()
            if code == 0:
                return None
            abbreviation = unit.abbreviations.entries.get(code)
            if abbreviation is None:
                raise MalformedError
            tag, has_children, wanted = abbreviation
            attributes: dict[int, Value] = {}
            for attribute, form, implicit in wanted:
                value = self._decode(unit, *read_value(cursor, form, implicit, unit.words))
                attributes.setdefault(attribute, value)
        except (MalformedError, UnknownFormError) as error:
            raise FormatError(f".debug_info: no readable entry at {offset:#x}", _HINT) from error
        return Die(offset, tag, has_children, attributes, cursor.at)

    def _plain(self, unit: Unit, offset: int) -> Die | None:
        """An entry of nothing but what Go's compiler writes for types and their members, decoded in less time.

        None for any other, and for one with something unusual in it: whatever that is, ``die`` says.
        """
        info, at, end = self.info, offset + 1, unit.end
        if not 0 <= offset < end:
            return None
        found = unit.abbreviations.entries.get(info[offset])  # one byte is the code itself below 0x80
        if found is None or info[offset] >= 0x80:
            return None
        attributes: dict[int, Value] = {}
        for attribute, form, _ in found[2]:
            if form == _FORM_STRING:
                text = bytes(info[at : at + _SHORT])
                size = text.find(0)
                if size < 0:
                    return None
                at += size + 1
                value = Value("text", 0, b"", text[:size].decode("utf-8", "replace"))
            elif at >= end:
                return None
            elif form == _FORM_REF_ADDR and unit.version > 2:
                value = Value("reference", int.from_bytes(info[at : at + unit.offset_size], "little"))
                at += unit.offset_size
            elif form == _FORM_ADDR:
                value = Value("address", int.from_bytes(info[at : at + unit.address_size], "little"))
                at += unit.address_size
            elif form in _FORMS_OF_A_BYTE or (form == _FORM_UDATA and info[at] < 0x80):
                value = Value("integer", info[at])
                at += 1
            elif form == _FORM_UDATA and at + 1 < end and info[at + 1] < 0x80:
                value = Value("integer", info[at] & 0x7F | info[at + 1] << 7)
                at += 2
            else:
                return None
            if attribute not in attributes:
                attributes[attribute] = value
        return Die(offset, found[0], found[1], attributes, at) if at <= end else None

    def _decode(self, unit: Unit, kind: str, number: int, start: int) -> Value:
        if kind == "signed":
            return Value(kind, _signed(number))
        if kind == "block":
            return Value(kind, number, bytes(self.info[start : start + number]))
        if kind == "here":
            return Value("text", 0, text=self.text(1, start))
        if kind == "string":
            return Value("text", 0, text=self.text(2, number))
        if kind == "line string":
            return Value("text", 0, text=self.text(3, number))
        if kind == "string index":
            at = entry(self.str_offsets, unit.words[6], number, unit.offset_size)
            return Value("text", 0, text="" if at is None else self.text(2, at))
        if kind == "address index":
            address = entry(self.addresses, unit.words[7], number, unit.address_size)
            return Value("other", number) if address is None else Value("address", address)
        return Value(kind, number)

    def text(self, section: int, start: int) -> str:
        """A string of section 1 (.debug_info), 2 (.debug_str) or 3 (.debug_line_str), at most 64 KiB of it."""
        data = (self.info, self.strings, self.line_strings)[section - 1]
        size = _SHORT
        while True:
            piece = bytes(data[start : start + size])
            end = piece.find(0)
            if end >= 0 or size >= _MAX_STRING or len(piece) < size:
                return piece[: end if end >= 0 else len(piece)].decode("utf-8", "replace")
            size *= 8

    def children(self, unit: Unit, parent: Die) -> Iterator[Die]:
        """The direct children of ``parent``, in order. Deeper ones are stepped over.

        Raises:
            FormatError: the list runs into bytes that are no entries.
        """
        if not parent.has_children:
            return
        at, depth = parent.next, 0
        for _ in range(_MAX_CHILDREN):
            if at >= unit.end:
                return
            die = self.die(unit, at)
            if die is None:
                at += 1
                depth -= 1
                if depth < 0:
                    return
                continue
            if depth == 0:
                yield die
            depth += die.has_children
            at = die.next


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _columns(entries: dict[int, tuple[int, bool, tuple[tuple[int, int, int], ...]]]) -> Abbreviations:
    rows = np.full(max(entries, default=0) + 1, -1, np.int32)
    for index, code in enumerate(entries):
        rows[code] = index
    listed = list(entries.values())
    flat = [attribute for _, _, attributes in listed for attribute in attributes]
    first = np.zeros(len(listed) + 1, np.int32)
    first[1:] = np.cumsum([len(attributes) for _, _, attributes in listed]) if listed else 0
    return Abbreviations(
        entries,
        rows,
        np.array([tag for tag, _, _ in listed], np.int32),
        np.array([has_children for _, has_children, _ in listed], np.uint8),
        first,
        np.array([attribute for attribute, _, _ in flat], np.int32),
        np.array([form for _, form, _ in flat], np.int32),
        np.array([implicit for _, _, implicit in flat], np.int64),
    )
