"""Where the resident memory went: RSS = live + dead + free spans + stacks + runtime + outside Go + unexplained.

Every byte is put down to what lies at its address: a slot of a span, a stack, a mapping that the runtime's own
structures lie in, a mapped file. What is none of these stays unexplained.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapscope._kernels import load
from mapscope.arrays import unique
from mapscope.evidence.core import Core
from mapscope.evidence.memory import CHUNK_SHIFT, PAGE
from mapscope.heap.model import Heap
from mapscope.heap.resident import Ranges, Resident, disjoint, resident_ranges
from mapscope.heap.summary import HeapSummary, Reconciliation

_MAX_STACK = 1 << 31
_RUNTIME_CHUNK = 256 << 10
"""``persistentChunkSize`` of runtime/malloc.go; most structures outside the heap lie in chunks of this size or less."""
_MAX_EXTENT = 1 << 22
"""Pages between the first and the last structure of a kind for which a table of all is made."""
_FROM_C = "crosscall2"
"""C enters Go here (runtime/cgo/asm_*.s): linked into every program that uses cgo, and no other."""


def summarise(heap: Heap) -> HeapSummary:
    """Sums of the heap. Live and dead count whole slots, as the runtime does."""
    spans = heap.index.spans
    sums = np.zeros(2 * len(spans), dtype=np.int64)
    load("spans").sum_marked(heap.index, heap.state.flags, sums)
    allocated, marked = sums[0::2], sums[1::2]
    size = spans["elemsize"].astype(np.int64)
    dead = allocated - marked
    return HeapSummary(
        int((marked * size).sum()),
        int(marked.sum()),
        int((dead * size).sum()),
        int(dead.sum()),
        heap.figures,
        _reconcile(heap, heap.process.core, marked * size) if heap.process.core is not None else None,
    )


def _reconcile(heap: Heap, core: Core, live: npt.NDArray[np.int64]) -> Reconciliation:
    """``live``: bytes of marked slots of each span."""
    arenas = arena_ranges(heap)
    resident = resident_of(heap, arenas)
    spans = heap.index.spans
    base = spans["base"].astype(np.int64)
    in_span = resident.within(base, base + spans["bytes"].astype(np.int64))
    live_resident = np.minimum(live, in_span)
    in_stacks = int(resident.within(*_stacks(heap)).sum())
    manual = heap.spans.manual_base.astype(np.int64)
    in_manual = int(resident.within(manual, manual + heap.spans.manual_bytes.astype(np.int64)).sum())
    in_arenas = int(resident.within(*arenas).sum())
    in_spans = int(in_span.sum())
    runtime, outside = _elsewhere(heap, core, resident, arenas)
    work_buffers = max(0, in_manual - in_stacks)
    return Reconciliation(
        rss_bytes=resident.bytes,
        live_bytes=int(live_resident.sum()),
        dead_bytes=in_spans - int(live_resident.sum()),
        free_span_bytes=max(0, in_arenas - in_spans - in_stacks - work_buffers),
        stack_bytes=in_stacks,
        runtime_bytes=runtime + work_buffers,
        outside_go_bytes=outside,
        unexplained_bytes=resident.bytes - in_arenas - runtime - outside,
    )


def resident_of(heap: Heap, arenas: Ranges) -> Resident:
    """What the process had in memory. A redacted core, most of whose pages are empty, says it in its note."""
    redaction = heap.process.redaction
    if redaction is None:
        return resident_ranges(heap.process.memory, 0, arenas)
    ends = redaction.resident.astype(np.int64)
    return Resident(np.ascontiguousarray(ends[:, 0]), np.ascontiguousarray(ends[:, 1]))


def arena_ranges(heap: Heap) -> Ranges:
    """Where the heap's arenas lie."""
    low = heap.arenas.number << CHUNK_SHIFT
    return low, low + (1 << CHUNK_SHIFT)


def _stacks(heap: Heap) -> Ranges:
    table = heap.goroutines
    rows = [
        (low, high)
        for low, high in zip(table.stack_lo.tolist(), table.stack_hi.tolist(), strict=True)
        if low and low < high < 1 << 48 and high - low < _MAX_STACK
    ]
    return disjoint(rows)


