"""All maps of a traced heap: first those that a type leads to, then those that only their shape gives away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.arrays import among, unique
from mapscope.heap.channels import type_channels
from mapscope.heap.model import Heap
from mapscope.heap.trace import COVER_ELEM, MARKED, run_trace
from mapscope.maps.decode import Decoder, decode
from mapscope.maps.infer import Inferred, header_mask, header_slots, heap_candidates, infer
from mapscope.maps.model import COLUMNS, Confidence, MapTable
from mapscope.maps.sizes import Allocator
from mapscope.maps.types import MapShape, map_shape

_MAX_ROUNDS = 16
_STACK_CHUNK = 1 << 22
_MAX_STACK = 1 << 26


class MapSet(Struct):
    """The maps of a heap with what later questions about them need."""

    table: MapTable
    shapes: list[MapShape]
    decoder: Decoder
    swiss: bool
    shape_of: npt.NDArray[np.int64]
    """By row: the shape that its arrays were read with, even where several map types share it; -1 none."""
    notes: list[str] = field(default_factory=list)


def find_maps(heap: Heap) -> MapSet:
    """The table of all maps. Types spread from maps that were found by shape, until nothing new turns up."""
    process = heap.process
    swiss = process.types.swiss_maps
    decoder = decoder_of(heap)
    shapes, at_of = _all_shapes(heap)
    masks = _bucket_masks(heap, shapes)
    slots, maskless = header_slots(decoder, swiss)
    loose: dict[int, tuple[int, bool]] = {}
    for _ in range(_MAX_ROUNDS):
        channels = type_channels(heap)
        if len(channels):
            _walk_on(heap, channels)
        candidates = _told(heap, heap_candidates(decoder, slots, heap.state, heap.types))
        found = infer(decoder, candidates, shapes, heap.state, heap.types, masks, swiss=swiss)
        fresh = [(int(a), int(s), bool(x)) for a, s, x in zip(found.address, found.shape, found.sure, strict=True)
                 if int(a) not in loose]  # fmt: skip
        if not fresh:
            break
        for address, shape, sure in fresh:
            loose[address] = (shape, sure)
        if not _spread(heap, [(a, shapes[s].type.address) for a, s, sure in fresh if sure and s >= 0]):
            break
    heap.state.rest()
    exact_address, exact_shape = _typed_headers(heap, np.concatenate([slots, maskless]), shapes, at_of)
    stack = _stack_maps(heap, decoder, shapes, masks, swiss)
    return _table(heap, decoder, shapes, swiss, exact_address, exact_shape, found_by_shape=loose, stack=stack)


def decoder_of(heap: Heap) -> Decoder:
    """What decoding maps of the heap needs."""
    layouts = heap.process.layouts
    allocator = Allocator(tuple(sorted(int(c) for c in layouts.class_to_size if c)), layouts.release >= (1, 22))
    return Decoder(heap.index, layouts, heap.state.flags, allocator)


def _told(heap: Heap, candidates: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The candidates that can be maps. A redacted core says which are: what proved that the others are none is gone."""
    redaction = heap.process.redaction
    return candidates if redaction is None else candidates[among(candidates, redaction.maps)]


def _all_shapes(heap: Heap) -> tuple[list[MapShape], dict[int, int]]:
    """Every map type of the program that can be found, and shape index by type address."""
    reader = heap.process.types
    shapes: list[MapShape] = []
    at: dict[int, int] = {}
    known = [heap.types.records[i].address for i in heap.types.map_fields]
    for address in sorted({*heap.types.addresses_of_maps(), *known}):
        shape = map_shape(reader, address)
        if shape is not None and shape.fields.bucket_size >= 16:
            at[address] = len(shapes)
            shapes.append(shape)
    return shapes, at


