"""Maps that no typed word reaches: found by shape, and believed only when everything below the header fits.

Candidates are slots of the header's size class whose pointer mask is the header's own, and windows of live stacks. A
candidate becomes a map when some map type of the program explains it: its array has exactly the size that this type
would get, and the number of live cells counted in the arrays is the header's count. Empty maps prove nothing and are
left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope.arrays import unique
from mapscope.goruntime.index import column, gather
from mapscope.goruntime.typetable import TypeTable
from mapscope.heap.trace import MARKED, TraceState
from mapscope.maps.decode import CLASSIC_OUT, SWISS_OUT, Decoder, classic_rows, swiss_rows
from mapscope.maps.headers import read_headers
from mapscope.maps.model import FLAG_SAME_SIZE_GROW
from mapscope.maps.sizes import classic_array
from mapscope.maps.types import MapShape

_CLASSIC_POINTERS = ("buckets", "oldbuckets", "extra")
_SWISS_POINTERS = ("dirPtr",)
_MAX_B = 40
_NEAR = 1 << 16
MIN_TOPHASH = 5
"""``minTopHash`` of runtime/map.go: smaller values mark empty and evacuated cells."""


class Inferred(Struct, frozen=True):
    """Maps found by shape.

    ``shape`` indexes the given shapes, -1: nothing tells the type; ``sure`` says that it is the only one that fits.
    """

    address: npt.NDArray[np.uint64]
    shape: npt.NDArray[np.int64]
    sure: npt.NDArray[np.bool_]

    @classmethod
    def none(cls) -> Inferred:
        """No maps."""
        empty = np.zeros(0, dtype=np.int64)
        return cls(empty.astype(np.uint64), empty, empty.astype(np.bool_))


def header_mask(decoder: Decoder, swiss: bool) -> int:
    """Pointer bits of the header's words: 001101 for hmap (bit 0 first: words 2, 3, 5), 001 for maps.Map (word 2)."""
    layout = decoder.layouts.struct("swissmap" if swiss else "hmap")
    names = _SWISS_POINTERS if swiss else _CLASSIC_POINTERS
    return sum(1 << (layout.offset(name) // 8) for name in names)


def header_slots(decoder: Decoder, swiss: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ids of all slots that a header can lie in: of its size class, and with its pointer mask.

    The runtime alone allocates headers, each by itself (runtime/map.go: makemap; internal/runtime/maps: NewEmptyMap).
    The second answer: slots of that class whose mask the evidence does not have (it reads as zeros).
    """
    layout = decoder.layouts.struct("swissmap" if swiss else "hmap")
    size = decoder.allocator.slot(layout.size, False)
    spans = decoder.index.spans
    which = np.flatnonzero((spans["elemsize"] == size) & (spans["noscan"] == 0))
    fits, _ = decoder.index.slots_like(which, header_mask(decoder, swiss), flags=decoder.flags, need=0)
    none, _ = decoder.index.slots_like(which, 0, flags=decoder.flags, need=0)
    return fits, none


def heap_candidates(
    decoder: Decoder, slots: npt.NDArray[np.int64], state: TraceState, types: TypeTable
) -> npt.NDArray[np.uint64]:
    """Addresses of those ``slots`` (see ``header_slots``) that are marked and that no type has been found for."""
    return decoder.index.address_of(slots[(state.flags[slots] & MARKED != 0) & (state.types_of(slots) < 0)])


def infer(
    decoder: Decoder,
    candidates: npt.NDArray[np.uint64],
    shapes: Sequence[MapShape],
    state: TraceState,
    types: TypeTable,
    masks: dict[int, npt.NDArray[np.bool_]],
    *,
    swiss: bool,
) -> Inferred:
    """The candidates that are maps. ``masks``: pointer mask of each shape's bucket or group type, by shape index."""
    if not len(candidates) or not shapes:
        return Inferred.none()
    columns, ok = read_headers(decoder.index, decoder.layouts, candidates, swiss)
    plausible = ok & (_plausible_swiss(decoder, columns) if swiss else _plausible_classic(decoder, columns))
    at = np.flatnonzero(plausible)
    candidates = candidates[at]
    columns = {name: values[at] for name, values in columns.items()}
    if not len(at):
        return Inferred.none()
    sizes: dict[tuple[int, bool], list[int]] = {}
    for index, shape in enumerate(shapes):
        sizes.setdefault((shape.fields.bucket_size, shape.noscan), []).append(index)
    arrays = _arrays(decoder, columns, swiss)
    chosen = np.full(len(candidates), -1, dtype=np.int64)
    sure = np.zeros(len(candidates), dtype=np.bool_)
    found = _beside_header(decoder, candidates, columns, arrays, swiss)
    for (size, noscan), members in sizes.items():
        fits = _size_fits(decoder, columns, arrays, size, noscan, swiss) & (chosen < 0)
        where = np.flatnonzero(fits)
        if not len(where):
            continue
        rows = where[_count(decoder, state, _take(columns, where), shapes, members[0], swiss)]
        if not len(rows):
            continue
        allowed = _narrow(decoder, state, types, arrays[rows], members, shapes, masks)
        _weigh_indirect(decoder, state, _take(columns, rows), shapes, members, allowed, swiss)
        some = allowed.any(axis=1)
        chosen[rows[some]] = np.array(members)[allowed[some].argmax(axis=1)]
        sure[rows[some]] = allowed[some].sum(axis=1) == 1
    found |= chosen >= 0
    return Inferred(candidates[found], chosen[found], sure[found])


def _beside_header(
    decoder: Decoder,
    candidates: npt.NDArray[np.uint64],
    columns: dict[str, npt.NDArray[np.uint64]],
    arrays: npt.NDArray[np.uint64],
    swiss: bool,
) -> npt.NDArray[np.bool_]:
    """Maps of at most eight entries whose only bucket or group lies on the stack, near the header.

    Nothing there tells the type, but the first eight bytes (tophash, control word) must count as many live cells as the
    header says.
    """
    ids, _ = decoder.index.find(arrays)
    near = (arrays - candidates + np.uint64(_NEAR)) < np.uint64(2 * _NEAR)
    single = columns["dirLen"] == 0 if swiss else (columns["B"] == 0) & (columns["oldbuckets"] == 0)
    rows, ok = gather(decoder.index, arrays, 8)
    live = (rows < 0x80 if swiss else rows >= MIN_TOPHASH).sum(axis=1).astype(np.uint64)
    out: npt.NDArray[np.bool_] = (
        (ids < 0) & near & single & ok & (live == columns["count"]) & (arrays % np.uint64(8) == 0)
    )
    return out


def _plausible_classic(decoder: Decoder, columns: dict[str, npt.NDArray[np.uint64]]) -> npt.NDArray[np.bool_]:
    same = columns["flags"] & np.uint64(FLAG_SAME_SIZE_GROW) != 0
    b = np.minimum(columns["B"], np.uint64(63))
    old = np.where(same, np.uint64(1) << b, (np.uint64(1) << b) >> np.uint64(1))
    growing = columns["oldbuckets"] != 0
    ok: npt.NDArray[np.bool_] = (
        (columns["count"] > 0)
        & (columns["count"] < np.uint64(1 << 44))
        & (columns["flags"] < 16)
        & (columns["B"] <= _MAX_B)
        & (columns["buckets"] != 0)
        & (np.where(growing, columns["nevacuate"] <= old, columns["nevacuate"] == 0) | ~growing)
    )
    return ok


def _plausible_swiss(decoder: Decoder, columns: dict[str, npt.NDArray[np.uint64]]) -> npt.NDArray[np.bool_]:
    depth = columns["globalDepth"]
    length = columns["dirLen"]
    large = length != 0
    shift = np.where(large, np.uint64(64) - np.minimum(depth, np.uint64(64)), np.uint64(64))
    ok: npt.NDArray[np.bool_] = (
        (columns["count"] > 0)
        & (columns["dirPtr"] != 0)
        & (columns["dirPtr"] % np.uint64(8) == 0)
        & (columns["writing"] <= 1)
        & (depth <= 40)
        & np.where(large, length == np.uint64(1) << np.minimum(depth, np.uint64(63)), depth == 0)
        & (~large | (columns["globalShift"] == shift) | (columns["globalShift"] == shift % np.uint64(64)))
        & (large | (columns["count"] <= 8))
        & (columns.get("tombstonePossible", np.zeros(1, dtype=np.uint64)) <= 1)
    )
    return ok


def _arrays(decoder: Decoder, columns: dict[str, npt.NDArray[np.uint64]], swiss: bool) -> npt.NDArray[np.uint64]:
    """Address of the array whose size tells the type: the bucket array, the only group, or the first table's groups."""
    if not swiss:
        return columns["buckets"]
    large = np.flatnonzero(columns["dirLen"])
    out = columns["dirPtr"].copy()
    tables, ok = gather(decoder.index, columns["dirPtr"][large], 8)
    first = np.where(ok, column(tables, 0, 8), np.uint64(0))
    layout = decoder.layouts.struct("table")
    rows, fine = gather(decoder.index, first, layout.size)
    out[large] = np.where(fine, column(rows, layout.offset("groups.data"), 8), np.uint64(0))
    return out


def _size_fits(
    decoder: Decoder,
    columns: dict[str, npt.NDArray[np.uint64]],
    arrays: npt.NDArray[np.uint64],
    size: int,
    noscan: bool,
    swiss: bool,
) -> npt.NDArray[np.bool_]:
    """Whether the array lies at the start of a slot of just the size and kind that this bucket size asks for."""
    ids, base = decoder.index.find(arrays)
    out = np.zeros(len(ids), dtype=np.bool_)
    at = np.flatnonzero(ids >= 0)
    spans = decoder.index.spans[decoder.index.span_of_object(ids[at])]
    starts = (arrays[at] == base[at]) | ((spans["header"] != 0) & (arrays[at] == base[at] + np.uint64(8)))
    kind = (spans["noscan"] != 0) == noscan
    if swiss:
        capacity = np.full(len(at), 8, dtype=np.uint64)
        large = columns["dirLen"][at] != 0
        tables, ok = gather(decoder.index, columns["dirPtr"][at][large], 8)
        layout = decoder.layouts.struct("table")
        rows, fine = gather(decoder.index, np.where(ok, column(tables, 0, 8), np.uint64(0)), layout.size)
        entry = layout.field("capacity")
        capacity[large] = np.where(fine, column(rows, entry.offset, 2), np.uint64(0))
        wanted = {c: decoder.allocator.slot(c // 8 * size, noscan) for c in unique(capacity).tolist()}
        expect = np.array([wanted[c] for c in capacity.tolist()], dtype=np.uint64)
    else:
        logs = columns["B"][at]
        table = {b: classic_array(decoder.allocator, b, size, noscan)[0] for b in unique(logs).tolist()}
        expect = np.array([table[b] for b in logs.tolist()], dtype=np.uint64)
    fits: npt.NDArray[np.bool_] = out.copy()
    fits[at] = starts & kind & (spans["elemsize"] == expect)
    return fits


def _take(columns: dict[str, npt.NDArray[np.uint64]], rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.uint64]]:
    return {name: values[rows] for name, values in columns.items()}


def _walk(
    decoder: Decoder,
    state: TraceState,
    columns: dict[str, npt.NDArray[np.uint64]],
    shapes: Sequence[MapShape],
    member: int,
    swiss: bool,
) -> dict[str, npt.NDArray[np.uint64]]:
    """What lies below each header, read as the map type ``member``."""
    which = np.full(len(columns["count"]), member, dtype=np.int64)
    if swiss:
        rows = swiss_rows(columns, shapes, which, True)
        result = np.zeros((len(rows), len(SWISS_OUT)), dtype=np.uint64)
        load("maps").swiss(decoder.index, decoder.table_layout(), rows, result)
        names: tuple[str, ...] = SWISS_OUT
    else:
        rows = classic_rows(columns, shapes, which)
        result = np.zeros((len(rows), len(CLASSIC_OUT)), dtype=np.uint64)
        load("maps").classic(decoder.index, state.flags, rows, result)
        names = CLASSIC_OUT
    return dict(zip(names, result.T, strict=True))


def _count(
    decoder: Decoder,
    state: TraceState,
    columns: dict[str, npt.NDArray[np.uint64]],
    shapes: Sequence[MapShape],
    member: int,
    swiss: bool,
) -> npt.NDArray[np.bool_]:
    """Whether the live cells below each header, read with the bucket size of ``member``, are as many as its count."""
    got = _walk(decoder, state, columns, shapes, member, swiss)
    good: npt.NDArray[np.bool_] = (got["live"] == columns["count"]) & (got["unreadable"] == 0) & (got["corrupt"] == 0)
    if swiss:
        good &= (columns["dirLen"] == 0) | (got["used"] == columns["count"])
    return good


def _narrow(
    decoder: Decoder,
    state: TraceState,
    types: TypeTable,
    arrays: npt.NDArray[np.uint64],
    members: Sequence[int],
    shapes: Sequence[MapShape],
    masks: dict[int, npt.NDArray[np.bool_]],
) -> npt.NDArray[np.bool_]:
    """Rows × members: which map types with one bucket size the array's own type word or pointer bits allow."""
    ids, base = decoder.index.find(arrays)
    allowed = np.ones((len(arrays), len(members)), dtype=np.bool_)
    at = np.flatnonzero(ids >= 0)
    spans = decoder.index.spans[decoder.index.span_of_object(ids[at])]
    by_type = np.array([record.address for record in types.records] + [0], dtype=np.uint64)
    words = by_type[state.types_of(ids[at])]
    buckets = np.array([shapes[m].bucket_address for m in members], dtype=np.uint64)
    named = (words[:, None] == buckets[None, :]) & (words != 0)[:, None]
    has_name = named.any(axis=1)
    allowed[at[has_name]] = named[has_name]
    small = ~has_name & (spans["noscan"] == 0) & (spans["elemsize"] <= 512)
    bits = _object_bits(decoder, spans[small], base[at[small]])
    for at_column, member in enumerate(members):
        mask = masks.get(member)
        if mask is None:
            continue
        length = np.minimum(len(mask), (spans["elemsize"][small] // 8).astype(np.int64))
        ones = (np.uint64(1) << np.minimum(length, 63).astype(np.uint64)) - np.uint64(1)
        want = np.uint64(sum(1 << k for k, bit in enumerate(mask.tolist()[:63]) if bit))
        allowed[at[small], at_column] = (bits & ones) == (want & ones)
    return allowed


def _object_bits(decoder: Decoder, spans: npt.NDArray[np.void], base: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The first 64 pointer bits of the slots at ``base``."""
    mask = decoder.index.ptrmask
    bit = spans["maskbit"] + ((base - spans["base"]) >> np.uint64(3))
    word, shift = (bit >> np.uint64(6)).astype(np.int64), bit & np.uint64(63)
    high = np.where(shift > 0, mask[word + 1] << (np.uint64(64) - np.maximum(shift, np.uint64(1))), np.uint64(0))
    bits: npt.NDArray[np.uint64] = (mask[word] >> shift) | high
    return bits


def _weigh_indirect(
    decoder: Decoder,
    state: TraceState,
    columns: dict[str, npt.NDArray[np.uint64]],
    shapes: Sequence[MapShape],
    members: Sequence[int],
    allowed: npt.NDArray[np.bool_],
    swiss: bool,
) -> None:
    """Narrows ``allowed`` down where some types hold keys or elems by pointer and others hold pointers.

    Keys or elems of more than 128 bytes lie in slots of just their size, one an entry. Where the slots behind the words
    add up to that, it is such a type; else it is not.
    """
    by_pointer = [k for k, m in enumerate(members) if shapes[m].fields.indirect_key or shapes[m].fields.indirect_elem]
    fits = np.zeros(len(allowed), dtype=np.bool_)
    for at_column in by_pointer:
        rows = np.flatnonzero(allowed[:, at_column])
        if not len(rows):
            continue
        shape = shapes[members[at_column]]
        kind = shape.type
        each = 0
        for held, size, noscan in (
            (kind.key_indirect, kind.key_size, shape.key_noscan),
            (kind.elem_indirect, kind.elem_size, shape.elem_noscan),
        ):
            each += decoder.allocator.slot(size, noscan) if held else 0
        got = _walk(decoder, state, _take(columns, rows), shapes, members[at_column], swiss)
        right = got["indirect"] == columns["count"][rows] * np.uint64(each)
        allowed[rows[~right], at_column] = False
        fits[rows[right]] = True
    plain = np.array([k not in by_pointer for k in range(len(members))], dtype=np.bool_)
    allowed[np.outer(fits, plain)] = False
