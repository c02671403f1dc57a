"""DWARF of a Go (or cgo) executable: types, struct layouts, package-level variables and constants.

Go writes DWARF 4 up to 1.24 and DWARF 5 from 1.25; C units of cgo programs may be of any version. pyelftools needs 28 s
for the entries of a 114 MB executable, so the entries are walked by our own kernel: one pass notes every named entry at
the top level of a unit, and everything else is decoded when it is asked for.

Go's own attributes (``cmd/internal/dwarf/dwarf.go``): DW_AT_go_kind 0x2900, go_key 0x2901, go_elem 0x2902,
go_embedded_field 0x2903, go_runtime_type 0x2904.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final, NamedTuple, Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from mapscope._kernels.reference import dwarf as reference
from mapscope.binary.dwarfdie import DebugInfo, Die, Unit
from mapscope.binary.elf import ElfFile
from mapscope.binary.structs import Field, StructLayout
from mapscope.errors import FormatError

try:
    from mapscope._kernels._dwarf import index_unit
except ImportError:  # no compiler was there when mapscope was installed
    index_unit = reference.index_unit

_MAX_ROWS: Final = 1 << 22
_MAX_CHAIN: Final = 64
_MAX_DEPTH: Final = 32
_MAX_FIELDS: Final = 1 << 16
_MAX_COUNT: Final = 1 << 62

_TAG_ARRAY, _TAG_ENUM, _TAG_POINTER, _TAG_STRUCT, _TAG_SUBROUTINE = 0x01, 0x04, 0x0F, 0x13, 0x15
_TAG_MEMBER, _TAG_TYPEDEF, _TAG_UNION, _TAG_SUBRANGE, _TAG_BASE = 0x0D, 0x16, 0x17, 0x21, 0x24
_TAG_CONSTANT, _TAG_VARIABLE, _TAG_REFERENCE, _TAG_CLASS = 0x27, 0x34, 0x10, 0x02
_WRAPPERS: Final = frozenset({0x16, 0x26, 0x35, 0x37, 0x47})  # typedef, const, volatile, restrict, atomic
_TYPE_TAGS: Final = (
    _TAG_STRUCT,
    _TAG_TYPEDEF,
    _TAG_BASE,
    _TAG_POINTER,
    _TAG_ARRAY,
    _TAG_SUBROUTINE,
    _TAG_UNION,
    _TAG_ENUM,
)
_STRUCT_TAGS: Final = (_TAG_STRUCT, _TAG_TYPEDEF, _TAG_UNION, _TAG_CLASS)

_AT_SIZE, _AT_ENCODING, _AT_UPPER, _AT_COUNT, _AT_LOCATION, _AT_TYPE = 0x0B, 0x3E, 0x2F, 0x37, 0x38, 0x49
_AT_BIT_OFFSET, _AT_GO_KIND, _AT_GO_KEY, _AT_GO_ELEM, _AT_GO_RUNTIME = 0x6B, 0x2900, 0x2901, 0x2902, 0x2904

_FLAG_VALUE, _FLAG_DECLARATION, _FLAG_SIGNED = 1, 2, 8
_KIND_ARRAY, _KIND_FUNC, _KIND_POINTER, _KIND_STRUCT, _KIND_UNSAFE_POINTER = 17, 19, 22, 25, 26
_BASE_KINDS: Final = {  # (DWARF encoding class, bytes) → reflect.Kind, for types that are not Go's
    ("bool", 1): 1,
    ("signed", 1): 3,
    ("signed", 2): 4,
    ("signed", 4): 5,
    ("signed", 8): 6,
    ("unsigned", 1): 8,
    ("unsigned", 2): 9,
    ("unsigned", 4): 10,
    ("unsigned", 8): 11,
    ("float", 4): 13,
    ("float", 8): 14,
    ("complex", 8): 15,
    ("complex", 16): 16,
}
_ENCODINGS: Final = {
    2: "bool",
    3: "complex",
    4: "float",
    5: "signed",
    6: "signed",
    7: "unsigned",
    8: "unsigned",
    0x10: "unsigned",
}


class Member(NamedTuple):
    """One field of a struct type: ``type`` is the offset of its type's entry, 0 where it has none."""

    name: str
    offset: int
    type: int


class Global(NamedTuple):
    """One package-level variable: static address, and the offset of its type's entry."""

    name: str
    address: int
    type: int


