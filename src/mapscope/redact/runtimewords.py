"""The runtime's own memory: exactly the fields that :mod:`mapscope.goruntime` reads, by the layout of the release."""

from __future__ import annotations

import numpy as np

from mapscope.arrays import unique
from mapscope.goruntime.index import GO_PAGE, column, gather
from mapscope.goruntime.pointers import INLINE_MARK_BYTES, inline_marks, span_bitmaps
from mapscope.goruntime.roots import special_kinds
from mapscope.heap.model import Heap
from mapscope.redact.words import KNOWN, LOOSE, POINTER, STAYS, U8, Words

_MHEAP = (
    *(f"{name}.{part}" for name in ("allArenas", "heapArenas", "allspans") for part in ("array", "len")),
    *("arenas", "sweepgen", "pages.summary", "pages.chunks"),
    *(f"{name}.chunk" for name in ("spanalloc", "cachealloc", "specialprofilealloc", "arenaHintAlloc")),
)
_MSPAN = (
    *("startAddr", "npages", "nelems", "elemsize", "spanclass", "state", "freeindex", "allocBits", "gcmarkBits"),
    *("allocCount", "allocCountBeforeCache", "sweepgen", "specials", "largeType", "isUserArenaChunk"),
)
_G = (
    *("goid", "atomicstatus", "stack.lo", "stack.hi", "syscallsp", "syscallpc", "sched.sp", "sched.pc", "sched.lr"),
    *("sched.ctxt", "m", "_defer", "_panic", "gopc", "startpc", "parentGoid", "lockedm", "waitreason", "waitsince"),
    "xRegs.state",
)
_M = ("procid", "gsignal", "vdsoSP", "vdsoPC")
_P = ("sysmontick.schedwhen", "sysmontick.syscallwhen", "gcStopTime")
_VARIABLES = (
    ("runtime.work", "workType", ("tstart", "tSweepTerm", "tMark", "tMarkTerm", "tEnd")),
    ("runtime.gcController", "gcControllerState", ("markStartTime", "heapMarked")),
    ("runtime.sched", "sched", ("lastpoll", "procresizetime")),
)
_MSTATS = (
    *("mspan_sys", "mcache_sys", "buckhash_sys", "gcMiscSys", "other_sys", "stacks_sys", "numgc", "last_gc_nanotime"),
    "heapStats",
)
_DELTAS = 3
_ITAB_TABLE_ENTRIES = 1 << 20
_MAX_ROUNDS = 1 << 16
_MAX_REASON = 256
_STRUCT_FIELDS = 56
"""Offset of ``Fields`` in ``abi.StructType``: behind the common part and the package path."""


def mark_runtime(words: Words, heap: Heap) -> None:
    """Marks all of it."""
    _modules(words, heap)
    _page_heap(words, heap)
    _statistics(words, heap)
    _goroutines(words, heap)
    _specials(words, heap)
    _roots(words, heap)
    _itabs(words, heap)
    _made_types(words, heap)


def _one(address: int) -> U8:
    return np.array([address], dtype=np.uint64)


