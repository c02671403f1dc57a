"""Pointer masks of types: as the compiler wrote them, from a GC program, or built from the type's parts.

runtime/type.go getGCMask and buildGCMask (Go 1.24 on), runtime/mbitmap.go materializeGCProg (before).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mapscope.binary.gcprog import MAX_BITS, run_gc_program
from mapscope.binary.rtype import Kind, RType
from mapscope.errors import FormatError

if TYPE_CHECKING:
    from mapscope.binary.rtypes import TypeReader

Mask = npt.NDArray[np.bool_]
_MAX_PARTS = 1 << 16


def pointer_mask(types: TypeReader, address: int) -> Mask | None:
    """The mask of the type at ``address``, ``ptrdata / 8`` words; None when it cannot be had.

    Types whose mask is made on demand are composed of others of the same sort, as deep as the program's source nests
    them: a list of what is still to do takes the place of recursion.
    """
    done: dict[int, Mask | None] = {}
    begun: set[int] = set()
    todo = [address]
    while todo:
        current = todo[-1]
        if current in done:
            todo.pop()
            continue
        rtype = types.at(current)
        if rtype is None or not rtype.gc_on_demand or not rtype.has_pointers:
            done[current] = None if rtype is None else _stored(types, rtype)
            continue
        if len(done) > _MAX_PARTS:
            return None
        parts = [part for part in _parts(types, rtype) if part not in done]
        if parts and current not in begun:
            begun.add(current)
            todo.extend(parts)
            continue
        done[current] = _built(types, rtype, done)
    return done[address]


def _stored(types: TypeReader, rtype: RType) -> Mask | None:
    words = rtype.ptrdata // 8
    if words == 0:
        return np.zeros(0, np.bool_)
    if words > MAX_BITS:
        return None
    if rtype.gc_program:
        try:  # four bytes with the length of the program come first (cmd/compile gcprog)
            return run_gc_program(types, rtype.gcdata + 4, words)
        except FormatError:
            return None  # "cannot be had" is a value here, the caller counts such types
    raw = types.read(rtype.gcdata, (words + 7) // 8)
    if raw is None:
        return None
    return np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[:words].astype(np.bool_)


def _parts(types: TypeReader, rtype: RType) -> list[int]:
    if rtype.kind is Kind.ARRAY:
        return [rtype.elem]
    found = {field.type: types.at(field.type) for field in rtype.fields}
    return [address for address, part in found.items() if part is None or part.has_pointers]


def _built(types: TypeReader, rtype: RType, done: dict[int, Mask | None]) -> Mask | None:
    words = rtype.ptrdata // 8
    if words > MAX_BITS:
        return None
    out = np.zeros(words, np.bool_)
    if rtype.kind is Kind.ARRAY:
        elem, mask = types.at(rtype.elem), done.get(rtype.elem)
        if elem is None or mask is None or not elem.size or elem.size % 8:
            return None
        one = np.zeros(elem.size // 8, np.bool_)
        one[: mask.size] = mask
        return np.resize(one, words) if rtype.size >= rtype.length * elem.size else None
    if rtype.kind is not Kind.STRUCT:
        return None
    for field in rtype.fields:
        part = types.at(field.type)
        if part is None:
            return None
        if not part.has_pointers:
            continue
        mask = done.get(field.type)
        at = field.offset // 8
        if mask is None or at + mask.size > words or field.offset % 8:
            return None
        out[at : at + mask.size] |= mask
    return out
