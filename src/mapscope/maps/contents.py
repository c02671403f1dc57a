"""A few keys and values of one map, for whoever asks for them by name: nothing else in mapscope reads contents."""

from __future__ import annotations

import struct

import numpy as np
from msgspec import Struct

from mapscope.binary.rtype import Kind, RType
from mapscope.heap.model import Heap
from mapscope.heap.trace import COVER_FILL
from mapscope.maps.find import MapSet
from mapscope.maps.kinds import live_cells
from mapscope.maps.model import Map

ENTRIES = 10
"""Entries that are shown."""
TEXT_BYTES = 64
"""Bytes of a string that are shown."""
_MISSING = "not in this core"
_SIGNED = frozenset({Kind.INT, Kind.INT8, Kind.INT16, Kind.INT32, Kind.INT64})
_UNSIGNED = frozenset({Kind.UINT, Kind.UINT8, Kind.UINT16, Kind.UINT32, Kind.UINT64})
_FLOATS = {Kind.FLOAT32: "<f", Kind.FLOAT64: "<d", Kind.COMPLEX64: "<2f", Kind.COMPLEX128: "<2d"}
_ADDRESSES = frozenset({Kind.UINTPTR, Kind.POINTER, Kind.UNSAFE_POINTER, Kind.MAP, Kind.CHAN, Kind.FUNC})


class Content(Struct, frozen=True):
    """One key or value in words. ``text`` is hostile: escape it before anything shows it."""

    text: str
    quoted: bool = False
    """It is a string of the program."""
    more: int = 0
    """Bytes of the string that are left out."""


def sample_contents(heap: Heap, maps: MapSet, found: Map) -> tuple[tuple[Content, Content], ...]:
    """Keys and values of the first live cells of the current array, at most ENTRIES; none where its type is unknown."""
    number = int(maps.shape_of[found.row])
    if number < 0 or found.type is None or not found.count:
        return ()
    fields = maps.shapes[number].fields
    places = (
        (fields.key, fields.keys_offset, fields.key_stride, fields.key_size, fields.indirect_key),
        (fields.elem, fields.elems_offset, fields.elem_stride, fields.elem_size, fields.indirect_elem),
    )
    reader = _Reader(heap)
    out = []
    for bucket, slot in live_cells(heap, maps, found, maps.shapes[number]):
        pair = []
        for type_address, offset, stride, size, indirect in places:
            at = offset + slot * stride
            pair.append(reader.value(type_address, bucket[at : at + size], indirect))
        out.append((pair[0], pair[1]))
        if len(out) >= ENTRIES:
            break
    return tuple(out)


def object_contents(heap: Heap, oid: int) -> tuple[tuple[str, Content], ...]:
    """The first fields or elements of an object by its id, at most ENTRIES, each with its name.

    None where its type is unknown, and for the parts of maps, whose entries ``sample_contents`` has.
    """
    number = heap.state.type_of(oid)
    rtype = heap.process.types.at(heap.types.records[number].address) if number >= 0 else None
    if rtype is None or rtype.size <= 0:
        return ()
    span = heap.index.spans[heap.index.span_of_object(np.array([oid]))[0]]
    header = 8 * int(span["header"])
    start = int(heap.index.address_of(np.array([oid], dtype=np.int64))[0]) + header
    reader = _Reader(heap)
    if heap.state.cover_of(oid) < COVER_FILL:
        return reader.fields(rtype, start)
    room = (int(span["elemsize"]) - header) // rtype.size
    if rtype.kind is Kind.UINT8:
        return (("", reader.text(start, room)),)
    return tuple((f"[{n}]", reader.read(rtype, start + n * rtype.size)) for n in range(min(ENTRIES, room)))


class _Reader:
    """Values by their types."""

    def __init__(self, heap: Heap) -> None:
        self._memory, self._types = heap.process.memory, heap.process.types

    def value(self, type_address: int, data: bytes | None, indirect: bool = False) -> Content:
        """The value whose bytes are ``data``; ``indirect``: they are its address."""
        rtype = self._types.at(type_address)
        if rtype is None:
            return Content("of unknown type")
        if indirect:
            data = self._memory.read(_word(data or b""), min(rtype.size, TEXT_BYTES))
        if data is None:
            return Content(_MISSING)
        if rtype.kind is Kind.INTERFACE:
            return self._interface(rtype, data)
        return self._plain(rtype, data)

    def read(self, rtype: RType, address: int) -> Content:
        """The value at an address."""
        return self.value(rtype.address, self._memory.read(address, min(rtype.size, TEXT_BYTES)))

    def fields(self, rtype: RType, address: int) -> tuple[tuple[str, Content], ...]:
        """The first fields of a struct, those in fields not unfolded; of all else the value itself."""
        if rtype.kind is not Kind.STRUCT:
            return (("", self.read(rtype, address)),)
        typed = ((field, self._types.at(field.type)) for field in rtype.fields[:ENTRIES])
        return tuple(
            (f".{field.name}", Content("of unknown type") if of is None else self.read(of, address + field.offset))
            for field, of in typed
        )

    def text(self, address: int, length: int) -> Content:
        """Bytes as text."""
        return self._string(address, length)

    def _interface(self, rtype: RType, data: bytes) -> Content:
        """The dynamic type and, where that is a plain one, its value."""
        word = _word(data)
        address = self._types.itab(word) if rtype.methods and word else word
        dynamic = self._types.at(address) if address else None
        if not word:
            return Content("nil")
        if dynamic is None:
            return Content("of unknown type")
        inner: bytes | None = data[8:16]
        if not dynamic.direct_iface:
            inner = self._memory.read(_word(data[8:16]), min(dynamic.size, TEXT_BYTES))
        if dynamic.kind is Kind.INTERFACE or inner is None:
            return Content(f"{dynamic.name}, {_MISSING}" if inner is None else dynamic.name)
        return self._plain(dynamic, inner)

    def _plain(self, rtype: RType, data: bytes) -> Content:
        """A value that is no interface."""
        kind, size = rtype.kind, rtype.size
        if kind is Kind.STRING:
            return self._string(_word(data), _word(data[8:16]))
        if kind is Kind.BOOL:
            return Content("true" if data[:1] != b"\0" else "false")
        if kind in _SIGNED or kind in _UNSIGNED:
            return Content(str(int.from_bytes(data[:size], "little", signed=kind in _SIGNED)))
        if kind in _FLOATS and len(data) >= size:
            parts = struct.unpack_from(_FLOATS[kind], data)
            return Content(repr(parts[0]) if len(parts) == 1 else f"({parts[0]!r}{parts[1]:+}i)")
        if kind in _ADDRESSES:
            return Content(f"0x{_word(data):x}" if _word(data) else "nil")
        if kind is Kind.SLICE:
            return Content(f"{rtype.name} at 0x{_word(data):x}, length {_word(data[8:16])}")
        return Content(f"{rtype.name}, {size} bytes")

    def _string(self, address: int, length: int) -> Content:
        data = self._memory.read(address, min(length, TEXT_BYTES)) if length else b""
        if data is None:
            return Content(f"string of {length} bytes, {_MISSING}")
        return Content(data.decode("utf-8", "backslashreplace"), True, length - len(data))


def _word(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")