def _modules(words: Words, heap: Heap) -> None:
    """moduledata, the pointer masks that the program made of its static data, and the static data by these masks."""
    process = heap.process
    size = process.executable.module_layout.size
    for module in process.modules:
        words.run(module.address, size)
        for low, high, mask in (
            (module.data, module.edata, module.gcdatamask), (module.bss, module.ebss, module.gcbssmask)
        ):  # fmt: skip
            count = min(max(high - low, 0) // 8, mask.bits)
            words.run(mask.address, (count + 7) // 8)
            data = process.memory.read(mask.address, (count + 7) // 8) if count else None
            if data is None:
                continue
            bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[:count]
            words.mark(np.uint64(low) + np.flatnonzero(bits).astype(np.uint64) * np.uint64(8), POINTER)
            words.run(low, high - low, KNOWN)
        for address, count in (module.itablinks, module.typelinks):
            if 0 < count <= _ITAB_TABLE_ENTRIES:
                words.run(address, 8 * count)
    _linked(words, heap)


def _linked(words: Words, heap: Heap) -> None:
    """What the linker made in a segment that is relocated (types of a PIE): as the file has it, or a relocated address.

    Only what lies before the program's own variables.
    """
    process = heap.process
    exe, bias, module = process.executable.elf, process.bias, process.modules[0]
    end = min(low for low in (module.noptrdata, module.data) if low) if module.noptrdata or module.data else 0
    low, high = heap.types.module_range
    for segment in exe.segments:
        start = segment.vaddr + bias
        size = min(segment.filesz, end - start) & ~7
        if not segment.flags & 2 or size <= 0:
            continue
        here, there = process.memory.words(start, size // 8), exe.read(segment.vaddr, size)
        if here is None or there is None:
            continue
        same = (here == np.frombuffer(there, dtype="<u8")) | ((here >= np.uint64(low)) & (here < np.uint64(high)))
        same |= words.in_text(here) if bias else False
        words.mark(np.uint64(start) + np.flatnonzero(same).astype(np.uint64) * np.uint64(8), STAYS)


def _page_heap(words: Words, heap: Heap) -> None:
    process, layouts, memory = heap.process, heap.process.layouts, heap.process.memory
    mheap = layouts.struct("mheap")
    words.fields(_one(process.mheap), mheap, _MHEAP)
    words.run(process.mheap + mheap.offset("central"), 8, POINTER)

    def listed(name: str) -> U8:
        array = memory.word(process.mheap + mheap.offset(f"{name}.array")) or 0
        count = memory.word(process.mheap + mheap.offset(f"{name}.len")) or 0
        found = memory.words(array, count) if memory.covered(array, 8 * count) == 8 * count else None
        words.run(array, 8 * count if found is not None else 0)
        return np.zeros(0, dtype=np.uint64) if found is None else found

    index = listed("heapArenas" if "heapArenas.array" in mheap else "allArenas")
    level2 = memory.word(process.mheap + mheap.offset("arenas")) or 0
    words.mark(np.uint64(level2) + index * np.uint64(8), STAYS)
    arena = layouts.struct("heapArena")
    names = ["pageUseSpanInlineMarkBits"] + (["bitmap"] if layouts.release < (1, 22) else [])
    there = heap.arenas.struct[heap.arenas.struct != 0]
    for name in names:
        if name in arena:
            entry = arena.field(name)
            words.runs(there + np.uint64(entry.offset), np.full(len(there), entry.size // 8), STAYS)
    words.fields(listed("allspans"), layouts.struct("mspan"), _MSPAN)
    spans, table = heap.index.spans, heap.spans
    for bits in (table.allocbits, table.gcmarkbits):
        words.runs(bits & ~np.uint64(7), (spans["nelems"].astype(np.int64) + 127) // 64, STAYS)
    inline = inline_marks(memory, layouts, heap.arenas, spans["base"])
    marks = spans["base"][inline] + np.uint64(GO_PAGE - INLINE_MARK_BYTES)
    words.runs(marks, np.full(len(marks), INLINE_MARK_BYTES // 8), STAYS)
    if layouts.release >= (1, 22):
        which, bitmap = span_bitmaps(memory, layouts, heap.index, table, heap.arenas)
        words.runs(bitmap, spans["bytes"][which].astype(np.int64) // 512, STAYS)
        headed = spans[spans["header"] != 0]
        for start in unique(headed["elemsize"]).tolist():
            of = headed[headed["elemsize"] == start]
            words.runs(of["base"], of["nelems"].astype(np.int64), KNOWN, start)


def _statistics(words: Words, heap: Heap) -> None:
    layouts, globals_ = heap.process.layouts, heap.process.globals
    for variable, name, fields in _VARIABLES:
        if variable in globals_ and layouts.has(name):
            words.fields(_one(globals_[variable]), layouts.struct(name), fields)
    stats = globals_.get("runtime.memstats", 0)
    if stats:
        mstats = layouts.struct("mstats")
        words.fields(_one(stats), mstats, _MSTATS)
        words.run(stats + mstats.offset("heapStats"), _DELTAS * layouts.struct("heapStatsDelta").size)


def _goroutines(words: Words, heap: Heap) -> None:
    """allgs, each g, its thread's record, the bounds of that one's signal stack; the processors' clocks."""
    process, layouts, memory, table = heap.process, heap.process.layouts, heap.process.memory, heap.goroutines
    for name in ("runtime.allgs", "runtime.allp"):
        head = process.globals.get(name, 0)
        array, count = (memory.word(head) or 0, memory.word(head + 8) or 0) if head else (0, 0)
        if not array or memory.covered(array, 8 * count) < 8 * count:
            continue
        words.run(head, 16)
        words.run(array, 8 * count)
        if name == "runtime.allp":
            processors = memory.words(array, count)
            words.fields(processors if processors is not None else _one(0)[:0], layouts.struct("p"), _P)
    g, m = layouts.struct("g"), layouts.struct("m")
    words.fields(table.address, g, _G)
    threads = unique(table.m[table.m != 0])
    words.fields(threads, m, _M)
    rows, ok = gather(heap.index, threads + np.uint64(m.offset("gsignal")), 8)
    signal = column(rows, 0, 8)[ok]
    words.fields(signal[signal != 0], g, ("stack.lo", "stack.hi"))
    reasons = process.globals.get("runtime.waitReasonStrings", 0)
    for number in unique(table.waitreason).tolist() if reasons else ():
        if number < _MAX_REASON:
            words.run(reasons + 16 * number, 16)


def _specials(words: Words, heap: Heap) -> None:
    """Special records: the head of each, and the pointers behind it of those that are roots."""
    layouts = heap.process.layouts
    special, kinds = layouts.struct("special"), special_kinds(layouts.release)
    names = {"finalizer": "specialfinalizer", "weak_handle": "specialWeakHandle", "cleanup": "specialCleanup"}
    at = heap.spans.specials[heap.spans.specials != 0]
    for _ in range(_MAX_ROUNDS):
        at = at[~words.marked(at)]
        if not len(at):
            return
        rows, ok = gather(heap.index, at, special.size)
        at, rows = at[ok], rows[ok]
        words.fields(at, special)
        words.mark(at, STAYS)
        kind = column(rows, special.offset("kind"), 1)
        for name, value in kinds.items():
            if layouts.has(names[name]):
                here = at[kind == value] + np.uint64(special.size)
                count = (layouts.struct(names[name]).size - special.size) // 8
                words.runs(here, np.full(len(here), count), POINTER)
        at = column(rows, special.offset("next"), 8)
        at = at[at != 0]


def _roots(words: Words, heap: Heap) -> None:
    """Root regions without a mask: queued finalizers and cleanups, special records, objects with a finalizer."""
    regions = heap.roots.regions
    loose = regions[(regions[:, 3] < 0) & (regions[:, 2] < 0)]
    words.runs(loose[:, 0].astype(np.uint64), loose[:, 1], LOOSE)
    layouts, globals_ = heap.process.layouts, heap.process.globals
    blocks = loose[loose[:, 1] == 512][:, 0].astype(np.uint64)
    for name, fields in (("finblock", ("alllink",)), ("cleanupBlock", ("alllink", "cleanupBlockHeader.alllink"))):
        if layouts.has(name):
            struct = layouts.struct(name)
            for field in fields:
                if field in struct:
                    words.mark(blocks + np.uint64(struct.offset(field)), POINTER)
    words.run(globals_.get("runtime.allfin", 0), 8, POINTER)
    if "runtime.gcCleanups" in globals_ and layouts.has("cleanupQueue"):
        queue = layouts.struct("cleanupQueue")
        words.fields(_one(globals_["runtime.gcCleanups"]), queue, [n for n in ("all", "all.value") if n in queue])


def _itabs(words: Words, heap: Heap) -> None:
    """The runtime's hash table of itabs, and of each itab the interface and the type."""
    process, memory = heap.process, heap.process.memory
    variable = process.globals.get("runtime.itabTable", 0)
    table = memory.word(variable) if variable else None
    size = memory.word(table) if table else None
    links = [memory.words(a, n) for a, n in (m.itablinks for m in process.modules) if 0 < n <= _ITAB_TABLE_ENTRIES]
    if table and size and size <= _ITAB_TABLE_ENTRIES:
        words.run(variable, 8)
        words.run(table, 16 + 8 * size)
        links.append(memory.words(table + 16, size))
    for found in links:
        for itab in found.tolist() if found is not None else ():
            if itab and process.types.itab(itab) is not None:
                words.run(itab, 24)


def _made_types(words: Words, heap: Heap) -> None:
    """Types that reflect made at run time, with their pointer masks. Names of fields are gone: they may be contents."""
    types = heap.process.types
    for made in types.made_at_run_time():
        if made.address not in heap.types.by_address:
            continue
        words.run(made.address, types.descriptor_size(made))
        words.run(made.gcdata, (made.ptrdata // 8 + 7) // 8)
        if made.fields:
            words.run(heap.process.memory.word(made.address + _STRUCT_FIELDS) or 0, 24 * len(made.fields))
