"""The runtime's own figures in the evidence, computed as ``runtime.ReadMemStats`` does (runtime/mstats.go).

ReadMemStats first flushes the per-P caches. A core cannot; spans that are cached are recognised by their sweepgen, and
what was allocated from them since they were cached is added (runtime/mcache.go: refill, releaseAll).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from mapscope.evidence.memory import Memory
from mapscope.goruntime.layout import Layouts
from mapscope.goruntime.spans import SpanTable


class RuntimeFigures(Struct, frozen=True):
    """What the runtime's own statistics in the evidence say, the per-P caches that are not yet flushed included."""

    heap_alloc_bytes: int
    """``MemStats.HeapAlloc`` as ``runtime.ReadMemStats`` would have computed it: allocated, live or not yet swept."""
    heap_objects: int
    """``MemStats.HeapObjects``."""
    heap_inuse_bytes: int
    heap_sys_bytes: int
    heap_released_bytes: int
    stack_inuse_bytes: int
    other_sys_bytes: int
    """Everything the runtime took for itself: mspan, mcache, profiling, GC, other."""
    num_gc: int
    heap_marked_bytes: int | None
    """Bytes that the last collection marked (``gcController.heapMarked``); None where the evidence does not say."""


_DELTAS = 3
"""``consistentHeapStats.stats`` is a ring of three deltas whose sum is the state."""


def read_runtime_figures(
    memory: Memory, layouts: Layouts, table: SpanTable, globals_: Mapping[str, int], mheap: int
) -> RuntimeFigures | None:
    """None when ``runtime.memstats`` is not known or not in the evidence."""
    base = globals_.get("runtime.memstats", 0)
    if not base:
        return None
    mstats, delta = layouts.struct("mstats"), layouts.struct("heapStatsDelta")
    at = base + mstats.offset("heapStats")
    words = memory.words(at, _DELTAS * delta.size // 8)
    if words is None:
        return None
    total = words.reshape(_DELTAS, -1).sum(axis=0, dtype=np.uint64)

    def value(name: str) -> int:
        number = int(total[delta.offset(name) // 8])
        return number - (1 << 64) if number >= 1 << 63 else number

    sizes = np.array(layouts.class_to_size, dtype=np.int64)
    per_class = [
        total[delta.offset(name) // 8 :][: len(sizes)].astype(np.int64)
        for name in ("smallAllocCount", "smallFreeCount")
    ]
    small = per_class[0] - per_class[1]
    heap_alloc = value("largeAlloc") - value("largeFree") + int((small * sizes).sum())
    objects = value("largeAllocCount") - value("largeFreeCount") + int(small.sum())
    cached_bytes, cached_objects = _cached(memory, layouts, table, mheap)

    def stat(name: str) -> int:
        return (memory.word(base + mstats.offset(name)) or 0) if name in mstats else 0

    other = ("mspan_sys", "mcache_sys", "buckhash_sys", "gcMiscSys", "other_sys", "stacks_sys")
    controller = globals_.get("runtime.gcController", 0)
    marked = 0
    if controller and layouts.has("gcControllerState") and "heapMarked" in layouts.struct("gcControllerState"):
        marked = memory.word(controller + layouts.struct("gcControllerState").offset("heapMarked")) or 0
    numgc = memory.read(base + mstats.offset("numgc"), 4) if "numgc" in mstats else None
    return RuntimeFigures(
        heap_alloc_bytes=heap_alloc + cached_bytes,
        heap_objects=objects + cached_objects,
        heap_inuse_bytes=value("inHeap"),
        heap_sys_bytes=value("committed")
        + value("released")
        - value("inStacks")
        - value("inWorkBufs")
        - (value("inPtrScalarBits") if "inPtrScalarBits" in delta else 0),
        heap_released_bytes=value("released"),
        stack_inuse_bytes=value("inStacks"),
        other_sys_bytes=sum(stat(name) for name in other) + value("inWorkBufs"),
        num_gc=int.from_bytes(numgc or b"", "little"),
        heap_marked_bytes=marked,
    )


def _cached(memory: Memory, layouts: Layouts, table: SpanTable, mheap: int) -> tuple[int, int]:
    """Bytes and objects allocated from cached spans and not yet in the statistics."""
    data = memory.read(mheap + layouts.struct("mheap").offset("sweepgen"), 4)
    if data is None:
        return 0, 0
    sweepgen = int.from_bytes(data, "little")
    cached = (table.sweepgen == sweepgen + 1) | (table.sweepgen == sweepgen + 3)
    cached &= table.spanclass > 1
    used = table.alloc_count[cached].astype(np.int64)
    used -= table.alloc_count_before_cache[cached].astype(np.int64)
    return int((used * table.spans["elemsize"][cached].astype(np.int64)).sum()), int(used.sum())
