"""Type descriptors read from an executable or from a process's memory: every kind, Go 1.19 to 1.27, 64 bits.

The common part (48 bytes) has not changed in these releases; map types have (``MapTypeFields``), and so have the flags
for direct interfaces, GC programs and masks on demand. What is read is validated: an address that holds no type gives
None.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mapscope.binary import typemask, typewalk
from mapscope.binary.moduledata import ModuleData
from mapscope.binary.reader import Reader
from mapscope.binary.rtype import (
    KIND_DIRECT_IFACE,
    KIND_GC_PROGRAM,
    KIND_MASK,
    TFLAG_DIRECT_IFACE,
    TFLAG_EXTRA_STAR,
    TFLAG_GC_MASK_ON_DEMAND,
    TFLAG_NAMED,
    TFLAG_UNCOMMON,
    Kind,
    MapTypeFields,
    RType,
    TypeField,
)

_COMMON = struct.Struct("<QQIBBBBQQii")
COMMON_SIZE = _COMMON.size
UNCOMMON_SIZE = 16
_MAX_NAME = 1 << 16
_MAX_FIELDS = 1 << 14
_MAX_SIZE = 1 << 47
_MAX_TYPES_BYTES = 1 << 29
_FEW_READS = 2_000
"""Whoever reads more often than this is given the types of each module as one block: some parse all, some a few."""
_SIZES = {
    Kind.BOOL: 1, Kind.INT: 8, Kind.INT8: 1, Kind.INT16: 2, Kind.INT32: 4, Kind.INT64: 8, Kind.UINT: 8, Kind.UINT8: 1,
    Kind.UINT16: 2, Kind.UINT32: 4, Kind.UINT64: 8, Kind.UINTPTR: 8, Kind.FLOAT32: 4, Kind.FLOAT64: 8, Kind.COMPLEX64:
    8, Kind.COMPLEX128: 16, Kind.CHAN: 8, Kind.FUNC: 8, Kind.INTERFACE: 16, Kind.MAP: 8, Kind.POINTER: 8, Kind.SLICE:
    24, Kind.STRING: 16, Kind.UNSAFE_POINTER: 8,
}  # fmt: skip


class TypeReader:
    """Type descriptors behind one Reader; each is parsed once, when it is first asked for."""

    def __init__(
        self, reader: Reader, modules: Sequence[ModuleData], *, series: tuple[int, int], swiss_maps: bool | None = None
    ) -> None:
        """``modules`` with addresses as ``reader`` has them; ``series`` is the Go release, (1, 24).

        ``swiss_maps``: None takes the release's default (from 1.24 on); say False for GOEXPERIMENT=noswissmap.
        """
        self.reader = reader
        self.modules = tuple(modules)
        self.series = series
        self.swiss_maps = series >= (1, 24) if swiss_maps is None else swiss_maps
        self._known: dict[int, RType | None] = {}
        self._masks: dict[int, npt.NDArray[np.bool_] | None] = {}
        self._blocks: list[tuple[int, bytes]] | None = None
        self._reads = 0

    def at(self, address: int) -> RType | None:
        """The type descriptor at ``address``; None when there is none (unreadable, or not plausible as one)."""
        if address in self._known:
            return self._known[address]
        found = self._parse(address)
        self._known[address] = found
        return found

    def itab(self, address: int) -> int | None:
        """Address of the concrete type of the itab at ``address`` (runtime.itab, abi.ITab); None when it is none."""
        raw = self.read(address, 20) if address and address % 8 == 0 else None
        if raw is None:
            return None
        interface, concrete, hashed = struct.unpack("<QQI", raw)
        inter, found = self.at(interface), self.at(concrete)
        if inter is None or found is None or inter.kind is not Kind.INTERFACE or found.hash != hashed:
            return None
        return int(concrete)

    def pointer_mask(self, address: int) -> npt.NDArray[np.bool_] | None:
        """Which of the first ``ptrdata / 8`` words of the type at ``address`` are pointers; the words after are none.

        None when the type or its mask cannot be read. The array is shared: do not write to it.
        """
        if address not in self._masks:
            self._masks[address] = typemask.pointer_mask(self, address)
        return self._masks[address]

    def all_types(self, extra: Iterable[int] = ()) -> npt.NDArray[np.uint64]:
        """Addresses, ascending, of every type descriptor that can be found.

        From typelinks and itablinks (up to Go 1.26) or the walk of the descriptors (1.27), from ``extra`` (addresses
        that may be types: operands in the text, symbols), and from all that these refer to.
        """
        return typewalk.all_types(self, extra)

    def adopt(self, other: TypeReader) -> None:
        """Takes over what ``other`` has parsed of modules of which both have the same bytes at the same addresses.

        A process that was not relocated has its types as they are in the executable, and parsing takes longer than
        comparing.
        """
        if not other._known or (self.series, self.swiss_maps) != (other.series, other.swiss_maps):
            return
        for start, block in set(self._whole()) & set(other._whole()):
            end = start + len(block)
            self._known |= {at: of for at, of in other._known.items() if start <= at < end and of is not None}

    def read(self, address: int, size: int) -> bytes | None:
        """Bytes through the reader; after the first few, those between a module's ``types`` and ``etypes`` are kept."""
        if self._blocks is None and self._reads < _FEW_READS:
            self._reads += 1
            return self.reader.read(address, size)
        for start, block in self._whole():
            if start <= address and address + size <= start + len(block):
                return block[address - start : address - start + size]
        return self.reader.read(address, size)

    def _whole(self) -> list[tuple[int, bytes]]:
        if self._blocks is None:
            self._blocks = []
            for module in self.modules:
                length = module.etypes - module.types
                block = self.reader.read(module.types, length) if 0 < length <= _MAX_TYPES_BYTES else None
                if block is not None:
                    self._blocks.append((module.types, block))
        return self._blocks

    def module_of(self, address: int) -> ModuleData | None:
        """The module whose types hold ``address``; None for types made at run time."""
        return next((m for m in self.modules if m.holds_type(address)), None)

    def made_at_run_time(self) -> list[RType]:
        """Types met so far that lie in no module: those that reflect made (reflect.MapOf and the like)."""
        return [one for one in self._known.values() if one is not None and self.module_of(one.address) is None]

    def descriptor_size(self, rtype: RType) -> int:
        """Bytes that the descriptor takes, what follows it included (abi.Type.DescriptorSize, Go 1.27)."""
        size = self._base_size(rtype.kind)
        if rtype.tflag & TFLAG_UNCOMMON:
            raw = self.read(rtype.address + size, UNCOMMON_SIZE)
            size += UNCOMMON_SIZE + (16 * int.from_bytes(raw[4:6], "little") if raw else 0)
        size += 8 * (len(rtype.params) + len(rtype.results)) + 24 * len(rtype.fields) + 8 * rtype.methods
        return size

    def package_path(self, rtype: RType) -> str:
        """Import path of the package that defines a named type; empty for others."""
        module = self.module_of(rtype.address)
        if not rtype.tflag & TFLAG_UNCOMMON or module is None:
            return ""
        raw = self.read(rtype.address + self._base_size(rtype.kind), 4)
        offset = int.from_bytes(raw, "little") if raw else 0
        return self._name(module.types + offset)[0] if offset else ""

    # -- parsing

    def _base_size(self, kind: Kind) -> int:
        if kind is Kind.MAP:
            if not self.swiss_maps:
                return 88
            return 136 if self.series >= (1, 27) else 112
        return _BASE_SIZES.get(kind, COMMON_SIZE)

    def _parse(self, address: int) -> RType | None:
        if address <= 0 or address % 8:
            return None
        raw = self.read(address, COMMON_SIZE)
        if raw is None:
            return None
        size, ptrdata, hashed, tflag, align, field_align, kind_bits, _, gcdata, name_offset, this = _COMMON.unpack(raw)
        number = kind_bits & KIND_MASK
        if not 0 < number <= Kind.UNSAFE_POINTER or size >= _MAX_SIZE or ptrdata > size or ptrdata % 8:
            return None
        kind = _KINDS[number]
        if (
            _SIZES.get(kind, size) != size
            or align not in (1, 2, 4, 8, 16, 32, 64)
            or field_align not in (1, 2, 4, 8, 16, 32, 64)
        ):
            return None
        if ptrdata and not gcdata:
            return None
        parts = self._parts(address, kind, tflag, size)
        if parts is None:
            return None
        module = self.module_of(address)
        name, known = "", module is not None
        if module is not None:
            if not 0 < name_offset < module.etypes - module.types:
                return None
            name, readable = self._name(module.types + name_offset)[:2]
            name = name[1:] if tflag & TFLAG_EXTRA_STAR else name
            if not readable or not name or not _fits(name, kind, tflag):
                return None
        elif not tflag & TFLAG_NAMED:
            name = _composed(self, kind, parts)
        new = self.series >= (1, 26)
        return RType(
            address=address,
            kind=kind,
            name=name,
            name_known=known,
            size=size,
            ptrdata=ptrdata,
            align=align,
            hash=hashed,
            tflag=tflag,
            gcdata=gcdata,
            gc_program=self.series <= (1, 23) and bool(kind_bits & KIND_GC_PROGRAM),
            gc_on_demand=self.series >= (1, 24) and bool(tflag & TFLAG_GC_MASK_ON_DEMAND),
            direct_iface=bool(tflag & TFLAG_DIRECT_IFACE if new else kind_bits & KIND_DIRECT_IFACE),
            ptr_to_this=module.types + this if module is not None and 0 < this < module.etypes - module.types else 0,
            **parts,
        )

    def _parts(self, address: int, kind: Kind, tflag: int, size: int) -> dict[str, Any] | None:
        """What follows the common part, by kind; None when it does not hang together."""
        raw = self.read(address + COMMON_SIZE, self._base_size(kind) - COMMON_SIZE)
        if raw is None:
            return None
        words = struct.unpack(f"<{len(raw) // 8}Q", raw)
        if kind in (Kind.POINTER, Kind.SLICE):
            return {"elem": words[0]} if words[0] else None
        if kind is Kind.ARRAY:
            return {"elem": words[0], "length": words[2]} if words[0] and words[2] <= max(size, _MAX_SIZE) else None
        if kind is Kind.CHAN:
            return {"elem": words[0], "chan_dir": words[1]} if words[0] and words[1] in (1, 2, 3) else None
        if kind is Kind.FUNC:
            return self._signature(address, words[0], tflag)
        if kind is Kind.INTERFACE:
            return {"methods": words[2]} if words[2] == words[3] and words[2] <= _MAX_FIELDS else None
        if kind is Kind.MAP:
            slots = self._map_fields(words)
            return None if slots is None else {"elem": slots.elem, "key": slots.key, "map": slots}
        if kind is Kind.STRUCT:
            fields = self._struct_fields(words[1], words[2], size)
            return None if fields is None or words[2] != words[3] else {"fields": fields}
        return {}

    def _signature(self, address: int, word: int, tflag: int) -> dict[str, Any] | None:
        inputs, outputs = word & 0xFFFF, word >> 16 & 0x7FFF
        start = address + 56 + (UNCOMMON_SIZE if tflag & TFLAG_UNCOMMON else 0)
        raw = self.read(start, 8 * (inputs + outputs)) if inputs + outputs <= _MAX_FIELDS else None
        if raw is None:
            return None
        types = struct.unpack(f"<{inputs + outputs}Q", raw)
        return {"params": types[:inputs], "results": types[inputs:]}

    def _struct_fields(self, start: int, count: int, size: int) -> tuple[TypeField, ...] | None:
        if count == 0:
            return ()
        raw = self.read(start, 24 * count) if 0 < count <= _MAX_FIELDS and start % 8 == 0 else None
        if raw is None:
            return None
        fields = []
        previous = 0
        for at in range(0, len(raw), 24):
            name_address, of, offset = struct.unpack_from("<QQQ", raw, at)
            if not previous <= offset <= size or not of:
                return None
            name, readable, flags = self._name(name_address)
            if not readable:
                return None
            fields.append(TypeField(name, of, offset, bool(flags & 8)))
            previous = offset
        return tuple(fields)

    def _map_fields(self, words: tuple[int, ...]) -> MapTypeFields | None:
        key, elem, bucket, hasher = words[:4]
        if not key or not elem or not bucket:
            return None
        if not self.swiss_maps:
            sizes = words[4]
            key_size, elem_size, bucket_size, flags = sizes & 0xFF, sizes >> 8 & 0xFF, sizes >> 16 & 0xFFFF, sizes >> 32
            if 16 + 8 * (key_size + elem_size) > bucket_size or flags >= 1 << 5:
                return None
            indirect_key, indirect_elem, update, panics = flags & 1, flags & 2, flags & 8, flags & 16
            places = (8, key_size, 8 + 8 * key_size, elem_size)
        else:
            if self.series >= (1, 27):
                bucket_size, keys, key_stride, elems, elem_stride = words[4:9]
                flags = words[10] & 0xFFFFFFFF
                places = (keys, key_stride, elems, elem_stride)
            else:
                bucket_size, slot, offset = words[4:7]
                flags = words[7] & 0xFFFFFFFF
                places = (8, slot, 8 + offset, slot)
            update, panics, indirect_key, indirect_elem = flags & 1, flags & 2, flags & 4, flags & 8
            if flags >= 1 << 4 or bucket_size > 1 << 13:
                return None
            if places[0] < 8 or places[0] + 7 * places[1] > bucket_size or places[2] + 7 * places[3] > bucket_size:
                return None
            key_size = 8 if indirect_key else self._size_at(key)
            elem_size = 8 if indirect_elem else self._size_at(elem)
        return MapTypeFields(
            self.swiss_maps, key, elem, bucket, hasher, key_size, elem_size, bucket_size, *places,
            bool(indirect_key), bool(indirect_elem), bool(update), bool(panics),
        )  # fmt: skip

    def _size_at(self, address: int) -> int:
        raw = self.read(address, 8)
        size = int.from_bytes(raw, "little") if raw else 0
        return size if size <= 128 else 0

    def _name(self, address: int) -> tuple[str, bool, int]:
        """abi.Name at ``address``: the text (cut at 64 kB), whether it could be read as one, and its flag byte."""
        for start, block in self._blocks or ():
            at = address - start
            size = block[at + 1] if 0 <= at < len(block) - 1 else 0x80
            if size < 0x80 and at + 2 + size <= len(block):  # nearly all, and there are many
                text = block[at + 2 : at + 2 + size].decode("utf-8", "replace")
                return text, not _CONTROL.search(text), block[at]
        head = self.read(address, 6) or self.read(address, 2)
        if head is None:
            return "", False, 0
        size, shift, at = 0, 0, 1
        while at < len(head):
            size |= (head[at] & 0x7F) << shift
            shift += 7
            at += 1
            if head[at - 1] < 0x80:
                break
        else:
            return "", False, 0
        raw = self.read(address + at, min(size, _MAX_NAME))
        if raw is None:
            return "", False, 0
        text = raw.decode("utf-8", "replace")
        return text, not _CONTROL.search(text), head[0]


