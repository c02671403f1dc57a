"""The parts of the live heap, which sum to it: what maps need, what they hold besides, and everything else."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from mapscope.arrays import common
from mapscope.findings.columns import current_waste, old_bytes
from mapscope.report.source import Source

STALE_RULES = ("R3", "R16")
"""Rules whose bytes are of objects that lie outside the arrays of maps."""


class Part(Struct, frozen=True):
    """One part of the bar. ``leads``: the hash that a click goes to."""

    id: str
    label: str
    bytes: int
    why: str
    leads: str


def heap_parts(source: Source) -> list[Part]:
    """The parts in their order.

    Each is bounded by what is left of the live heap: where the evidence contradicts itself, the first ones win.
    """
    maps, left = source.maps, source.heap.live_bytes
    old, empty = _sum(old_bytes(maps)), _sum(current_waste(maps))
    whole = sum(np.asarray(maps.columns["total_bytes"]).tolist())
    detached = {one.detached: one.detached_bytes for one in source.iterators if one.detached}
    for name in ("buckets", "oldbuckets"):  # counted as the map's own
        both = common(np.array(list(detached), dtype=np.uint64), maps.columns[name])
        detached = {at: size for at, size in detached.items() if at not in both}
    stale = sum(one.bytes for one in source.findings if one.rule in STALE_RULES and not one.part_of)
    given = [
        ("live", "live entries", whole - old - empty, "what maps made for just their entries would take", "maps"),
        ("empty", "empty slots", empty, "what the current arrays take beyond that", "maps?sort=waste"),
        ("old", "old arrays", old, "old bucket arrays of growths that have not ended", "maps?state=growing"),
        ("pinned", "pinned arrays", sum(detached.values()), "arrays and tables that only iterators still hold",
         "iterators"),
        ("stale", "stale values", stale, "objects that only evacuated buckets (R3) or short keys (R16) keep",
         f"findings?rule={','.join(STALE_RULES)}"),
    ]  # fmt: skip
    parts = []
    for name, label, size, why, leads in given:
        size = max(0, min(size, left))
        left -= size
        parts.append(Part(name, label, size, why, leads))
    return [*parts, Part("other", "everything else", left, "all that is not the memory of a map", "dominators")]


def _sum(values: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    return sum(values.tolist())
