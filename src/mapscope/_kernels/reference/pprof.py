"""Profiles in protocol buffers to columns and back: the plain version of _pprof.pyx.

The format is github.com/google/pprof/proto/profile.proto. A profile becomes one table of int64 a kind of record, listed
in ``WIDTHS``: a message of numbers is a row in which field k stands in column k - 1, unsigned numbers with the same 64
bits. Where a record has a list of others, those are in a table of their own and the row says where its part *ends* (it
begins where that of the row before ends).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

STRINGS, SAMPLE_TYPES, SAMPLES, LOCATIONS_OF, VALUES, LABELS, MAPPINGS = range(7)
LOCATIONS, LINES, FUNCTIONS, COMMENTS, SCALARS, TYPE_OF_PERIOD = range(7, 13)

WIDTHS = (2, 2, 3, 1, 1, 4, 10, 5, 3, 5, 1, 16, 2)
"""Columns of each table.

Strings: begin and end in the bytes. Samples: ends of their parts of LOCATIONS_OF (ids), VALUES and LABELS (key, str,
num, num_unit). Mappings, functions, lines, sample types: as in the format. Locations: id, mapping, address, end of
their lines, is_folded. Scalars: one row, column k is field k of the profile itself. TYPE_OF_PERIOD: one row.
"""

_MASK = (1 << 64) - 1
_MAX_NUMBER = 0x1FFFFFFF
_RECORDS = {1: SAMPLE_TYPES, 3: MAPPINGS, 4: LOCATIONS, 5: FUNCTIONS}
_FIXED = {1: 8, 5: 4}


class _Bad(Exception):  # noqa: N818  # never leaves this module
    """No profile, from this place on."""


class _Reader:
    """The bytes, where we are, the rows so far."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.rows: list[list[list[int]]] = [[] for _ in WIDTHS]
        self.rows[SCALARS].append([0] * WIDTHS[SCALARS])
        self.rows[TYPE_OF_PERIOD].append([0] * WIDTHS[TYPE_OF_PERIOD])

    def new(self, kind: int) -> list[int]:
        row = [0] * WIDTHS[kind]
        self.rows[kind].append(row)
        return row

    def varint(self, end: int) -> int:
        value = 0
        for shift in range(0, 70, 7):
            if self.at >= end:
                break
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & _MASK
        raise _Bad(self.at)

    def length(self, end: int) -> int:
        size = self.varint(end)
        if size > end - self.at:
            raise _Bad(self.at)
        return self.at + size

    def fields(self, end: int) -> Iterator[tuple[int, int]]:
        while self.at < end:
            number, wire = divmod(self.varint(end), 8)
            if not 0 < number <= _MAX_NUMBER:
                raise _Bad(self.at)
            yield number, wire

    def skip(self, end: int, wire: int) -> None:
        if wire == 0:
            self.varint(end)
        elif wire == 2:
            self.at = self.length(end)
        else:
            size = _FIXED.get(wire, 0)
            if not size or end - self.at < size:
                raise _Bad(self.at)
            self.at += size

    def repeated(self, end: int, wire: int, kind: int) -> None:
        if wire == 0:
            value = self.varint(end)
            self.rows[kind].append([value])
            return
        stop = self.length(end)
        while self.at < stop:
            value = self.varint(stop)
            self.rows[kind].append([value])

    def record(self, end: int, kind: int, row: list[int]) -> None:
        for number, wire in self.fields(end):
            lines = kind == LOCATIONS and number == 4
            if lines and wire == 2:
                stop = self.length(end)
                self.record(stop, LINES, self.new(LINES))
            elif wire == 0 and number <= WIDTHS[kind] and not lines:
                row[number - 1] = self.varint(end)
            else:
                self.skip(end, wire)
        if kind == LOCATIONS:
            row[3] = len(self.rows[LINES])

    def sample(self, end: int, row: list[int]) -> None:
        for number, wire in self.fields(end):
            if number <= 2 and wire in (0, 2):
                self.repeated(end, wire, LOCATIONS_OF if number == 1 else VALUES)
            elif number == 3 and wire == 2:
                stop = self.length(end)
                self.record(stop, LABELS, self.new(LABELS))
            else:
                self.skip(end, wire)
        row[:] = [len(self.rows[kind]) for kind in (LOCATIONS_OF, VALUES, LABELS)]

    def profile(self, end: int) -> None:
        for number, wire in self.fields(end):
            if wire == 2 and number == 6:
                stop = self.length(end)
                self.rows[STRINGS].append([self.at, stop])
                self.at = stop
            elif wire == 2 and number == 2:
                stop = self.length(end)
                self.sample(stop, self.new(SAMPLES))
            elif wire == 2 and number in _RECORDS:
                stop, kind = self.length(end), _RECORDS[number]
                self.record(stop, kind, self.new(kind))
            elif wire == 2 and number == 11:
                self.record(self.length(end), TYPE_OF_PERIOD, self.rows[TYPE_OF_PERIOD][0])
            elif number == 13 and wire in (0, 2):
                self.repeated(end, wire, COMMENTS)
            elif wire == 0 and 7 <= number <= 15 and number != 11:
                self.rows[SCALARS][0][number] = self.varint(end)
            else:
                self.skip(end, wire)