_KINDS = {kind.value: kind for kind in Kind}
_CONTROL = re.compile(r"[\x00-\x1f]")
_BASE_SIZES = {
    Kind.ARRAY: 72,
    Kind.CHAN: 64,
    Kind.FUNC: 56,
    Kind.INTERFACE: 80,
    Kind.POINTER: 56,
    Kind.SLICE: 56,
    Kind.STRUCT: 80,
}
_PREFIXES = {Kind.POINTER: "*", Kind.SLICE: "[]", Kind.MAP: "map[", Kind.FUNC: "func("}


def _fits(name: str, kind: Kind, tflag: int) -> bool:
    """Whether an unnamed type's name starts as its kind has it (the compiler marks some with noalg)."""
    prefix = _PREFIXES.get(kind)
    return prefix is None or bool(tflag & TFLAG_NAMED) or name.removeprefix("noalg.").startswith(prefix)


def _composed(types: TypeReader, kind: Kind, parts: dict[str, Any]) -> str:
    """The name of a type that reflect made at run time, from the names of its parts (reflect.MapOf, SliceOf, …)."""

    def of(address: int) -> str:
        found = types.at(address)
        return found.name if found is not None and found.name else "?"

    if kind is Kind.MAP:
        return f"map[{of(parts['key'])}]{of(parts['elem'])}"[:_MAX_NAME]
    if kind is Kind.ARRAY:
        return f"[{parts['length']}]{of(parts['elem'])}"[:_MAX_NAME]
    if kind is Kind.CHAN:
        return {1: "<-chan ", 2: "chan<- "}.get(parts["chan_dir"], "chan ") + of(parts["elem"])
    if kind in (Kind.POINTER, Kind.SLICE):
        return (_PREFIXES[kind] + of(parts["elem"]))[:_MAX_NAME]
    return ""
