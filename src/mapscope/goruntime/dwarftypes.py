"""Types of variables as DWARF names them, for those that have no runtime type descriptor of their own.

A global ``var srv Server`` needs no descriptor in the program, but DWARF describes it. Where DWARF names a descriptor
(DW_AT_go_runtime_type), that is used; the rest is compiled from DWARF by a worklist, as typetable.py does from
descriptors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.binary.dwarf import Dwarf, DwarfType
from mapscope.binary.rtype import Kind
from mapscope.goruntime.typerecord import Op, TypeRecord, descriptor
from mapscope.goruntime.typetable import MAX_WORDS, TypeTable

_MAX_PARTS = 1 << 18
_MAX_TYPES = 1 << 18


class Variable(Struct, frozen=True):
    """One package-level variable: run-time address, type id (-1: no pointers or not known), size in bytes."""

    name: str
    address: int
    type_id: int
    type_name: str
    size: int


class DwarfTypes:
    """Type ids for entries of one executable's DWARF."""

    def __init__(self, dwarf: Dwarf, table: TypeTable, *, types_base: int) -> None:
        """``types_base``: run-time address of ``runtime.types``, which DW_AT_go_runtime_type is relative to."""
        self.dwarf = dwarf
        self.table = table
        self._base = types_base
        self._known: dict[int, int] = {}
        self._work: list[Callable[[], None]] = []

    def variables(self, pointers: Sequence[tuple[int, int]]) -> list[Variable]:
        """All package-level variables with a static address.

        Those outside the static address ranges ``pointers`` hold none, and get no type id.
        """
        out = []
        for item in self.dwarf.globals:
            kind = self.dwarf.type(item.type)
            type_id = self.type_id(item.type) if any(low <= item.address < high for low, high in pointers) else -1
            out.append(Variable(item.name, item.address, type_id, kind.name, kind.size))
        return out

    def type_id(self, offset: int) -> int:
        """Type id of the entry at ``offset``; -1 when it has none (no such entry, or too many types)."""
        found = self._intern(offset)
        while self._work:
            self._work.pop()()
        return found

    def _intern(self, offset: int | None) -> int:
        if not offset:
            return -1
        if offset in self._known:
            return self._known[offset]
        kind = self.dwarf.type(offset)
        if kind.runtime_type:
            found = self.table.intern(kind.runtime_type + self._base)
            if found is not None and self._same(int(found), kind):
                self._known[offset] = int(found)
                return int(found)
        if len(self._known) >= _MAX_TYPES:
            return -1
        type_id = self.table.add(TypeRecord(kind.name, kind.kind, kind.size, 0))
        self._known[offset] = type_id
        self.table.dwarf_entries[type_id] = self.dwarf, offset
        self._work.append(lambda: self.table.set_words(type_id, self._flatten(kind)))
        return type_id

    def _same(self, type_id: int, kind: DwarfType) -> bool:
        """Guards against a descriptor that is not this type's (a stripped or foreign debug file)."""
        record = self.table.records[type_id]
        return record.kind == kind.kind and record.size == kind.size

    def _flatten(self, top: DwarfType) -> npt.NDArray[np.uint64]:
        words = np.zeros(min(top.size // 8, MAX_WORDS), dtype=np.uint64)
        parts = [(top, 0)]
        repeats: list[tuple[int, int, int]] = []
        done = 0
        while parts and done < _MAX_PARTS:
            part, at = parts.pop()
            done += 1
            if at >= len(words):
                continue
            if part.kind == Kind.STRUCT:
                special = self._atomic_pointer(part)
                if special is not None:
                    words[at] = special
                    continue
                parts.extend(
                    (self.dwarf.type(field.type), at + field.offset // 8)
                    for field in part.fields
                    if field.type and field.offset < part.size
                )
            elif part.kind == Kind.ARRAY and part.elem:
                inner = self.dwarf.type(part.elem)
                if inner.size >= 8 and part.count > 0:
                    parts.append((inner, at))
                    repeats.append((at, inner.size // 8, part.count))
            else:
                where, word = self._word(part)
                if at + where < len(words):
                    words[at + where] = word
        for at, step, count in reversed(repeats):  # inner arrays first
            count = min(count, (len(words) - at) // step)
            if count > 1:
                words[at : at + step * count] = np.tile(words[at : at + step], count)
        return words

    def _word(self, part: DwarfType) -> tuple[int, int]:
        if part.kind == Kind.POINTER and part.elem:
            return 0, self._target(part.elem, Op.PTR)
        if part.kind == Kind.SLICE:
            array = next((f for f in part.fields if f.name == "array"), None)
            elem = part.elem or (self.dwarf.type(array.type).elem if array else None)
            return 0, self._target(elem, Op.FILL)
        if part.kind == Kind.INTERFACE:
            first = part.fields[0].name if part.fields else ""
            return 1, descriptor(Op.IFACE if first == "tab" else Op.EFACE)
        if part.kind in (Kind.MAP, Kind.CHAN):
            found = self._by_name(part)
            return 0, 0 if found is None else self.table.word_of(found)
        if part.kind == Kind.FUNC:
            return 0, descriptor(Op.FUNC)
        return 0, descriptor(Op.NONE)

    def _target(self, offset: int | None, op: Op) -> int:
        if op is Op.PTR and offset:
            node = self.dwarf.type(offset)
            if node.kind == Kind.STRUCT and node.name.startswith("internal/sync.node["):
                address = self.table.find_dwarf_name(node.name)
                return descriptor(Op.NONE) if address is None else self.table.pointer_to(address)
        found = self._intern(offset)
        return descriptor(Op.NONE) if found < 0 else descriptor(op, found)

    def _by_name(self, part: DwarfType) -> int | None:
        """Map and channel types need their descriptor: DWARF's own, or the program's type of the same name."""
        if part.runtime_type:
            found = self.table.intern(part.runtime_type + self._base)
            if found is not None and self._same(int(found), part):
                return int(found)
        address = self.table.find_dwarf_name(part.name)
        if address is None:
            return None
        found = self.table.intern(address)
        return None if found is None else int(found)

    def _atomic_pointer(self, part: DwarfType) -> int | None:
        """``sync/atomic.Pointer[T]``: T from its zero-length array field (sync/atomic/type.go)."""
        if not part.name.startswith("sync/atomic.Pointer[") or part.size != 8:
            return None
        for field in part.fields:
            inner = self.dwarf.type(field.type) if field.type else None
            if inner is not None and inner.kind == Kind.ARRAY and inner.count == 0 and inner.elem:
                pointer = self.dwarf.type(inner.elem)
                if pointer.elem:
                    return self._target(pointer.elem, Op.PTR)
        return None
