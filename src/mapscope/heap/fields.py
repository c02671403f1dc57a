"""Words by name: which field of which type lies at an offset of an object. Never its contents.

Names come from type descriptors, from DWARF for types without one, and from the layouts for what only the runtime
knows: ``hmap .buckets``, ``table .groups``, ``bucket [elem slot]``.
"""

from __future__ import annotations

import re

from mapscope.binary.dwarf import Dwarf
from mapscope.binary.rtype import Kind, MapTypeFields
from mapscope.binary.rtypes import TypeReader
from mapscope.errors import LayoutError
from mapscope.goruntime.layout import Layouts
from mapscope.goruntime.typetable import TypeTable

_MAX_DEPTH = 64
_MAX_CACHED = 1 << 18
_LAYOUT_OF = {"hmap": "hmap", "table": "table", "hchan": "hchan"}
_SLOTS = 8
_MAX_NAME = 1024
_SLOT = re.compile(r"^\.(?:slots\[\d+\]\.(?=key|elem))?(key|elem)(?:s\[\d+\])?")
_IMPORT_PATH = re.compile(r"[\w.~%-]+/")
_WHOLE = ("atomic.", "sync/atomic.", "internal/runtime/atomic.")
"""Structs of these packages are shown as one field: what they wrap is what they mean."""


class FieldNames:
    """Names of fields by type id and offset in bytes."""

    def __init__(self, types: TypeTable, reader: TypeReader, layouts: Layouts) -> None:
        """``types`` after the trace; ``reader`` of the same process."""
        self._types = types
        self._reader = reader
        self._layouts = layouts
        self._cache: dict[tuple[int, int], str] = {}

    def type_name(self, type_id: int) -> str | None:
        """Name of a type as reflect writes it; None where it has none."""
        return short_name(self._types.records[type_id].name) or None if type_id >= 0 else None

    def is_pseudo(self, type_id: int) -> bool:
        """Whether the type is one that only the runtime has: ``hmap``, ``bucket``, ``table`` and so on."""
        return type_id >= 0 and bool(self._types.records[type_id].pseudo)

    def size(self, type_id: int) -> int:
        """Bytes of one value; 0 where it is not known."""
        return int(self._types.records[type_id].size) or 8 * max(int(self._types.words[type_id]), 0)

    def path(self, type_id: int, offset: int) -> str:
        """``.cache.next``, ``[3].name``, ``[elem slot]`` for the word at ``offset`` of a value; ``+0x18`` at a loss."""
        if type_id < 0:
            return f"+0x{offset:x}"
        known = self._cache.get((type_id, offset))
        if known is None:
            known = self._path(type_id, offset)
            if len(self._cache) < _MAX_CACHED:
                self._cache[type_id, offset] = known
        return known

    def _path(self, type_id: int, offset: int) -> str:
        record = self._types.records[type_id]
        if record.pseudo in ("bucket", "group"):
            fields = self._types.map_fields.get(record.of)
            return f"+0x{offset:x}" if fields is None else self._slot(fields, offset)
        if record.pseudo == "tableptr":
            return ""
        if record.pseudo in _LAYOUT_OF:
            swiss = record.pseudo == "hmap" and self._types.map_fields[record.of].swiss
            return self.layout_path("swissmap" if swiss else _LAYOUT_OF[record.pseudo], offset)
        if record.address:
            path = self._descend(record.address, offset)
            return _SLOT.sub(r"[\1 slot]", path) if _is_array_of_slots(record.name) else path
        entry = self._types.dwarf_entries.get(type_id)
        if entry is not None:
            return self._descend_dwarf(*entry, offset)
        return f"+0x{offset:x}"

    def layout_path(self, struct: str, offset: int) -> str:
        """The same in a struct of the runtime, by its name in the layouts."""
        try:
            layout = self._layouts.struct(struct)
        except LayoutError:
            return f"+0x{offset:x}"
        covering = [(f.size, name) for name, f in layout.fields.items() if f.offset <= offset < f.offset + f.size]
        if not covering:
            return f"+0x{offset:x}"
        name = min(covering)[1]
        # a reference to groups is one thing to the reader: groups.data is .groups
        return "." + name.removesuffix(".data").removesuffix(".array")

    def _slot(self, fields: MapTypeFields, offset: int) -> str:
        """A word of a bucket or group: overflow, key or elem; which slot is not told, for it says nothing."""
        if offset == fields.overflow_offset:
            return ".overflow"
        for word, start, stride, size, indirect, of in (
            ("key", fields.keys_offset, fields.key_stride, fields.key_size, fields.indirect_key, fields.key),
            ("elem", fields.elems_offset, fields.elem_stride, fields.elem_size, fields.indirect_elem, fields.elem),
        ):
            if stride <= 0 or not 0 <= offset - start < _SLOTS * stride:
                continue
            inner = (offset - start) % stride
            if inner < size:
                return f"[{word} slot]" + ("" if indirect else self._descend(of, inner))
        return f"+0x{offset:x}"

    def _descend(self, address: int, offset: int) -> str:
        parts = []
        for _ in range(_MAX_DEPTH):
            rtype = self._reader.at(address)
            if rtype is None:
                break
            if rtype.kind is Kind.STRUCT and not rtype.name.startswith(_WHOLE):
                found = rtype.field_at(offset)
                if found is None:
                    break
                parts.append(f".{found.name}")
                address, offset = found.type, offset - found.offset
            elif rtype.kind is Kind.ARRAY:
                inner = self._reader.at(rtype.elem)
                if inner is None or inner.size <= 0:
                    break
                parts.append(f"[{offset // inner.size}]")
                address, offset = rtype.elem, offset % inner.size
            else:
                return "".join(parts)
        return "".join(parts) + (f"+0x{offset:x}" if offset or not parts else "")

    def _descend_dwarf(self, dwarf: Dwarf, entry: int, offset: int) -> str:
        parts = []
        for _ in range(_MAX_DEPTH):
            kind = dwarf.type(entry)
            if kind.kind == Kind.STRUCT and not kind.name.startswith(_WHOLE):
                held = [f for f in kind.fields if f.offset <= offset]
                if not held:
                    break
                found = held[-1]
                parts.append(f".{found.name}")
                if not found.type:
                    break
                entry, offset = found.type, offset - found.offset
            elif kind.kind == Kind.ARRAY and kind.elem:
                size = dwarf.type(kind.elem).size
                if size <= 0:
                    break
                parts.append(f"[{offset // size}]")
                entry, offset = kind.elem, offset % size
            else:
                return "".join(parts)
        return "".join(parts) + (f"+0x{offset:x}" if offset or not parts else "")


def _is_array_of_slots(name: str) -> bool:
    """The compiler's own types of buckets and groups (cmd/compile/internal/reflectdata/map.go), met by their header."""
    return name.removeprefix("noalg.").startswith(("map.group[", "map.bucket["))


def short_name(name: str) -> str:
    """A type's name with each import path cut to its last part, as reflect writes it."""
    name = name[:_MAX_NAME]
    return _IMPORT_PATH.sub("", name) if "/" in name else name