def decode(
    data: npt.NDArray[np.uint8], tables: Sequence[npt.NDArray[np.int64]] | None, counts: npt.NDArray[np.int64]
) -> int:
    """Counts the rows of each table, or fills ``tables`` (zeros, of the shapes that the counts and ``WIDTHS`` give).

    -1, or the place in ``data`` where it is no profile: cut short, a length beyond its message, a number of more than
    64 bits. Fields that the format does not know are left out. SCALARS and TYPE_OF_PERIOD have one row and count as 0.
    """
    reader = _Reader(data.tobytes())
    bad = -1
    try:
        reader.profile(len(reader.data))
    except _Bad as place:
        bad = int(place.args[0])
    for kind, rows in enumerate(reader.rows):
        counts[kind] = 0 if kind >= SCALARS else len(rows)
        if tables is not None and rows:
            tables[kind][: len(rows)] = np.array(rows, dtype=np.uint64).view(np.int64)
    return bad


def encode(
    text: npt.NDArray[np.uint8], tables: Sequence[npt.NDArray[np.int64]], out: npt.NDArray[np.uint8] | None
) -> int:
    """The bytes of the profile in ``tables``: how many, and ``out`` gets them where it is given.

    ``text`` holds the strings. Numbers that are zero are left out, lists of numbers are packed.
    """
    rows = [table.view(np.uint64).tolist() for table in tables]
    made = bytearray()
    made += _messages(1, rows[SAMPLE_TYPES])
    begin = [0, 0, 0]
    for end in rows[SAMPLES]:
        ids, values, labels = (
            rows[kind][a:b] for kind, a, b in zip((LOCATIONS_OF, VALUES, LABELS), begin, end, strict=True)
        )
        made += _framed(2, _packed(1, ids) + _packed(2, values) + _messages(3, labels))
        begin = end
    made += _messages(3, rows[MAPPINGS])
    first = 0
    for row in rows[LOCATIONS]:
        made += _framed(4, _numbers([*row[:3], 0, row[4]]) + _messages(4, rows[LINES][first : row[3]]))
        first = row[3]
    made += _messages(5, rows[FUNCTIONS])
    blob = text.tobytes()
    for low, high in rows[STRINGS]:
        made += _framed(6, blob[low:high])
    for k, value in enumerate(rows[SCALARS][0]):
        if k == 11 and any(rows[TYPE_OF_PERIOD][0]):
            made += _messages(11, rows[TYPE_OF_PERIOD])
        elif k == 13:
            made += _packed(13, rows[COMMENTS])
        elif 7 <= k <= 15 and k != 11 and value:
            made += _varint(k << 3) + _varint(value)
    if out is not None:
        out[:] = np.frombuffer(bytes(made), np.uint8)
    return len(made)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _framed(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _numbers(row: Sequence[int]) -> bytes:
    return b"".join(_varint((k + 1) << 3) + _varint(value) for k, value in enumerate(row) if value)


def _messages(number: int, rows: Sequence[Sequence[int]]) -> bytes:
    return b"".join(_framed(number, _numbers(row)) for row in rows)


def _packed(number: int, rows: Sequence[Sequence[int]]) -> bytes:
    return _framed(number, b"".join(_varint(row[0]) for row in rows)) if rows else b""
