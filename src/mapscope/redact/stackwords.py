"""The stacks of goroutines: pointers, return addresses, iterators and what the runtime keeps beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mapscope.arrays import among, unique
from mapscope.goruntime.goroutines import G_RUNNING
from mapscope.goruntime.index import column, gather
from mapscope.heap.model import Heap
from mapscope.maps.itermodel import MapIterator
from mapscope.redact.words import BYTE, CODE, HALF, LOOSE, POINTER, SET, STAYS, Words

_MAX_SIGNAL_STACK = 1 << 20
_CONTEXT_WORDS = 56
"""Words from ``uc_stack`` on that hold the interrupted registers, on amd64 and arm64 (struct sigcontext)."""
_MAX_DEFERS = 1 << 16
_STUBS = ("reflect.makeFuncStub", "reflect.methodValueCall")
_MAX_STUB_BITS = 1 << 24


_SWISS_FIELDS = {
    "key": POINTER | SET,
    "elem": POINTER,
    "typ": POINTER,
    "m": POINTER,
    "tab": POINTER,
    "group.data": POINTER,
    "globalDepth": BYTE,
    "dirIdx": STAYS,
    "entryIdx": STAYS,
}
_CLASSIC_FIELDS = {
    "key": POINTER | SET,
    "elem": POINTER,
    "t": POINTER,
    "h": POINTER,
    "buckets": POINTER,
    "bptr": POINTER,
    "overflow": POINTER,
    "oldoverflow": POINTER,
    "startBucket": STAYS,
    "bucket": STAYS,
    "offset": HALF,  # and wrapped, B and i, which follow
}


def mark_stacks(words: Words, heap: Heap, iterators: Sequence[MapIterator]) -> None:
    """Marks all of it. What lies below the stack pointers is left out."""
    low = np.array([a for a, _ in heap.stacks.ranges], dtype=np.uint64)
    high = np.array([b for _, b in heap.stacks.ranges], dtype=np.uint64)
    words.runs(low, (high - low).astype(np.int64) // 8, LOOSE)
    found, frames = heap.frames.scan, heap.frames.frames
    words.mark(found.words.address[found.words.address != 0], POINTER)
    words.mark(frames.sp if heap.frames.code.uses_lr else frames.fp - np.uint64(8), CODE)
    if heap.frames.code.uses_lr:
        words.mark(frames.fp, CODE)  # an injected call keeps the interrupted link register there
    words.mark(heap.goroutines.sp[heap.goroutines.pc == 0], CODE)
    _iterators(words, heap, iterators)
    _defers(words, heap)
    _vectors(words, heap)
    _signals(words, heap)
    _stubs(words, heap)


def _iterators(words: Words, heap: Heap, iterators: Sequence[MapIterator]) -> None:
    """Iterators, wherever they are, with the headers of their maps and the tables that they walk.

    A window that only looks like one may lie in dead words, so what nobody reads or checks does not stay.
    """
    layouts, swiss = heap.process.layouts, heap.process.types.swiss_maps
    struct, header = layouts.struct("mapiter"), layouts.struct("swissmap" if swiss else "hmap")
    at = np.array([one.address for one in iterators], dtype=np.uint64)
    for name, rule in (_SWISS_FIELDS if swiss else _CLASSIC_FIELDS).items():
        words.mark(at + np.uint64(struct.offset(name)), rule)
    maps = np.array([one.map for one in iterators], dtype=np.uint64)
    words.runs(maps, np.full(len(maps), header.size // 8), STAYS)
    if swiss and len(at):
        rows, ok = gather(heap.index, at + np.uint64(struct.offset("tab")), 8)
        tables = column(rows, 0, 8)[ok]
        words.fields(tables[heap.index.find(tables)[0] >= 0], layouts.struct("table"))


def _defers(words: Words, heap: Heap) -> None:
    """The chains of defer records: closure, next, and whether the record lies on the heap."""
    struct = heap.process.layouts.struct("_defer")
    at = heap.goroutines.defers[heap.goroutines.defers != 0]
    seen = at[:0]
    for _ in range(_MAX_DEFERS):
        at = np.setdiff1d(at, seen)
        if not len(at):
            return
        seen = np.union1d(seen, at)
        words.mark(at + np.uint64(struct.offset("heap") & ~7), HALF if struct.offset("heap") & 7 else BYTE)
        words.mark(at + np.uint64(struct.offset("fn")), POINTER)
        words.mark(at + np.uint64(struct.offset("link")), POINTER)
        rows, ok = gather(heap.index, at + np.uint64(struct.offset("link")), 8)
        at = column(rows, 0, 8)[ok]
        at = at[at != 0]


def _vectors(words: Words, heap: Heap) -> None:
    """Pointers into the heap among the saved vector registers of preempted goroutines (Go 1.27)."""
    p = heap.process.layouts.struct("p")
    at = heap.goroutines.registers[heap.goroutines.registers != 0]
    if "xRegs.scratch" in p and len(at):
        words.runs(at, np.full(len(at), p.fields["xRegs.scratch"].size // 8), LOOSE)


def _signals(words: Words, heap: Heap) -> None:
    """What the kernel pushed for a signal: where that stack lies, and the registers that are places (see starts.py)."""
    process, table = heap.process, heap.goroutines
    m, g = process.layouts.struct("m"), process.layouts.struct("g")
    for thread in unique(table.m[(table.status == G_RUNNING) & (table.m != 0)]).tolist():
        signal = process.memory.word(thread + m.offset("gsignal")) or 0
        bounds = process.memory.words(signal + g.offset("stack.lo"), 2) if signal else None
        if bounds is None or not 0 < int(bounds[1]) - int(bounds[0]) <= _MAX_SIGNAL_STACK:
            continue
        low, size = int(bounds[0]), int(bounds[1]) - int(bounds[0])
        data = process.memory.words(low, size // 8) if low % 8 == 0 else None
        if data is None:
            continue
        for at in np.flatnonzero((data[:-2] == np.uint64(low)) & (data[2:] == np.uint64(size))).tolist():
            words.run(low + 8 * at, 8)
            words.run(low + 8 * (at + 2), 8)
            words.run(low + 8 * (at + 3), 8 * _CONTEXT_WORDS, LOOSE | CODE)


def _stubs(words: Words, heap: Heap) -> None:
    """Frames of reflect's stubs, whose argument masks only they tell (runtime/stkframe.go: argMapInternal)."""
    frames, code, memory = heap.frames.frames, heap.frames.code, heap.process.memory
    stubs = [pc for pc in unique(frames.pc).tolist() if code.name(pc) in _STUBS]
    for at in np.flatnonzero(among(frames.pc, np.array(stubs, dtype=np.uint64))).tolist():
        first = int(frames.sp[at]) + (8 if code.uses_lr else 0)
        record = memory.words(memory.word(first) or 0, 3)
        vector = memory.words(int(record[1]), 2) if record is not None else None
        if record is None or vector is None:
            continue
        words.run(first, 8, POINTER)
        words.run(first + 32, 1, BYTE)
        words.run(memory.word(first) or 0, 24)
        words.run(int(record[1]), 16)
        words.run(int(vector[1]), (min(int(vector[0]) & 0xFFFFFFFF, _MAX_STUB_BITS) + 7) // 8)
