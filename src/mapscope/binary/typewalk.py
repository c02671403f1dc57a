"""Every type descriptor of a program: the linker's lists, and all that the types on them refer to."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mapscope.binary.moduledata import ModuleData
from mapscope.binary.rtype import Kind, RType

if TYPE_CHECKING:
    from mapscope.binary.rtypes import TypeReader

_MAX_TYPES = 1 << 21
_MAX_LINKS = 1 << 22


def all_types(types: TypeReader, extra: Iterable[int] = ()) -> npt.NDArray[np.uint64]:
    """Addresses, ascending, of the types on the modules' lists, of the types in ``extra``, and their closure."""
    todo = [address for module in types.modules for address in _listed(types, module)]
    todo.extend(int(address) for address in extra)
    seen: set[int] = set()
    found: list[int] = []
    while todo and len(seen) < _MAX_TYPES:
        address = todo.pop()
        if address in seen:
            continue
        seen.add(address)
        rtype = types.at(address)
        if rtype is None:
            continue
        found.append(address)
        todo.extend(part for part in references(rtype) if part not in seen)
    return np.array(sorted(found), np.uint64)


def references(rtype: RType) -> Iterator[int]:
    """Addresses of the types that ``rtype`` refers to."""
    if rtype.ptr_to_this:
        yield rtype.ptr_to_this
    if rtype.elem:
        yield rtype.elem
    if rtype.key:
        yield rtype.key
    if rtype.map is not None:
        yield rtype.map.bucket
    for field in rtype.fields:
        yield field.type
    yield from rtype.params
    yield from rtype.results


def _listed(types: TypeReader, module: ModuleData) -> Iterator[int]:
    address, count = module.typelinks
    raw = types.read(address, 4 * count) if 0 < count <= _MAX_LINKS else None
    if raw is not None:
        for offset in np.frombuffer(raw, "<i4").tolist():
            yield module.types + offset
    address, count = module.itablinks
    raw = types.read(address, 8 * count) if 0 < count <= _MAX_LINKS else None
    if raw is not None:
        for itab in np.frombuffer(raw, "<u8").tolist():
            yield from _itab_types(types, itab)
    if module.typedesclen:
        yield from _descriptors(types, module)
        yield from _itabs(types, module)


def _itab_types(types: TypeReader, itab: int) -> tuple[int, ...]:
    raw = types.read(itab, 16)
    return struct.unpack("<QQ", raw) if raw is not None else ()


def _descriptors(types: TypeReader, module: ModuleData) -> Iterator[int]:
    """Go 1.27: descriptors lie one after the other from ``types`` on (runtime/type.go moduleTypelinks)."""
    address, end = module.types + 8, min(module.types + module.typedesclen, module.etypes)
    while address < end:
        address = -(-address // 8) * 8
        rtype = types.at(address)
        if rtype is None:
            return  # without its size the next one cannot be told; the closure and ``extra`` find the rest
        yield address
        address += types.descriptor_size(rtype)


def _itabs(types: TypeReader, module: ModuleData) -> Iterator[int]:
    """Go 1.27: itabs lie one after the other (runtime/iface.go addModuleItabs; abi.ITab.Size)."""
    address = module.types + module.itaboffset
    end = min(address + module.itabsize, address + (1 << 28))
    while address < end:
        raw = types.read(address, 32)
        if raw is None:
            return
        interface, concrete, _, first = struct.unpack("<QQQQ", raw)
        yield interface
        yield concrete
        inter = types.at(interface)
        if inter is None or inter.kind is not Kind.INTERFACE:
            return
        address += 32 + (8 * (max(inter.methods, 1) - 1) if first else 0)
