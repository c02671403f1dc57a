"""The text formats of /debug/pprof: debug=1 of heap, allocs and goroutines, and debug=2 of goroutines.

debug=1 (runtime/pprof/pprof.go: writeHeapInternal, printCountProfile) gives whole stacks as return addresses, runtime
frames included; the comments under each line name only the frames from the first that is not the runtime's. debug=2
(runtime.Stack) gives functions, lines, states and waits, no addresses. Arguments in it are not kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from mapscope._kernels import load
from mapscope._kernels.reference import pprof as wire
from mapscope._kernels.reference.proftext import RECORD_WIDTHS
from mapscope._kernels.reference.stacktext import GOROUTINE_WIDTHS
from mapscope.errors import EvidenceError
from mapscope.profiles.interning import MAX_DISTINCT, Codes, Strings, codes_of, pairs_of, too_many
from mapscope.profiles.model import Bytes, Column, Profile, checked

_N = r"(-?\d{1,19})"
_HEAP = re.compile(rf"heap profile: +{_N}: +{_N} +\[ *{_N}: +{_N}\] +@ +(?:heap(?:_v2)?/{_N}|growthz|heap)\s*$")
_COUNTS = re.compile(rf"(\w[\w./-]*) profile: total {_N}\s*$")
_GOROUTINE = re.compile(r"goroutine (\d{1,19})(?: gp=\S+)?(?: m=\S+)?(?: mp=\S+)? \[([^\]]*)\]:\s*$")
HEAP_TYPES = (
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
)
"""Sample types of a heap profile (runtime/pprof/protomem.go: writeHeapProto)."""
MAX_TEXT = 80 << 20
"""Bytes of text that are read; debug=2 is never longer than 64 MB (runtime/pprof/pprof.go: writeGoroutineStacks)."""
MAX_STACK = 4096
"""Frames of one stack that are kept; Go records 128 (32 before Go 1.23)."""
RECORD_LIMITS = {
    "records": 1 << 20, "frames": 1 << 23, "lines that name frames": 1 << 21, "lines of statistics": 1 << 12,
}  # fmt: skip
GOROUTINE_LIMITS = {"goroutines": 1 << 20, "frames": 1 << 21, "lines of creators": 1 << 20}
"""Rows of each table. A text of ``MAX_TEXT`` from Go has fewer: an address takes 9 bytes, a line of a frame 40."""


def is_text(head: bytes) -> bool:
    """Whether the first bytes are those of a text profile."""
    line = head.split(b"\n", 1)[0].decode("ascii", "replace")
    return bool(_HEAP.match(line) or _COUNTS.match(line) or _GOROUTINE.match(line))


def read_text(origin: str, data: bytes | bytearray) -> Profile:
    """The profile in ``data``. EvidenceError where a line is none of the format, with its number, or too many are."""
    if len(data) > MAX_TEXT:
        raise EvidenceError(
            f"{origin} has {len(data) >> 20:,} MB of text; up to {MAX_TEXT >> 20} MB are read",
            "fetch it as a protocol buffer: without debug=1",
        )
    first = bytes(data[:4096]).split(b"\n", 1)[0].decode("ascii", "replace")
    raw = np.frombuffer(data, np.uint8)
    if _GOROUTINE.match(first):
        return _goroutines(origin, raw)
    heap, counts = _HEAP.match(first), _COUNTS.match(first)
    if heap is not None:
        return _heap(origin, raw, max(int(heap[5] or 0), 0) // 2)
    if counts is not None:
        return _counts(origin, raw, counts[1])
    raise EvidenceError(f"{origin} is no text profile", "give what /debug/pprof/heap?debug=1 sends")


def _heap(origin: str, raw: Bytes, rate: int) -> Profile:
    records, pcs, named, facts = _records(origin, raw, 4)
    strings = Strings(origin, raw, [*(name for name, _ in HEAP_TYPES), "count", "bytes", "space"])
    tables = _stacks(origin, strings, records, pcs, named)
    live, live_bytes, made, made_bytes = np.ascontiguousarray(records[:, :4].T)
    values = [*scaled_columns(made, made_bytes, rate), *scaled_columns(live, live_bytes, rate)]
    tables[wire.VALUES] = np.stack(values, axis=1).reshape(-1, 1)
    size = np.where(made > 0, made_bytes // np.maximum(made, 1), 0)
    unit = np.full(len(size), strings["bytes"])
    tables[wire.LABELS] = np.stack([unit, np.zeros_like(size), size, unit], axis=1)[size != 0]
    tables[wire.SAMPLES] = _samples(records[:, 4], len(HEAP_TYPES), np.cumsum(size != 0))
    tables[wire.SAMPLE_TYPES] = np.array([[strings[name], strings[unit]] for name, unit in HEAP_TYPES], np.int64)
    return _profile(origin, "text", strings, tables, ("space", "bytes", rate), _statistics(raw, facts))


def _counts(origin: str, raw: Bytes, name: str) -> Profile:
    records, pcs, named, facts = _records(origin, raw, 1)
    strings = Strings(origin, raw, [name, "count"])
    tables = _stacks(origin, strings, records, pcs, named)
    tables[wire.VALUES] = np.ascontiguousarray(records[:, :1])
    tables[wire.SAMPLES] = _samples(records[:, 4], 1, np.zeros(len(records), np.int64))
    tables[wire.SAMPLE_TYPES] = np.array([[strings[name], strings["count"]]], np.int64)
    return _profile(origin, "text", strings, tables, (name, "count", 1), _statistics(raw, facts))


def _goroutines(origin: str, raw: Bytes) -> Profile:
    """debug=2: one sample a goroutine, with its state, its wait in minutes and its number as labels.

    The address of a location is the offset from the entry of its function, 0 for an inlined one (runtime/traceback.go:
    traceback2).
    """
    widths, limits = GOROUTINE_WIDTHS, GOROUTINE_LIMITS
    routines, frames, creators = _scanned(
        origin, "does not begin a goroutine", widths, limits,
        lambda tables, counts: load("stacktext").goroutines(raw, MAX_STACK, tables, counts),
    )  # fmt: skip
    strings = Strings(origin, raw, ["goroutine", "count", "wait", "minutes", "state", "created by"])
    function, file, state, creator = strings.numbers(frames[:, :2], frames[:, 2:4], routines[:, 3:5], creators)
    tables = _empty()
    place = _places(origin, tables, function, file, frames[:, 4], frames[:, 5])
    tables[wire.LOCATIONS_OF] = place.astype(np.int64).reshape(-1, 1) + 1
    row, none = np.arange(len(routines)), np.zeros(len(routines), np.int64)
    waits = np.flatnonzero(routines[:, 1])
    of = np.searchsorted(routines[:, 6], np.arange(len(creators)), "right")
    labels = [
        (row, "goroutine", none, routines[:, 0], 0),
        (waits, "wait", none[waits], routines[waits, 2], strings["minutes"]),
        (row, "state", state, none, 0),
        (of, "created by", creator, np.zeros(len(creators), np.int64), 0),
    ]
    sample = np.concatenate([one[0] for one in labels])
    rows = np.concatenate([
        np.stack([np.full(len(at), strings[key]), texts, numbers, np.full(len(at), unit)], axis=1)
        for at, key, texts, numbers, unit in labels
    ])  # fmt: skip
    tables[wire.LABELS] = rows[np.argsort(sample, kind="stable")]
    tables[wire.SAMPLES] = _samples(routines[:, 5], 1, np.cumsum(np.bincount(sample, minlength=len(row))))
    tables[wire.VALUES] = np.ones((len(row), 1), np.int64)
    tables[wire.SAMPLE_TYPES] = np.array([[strings["goroutine"], strings["count"]]], np.int64)
    return _profile(origin, "stacks", strings, tables, ("goroutine", "count", 1), {})


Scan = Callable[[Sequence[Column] | None, Column], int]


def _scanned(origin: str, wrong: str, widths: Sequence[int], limits: dict[str, int], scan: Scan) -> list[Column]:
    """The tables that ``scan`` fills, none with more rows than its limit."""
    counts = np.zeros(len(widths), np.int64)
    bad = scan(None, counts)
    if bad >= 0:
        raise EvidenceError(
            f"{origin} is no sound profile: line {bad:,} {wrong}", "fetch it again: it may be cut short"
        )
    for (what, limit), many in zip(limits.items(), counts.tolist(), strict=True):
        if many > limit:
            raise too_many(origin, what, many, limit)
    tables = [np.zeros((rows, wide), np.int64) for rows, wide in zip(counts.tolist(), widths, strict=True)]
    scan(tables, counts)
    return tables


def _records(origin: str, raw: Bytes, numbers: int) -> list[Column]:
    return _scanned(
        origin, "is none of its format", RECORD_WIDTHS, RECORD_LIMITS,
        lambda tables, counts: load("proftext").records(raw, numbers, MAX_STACK, tables, counts),
    )  # fmt: skip


def _empty() -> list[Column]:
    tables = [np.zeros((0, wide), np.int64) for wide in wire.WIDTHS]
    for kind in (wire.SCALARS, wire.TYPE_OF_PERIOD):
        tables[kind] = np.zeros((1, wire.WIDTHS[kind]), np.int64)
    return tables


def _stacks(origin: str, strings: Strings, records: Column, pcs: Column, named: Column) -> list[Column]:
    """Tables with the locations of a debug=1 text: an address that a comment names, or one that none does."""
    of = np.empty(len(pcs), np.int32)
    load("proftext").attach(records, pcs, named, of)
    with_name = np.flatnonzero(of >= 0)
    used = np.zeros(len(named), np.bool_)
    used[of[with_name]] = True
    named = named[used]
    row = (np.cumsum(used) - 1)[of[with_name]]
    function, file = strings.numbers(named[:, 1:3], named[:, 3:5])
    tables = _empty()
    place = _places(origin, tables, function, file, named[:, 5], named[:, 0])
    rest = np.flatnonzero(of < 0)
    code, first = codes_of(np.ascontiguousarray(pcs[rest, 0]).view(np.uint64))
    many = len(tables[wire.LOCATIONS])
    if many + len(first) > MAX_DISTINCT:
        raise too_many(origin, "different places", many + len(first), MAX_DISTINCT)
    bare = np.zeros((len(first), 5), np.int64)
    bare[:, 0] = many + np.arange(1, len(first) + 1)
    bare[:, 2] = pcs[rest[first], 0]
    bare[:, 3] = len(tables[wire.LINES])
    tables[wire.LOCATIONS] = np.concatenate([tables[wire.LOCATIONS], bare])
    ids = tables[wire.LOCATIONS_OF] = np.empty((len(pcs), 1), np.int64)
    ids[with_name, 0] = place[row] + np.int64(1)
    ids[rest, 0] = code + np.int64(many + 1)
    return tables


def _places(
    origin: str, tables: list[Column], function: Column, file: Column, line: Column, address: Column
) -> Codes:  # fmt: skip
    """Fills functions, lines and locations, each once, of frames given as columns; row of the location of each."""
    of_function, first = codes_of(pairs_of(function.astype(np.int32), file.astype(np.int32)))
    name = function[first]
    tables[wire.FUNCTIONS] = np.stack(
        [np.arange(1, len(first) + 1), name, name, file[first], np.zeros_like(name)], axis=1
    )  # fmt: skip
    of_line, of_address = (codes_of(np.ascontiguousarray(one).view(np.uint64))[0] for one in (line, address))
    place, first = codes_of(pairs_of(codes_of(pairs_of(of_function, of_line))[0], of_address))
    if len(first) > MAX_DISTINCT:
        raise too_many(origin, "different places", len(first), MAX_DISTINCT)
    ids, none = np.arange(1, len(first) + 1), np.zeros(len(first), np.int64)
    tables[wire.LINES] = np.stack([of_function[first] + np.int64(1), line[first], none], axis=1)
    tables[wire.LOCATIONS] = np.stack([ids, none, address[first], ids, none], axis=1)
    return place


def _samples(stacks: Column, types: int, labels: Column) -> Column:
    return np.stack([stacks, np.arange(1, len(stacks) + 1) * types, labels], axis=1)


def _profile(
    origin: str, form: str, strings: Strings, tables: list[Column], period: tuple[str, str, int],
    statistics: dict[str, int],
) -> Profile:  # fmt: skip
    tables[wire.TYPE_OF_PERIOD][0] = strings[period[0]], strings[period[1]]
    tables[wire.SCALARS][0, 12] = period[2]
    text, tables[wire.STRINGS] = strings.table()
    return checked(origin, form, text, tables, statistics)


def _statistics(raw: Bytes, facts: Column) -> dict[str, int]:
    return {raw[begin:end].tobytes().decode("ascii"): value for begin, end, value in facts.tolist()}


def scaled(count: int, size: int, rate: int) -> tuple[int, int]:
    """What ``count`` recorded objects of ``size`` bytes together stand for (runtime/pprof: scaleHeapSample)."""
    counts, sizes = scaled_columns(np.array([count], np.int64), np.array([size], np.int64), rate)
    return int(counts[0]), int(sizes[0])


def scaled_columns(counts: Column, sizes: Column, rate: int) -> tuple[Column, Column]:
    """The same for columns; at most 2^63 - 1."""
    good = (counts > 0) & (sizes > 0)
    if rate <= 1:
        return np.where(good, counts, 0), np.where(good, sizes, 0)
    mean, which = np.unique(sizes[good] / counts[good], return_inverse=True)
    factor = np.array([1 / -math.expm1(-one / rate) for one in mean.tolist()], np.float64)[which]
    found = []
    for column in (counts, sizes):
        estimate = column[good] * factor
        fits = estimate < float(1 << 63)
        whole = np.full(len(column), 0, np.int64)
        whole[good] = np.where(fits, np.where(fits, estimate, 0).astype(np.int64), (1 << 63) - 1)
        found.append(whole)
    return found[0], found[1]
