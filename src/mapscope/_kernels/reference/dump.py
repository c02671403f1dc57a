"""Walks the records of a heap dump (runtime/heapdump.go): one pass that finds the spans, one that lays them out.

A record is a tag and the fields that its *shape* names, one letter each: ``v`` a varint, ``s`` a varint length and as
many bytes, ``f`` a list of pointer fields (1, offset; 0 ends it), ``m`` a list of call sites (a varint count, then
twice ``s`` and once ``v`` each). Numbers are little-endian base 128, as in encoding/binary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

DONE, FULL, CUT, SPOILED = range(4)
"""What ``scan`` answers: the end was read; an output is full; the data end in a record; a record makes no sense."""
BASE, SIZE, AT, COUNT, POINTERS = range(5)
"""Columns of a span as the dump shows it: address, bytes of a slot, offset of its first record in the data, number of
records, and whether any of them has pointers."""
POSITION, SPANS, OTHERS, LAST, NEXT = range(5)
"""State of a scan: where it stands; rows that are filled; address of the last object, and where its record ended."""

OBJECT: Final = 1
PAGE: Final = 8192
LARGEST: Final = 32768
_U64: Final = (1 << 64) - 1


class _BadError(Exception):
    """A number that is none, or a field that makes no sense."""


class _EndError(Exception):
    """The data end in a record."""


class _Reader:
    """The data from one place on."""

    def __init__(self, data: Any, at: int) -> None:
        self.data, self.at, self.end = data, at, len(data)

    def number(self) -> int:
        """A varint."""
        value = shift = 0
        while True:
            if self.at >= self.end:
                raise _EndError
            byte = int(self.data[self.at])
            self.at += 1
            if shift == 63 and byte > 1:
                raise _BadError
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def run(self) -> tuple[int, int]:
        """Where a run of bytes lies, and its length; the reader stands behind it."""
        size = self.number()
        if size > self.end - self.at:
            raise _EndError
        at = self.at
        self.at += size
        return at, size

    def fields(self, size: int) -> list[int]:
        """Offsets of the pointer fields, all of which lie in ``size`` bytes."""
        found: list[int] = []
        while True:
            kind = self.number()
            if kind == 0:
                return found
            offset = self.number()
            if kind != 1 or offset % 8 or offset + 8 > size:
                raise _BadError
            found.append(offset)

    def skip(self, shape: bytes) -> None:
        """All fields of a record."""
        for letter in shape:
            if letter == ord("v"):
                self.number()
            elif letter == ord("s"):
                self.run()
            elif letter == ord("f"):
                self.any_fields()
            else:
                for _ in range(min(self.number(), self.end)):
                    self.run()
                    self.run()
                    self.number()

    def any_fields(self) -> None:
        """A list of pointer fields whose offsets nobody asks for."""
        while (kind := self.number()) != 0:
            if kind != 1:
                raise _BadError
            self.number()


def scan(
    data: Any,
    shapes: Sequence[bytes],
    kept: bytes,
    pages: npt.NDArray[np.uint8],
    state: npt.NDArray[np.int64],
    spans: npt.NDArray[np.int64],
    others: npt.NDArray[np.int64],
) -> int:
    """Walks the records from ``state[POSITION]`` on; answers DONE, FULL (call again), CUT or SPOILED.

    ``shapes``: by tag, empty where there is no such tag. ``kept``: by tag, 1 for records whose tag and offset go into
    ``others``. ``pages``: by size / 8, the pages of a span of slots of that size, 0: no such size class. ``spans``: the
    columns above, one row for each run of objects in one span. CUT and SPOILED leave ``state[POSITION]`` at the record.
    """
    while True:
        if state[SPANS] >= len(spans) or state[OTHERS] >= len(others):
            return FULL
        reader = _Reader(data, int(state[POSITION]))
        try:
            tag = reader.number()
            if tag == 0:
                state[POSITION] = reader.at
                return DONE
            if tag >= len(shapes) or not shapes[tag]:
                return SPOILED
            if tag == OBJECT:
                _object(reader, pages, state, spans)
            else:
                if kept[tag]:
                    others[state[OTHERS]] = tag, reader.at
                reader.skip(shapes[tag])
                state[OTHERS] += kept[tag]
        except _EndError:
            return CUT
        except _BadError:
            return SPOILED
        state[POSITION] = reader.at


def _object(
    reader: _Reader, pages: npt.NDArray[np.uint8], state: npt.NDArray[np.int64], spans: npt.NDArray[np.int64]
) -> None:
    """One object: a new span, or one more of the last."""
    record = int(state[POSITION])
    address = reader.number()
    _, size = reader.run()
    base = _span_base(address, size, pages)
    pointers = bool(reader.fields(size))
    row = int(state[SPANS]) - 1
    if (
        row < 0
        or spans[row, BASE] != base
        or spans[row, SIZE] != size
        or state[NEXT] != record
        or state[LAST] >= address
    ):
        row += 1
        spans[row] = base, size, record, 0, 0
        state[SPANS] += 1
    spans[row, COUNT] += 1
    spans[row, POINTERS] |= pointers
    state[LAST], state[NEXT] = address, reader.at


def _span_base(address: int, size: int, pages: npt.NDArray[np.uint8]) -> int:
    """Where the span of an object begins. Size and number of pages decide it: no two places fit."""
    if not 0 < address < 1 << 48 or address % 8 or size % 8 or not size:
        raise _BadError
    if size > LARGEST:
        if address % PAGE or size % PAGE or size >= 1 << 47:
            raise _BadError
        return address
    for back in range(int(pages[size // 8])):
        base = address // PAGE * PAGE - back * PAGE
        within = address - base
        if base >= 0 and within % size == 0 and within + size <= int(pages[size // 8]) * PAGE:
            return base
    raise _BadError


def decode(data: Any, shape: bytes, offsets: npt.NDArray[np.int64], out: npt.NDArray[np.uint64]) -> int:
    """The fields of the records whose bodies lie at ``offsets``, as rows of ``out``; how many rows were read.

    A column for each ``v`` (the number) and each ``f`` (where the list lies), two for each ``s`` (where the bytes lie,
    and how many).
    """
    for row, offset in enumerate(offsets.tolist()):
        reader = _Reader(data, offset)
        found: list[int] = []
        try:
            for letter in shape:
                if letter == ord("v"):
                    found.append(reader.number())
                elif letter == ord("s"):
                    found += reader.run()
                else:
                    found.append(reader.at)
                    reader.any_fields()
        except (_EndError, _BadError):
            return row
        out[row] = found
    return len(offsets)


def field_bits(data: Any, at: int, size: int, bits: npt.NDArray[np.uint8]) -> int:
    """Sets a bit a word for the pointer fields listed at ``at``, of a run of ``size`` bytes. 0, or 1 if spoiled."""
    try:
        for offset in _Reader(data, at).fields(size):
            bits[offset // 64] |= 1 << offset // 8 % 8
    except (_EndError, _BadError):
        return 1
    return 0


def copy(
    data: Any, offsets: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], target: Any, places: npt.NDArray[np.int64]
) -> None:
    """Copies runs of bytes: ``sizes[i]`` bytes at ``offsets[i]`` of the data to ``places[i]`` of ``target``.

    Runs that do not lie in both are left out.
    """
    for offset, size, place in zip(offsets.tolist(), sizes.tolist(), places.tolist(), strict=True):
        if offset >= 0 and place >= 0 and 0 <= size <= min(len(data) - offset, len(target) - place):
            target[place : place + size] = data[offset : offset + size]


def fill(
    data: Any,
    rows: npt.NDArray[np.int64],
    target: Any,
    places: npt.NDArray[np.int64],
    h: Any,
    flags: npt.NDArray[np.uint8],
    ptrmask: npt.NDArray[np.uint64],
) -> int:
    """Lays the objects of every span out: contents, allocated slots and pointer bits. How many were none.

    ``rows``: as ``scan`` made them, parallel to ``h.spans``. ``places``: where each span lies in ``target``. Records
    behind the last slot of their span are no objects but the runtime's own bits at its end (from Go 1.22).
    """
    dropped = 0
    for s, row in enumerate(rows.tolist()):
        span = h.spans[s]
        reader = _Reader(data, row[AT])
        for _ in range(row[COUNT]):
            try:
                tag, address = reader.number(), reader.number()
                at, size = reader.run()
                fields = reader.fields(size)
            except (_EndError, _BadError):
                break
            slot = (address - int(span["base"])) // size if size else 0
            if tag != OBJECT or size != row[SIZE] or address < int(span["base"]):
                break
            if slot >= int(span["nelems"]):
                dropped += 1
                continue
            place = int(places[s]) + slot * size
            if place + size > len(target):
                break
            target[place : place + size] = data[at : at + size]
            flags[int(span["first"]) + slot] |= 1
            bit = int(span["maskbit"]) + slot * (size // 8)
            for offset in fields:
                where = bit + offset // 8
                ptrmask[where // 64] |= np.uint64(1 << where % 64)
    return dropped
