"""Marks the heap as the collector would, with part of one object left out.

What only that part keeps alive stays unmarked.
"""

from __future__ import annotations

import bisect
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference.memory import ALLOCATED, MARKED, Slots

EVACUATED_X: Final = 2
EVACUATED_EMPTY: Final = 4
"""``tophash`` of the first cell of an evacuated bucket lies in this range (runtime/map.go)."""
_LOWEST: Final = 4096
"""No pointer lies below (``minLegalPointer`` in runtime/malloc.go)."""


def mark(
    h: Any,
    flags: npt.NDArray[np.uint8],
    regions: npt.NDArray[np.int64],
    mask: npt.NDArray[np.uint8],
    loose: npt.NDArray[np.uint64],
    except_object: int,
    skip: npt.NDArray[np.uint64],
) -> None:
    """Sets bit 1 of ``flags`` (uint8 by object id, bit 0: allocated) for every object that is reached.

    ``regions``: int64, n × 5, of which columns 0 (address), 1 (words) and 3 (offset of the region's bits in
    ``mask``, in bytes; -1: every word) count. ``loose``: pointers that lie nowhere in memory. The pointer words of
    object ``except_object`` (-1: none) are read only outside ``skip``: uint64, n × 2, ascending and disjoint ranges
    of addresses [low, high).
    """
    memory = Slots(h)
    flag = flags.data
    if not h.nobjects:
        return
    stack: list[tuple[int, int]] = []
    ranges: list[tuple[int, int]] = [(low, high) for low, high in skip.tolist()]

    def visit(value: int) -> None:
        place = memory.place(value)
        if place is None:
            return
        oid = memory.first[place[0]] + place[1]
        if flag[oid] & (ALLOCATED | MARKED) == ALLOCATED:
            flag[oid] |= MARKED
            if not memory.noscan[place[0]]:
                stack.append(place)

    def skipped(address: int) -> bool:
        at = bisect.bisect_right(ranges, (address, 1 << 64)) - 1
        return at >= 0 and address < ranges[at][1]

    for value in loose.tolist():
        visit(value)
    for address, words, _, bits, _ in regions.tolist():
        for w in range(words):
            if bits >= 0 and not mask[bits + (w >> 3)] >> (w & 7) & 1:
                continue
            word = memory.word(address + 8 * w)
            if word is not None and word >= _LOWEST:
                visit(word)
    while stack:
        s, slot = stack.pop()
        base = memory.base[s] + slot * memory.elemsize[s]
        partly = memory.first[s] + slot == except_object
        for w, value in memory.pointer_words(s, slot):
            if value >= _LOWEST and not (partly and skipped(base + 8 * w)):
                visit(value)


def stale_buckets(
    h: Any, old: int, count: int, size: int, skip: npt.NDArray[np.uint64], out: npt.NDArray[np.uint64]
) -> int:
    """Evacuated buckets among the ``count`` old buckets of ``size`` bytes from address ``old`` on.

    Each becomes a row (low, high) of ``skip`` (uint64, at least ``count`` × 2): its bytes behind the tophash, with the
    overflow word: what hangs on evacuated overflow buckets is as stale. Answers how many rows that are; ``out[0]``
    gets the number of those buckets whose keys or elems still hold a pointer that is not nil.
    """
    memory = Slots(h)
    rows = 0
    for b in range(count):
        address = old + b * size & ((1 << 64) - 1)
        s = memory.span(address)
        top = memory.word(address) if s >= 0 else None
        if top is None or not EVACUATED_X <= top & 255 <= EVACUATED_EMPTY:
            continue
        last = min(size - 8, memory.base[s] + memory.bytes[s] - address)
        skip[rows] = address + 8, address + size
        rows += 1
        for w in range(8, last, 8):
            bit = memory.maskbit[s] + ((address + w - memory.base[s]) >> 3)
            if memory.mask_bits(bit, 1) and memory.word(address + w):
                out[0] += np.uint64(1)
                break
    return rows
