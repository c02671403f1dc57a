"""The heap of a heap dump: spans rebuilt from objects, contents laid out by page, pointer bits, roots and figures.

A heap dump lists objects in the order of their spans and slots, and size classes say where each span begins. From Go
1.22 its writer walks more slots than a span has (runtime/heapdump.go: dumpobjs counts ``npages * 8192 / elemsize``,
mheap.go: initSpan leaves room for heap bitmap and mark bits): those are dropped.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapscope._kernels import load
from mapscope._kernels.reference.dump import BASE, PAGE, POINTERS, SIZE
from mapscope.arrays import unique
from mapscope.binary.buildinfo import go_experiments
from mapscope.errors import EvidenceError
from mapscope.evidence.heapdump import BSS, DATA, FINALIZER, FRAME, OTHER_ROOT, QUEUED, HeapDump, class_pages
from mapscope.evidence.memory import CHUNK_SHIFT
from mapscope.evidence.paged import Paged
from mapscope.goruntime.goroutines import StackRoots
from mapscope.goruntime.index import SPAN_DTYPE, HeapIndex, build_index, column, gather
from mapscope.goruntime.memstats import RuntimeFigures
from mapscope.goruntime.pointers import INLINE_MARK_BYTES, INLINE_MARK_MIN, MIN_SIZE_FOR_HEADER, TypeWords, type_words
from mapscope.goruntime.process import Process
from mapscope.goruntime.roots import Roots
from mapscope.goruntime.spans import Arenas, Spans, SpanTable
from mapscope.goruntime.unwind import Frames

_LARGEST_SMALL = 32768
_ROOM = 1 << 28
_BLOWN_UP = 64
"""Spans may take this many times the bytes of the file, and _ROOM more: a heap that is mostly free slots."""
_CHUNKS = 2048
"""Arenas that the objects may lie in, and one more for every quarter of a megabyte of the file."""
_DAMAGED = "it is damaged; write it again"


def lay_heap(process: Process, dump: HeapDump) -> tuple[Spans, TypeWords, int]:
    """Rebuilds the spans and lays the objects out in ``process.memory``.

    Also gives the slots that name a type, and how many records of the dump were no objects.

    Raises:
        EvidenceError: objects overlap, or lie where no heap can be.
        LayoutError: there are more slots than can be numbered.
    """
    rows, spans = _spans(dump, process.layouts.release)
    base, size = spans["base"].astype(np.int64), spans["bytes"].astype(np.int64)
    paged = Paged(base, size)
    paged.lay(process.memory)
    pages = process.memory.page_table(unique(base >> CHUNK_SHIFT).tolist())
    index = build_index(pages, spans)
    flags = np.zeros(index.nobjects, dtype=np.uint8)
    dropped = load("dump").fill(dump.data, rows, paged.bytes, paged.places(base), index, flags, index.ptrmask)
    table = _table(index, _with_headers(process, index))
    words = TypeWords(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64), 0)
    if process.layouts.release >= (1, 22):
        words = type_words(index, table, spans["header"] != 0, flags)
    numbers = unique(base >> CHUNK_SHIFT)
    arenas = Arenas(numbers, np.zeros(len(numbers), dtype=np.uint64))
    return Spans(arenas, pages, table, index, flags, []), words, dropped


def _spans(dump: HeapDump, release: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]:
    """The rows of the dump by address, and the spans that they are of."""
    rows = np.ascontiguousarray(dump.spans[np.argsort(dump.spans[:, BASE], kind="stable")])
    base, size = rows[:, BASE], rows[:, SIZE]
    small = size <= _LARGEST_SMALL
    total = size.copy()
    total[small] = class_pages()[size[small] // 8].astype(np.int64) * PAGE
    outside = (base < dump.params.arena_start) | (base + total > dump.params.arena_end)
    if not len(rows) or outside.any() or (base[1:] < (base + total)[:-1]).any():
        raise EvidenceError(f"{dump.path}: objects of the heap dump overlap, or lie outside the heap", _DAMAGED)
    chunks = len(unique(base >> CHUNK_SHIFT))
    if int(total.sum()) > _BLOWN_UP * dump.size_bytes + _ROOM or chunks > _CHUNKS + (dump.size_bytes >> 18):
        raise EvidenceError(f"{dump.path}: the objects of the heap dump lie too far apart", _DAMAGED)
    # a span in use has an object, and one for objects with pointers has none without (mcentral.go, mbitmap.go)
    scan = rows[:, POINTERS] != 0
    slots = total // size
    if release >= (1, 22):
        inline = _inline_marks(dump.params.go_version, release) & (size >= INLINE_MARK_MIN)
        bits = size <= MIN_SIZE_FOR_HEADER
        marks = np.where(inline & bits, INLINE_MARK_BYTES, 0)
        with_bitmap = (total - np.where(bits, total // 64, 0) - marks) // size
        slots = np.where(scan, with_bitmap, (total - marks) // size)
    spans = np.zeros(len(rows), dtype=SPAN_DTYPE)
    spans["base"], spans["elemsize"], spans["bytes"], spans["nelems"] = base, size, total, slots
    spans["noscan"] = ~scan
    return rows, spans


def _inline_marks(version: str, release: tuple[int, int]) -> bool:
    """Whether the collector is Green Tea: an experiment in 1.25, the default from 1.26 (internal/buildcfg/exp.go)."""
    experiments = go_experiments(version)
    return "nogreenteagc" not in experiments if release >= (1, 26) else "greenteagc" in experiments


def _with_headers(process: Process, index: HeapIndex) -> npt.NDArray[np.uint8]:
    """Marks spans whose slots begin with a malloc header; the span class of each, as far as it can be told.

    A slot of 32,768 bytes is one of the largest size class, with a header, or a large object, without.
    """
    spans = index.spans
    large = spans["elemsize"] > _LARGEST_SMALL
    scan = spans["noscan"] == 0
    if process.layouts.release >= (1, 22):
        spans["header"] = scan & (spans["elemsize"] > MIN_SIZE_FOR_HEADER) & ~large
        doubtful = np.flatnonzero(scan & (spans["elemsize"] == _LARGEST_SMALL))
        rows, ok = gather(index, spans["base"][doubtful], 8)
        first = column(rows, 0, 8)
        is_type = np.zeros(len(first), dtype=np.bool_)
        for module in process.modules:
            is_type |= (first >= np.uint64(module.types)) & (first < np.uint64(module.etypes))
        bit = spans["maskbit"][doubtful]
        pointer = index.ptrmask[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1) != 0
        spans["header"][doubtful] = ok & is_type & ~pointer
        large[doubtful] = spans["header"][doubtful] == 0
    spanclass: npt.NDArray[np.uint8] = np.where(large, 0, 2).astype(np.uint8) + (~scan).astype(np.uint8)
    return spanclass


def _table(index: HeapIndex, spanclass: npt.NDArray[np.uint8]) -> SpanTable:
    """The spans, without all that a heap dump does not say."""
    none = np.zeros(len(index.spans), dtype=np.uint64)
    empty = np.zeros(0, dtype=np.uint64)
    return SpanTable(
        spans=index.spans, spanclass=spanclass, freeindex=none, allocbits=none, gcmarkbits=none, alloc_count=none,
        alloc_count_before_cache=none, sweepgen=none, specials=none, large_type=none,
        user_arena=np.zeros(len(none), dtype=np.bool_), struct=none, manual_base=empty, manual_bytes=empty, dropped=0,
    )  # fmt: skip


def dumped_roots(dump: HeapDump, index: HeapIndex, stacks: StackRoots) -> Roots:
    """Variables by the dump's own pointer fields, finalizers, stacks. What typed variables add is the caller's."""
    notes: list[str] = []
    masks: list[npt.NDArray[np.uint8]] = []
    regions = []
    used = 0
    for tag, name in ((DATA, "data"), (BSS, "bss")):
        address, _, size, fields = dump.records(tag)[0].tolist()
        bits = dump.pointer_bits(fields, size)
        if bits is None:
            notes.append(f"the pointer fields of .{name} are damaged: its variables count as all pointers")
        regions.append([address, size // 8, -1, -1 if bits is None else used, int(bits is None)])
        masks.append(np.zeros(0, dtype=np.uint8) if bits is None else bits)
        used += len(masks[-1])
    finalizers = dump.records(FINALIZER)
    objects, slot = index.find(finalizers[:, 0])
    held = objects >= 0
    spans = index.spans[index.span_of_object(np.maximum(objects, 0))]
    own = held & (spans["noscan"] == 0)
    kept = np.full((int(own.sum()), 5), -1, dtype=np.int64)
    kept[:, 0], kept[:, 1], kept[:, 4] = slot[own], spans["elemsize"][own] // 8, 1
    queued, others = dump.records(QUEUED), dump.records(OTHER_ROOT)
    records = np.concatenate(
        [finalizers[:, [0, 1]], queued[:, [0, 0]], queued[:, [0, 1]], others[:, [2, 2]]]
    )  # owner, what it holds
    loose = np.concatenate([stacks.certain, records[:, 1], stacks.uncertain])
    certain = len(stacks.certain) + len(records)
    return Roots(
        np.concatenate([np.array(regions, dtype=np.int64), kept]),
        np.concatenate([*masks, np.zeros(8, dtype=np.uint8)]),
        loose, certain, notes + stacks.notes, records,
    )  # fmt: skip


def dumped_figures(dump: HeapDump) -> RuntimeFigures:
    """The runtime's own figures: the dump holds ``MemStats``. What the last collection marked is not among them."""
    stats = dump.stats
    heap_alloc, heap_sys, _, heap_inuse, heap_released, heap_objects, stack_inuse, stack_sys = stats[6:14]
    return RuntimeFigures(
        heap_alloc_bytes=heap_alloc,
        heap_objects=heap_objects,
        heap_inuse_bytes=heap_inuse,
        heap_sys_bytes=heap_sys,
        heap_released_bytes=heap_released,
        stack_inuse_bytes=stack_inuse,
        other_sys_bytes=stack_sys - stack_inuse + sum(stats[at] for at in (15, 17, 18, 19, 20)),
        num_gc=stats[280],
        heap_marked_bytes=None,
    )


def other_frames(dump: HeapDump, frames: Frames) -> int:
    """How many frames the dump lists otherwise than the walk of the stacks found them, by stack pointer and pc."""
    listed = dump.records(FRAME)[:, [0, 6]]
    walked = np.stack([frames.sp, frames.pc], axis=1)
    both = np.concatenate([np.unique(listed, axis=0), np.unique(walked, axis=0)])
    return int((np.unique(both, axis=0, return_counts=True)[1] == 1).sum())
