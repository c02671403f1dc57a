"""R13: large keys or values lie inline in the slots of a sparse map, so every empty slot costs their full size.

Keys and values of up to 128 bytes lie in the slots themselves (``abi.MapMaxKeyBytes``, ``MapMaxElemBytes``); larger
ones are held by pointer. In a sparse map (R9, R10) a pointer of 8 bytes in each slot would cost far less. The bytes
are a part of those of R9 or R10: what pointers would have saved.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapscope.findings import r09_sparse, r10_overhinted
from mapscope.findings.columns import Ints, current_waste, ints
from mapscope.findings.context import Context
from mapscope.findings.model import Advice, Finding
from mapscope.findings.r09_sparse import sparse_evidence
from mapscope.findings.selection import Selection, emit
from mapscope.findings.sketch import go_elem, go_key, go_type
from mapscope.maps.model import Confidence, Map
from mapscope.units import Addr

RULE = "R13"
TITLE = "large inline values in a sparse map"

_POINTER = 8
_MAX_SLOT = 256


def select(context: Context) -> Selection:
    """The maps of R9 and R10 with slots of at least ``inline_slot_bytes``; the bytes are what pointers would save."""
    maps, limits = context.maps, context.thresholds
    sparse = np.zeros(len(maps), bool)
    for rule in (r09_sparse, r10_overhinted):
        sparse[rule.select(context).rows] = True
    key, elem = _slot_sizes(context)
    larger = np.maximum(key, elem)
    empty = np.maximum(ints(maps, "capacity") - ints(maps, "count"), 0)
    saved = np.minimum(np.minimum(empty, 2**48) * np.maximum(larger - _POINTER, 0), current_waste(maps))
    return Selection.where(sparse & (key + elem >= limits.inline_slot_bytes), saved, limits.sparse_min_bytes)


def _slot_sizes(context: Context) -> tuple[Ints, Ints]:
    """Bytes of key and value in a slot, by row; 0 where the type is unknown."""
    types = context.maps.types
    sizes = np.array([(t.slot_key_size, t.slot_elem_size) for t in types] + [(0, 0)], np.int64)
    sizes = np.clip(sizes, 0, _MAX_SLOT)
    index = np.asarray(context.maps.columns["type_index"]).astype(np.int64)
    index = np.where((index < 0) | (index >= len(types)), len(types), index)
    return sizes[index, 0], sizes[index, 1]


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one map."""
    known = found.type
    key, elem = (known.slot_key_size, known.slot_elem_size) if known is not None else (0, 0)
    if elem >= key:
        text = f"Store pointers: each of {found.capacity:,} slots now takes {elem} bytes for its value, empty or not."
        code = f"m := make(map[{go_key(found)}]*{go_elem(found)})\nm[k] = &v // was: m[k] = v in a {go_type(found)}"
    else:
        text = (
            f"Use a shorter key (a string, a hash, an interned pointer): each of {found.capacity:,} slots now takes "
            f"{key} bytes for its key, empty or not."
        )
        code = f"m := make(map[*{go_key(found)}]{go_elem(found)}) // with interned keys (package unique from Go 1.23)"
    evidence: dict[str, int | str] = {"slot_key_size": key, "slot_elem_size": elem}
    return Finding(
        rule=RULE,
        title=TITLE if elem >= key else "large inline keys in a sparse map",
        bytes=held,
        subject=Addr(found.address),
        confidence=Confidence.INFERRED,
        why="The slot size is the type's own; the bytes are what 8-byte pointers in the empty slots would have saved.",
        evidence=evidence | sparse_evidence(found),
        advice=Advice(text, code),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
