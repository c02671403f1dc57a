"""Roots of the heap: data and bss by mask, special records, queued finalizers and cleanups, stacks, registers.

The same set that the collector's markroot scans (runtime/mgcmark.go), as regions for the trace kernel: rows of
``address, words, type id or -1, byte offset of its mask or -1, 1 for a stack``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.binary.moduledata import ModuleData
from mapscope.evidence.memory import Memory
from mapscope.goruntime.goroutines import GoroutineTable, StackRoots
from mapscope.goruntime.index import HeapIndex, column, gather
from mapscope.goruntime.layout import Layouts
from mapscope.goruntime.spans import SpanTable

_MAX_ROUNDS = 1 << 16
_MAX_MODULES = 64
_MAX_MASK_BYTES = 1 << 28
_MAX_BLOCKS = 1 << 16
_BLOCK_WORDS = 512  # finBlockSize, cleanupBlockSize: 4096 bytes (runtime/mfinal.go, mcleanup.go)


class Roots(Struct):
    """Regions for the trace kernel and what was missing.

    ``regions``: int64 (n, 5). ``mask``: uint8, the masks of all regions one behind the other. ``loose``: uint64, values
    that are roots wherever they lie (words of stacks, registers); the first ``certain`` of them are the collector's own
    roots, the others are what conservative scans take for pointers.
    """

    regions: npt.NDArray[np.int64]
    mask: npt.NDArray[np.uint8]
    loose: npt.NDArray[np.uint64]
    certain: int
    notes: list[str] = field(default_factory=list)
    records: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.uint64))
    """Records of the runtime that lie at no address that the evidence knows: the object that each is about, and what
    it holds."""


def special_kinds(release: tuple[int, int]) -> dict[str, int]:
    """Values of ``_KindSpecial…`` in runtime/mheap.go; they moved in 1.23 and in 1.25."""
    kinds = {"finalizer": 2 if release >= (1, 25) else 1}
    if release >= (1, 23):
        kinds["weak_handle"] = 3 if release >= (1, 25) else 2
    if release >= (1, 24):
        kinds["cleanup"] = 7 if release >= (1, 25) else 6
    return kinds


def read_roots(
    memory: Memory,
    layouts: Layouts,
    index: HeapIndex,
    table: SpanTable,
    modules: Sequence[ModuleData],
    stacks: StackRoots,
    globals_: Mapping[str, int],
) -> Roots:
    """All roots except typed variables, which the caller adds."""
    notes: list[str] = []
    masks: list[npt.NDArray[np.uint8]] = []
    rows = [*_module_regions(memory, modules, masks, notes)]
    rows += _special_regions(layouts, index, table)
    rows += _queue_regions(memory, layouts, globals_)
    regions = np.concatenate(rows) if rows else np.zeros((0, 5), dtype=np.int64)
    mask = np.concatenate([*masks, np.zeros(8, dtype=np.uint8)])
    loose = np.concatenate([stacks.certain, stacks.uncertain])
    return Roots(np.ascontiguousarray(regions), mask, loose, len(stacks.certain), notes + stacks.notes)


def _module_regions(
    memory: Memory, modules: Sequence[ModuleData], masks: list[npt.NDArray[np.uint8]], notes: list[str]
) -> list[npt.NDArray[np.int64]]:
    """``.data`` and ``.bss`` of each module through gcdatamask and gcbssmask (runtime: markroot, fixed roots)."""
    rows = []
    used = sum(len(mask) for mask in masks)
    for module in modules[:_MAX_MODULES]:
        for name, low, high, bits in (
            ("data", module.data, module.edata, module.gcdatamask),
            ("bss", module.bss, module.ebss, module.gcbssmask),
        ):
            words = (high - low) // 8
            if words <= 0:
                continue
            size = -(-min(words, bits.bits) // 8)
            data = memory.read(bits.address, size) if 0 < size <= _MAX_MASK_BYTES else None
            if data is None:
                notes.append(f"the pointer mask of .{name} is not in this core: its variables count as all pointers")
                rows.append(np.array([[low, words, -1, -1, 1]], dtype=np.int64))
                continue
            words = min(words, bits.bits)
            rows.append(np.array([[low, words, -1, used, 0]], dtype=np.int64))
            masks.append(np.frombuffer(data, dtype=np.uint8))
            used += size
    return rows


def _special_regions(layouts: Layouts, index: HeapIndex, table: SpanTable) -> list[npt.NDArray[np.int64]]:
    """Finalizers keep what their object points to (not the object) and their closure; weak handles and cleanups too.

    runtime/mgcmark.go: markrootSpans. All spans' lists are walked side by side, one link a round.
    """
    special = layouts.struct("special")
    kinds = special_kinds(layouts.release)
    wanted = {kinds["finalizer"]: "specialfinalizer"}
    if "weak_handle" in kinds:
        wanted[kinds["weak_handle"]] = "specialWeakHandle"
    if "cleanup" in kinds:
        wanted[kinds["cleanup"]] = "specialCleanup"
    at = table.specials.copy()
    span = np.arange(len(at))
    rows: list[npt.NDArray[np.int64]] = []
    seen = 0
    offset_field = special.field("offset")
    for _ in range(_MAX_ROUNDS):
        there = at != 0
        at, span = at[there], span[there]
        seen += len(at)
        if not len(at) or seen > 4 * index.nobjects + 1024:
            break
        records, ok = gather(index, at, special.size)
        at, span, records = at[ok], span[ok], records[ok]
        kind = column(records, special.offset("kind"), 1)
        for value, name in wanted.items():
            if not layouts.has(name):
                continue
            here = kind == value
            size = layouts.struct(name).size
            rows.append(_rows(at[here] + np.uint64(special.size), (size - special.size) // 8))
            if value == kinds["finalizer"]:
                where = index.spans[span[here]]
                within = column(records[here], offset_field.offset, offset_field.size)
                scan = where["noscan"] == 0
                base = where["base"] + within // where["elemsize"] * where["elemsize"]
                inside = scan & (within < where["bytes"])
                objects = _rows(base[inside], 0)
                objects[:, 1] = (where["elemsize"][inside] // 8).astype(np.int64)
                rows.append(objects)
        at = column(records, special.offset("next"), 8)
    return rows


def _rows(addresses: npt.NDArray[np.uint64], words: int) -> npt.NDArray[np.int64]:
    out = np.empty((len(addresses), 5), dtype=np.int64)
    out[:, 0] = addresses.astype(np.int64)
    out[:, 1:] = (words, -1, -1, 1)
    return out


def _queue_regions(memory: Memory, layouts: Layouts, globals_: Mapping[str, int]) -> list[npt.NDArray[np.int64]]:
    """Blocks of finalizers due to run (``runtime.allfin``) and, from 1.25, of cleanups (``gcCleanups.all``)."""
    rows = []
    heads = []
    if "runtime.allfin" in globals_ and layouts.has("finblock"):
        heads.append((globals_["runtime.allfin"], layouts.struct("finblock").offset("alllink")))
    if "runtime.gcCleanups" in globals_ and layouts.has("cleanupQueue") and layouts.has("cleanupBlock"):
        block, queue = layouts.struct("cleanupBlock"), layouts.struct("cleanupQueue")
        link = next((f for f in ("alllink", "cleanupBlockHeader.alllink") if f in block), None)
        head = next((f for f in ("all", "all.value") if f in queue), None)
        if link and head:
            heads.append((globals_["runtime.gcCleanups"] + queue.offset(head), block.offset(link)))
    for head_address, link_offset in heads:
        at = memory.word(head_address) or 0
        seen: set[int] = set()
        while at and at not in seen and len(seen) < _MAX_BLOCKS:
            seen.add(at)
            rows.append(np.array([[at, _BLOCK_WORDS, -1, -1, 1]], dtype=np.int64))
            at = memory.word(at + link_offset) or 0
    return rows


__all__ = ["GoroutineTable", "Roots", "StackRoots", "read_roots", "special_kinds"]