def _elsewhere(heap: Heap, core: Core, resident: Resident, arenas: Ranges) -> tuple[int, int]:
    """Resident bytes outside the arenas: in mappings of the runtime's own structures, and outside Go.

    Outside Go are mapped files, the process's own code and data among them, and thread stacks; in a program with C code
    also whatever is not close to a structure of the runtime's: malloc and thread libraries map as they like, and the
    kernel makes one mapping of neighbours.
    """
    c_code = any(table.index_of(_FROM_C) >= 0 for _, table in heap.frames.code.tables)
    files = disjoint([(row.start, row.end) for row in core.mappings if row.end < 1 << 48])
    in_files = int((resident.within(*files)).sum())
    owned = _runtime_pages(heap)
    close = _close_to(heap, owned) if c_code else arenas
    threads = np.array(sorted(t.sp for t in core.threads if t.sp < 1 << 48), dtype=np.int64)
    runtime, outside = 0, in_files
    for segment in core.elf.segments:
        low, high = segment.vaddr, segment.vaddr + segment.memsz
        if high > 1 << 48 or low >= high:
            continue
        one = (np.array([low], dtype=np.int64), np.array([high], dtype=np.int64))
        bytes_here = int(resident.within(*one)[0]) - _both(resident, one, arenas) - _both(resident, one, files)
        if bytes_here <= 0:
            continue
        if _any_in(owned, low // PAGE * PAGE, high):
            mine = min(bytes_here, _both(resident, one, close)) if c_code else bytes_here
            runtime += mine
            outside += bytes_here - mine
        elif c_code or _any_in(threads, low, high):
            outside += bytes_here
    return runtime, outside


def _close_to(heap: Heap, owned: npt.NDArray[np.int64]) -> Ranges:
    """Where the runtime's own structures lie, to the chunks that it asks the system for, and the larger ones whole."""
    cells = unique(owned // _RUNTIME_CHUNK)
    cells = unique(np.concatenate([cells - 1, cells, cells + 1]))
    breaks = np.flatnonzero(np.diff(cells) > 1)
    first, last = np.concatenate([cells[:1], cells[breaks + 1]]), np.concatenate([cells[breaks], cells[-1:]])
    rows = list(zip((first * _RUNTIME_CHUNK).tolist(), ((last + 1) * _RUNTIME_CHUNK).tolist(), strict=True))
    size = heap.process.layouts.struct("heapArena").size
    rows += [(at, at + size) for at in heap.arenas.struct.astype(np.int64).tolist() if at]
    return disjoint(rows)


def _both(resident: Resident, one: Ranges, ranges: Ranges) -> int:
    """Resident bytes that lie in the range ``one`` and in ``ranges``."""
    low, high = np.maximum(ranges[0], one[0]), np.minimum(ranges[1], one[1])
    keep = low < high
    return int(resident.within(low[keep], high[keep]).sum())


def _any_in(addresses: npt.NDArray[np.int64], low: int, high: int) -> bool:
    at = int(np.searchsorted(addresses, low))
    return at < len(addresses) and int(addresses[at]) < high


def _runtime_pages(heap: Heap) -> npt.NDArray[np.int64]:
    """The pages, ascending, in which structures begin that only the runtime allocates, outside the heap.

    Spans, arenas, allocation bits, special records, page-allocator summaries and chunks, pointer masks, per-P caches
    (runtime/malloc.go: persistentalloc, sysAlloc).
    """
    table, process = heap.spans, heap.process
    parts = [table.struct, heap.arenas.struct, table.allocbits, table.gcmarkbits, table.specials]
    loose = [module.gcdatamask.address for module in process.modules]
    mheap = process.layouts.struct("mheap")
    memory = process.memory
    for name in ("pages.summary", "pages.chunks", "arenas", "allspans.array", "heapArenas.array", "allArenas.array"):
        if name in mheap:
            entry = mheap.fields[name]
            words = memory.words(process.mheap + entry.offset, entry.size // 8)
            loose += [] if words is None else [word for word in words.tolist() if word < 1 << 48]
    names = ("central", "spanalloc.chunk", "cachealloc.chunk", "specialprofilealloc.chunk", "arenaHintAlloc.chunk")
    for name in names:
        if name in mheap:
            loose.append(memory.word(process.mheap + mheap.offset(name)) or 0)
    parts.append(np.array(loose, dtype=np.uint64))
    pages: npt.NDArray[np.int64] = unique(np.concatenate([_pages(addresses) for addresses in parts])) * PAGE
    return pages


def _pages(addresses: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The distinct pages of some addresses that lie close together, as most structures of one kind do."""
    page: npt.NDArray[np.int64] = (addresses[addresses != 0] // np.uint64(PAGE)).astype(np.int64)
    if not len(page):
        return page
    low = int(page.min())
    extent = int(page.max()) - low + 1
    if extent > _MAX_EXTENT:
        return unique(page)
    there = np.zeros(extent, dtype=np.bool_)
    there[page - low] = True
    found: npt.NDArray[np.int64] = np.flatnonzero(there) + low
    return found
