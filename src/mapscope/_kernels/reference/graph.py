"""The live objects as a graph: dense numbers, roots, edges, shortest paths.

Nodes are numbered densely: first those that the caller makes of the roots (``base`` of them, node 0 above all), then
every marked object in the order of object ids. ``directory`` (uint64) holds a pair for every 64 object ids and one
more: bits of the marked ones, and how many marked ones come before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference.memory import MARKED, Slots

_LOWEST: Final = 4096


def number(flags: npt.NDArray[np.uint8], directory: npt.NDArray[np.uint64]) -> int:
    """Fills ``directory`` (pairs: 64 bits of marked objects, marked objects before them); how many there are."""
    marked = np.zeros(len(directory) // 2 * 64, dtype=np.bool_)
    marked[: len(flags)] = flags & MARKED != 0
    directory[0::2] = np.packbits(marked, bitorder="little").view("<u8")
    counts = marked.reshape(-1, 64).sum(axis=1)
    directory[1::2] = np.cumsum(counts) - counts
    return int(counts.sum())


def _ranks(directory: npt.NDArray[np.uint64]) -> dict[int, int]:
    """Rank of every marked object id."""
    ids = np.flatnonzero(np.unpackbits(directory[0::2].copy().view(np.uint8), bitorder="little"))
    return {oid: rank for rank, oid in enumerate(ids.tolist())}


def objects_at(directory: npt.NDArray[np.uint64], ranks: npt.NDArray[np.int64], out: npt.NDArray[np.int64]) -> None:
    """Id of the marked object with each rank (int64); -1 for ranks that none has."""
    ids = list(_ranks(directory))
    out[:] = [ids[rank] if 0 <= rank < len(ids) else -1 for rank in ranks.tolist()]


def root_words(
    h: Any,
    regions: npt.NDArray[np.int64],
    mask: npt.NDArray[np.uint8],
    directory: npt.NDArray[np.uint64],
    address: npt.NDArray[np.uint64],
    target: npt.NDArray[np.int64],
    region: npt.NDArray[np.int64],
) -> int:
    """Words of the regions that point to a marked object: as many rows as fit are filled; how many there are.

    ``regions`` and ``mask``: see ``mark`` of reference/mark.py. A row is the word's address (uint64), the id of the
    object (int64) and the number of the region (int64).
    """
    memory, ranks, n = Slots(h), _ranks(directory), 0
    for r, (start, words, _, bits, _) in enumerate(regions.tolist()):
        for w in range(words):
            if bits >= 0 and not mask[bits + (w >> 3)] >> (w & 7) & 1:
                continue
            value = memory.word(start + 8 * w)
            oid = -1 if value is None or value < _LOWEST else _object(memory, value)
            if oid not in ranks:
                continue
            if n < len(address):
                address[n], target[n], region[n] = start + 8 * w, oid, r
            n += 1
    return n


def _object(memory: Slots, value: int) -> int:
    place = memory.place(value)
    return -1 if place is None else memory.first[place[0]] + place[1]


def _pointers(memory: Slots, s: int, slot: int) -> Iterator[tuple[int, int]]:
    """Byte offset and object id for the pointer words of one slot that point to a slot."""
    if memory.noscan[s]:
        return
    for w, value in memory.pointer_words(s, slot):
        oid = _object(memory, value) if value >= _LOWEST else -1
        if oid >= 0:
            yield 8 * w, oid


def _slot(memory: Slots, oid: int) -> tuple[int, int]:
    s = int(np.searchsorted(np.array(memory.first), oid, side="right")) - 1
    return s, oid - memory.first[s]


def edges(
    h: Any,
    leads: Any,
    directory: npt.NDArray[np.uint64],
    first: int,
    last: int,
    offsets: npt.NDArray[np.uint32],
    targets: npt.NDArray[np.int32],
) -> int:
    """Edges of the marked objects in spans ``first`` to ``last``, by ranks; how many.

    ``leads``: the Targets of ``h``, which the compiled kernel looks into. ``offsets`` (uint32) has a place for each of
    these objects and one more; ``targets`` (int32) has room for every word of them. Edges of an object to itself, and
    to the same object as the edge before, are left out.
    """
    memory, ranks, n, row = Slots(h), _ranks(directory), 0, 0
    offsets[0] = 0
    for oid in ranks:
        span, slot = _slot(memory, oid)
        if not first <= span < last:
            continue
        before = -1
        for _, to in _pointers(memory, span, slot):
            if to in ranks and to not in (oid, before):
                targets[n] = ranks[to]
                n += 1
                before = to
        row += 1
        offsets[row] = n
    return n


def sizes(h: Any, directory: npt.NDArray[np.uint64], out: npt.NDArray[np.uint64]) -> None:
    """Slot size of every marked object, by rank (uint64)."""
    ids = np.array(list(_ranks(directory)), dtype=np.int64)
    out[: len(ids)] = h.sizes_of(ids)


def shortest(
    offsets: npt.NDArray[np.uint32],
    targets: npt.NDArray[np.int32],
    start: int,
    blocked: int,
    before: npt.NDArray[np.int32],
    queue: npt.NDArray[np.int32],
) -> int:
    """Breadth first from node ``start``: ``before`` (int32, -1 on entry) gets the node before each on a shortest path.

    ``start`` is before itself. Node ``blocked`` (-1: none) is not entered. Answers how many nodes were reached;
    ``queue`` (int32) holds them in order.
    """
    if not len(before):
        return 0
    first, ends, found = offsets.tolist(), targets.tolist(), [start]
    before[start] = start
    for node in found:
        for t in ends[first[node] : first[node + 1]]:
            if before[t] < 0 and t != blocked:
                before[t] = node
                found.append(t)
    queue[: len(found)] = found
    return len(found)


def reverse(
    offsets: npt.NDArray[np.uint32],
    targets: npt.NDArray[np.int32],
    back_offsets: npt.NDArray[np.uint32],
    sources: npt.NDArray[np.int32],
) -> None:
    """The same edges by their end.

    ``sources[back_offsets[t]:back_offsets[t + 1]]`` point to node t, in ascending order.
    """
    nodes = len(offsets) - 1
    back_offsets[0] = 0
    back_offsets[1:] = np.cumsum(np.bincount(targets, minlength=nodes))
    starts = np.repeat(np.arange(nodes, dtype=np.int32), offsets[1:].astype(np.int64) - offsets[:-1].astype(np.int64))
    sources[: len(targets)] = starts[np.argsort(targets, kind="stable")]


def locate(
    h: Any, leads: Any, sources: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], out: npt.NDArray[np.int64]
) -> None:
    """Byte offset of the first pointer word in object ``sources[i]`` that points to object ``targets[i]``; -1: none.

    The pairs (int64) are distinct and in ascending order; each source is read once. ``leads``: as for ``edges``.
    """
    memory = Slots(h)
    out[:] = -1
    wanted: dict[int, dict[int, int]] = {}
    for i, (source, target) in enumerate(zip(sources.tolist(), targets.tolist(), strict=True)):
        wanted.setdefault(source, {})[target] = i
    for source, rows in wanted.items():
        for at, oid in _pointers(memory, *_slot(memory, source)):
            if oid in rows and out[rows[oid]] < 0:
                out[rows[oid]] = at


def words_to(h: Any, leads: Any, source: int, target: int, out: npt.NDArray[np.int64]) -> int:
    """Byte offsets (int64) of the pointer words in object ``source`` that point to object ``target``.

    How many; as many as fit in ``out``. ``leads``: as for ``edges``.
    """
    memory, n = Slots(h), 0
    for at, oid in _pointers(memory, *_slot(memory, source)):
        if oid == target:
            if n < len(out):
                out[n] = at
            n += 1
    return n