def _bucket_masks(heap: Heap, shapes: Sequence[MapShape]) -> dict[int, npt.NDArray[np.bool_]]:
    out = {}
    for index, shape in enumerate(shapes):
        bits = heap.process.types.pointer_mask(shape.bucket_address)
        if bits is not None:
            full = np.zeros(max(shape.fields.bucket_size // 8, len(bits)), dtype=np.bool_)
            full[: len(bits)] = bits
            out[index] = full
    return out


def _spread(heap: Heap, found: Sequence[tuple[int, int]]) -> bool:
    """Types the headers (address, map type address) and walks on from them. False: there was nothing to do."""
    rows = []
    ids, _ = heap.index.find(np.array([address for address, _ in found], dtype=np.uint64))
    for (address, type_address), oid in zip(found, ids.tolist(), strict=True):
        map_id = heap.types.intern(type_address)
        if map_id is None or oid < 0:
            continue
        header = heap.types.header_type(map_id)
        heap.state.give(np.array([oid]), header, COVER_ELEM)
        words = int(heap.types.records[header].size) // 8
        rows.append((address, words, header, -1, 0))
    if not rows:
        return False
    _walk_on(heap, np.array(rows, dtype=np.int64))
    return True


def _walk_on(heap: Heap, regions: npt.NDArray[np.int64]) -> None:
    """Goes on with the trace from words that have just got a type."""
    run_trace(heap.index, heap.state, heap.types, regions, heap.roots.mask, np.zeros(0, dtype=np.uint64))


def _typed_headers(
    heap: Heap, slots: npt.NDArray[np.int64], shapes: list[MapShape], at_of: dict[int, int]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Those of ``slots`` (see ``header_slots``) that are marked and whose type is the header of a map type.

    A pointer that is said to be a map and leads elsewhere is a stale word: what it leads to is another value by now.
    """
    lookup = np.full(len(heap.types) + 1, -1, dtype=np.int64)
    for header, map_id in heap.types.hmap_ids.items():
        address = heap.types.records[map_id].address
        if address not in at_of:
            shape = map_shape(heap.process.types, address)
            if shape is None:
                continue
            at_of[address] = len(shapes)
            shapes.append(shape)
        lookup[header] = at_of[address]
    state = heap.state
    ids = slots[(lookup >= 0)[state.types_of(slots)] & (state.flags[slots] & MARKED != 0)]
    return heap.index.address_of(ids), lookup[state.types_of(ids)]


def _stack_maps(
    heap: Heap, decoder: Decoder, shapes: Sequence[MapShape], masks: dict[int, npt.NDArray[np.bool_]], swiss: bool
) -> Inferred:
    """Headers that lie on live stacks (maps that do not escape), by shape.

    Where frames are known, only variables with the header's pointer mask come into question that are live there.
    """
    objects = heap.frames.stack_objects(mask=header_mask(decoder, swiss))["address"]
    addresses = _told(heap, unique(np.concatenate([objects, _unknown_frames(heap)])))
    parts = [Inferred.none()]
    for start in range(0, len(addresses), _STACK_CHUNK):
        chunk = addresses[start : start + _STACK_CHUNK]
        parts.append(infer(decoder, chunk, shapes, heap.state, heap.types, masks, swiss=swiss))
    return Inferred(
        np.concatenate([p.address for p in parts]),
        np.concatenate([p.shape for p in parts]),
        np.concatenate([p.sure for p in parts]),
    )


def _unknown_frames(heap: Heap) -> npt.NDArray[np.uint64]:
    """Every word address of stacks whose frames could not be told apart."""
    table = heap.goroutines
    rows = ~heap.frames.frames.complete & (table.stack_lo != 0) & (table.stack_lo < table.stack_hi)
    rows &= table.stack_hi - table.stack_lo < np.uint64(_MAX_STACK)
    low = table.stack_lo[rows] & ~np.uint64(7)
    counts = ((table.stack_hi[rows] - low) >> np.uint64(3)).astype(np.int64)
    within = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    addresses: npt.NDArray[np.uint64] = np.repeat(low, counts) + within.astype(np.uint64) * np.uint64(8)
    return addresses


def _table(
    heap: Heap,
    decoder: Decoder,
    shapes: list[MapShape],
    swiss: bool,
    exact_address: npt.NDArray[np.uint64],
    exact_shape: npt.NDArray[np.int64],
    *,
    found_by_shape: dict[int, tuple[int, bool]],
    stack: Inferred,
) -> MapSet:
    keep = ~among(exact_address, np.array(list(found_by_shape), dtype=np.uint64))
    shape_address = np.array(list(found_by_shape), dtype=np.uint64)
    shape_index = np.array([shape for shape, _ in found_by_shape.values()], dtype=np.int64)
    unsure = {a for a, (_, sure) in found_by_shape.items() if not sure} | set(stack.address[~stack.sure].tolist())
    address = np.concatenate([exact_address[keep], shape_address, stack.address])
    which = np.concatenate([exact_shape[keep], shape_index, stack.shape])
    confidence = np.concatenate([
        np.full(int(keep.sum()), int(Confidence.EXACT)),
        np.full(len(shape_address) + len(stack.address), int(Confidence.INFERRED)),
    ])  # fmt: skip
    order = np.argsort(address, kind="stable")
    address, which, confidence = address[order], which[order], confidence[order]
    table, ok = decode(decoder, address, which, shapes, swiss=swiss)
    table.columns["confidence"][:] = confidence
    table.columns["type_index"][among(address, np.array(list(unsure), dtype=np.uint64))] = -1
    notes = []
    if not ok.all():
        notes.append(f"{int((~ok).sum())} map headers are not in this core")
        columns = {name: values[ok] for name, values in table.columns.items()}
        table = MapTable(columns, table.types)
        which = which[ok]
    assert set(table.columns) == set(COLUMNS)
    return MapSet(table, shapes, decoder, swiss, which, notes)
