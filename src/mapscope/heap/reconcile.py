"""Where the resident memory went: RSS = live + dead + free spans + stacks + runtime + outside Go + unexplained."""

from __future__ import annotations

import numpy as np

from mapscope._kernels import load
from mapscope.evidence.memory import Memory
from mapscope.heap.model import Heap
from mapscope.heap.summary import HeapSummary, Reconciliation


def summarise(heap: Heap) -> HeapSummary:
    """Sums of the heap. Live and dead count whole slots, as the runtime does."""
    spans = heap.index.spans
    sums = np.zeros(2 * len(spans), dtype=np.int64)
    load("spans").sum_marked(heap.index, heap.state.flags, sums)
    allocated, marked = sums[0::2], sums[1::2]
    size = spans["elemsize"].astype(np.int64)
    live_objects, live_bytes = int(marked.sum()), int((marked * size).sum())
    dead_objects = int((allocated - marked).sum())
    dead_bytes = int(((allocated - marked) * size).sum())
    return HeapSummary(live_bytes, live_objects, dead_bytes, dead_objects, heap.figures, _reconcile(heap, live_bytes))


def _reconcile(heap: Heap, live_bytes: int) -> Reconciliation:
    """Resident pages by what they belong to. A page counts as resident when the evidence holds bytes for it."""
    memory = heap.process.memory
    resident = _resident_extents(memory)
    rss = sum(high - low for low, high in resident)
    spans = heap.index.spans
    base, end = spans["base"].astype(np.int64), (spans["base"] + spans["bytes"]).astype(np.int64)
    in_spans = _overlap(resident, base, end)
    stack_low = np.array([low for low, _ in _stack_ranges(heap)], dtype=np.int64)
    stack_high = np.array([high for _, high in _stack_ranges(heap)], dtype=np.int64)
    stacks = _overlap(resident, stack_low, stack_high)
    arena_low = heap.arenas.number << 26
    arenas = _overlap(resident, arena_low, arena_low + (1 << 26))
    # a resident page of a span in use is live, or held by dead and free slots
    live = min(live_bytes, in_spans)
    runtime_bytes = heap.figures.other_sys_bytes if heap.figures else 0
    images = _image_ranges(heap)
    outside = _overlap(resident, images[0], images[1])
    rest = rss - arenas - outside
    runtime_bytes = min(runtime_bytes, max(rest, 0))
    return Reconciliation(
        rss_bytes=rss,
        live_bytes=live,
        dead_bytes=in_spans - live,
        free_span_bytes=max(0, arenas - in_spans - stacks),
        stack_bytes=stacks,
        runtime_bytes=runtime_bytes,
        outside_go_bytes=outside,
        unexplained_bytes=rss - arenas - outside - runtime_bytes,
    )


def _resident_extents(memory: Memory) -> list[tuple[int, int]]:
    """Extents of the core itself (buffer 0) that hold file bytes, merged."""
    out: list[tuple[int, int]] = []
    for extent in memory.extents:
        if extent.buffer != 0 or extent.offset < 0 or extent.end > 1 << 48:  # vsyscall lies at the very top
            continue
        if out and out[-1][1] == extent.start:
            out[-1] = (out[-1][0], extent.end)
        else:
            out.append((extent.start, extent.end))
    return out


def _overlap(resident: list[tuple[int, int]], low: np.ndarray, high: np.ndarray) -> int:  # type: ignore[type-arg]
    """Bytes of the (disjoint) ranges [low, high) that lie in resident extents."""
    if not len(low) or not resident:
        return 0
    starts = np.array([a for a, _ in resident], dtype=np.int64)
    ends = np.array([b for _, b in resident], dtype=np.int64)
    before = np.concatenate(([0], np.cumsum(ends - starts)))

    def upto(address: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        at = np.searchsorted(starts, address, side="right")
        inside = np.where(at > 0, np.minimum(address, ends[np.maximum(at - 1, 0)]) - starts[np.maximum(at - 1, 0)], 0)
        return np.where(at > 0, before[np.maximum(at - 1, 0)] + inside, 0)

    return int((upto(high) - upto(low)).sum())


def _stack_ranges(heap: Heap) -> list[tuple[int, int]]:
    """Stacks of goroutines, disjoint."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(zip(heap.goroutines.stack_lo.tolist(), heap.goroutines.stack_hi.tolist(), strict=True)):
        if low and low < high and (not out or low >= out[-1][1]) and high - low < 1 << 31:
            out.append((low, high))
    return out


def _image_ranges(heap: Heap) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Mapped files (the executable's own data, C libraries) and thread stacks outside the arenas, disjoint."""
    rows: list[tuple[int, int]] = []
    for row in sorted(heap.process.core.mappings, key=lambda r: r.start):
        if not rows or row.start >= rows[-1][1]:
            rows.append((row.start, row.end))
    return np.array([a for a, _ in rows], dtype=np.int64), np.array([b for _, b in rows], dtype=np.int64)