class DwarfType(Struct, frozen=True):
    """One type, with typedefs and qualifiers resolved.

    Attributes:
        offset: of the entry that was asked for. ``target``: of the entry behind all typedefs.
        kind: ``reflect.Kind`` as a number: Go's own word where it is there, else derived; 0 for what has none (void).
        name: as the outermost entry says, e.g. ``"map[string]int"``.
        size: bytes; 0 where unknown (an incomplete C type).
        elem: offset of the type of elements, of a pointer's target, or of a map's values; None where there is none.
        key: offset of the type of a map's keys.
        count: elements of an array.
        fields: of a struct, and of the types that the runtime keeps as structs (string, slice, interface).
        runtime_type: raw DW_AT_go_runtime_type, or None. In every release from 1.19 to 1.27, and however the program
            was linked, it is the offset of the type descriptor from ``runtime.types``; 0 where the linker dropped the
            descriptor. The one exception is ``uintptr`` up to Go 1.22: there it is the static address itself
            (``cmd/link/internal/ld/dwarf.go``, where that entry was written with another attribute class).
    """

    offset: int
    target: int
    kind: int
    name: str
    size: int
    elem: int | None
    key: int | None
    count: int
    fields: tuple[Member, ...]
    runtime_type: int | None


class Dwarf:
    """The debug information of one executable. Offsets of entries are absolute in ``.debug_info``.

    Attributes:
        skipped_units: units that could not be read (a version or a form of the future, or damage); the rest serves.
    """

    def __init__(self, info: DebugInfo) -> None:
        """Indexes ``info`` in one pass; 48 bytes of memory for each named entry at a unit's top level.

        Functions are in the index too (name or origin, low_pc), for readers of frames to come.
        """
        self._info = info
        self.skipped_units = info.skipped
        rows = self._index(info)
        self._offset: NDArray[np.uint64] = rows[:, 0].copy()
        self._tag: NDArray[np.uint32] = (rows[:, 1] & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        self._flags: NDArray[np.uint32] = (rows[:, 1] >> np.uint64(32)).astype(np.uint32)
        self._name: NDArray[np.uint64] = rows[:, 2].copy()
        self._hash: NDArray[np.uint64] = rows[:, 3].copy()
        self._value: NDArray[np.uint64] = rows[:, 4].copy()
        self._type: NDArray[np.uint64] = rows[:, 5].copy()
        self._types: dict[int, DwarfType] = {}
        self._structs: dict[str, StructLayout | None] = {}

    @classmethod
    def from_elf(cls, elf: ElfFile) -> Self | None:
        """The DWARF of ``elf``, or None when it has none.

        Raises:
            FormatError: there is some, but it is damaged beyond use.
        """
        if not elf.has_dwarf:
            return None
        names = ("info", "abbrev", "str", "line_str", "str_offsets", "addr")
        present = {n for n in names if f".debug_{n}" in elf.sections or f".zdebug_{n}" in elf.sections}
        return cls(DebugInfo({name: elf.section_bytes(f".debug_{name}") for name in names if name in present}))

    def _index(self, info: DebugInfo) -> NDArray[np.uint64]:
        out = np.zeros((min(_MAX_ROWS, 1024 + len(info.info) // 48), reference.WIDTH), np.uint64)
        row = 0
        for unit in info.units:
            table, words = unit.abbreviations, np.array(unit.words, np.int64)
            while True:
                end = index_unit(
                    info.info, info.strings, info.line_strings, info.str_offsets, info.addresses,
                    table.rows, table.tags, table.children, table.first, table.attributes, table.forms, table.implicit,
                    words, out, row,
                )  # fmt: skip
                if end != reference.FULL:
                    break
                if len(out) >= _MAX_ROWS:
                    raise FormatError(f".debug_info: more than {_MAX_ROWS} named entries", "the file is damaged")
                out = np.concatenate([out, np.zeros_like(out)])
            if end < 0:
                self.skipped_units += 1
            else:
                row = end
        return out[:row]

    # ---------------------------------------------------------------- names

    def _rows(self, name: str, tags: tuple[int, ...]) -> list[int]:
        """Rows of the entries called ``name``, in the order of ``tags``, declarations last."""
        wanted = np.uint64(reference.name_hash(name.encode()))
        found = [int(i) for i in np.flatnonzero(self._hash == wanted) if int(self._tag[i]) in tags]
        found = [i for i in found if self._text(i) == name]
        return sorted(found, key=lambda i: (bool(self._flags[i] & _FLAG_DECLARATION), tags.index(int(self._tag[i]))))

    def _text(self, row: int) -> str:
        where = int(self._name[row])
        return self._info.text(where >> 56, where & (1 << 56) - 1) if where else ""

    def find_type(self, name: str) -> int | None:
        """Offset of the type called ``name`` (Go's full name: ``runtime.mspan``, ``*main.T``, ``map[string]int``)."""
        rows = self._rows(name, _TYPE_TAGS)
        return int(self._offset[rows[0]]) if rows else None

    @cached_property
    def globals(self) -> tuple[Global, ...]:
        """Every variable outside functions that has a static address, by address."""
        rows = np.flatnonzero((self._tag == _TAG_VARIABLE) & (self._flags & _FLAG_VALUE != 0) & (self._name != 0))
        found = [Global(self._text(int(i)), int(self._value[i]), int(self._type[i])) for i in rows]
        return tuple(sorted(found, key=lambda g: (g.address, g.name)))

    def constants(self, names: list[str] | tuple[str, ...]) -> dict[str, int]:
        """The integer constants among ``names`` that the compiler wrote down (it leaves out unused ones)."""
        found: dict[str, int] = {}
        for name in names:
            for row in self._rows(name, (_TAG_CONSTANT,)):
                if self._flags[row] & _FLAG_VALUE:
                    value = int(self._value[row])
                    signed = self._flags[row] & _FLAG_SIGNED and value >> 63
                    found.setdefault(name, value - (1 << 64) if signed else value)
        return found

    def struct_names(self) -> list[str]:
        """The names of all struct types, sorted."""
        rows = np.flatnonzero((self._tag == _TAG_STRUCT) & (self._name != 0))
        return sorted({self._text(int(i)) for i in rows})

    # ---------------------------------------------------------------- types

    def type(self, offset: int) -> DwarfType:
        """The type whose entry stands at ``offset``, with typedefs resolved. Offset 0 is void.

        Raises:
            FormatError: no type stands there, or its typedefs go in a circle.
        """
        found = self._types.get(offset)
        if found is None:
            found = self._types[offset] = self._read_type(offset)
        return found

    def _at(self, offset: int) -> tuple[Unit, Die]:
        unit = self._info.unit_at(offset)
        die = None if unit is None else self._info.die(unit, offset)
        if unit is None or die is None:
            raise FormatError(f".debug_info: no entry at {offset:#x}", "the debug information is damaged; rebuild")
        return unit, die

    def _read_type(self, offset: int) -> DwarfType:
        kind = runtime_type = size = elem = key = None
        name, at = "", offset
        for _ in range(_MAX_CHAIN):
            if at == 0:
                return DwarfType(offset, 0, kind or 0, name or "void", size or 0, elem, key, 0, (), runtime_type)
            unit, die = self._at(at)
            name = name or die.name
            kind = die.number(_AT_GO_KIND) if kind is None else kind
            runtime_type = die.number(_AT_GO_RUNTIME) if runtime_type is None else runtime_type
            size = die.number(_AT_SIZE) if size is None else size
            elem = die.number(_AT_GO_ELEM) if elem is None else elem
            key = die.number(_AT_GO_KEY) if key is None else key
            if die.tag not in _WRAPPERS:
                break
            at = die.number(_AT_TYPE) or 0
        else:
            raise FormatError(
                f".debug_info: typedefs of {offset:#x} go in a circle", "the debug information is damaged"
            )
        count = 0
        fields: tuple[Member, ...] = ()
        if die.tag in (_TAG_POINTER, _TAG_REFERENCE):
            elem = die.number(_AT_TYPE) if elem is None else elem
            size = size or unit.address_size
        elif die.tag == _TAG_SUBROUTINE:
            size = size or unit.address_size  # a Go func value is one word
        elif die.tag == _TAG_ARRAY:
            elem = die.number(_AT_TYPE) if elem is None else elem
            count = self._count(unit, die)
            size = size or count * self._size(elem or 0)  # C compilers leave the size of an array out
        elif die.tag in (_TAG_STRUCT, _TAG_UNION, _TAG_CLASS):
            fields = self._fields(unit, die)
        if not kind:  # a C type, or unsafe.Pointer, whose entry is bare
            kind = _KIND_UNSAFE_POINTER if name == "unsafe.Pointer" else _derived_kind(die, size or 0)
        return DwarfType(offset, at, kind, name, size or 0, elem or None, key or None, count, fields, runtime_type)

    def _count(self, unit: Unit, array: Die) -> int:
        """Elements of an array, over all its dimensions."""
        total = 0
        for child in self._info.children(unit, array):
            if child.tag == _TAG_SUBRANGE:
                count, upper = child.number(_AT_COUNT), child.number(_AT_UPPER)
                count = count if count is not None else upper + 1 if upper is not None else 0
                total = count if total == 0 else total * count
        return max(0, min(total, _MAX_COUNT))

    def _size(self, offset: int) -> int:
        """Bytes of the type at ``offset``, through wrappers and arrays that do not say it themselves."""
        times, at = 1, offset
        for _ in range(_MAX_CHAIN):
            if at == 0:
                return 0
            unit, die = self._at(at)
            size = die.number(_AT_SIZE)
            if size is not None:
                return min(times * size, _MAX_COUNT)
            if die.tag in (_TAG_POINTER, _TAG_REFERENCE):
                return times * unit.address_size
            if die.tag == _TAG_ARRAY:
                times = min(times * self._count(unit, die), _MAX_COUNT)
            elif die.tag not in _WRAPPERS:
                return 0
            at = die.number(_AT_TYPE) or 0
        return 0

    def _fields(self, unit: Unit, struct: Die) -> tuple[Member, ...]:
        fields: list[Member] = []
        for child in self._info.children(unit, struct):
            if child.tag != _TAG_MEMBER:
                continue
            if len(fields) >= _MAX_FIELDS:
                raise FormatError(f".debug_info: struct at {struct.offset:#x} has too many fields", "it is damaged")
            fields.append(Member(child.name, _member_offset(child), child.number(_AT_TYPE) or 0))
        return tuple(fields)

    def struct(self, name: str) -> StructLayout | None:
        """The struct called ``name`` with the fields of nested structs as dotted names; None where there is none.

        A string, slice or interface field also gives its words: ``allspans``, ``allspans.array``, ``allspans.len``.
        Arrays of structs and pointers are not entered. A nameless member (C) lends its fields to its parent.
        """
        if name not in self._structs:
            self._structs[name] = self._read_struct(name)
        return self._structs[name]

    def _read_struct(self, name: str) -> StructLayout | None:
        for row in self._rows(name, _STRUCT_TAGS):
            top = self.type(int(self._offset[row]))
            if top.fields or top.kind == _KIND_STRUCT:
                return self.layout(top, name)
        return None

    def layout(self, top: DwarfType, name: str = "") -> StructLayout:
        """``struct``, for a type that is already at hand."""
        fields: dict[str, Field] = {}
        pending = [("", 0, member, 0) for member in reversed(top.fields)]
        while pending:
            prefix, base, member, depth = pending.pop()
            inner = self.type(member.type)
            path = f"{prefix}.{member.name}" if prefix and member.name else prefix or member.name
            if len(fields) >= _MAX_FIELDS or depth > _MAX_DEPTH:
                raise FormatError(f".debug_info: struct {name} nests too deep", "the debug information is damaged")
            if member.name and member.name != "_":
                fields.setdefault(path, Field(base + member.offset, inner.size, inner.name))
            if member.name != "_":
                pending += [(path, base + member.offset, m, depth + 1) for m in reversed(inner.fields)]
        return StructLayout(name or top.name, top.size, fields)


def _member_offset(member: Die) -> int:
    where = member.attributes.get(_AT_LOCATION)
    if where is None:
        return (member.number(_AT_BIT_OFFSET) or 0) // 8
    if where.kind != "block":
        return where.number
    if where.data[:1] == b"\x23":  # DW_OP_plus_uconst, how DWARF 2 said it
        cursor = reference.Cursor(where.data, 1, len(where.data))
        try:
            return cursor.uleb()
        except reference.MalformedError:
            return 0
    return 0


def _derived_kind(die: Die, size: int) -> int:
    """``reflect.Kind`` of a type that no Go compiler wrote."""
    if die.tag == _TAG_BASE:
        return _BASE_KINDS.get((_ENCODINGS.get(die.number(_AT_ENCODING) or 0, ""), size), 0)
    if die.tag == _TAG_ENUM:
        return _BASE_KINDS.get(("unsigned", size), 0)
    if die.tag in (_TAG_POINTER, _TAG_REFERENCE):
        return _KIND_POINTER
    if die.tag == _TAG_ARRAY:
        return _KIND_ARRAY
    if die.tag == _TAG_SUBROUTINE:
        return _KIND_FUNC
    return _KIND_STRUCT if die.tag in (_TAG_STRUCT, _TAG_UNION, _TAG_CLASS) else 0
