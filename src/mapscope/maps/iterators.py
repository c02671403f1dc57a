"""Iterators over maps, wherever they are: in the frames of goroutines and in objects of the heap.

An iterator is 96 bytes, the same in every release of its generation: ``hiter`` (runtime/map.go: mapiterinit,
mapiternext) and ``maps.Iter`` (internal/runtime/maps/table.go: Init, Next). Its third word is the map's type, its
fourth the map, so a window is one when both fit and all other fields are what these functions leave there. Whether it
is alive, the collector's own maps of the frame say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from mapscope.arrays import among, unique
from mapscope.goruntime.frames import Frame, Goroutine
from mapscope.goruntime.index import column, gather, gather_fields
from mapscope.goruntime.stackscan import LIVE, MAYBE
from mapscope.heap.holding import Holding
from mapscope.heap.model import Heap
from mapscope.heap.trace import MARKED
from mapscope.maps.find import MapSet
from mapscope.maps.headers import read_headers
from mapscope.maps.itermodel import EXACT, EXHAUSTED, POSSIBLE, RUNNING, UNCERTAIN, MapIterator
from mapscope.maps.model import Place
from mapscope.maps.sizes import classic_array
from mapscope.maps.types import MapShape, map_shape
from mapscope.units import Addr

U8 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Columns = dict[str, U8]

_CHUNK = 1 << 20
_MAX_UNKNOWN_TYPES = 1 << 14
_MAX_ITERATORS = 1 << 20
_MAX_B = 40
_MAX_ENTRIES = 1024
"""``maxTableCapacity`` (internal/runtime/maps/table.go)."""
_MAX_SLOT = 256
"""Heap objects that hold an iterator are looked for up to this size: an ``hiter`` of its own takes 96 bytes, a
reflect.MapIter 120."""
_POINTERS = {
    False: ("key", "elem", "t", "h", "buckets", "bptr", "overflow", "oldoverflow"),
    True: ("key", "elem", "typ", "m", "tab", "group.data"),
}
_LIBRARY = ("runtime.", "sync.", "iter.", "maps.", "slices.", "reflect.", "internal/", "encoding/", "fmt.", "text/")
_MAX_TOGETHER = 1 << 16
"""Maps with several iterators that are asked what these keep together."""
_NONE = np.uint64((1 << 64) - 1)
"""-1 of a signed field."""


def find_iterators(heap: Heap, maps: MapSet) -> tuple[MapIterator, ...]:
    """All iterators, by address, without what they keep: see :func:`weigh`."""
    return tuple(_Finder(heap, maps).run())


def weigh(found: Sequence[MapIterator], holding: Holding) -> tuple[MapIterator, ...]:
    """The same with what only each of them keeps alive. One that is only possibly there keeps nothing.

    A coroutine that nobody can resume keeps its map by other words of its stack, too; so does a frame that is scanned
    conservatively with the array of an ended loop. What only that stack keeps counts as pinned.
    """
    weighed = [one if one.liveness == POSSIBLE else _weighed(one, holding) for one in found]
    return tuple(_together(weighed, holding))


def _together(found: list[MapIterator], holding: Holding) -> list[MapIterator]:
    """What several loops over one map keep that none keeps alone: the map, or what it has left behind."""
    by_map: dict[int, list[int]] = {}
    for at, one in enumerate(found):
        if one.liveness == EXACT and one.place == Place.STACK and not one.coroutine:
            by_map.setdefault(one.map, []).append(at)
    groups: dict[int, list[int]] = {}
    for address, rows in by_map.items():
        if len(rows) < 2 or len(groups) >= _MAX_TOGETHER:
            continue
        behind = [found[at].detached for at in rows if found[at].detached]
        if holding.several(address) or len(set(behind)) < len(behind):
            groups[address] = rows
    if not groups:
        return found
    joined = holding.join({found[at].address: address for address, rows in groups.items() for at in rows})
    for address, rows in groups.items():
        size, own = joined.together(address)
        if size > sum(found[at].pinned_bytes for at in rows):
            for at in rows:
                found[at] = replace(found[at], together=len(rows), together_bytes=size, together_own=own)
    return found


def _weighed(one: MapIterator, holding: Holding) -> MapIterator:
    pinned, keeper = holding.pinned(one.address), holding.kept_by(one.map, one.address, one.row)
    alone = keeper == "iterator"
    if keeper == "stack" and one.coroutine:
        alone, pinned = True, holding.stack_keeps(one.row)
    doubtful = one.liveness == UNCERTAIN and one.detached and one.row >= 0
    if doubtful and holding.kept_by(one.detached, one.address, one.row) == "stack":
        pinned += holding.retained(one.detached)
    return replace(one, pinned_bytes=pinned, sole_owner=alone)


def on_stacks(found: Sequence[MapIterator]) -> dict[int, str | None]:
    """Those that are roots of their own: type of the map by address of the iterator."""
    return {one.address: one.type_name for one in found if one.place == Place.STACK and one.liveness != POSSIBLE}


class _Facts(Struct, frozen=True):
    """What the fields of each window say. ``fits``: it is an iterator; ``whole``: its array is what its type asks for.

    ``detached``: address of what the map has left behind (0: none) and ``detached_bytes``.
    """

    fits: Bools
    whole: Bools
    position: I8
    positions: I8
    detached: U8
    detached_bytes: U8


class _Finder:
    def __init__(self, heap: Heap, maps: MapSet) -> None:
        self.heap, self.maps, self.index = heap, maps, heap.index
        self.swiss = maps.swiss
        self.layout = heap.process.layouts.struct("mapiter")
        self.type_at = self.layout.offset("typ" if self.swiss else "t")
        self.map_at = self.layout.offset("m" if self.swiss else "h")
        self.shapes: dict[int, MapShape] = {shape.type.address: shape for shape in maps.shapes}
        self.asked: set[int] = set()
        self.allocator = maps.decoder.allocator

    def run(self) -> Iterator[MapIterator]:
        stack = self._stack_windows()
        held = self._heap_windows()
        told = self.heap.process.redaction
        if told is not None:  # what proved that the other windows are none is gone
            stack, held = stack[among(stack, told.iterators)], held[among(held, told.iterators)]
        windows = np.concatenate([stack, held])
        if not len(windows):
            return
        on_stack = np.arange(len(windows)) < len(stack)
        fields = self._read(windows)
        header, readable = read_headers(self.index, self.heap.process.layouts, fields["map"], self.swiss)
        known = self._known_map(fields["map"]) & readable
        facts = self._swiss(fields, header) if self.swiss else self._classic(fields, header)
        running = fields["key"] != 0
        live, maybe = self._liveness(windows, fields, on_stack)
        keep = known & facts.fits & (running | live | maybe)
        keep[keep] &= np.arange(int(keep.sum())) < _MAX_ITERATORS
        at = np.flatnonzero(keep)
        frames = self._frames(windows[at], on_stack[at])
        for row, frame in zip(at.tolist(), frames.tolist(), strict=True):
            if on_stack[row] and frame < 0:
                continue
            exact = bool(live[row]) and bool(facts.whole[row])
            label = EXACT if exact else UNCERTAIN if maybe[row] and not live[row] else POSSIBLE
            place = Place.STACK if on_stack[row] else Place.HEAP
            shape = self.shapes.get(int(fields["type"][row]))
            yield self._record(
                MapIterator(
                    Addr(int(windows[row])), Addr(int(fields["map"][row])), shape.type.name if shape else None,
                    None, -1, None, None, None, None, None, False, place, RUNNING if running[row] else EXHAUSTED, label,
                    int(facts.position[row]), int(facts.positions[row]), Addr(int(facts.detached[row])),
                    int(facts.detached_bytes[row]),
                ),
                frame,
            )  # fmt: skip

    def _stack_windows(self) -> U8:
        """Starts of the windows on live stacks whose third word is a map type."""
        ranges = self.heap.stacks.ranges
        low = np.array([a for a, _ in ranges], dtype=np.uint64)
        count = np.array([(b - a) // 8 for a, b in ranges], dtype=np.int64)
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        parts = [low[:0]]
        for start in range(0, total, _CHUNK):
            rank = np.arange(start, min(start + _CHUNK, total))
            which = np.searchsorted(ends, rank, side="right")
            address = low[which] + (rank - (ends - count)[which]).astype(np.uint64) * np.uint64(8)
            rows, ok = gather(self.index, address, 8)
            hit = ok & self._is_map_type(column(rows, 0, 8))
            hit &= rank - (ends - count)[which] >= self.type_at // 8
            parts.append(address[hit] - np.uint64(self.type_at))
        return np.concatenate(parts)

    def _heap_windows(self) -> U8:
        """Starts of the windows in marked heap slots whose pointer bits are those of an iterator."""
        size = self.layout.size
        want = sum(1 << self.layout.offset(name) // 8 for name in _POINTERS[self.swiss])
        every = (1 << size // 8) - 1
        spans = self.index.spans
        parts = [np.zeros(0, dtype=np.uint64)]
        fits = np.flatnonzero((spans["noscan"] == 0) & (spans["elemsize"] >= size) & (spans["elemsize"] <= _MAX_SLOT))
        sizes = spans["elemsize"][fits].astype(np.int64)
        for slot in np.flatnonzero(np.bincount(sizes)).tolist():
            which = fits[sizes == slot]
            ids, at = self.index.slots_like(
                which, want, flags=self.heap.state.flags, need=MARKED, every=every, shifts=(slot - size) // 8 + 1
            )
            parts.append(self.index.address_of(ids) + at.astype(np.uint64) * np.uint64(8))
        windows = np.concatenate(parts)
        rows, ok = gather(self.index, windows + np.uint64(self.type_at), 8)
        return windows[ok & self._is_map_type(column(rows, 0, 8))]

    def _is_map_type(self, values: U8) -> Bools:
        """Which values are addresses of map types. Types that nothing has met yet are looked at once."""
        there = np.zeros(len(values), dtype=np.bool_)
        for module in self.heap.process.modules:  # between two modules can lie the whole heap
            there |= (values >= np.uint64(module.types)) & (values < np.uint64(module.etypes))
        for address in unique(values[there]).tolist():
            if address in self.shapes or address in self.asked or len(self.asked) >= _MAX_UNKNOWN_TYPES:
                continue
            self.asked.add(address)
            shape = map_shape(self.heap.process.types, address) if address % 8 == 0 else None
            if shape is not None and shape.fields.bucket_size >= 16:
                self.shapes[address] = shape
        hit: Bools = among(values, np.fromiter(self.shapes, np.uint64, len(self.shapes)))
        return hit

    def _read(self, windows: U8) -> Columns:
        """The fields of each window, by their own names, with ``type``, ``map`` and ``readable``."""
        names = [name for name, entry in self.layout.fields.items() if entry.size in (1, 2, 4, 8)]
        out, ok = gather_fields(self.index, windows, self.layout, names)
        out["type"] = out["typ" if self.swiss else "t"]
        out["map"] = out["m" if self.swiss else "h"]
        out["readable"] = ok.astype(np.uint64)
        return out

    def _known_map(self, address: U8) -> Bools:
        """Headers of known maps, and live slots of a header's size: a map that was emptied may be known to no one."""
        struct = self.heap.process.layouts.struct("swissmap" if self.swiss else "hmap")
        ids, base = self.index.find(address)
        there = ids >= 0
        header = np.zeros(len(address), dtype=np.bool_)
        sizes = self.index.sizes_of(ids[there])
        header[there] = (base[there] == address[there]) & (sizes == self.allocator.slot(struct.size, False))
        header[there] &= self.heap.state.flags[ids[there]] & 1 != 0
        known: Bools = among(address, self.maps.table.columns["address"]) | header
        return known

    def _sizes(self, types: U8) -> U8:
        """Bytes of one bucket or group of each type."""
        kinds, inverse = np.unique(types, return_inverse=True)
        each = [shape.fields.bucket_size if (shape := self.shapes.get(t)) else 0 for t in kinds.tolist()]
        return np.array(each, dtype=np.uint64)[inverse.reshape(-1)]

    def _noscan(self, types: U8) -> Bools:
        kinds, inverse = np.unique(types, return_inverse=True)
        each = [shape.noscan if (shape := self.shapes.get(t)) else False for t in kinds.tolist()]
        return np.array(each, dtype=np.bool_)[inverse.reshape(-1)]

    def _object(self, address: U8) -> tuple[I8, Bools, U8]:
        """Object id (-1: not on the heap), whether the address is where its data begin, and the slot's bytes."""
        ids, base = self.index.find(address)
        there = ids >= 0
        size = np.zeros(len(ids), dtype=np.uint64)
        begins = np.zeros(len(ids), dtype=np.bool_)
        spans = self.index.spans[self.index.span_of_object(ids[there])]
        size[there] = spans["elemsize"]
        skip = spans["header"].astype(np.uint64) * np.uint64(8)
        begins[there] = address[there] == base[there] + skip
        begins[there] &= self.heap.state.flags[ids[there]] & 1 != 0
        return ids, begins, size

    def _classic(self, it: Columns, header: Columns) -> _Facts:
        """hiter: ``buckets`` and ``B`` are copies made at the start, ``bucket`` is the next one to walk."""
        b = np.minimum(it["B"], np.uint64(_MAX_B))
        count = np.uint64(1) << b
        fits = (
            (it["B"] <= header["B"]) & (header["B"] <= _MAX_B) & (it["offset"] < 8) & (it["i"] <= 8)
            & (it["wrapped"] <= 1) & (it["startBucket"] < count) & (it["bucket"] < count) & (it["buckets"] != 0)
            & (it["buckets"] % np.uint64(8) == 0) & (header["flags"] < 16) & (header["buckets"] != 0)
        )  # fmt: skip
        ids, begins, slot = self._object(it["buckets"])
        noscan, unit = self._noscan(it["type"]), self._sizes(it["type"])
        want = np.array(
            [
                classic_array(self.allocator, log, size, flat)[0] if size and size << log < 1 << 44 else 0
                for log, size, flat in zip(b.tolist(), unit.tolist(), noscan.tolist(), strict=True)
            ],
            dtype=np.uint64,
        )
        whole = np.where(ids >= 0, begins & (slot == want), b == 0)
        left = fits & (it["buckets"] != header["buckets"]) & (it["buckets"] != header["oldbuckets"]) & (ids >= 0)
        detached, size = np.where(left, it["buckets"], np.uint64(0)), np.where(left, slot, np.uint64(0))
        # opened during a growth, it may stand in an old array that the map has let go of since
        at, _, large = self._object(it["bptr"])
        own = [self._object(header[name])[0] for name in ("buckets", "oldbuckets")]
        one = np.array([self.allocator.slot(s, n) for s, n in zip(unit.tolist(), noscan.tolist(), strict=True)])
        behind = fits & ~left & (at >= 0) & (at != own[0]) & (at != own[1]) & (large > one.astype(np.uint64))
        detached = np.where(behind, self.index.find(it["bptr"])[1], detached)
        size = np.where(behind, large, size)
        walked = (it["bucket"] - it["startBucket"]) & (count - np.uint64(1))
        walked = np.where((walked == 0) & (it["wrapped"] == 1), count, walked)
        return _Facts(fits, whole, walked.astype(np.int64), count.astype(np.int64), detached, size)

    def _swiss(self, it: Columns, header: Columns) -> _Facts:
        """maps.Iter: ``tab`` is the table that it walks; a table that has split or grown has index -1."""
        small = it["dirIdx"] == _NONE
        length = header["dirLen"]
        fits = (
            (header["dirPtr"] != 0) & (header["globalDepth"] <= _MAX_B) & (header["writing"] <= 1)
            & (it["globalDepth"] <= header["globalDepth"]) & (it["entryIdx"] <= _MAX_ENTRIES)
            & (small | ((it["dirIdx"] <= length) & (length <= np.uint64(1 << _MAX_B))))
            & (~small | ((it["tab"] == 0) & (it["entryIdx"] <= 8) & (it["group.data"] != 0)))
        )  # fmt: skip
        table = self.heap.process.layouts.struct("table")
        _, begins, slot = self._object(it["tab"])
        told, ok = gather_fields(self.index, it["tab"], table, ("index", "groups.data"))
        index, groups = told["index"], told["groups.data"]
        stale = ok & (index == _NONE)
        fine = begins & ok & (slot == self.allocator.slot(table.size, False)) & (stale | (index < length))
        group_ids, group_begins, group_slot = self._object(it["group.data"])
        unit, noscan = self._sizes(it["type"]), self._noscan(it["type"])
        one = np.array([self.allocator.slot(s, n) for s, n in zip(unit.tolist(), noscan.tolist(), strict=True)])
        alone = np.where(group_ids >= 0, group_begins & (group_slot == one.astype(np.uint64)), True)
        ended = it["key"] == 0
        whole = np.where(small, alone, fine | (ended & (it["tab"] == 0)))
        left = fits & small & (it["group.data"] != header["dirPtr"]) & (group_ids >= 0)
        gone = fits & ~small & fine & stale
        detached = np.where(gone, it["tab"], np.where(left, it["group.data"], np.uint64(0)))
        size = np.where(gone, slot + self._object(groups)[2], np.where(left, group_slot, np.uint64(0)))
        position = np.where(small, it["entryIdx"], it["dirIdx"]).astype(np.int64)
        positions = np.where(small, np.uint64(8), length).astype(np.int64)
        return _Facts(fits, whole, np.minimum(position, positions), positions, detached, size)

    def _liveness(self, windows: U8, it: Columns, on_stack: Bools) -> tuple[Bools, Bools]:
        """Whether the collector counts each window as alive, and whether only a conservative scan does."""
        live, maybe = np.zeros(len(windows), dtype=np.bool_), np.zeros(len(windows), dtype=np.bool_)
        scan = self.heap.frames.scan
        certain = unique(scan.words.address[scan.words.certain])
        unsure = unique(scan.words.address[~scan.words.certain])
        array = it["group.data"] if self.swiss else it["buckets"]
        array_at = self.layout.offset("group.data" if self.swiss else "buckets")
        in_heap = self.index.find(it["map"])[0] >= 0
        # a map on the stack is no pointer into the heap; its array may be
        offset = np.where(in_heap | (self.index.find(array)[0] < 0), self.map_at, array_at).astype(np.uint64)
        live[on_stack] = among(windows + offset, certain)[on_stack]
        maybe[on_stack] = among(windows + offset, unsure)[on_stack]
        objects = scan.objects
        if len(objects):
            at = np.maximum(np.searchsorted(objects.address, windows, side="right") - 1, 0)
            end = objects.address[at] + objects.size[at]
            covers = on_stack & (objects.address[at] <= windows) & (windows + np.uint64(self.layout.size) <= end)
            live |= covers & (objects.live[at] == LIVE)
            maybe |= covers & (objects.live[at] == MAYBE)
        ids, _ = self.index.find(windows)
        held = ~on_stack & (ids >= 0)
        doubtful = among(ids, self.heap.uncertain)
        live |= held & ~doubtful
        maybe |= held & doubtful
        return live, maybe

    def _frames(self, windows: U8, on_stack: Bools) -> I8:
        """Index of the machine frame that holds each window; -1: none."""
        frames = self.heap.frames.frames
        out = np.full(len(windows), -1, dtype=np.int64)
        if not len(frames):
            return out
        order = np.argsort(frames.sp, kind="stable")
        at = order[np.maximum(np.searchsorted(frames.sp[order], windows, side="right") - 1, 0)]
        inside = on_stack & (frames.sp[at] <= windows) & (windows < frames.fp[at])
        out[inside] = at[inside]
        return out

    def _record(self, one: MapIterator, at: int) -> MapIterator:
        """The record with its goroutine and functions."""
        if at < 0:
            return one
        stacks = self.heap.frames
        row = int(stacks.frames.stack[at])
        goroutine = self._goroutine(row)
        functions = stacks.frame(at)
        frame = functions[-1] if functions else None
        return replace(
            one,
            goroutine=goroutine.id, row=row, frame=frame, caller=_own(goroutine, frame),
            status=goroutine.status, wait_reason=goroutine.wait_reason, wait_seconds=goroutine.wait_seconds,
            coroutine=goroutine.start_function == "runtime.corostart",
        )  # fmt: skip

    def _goroutine(self, row: int) -> Goroutine:
        return self.heap.frames.goroutine(row)


def _own(goroutine: Goroutine, frame: Frame | None) -> Frame | None:
    """The first frame from ``frame`` outwards that is not of the standard library."""
    met = frame is None
    for one in goroutine.frames:
        met = met or one is frame or one == frame
        if met and not one.function.startswith(_LIBRARY):
            return one
    return None
