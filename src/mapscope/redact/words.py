"""Which words of a process stay in a redacted core: one byte a word, and the rules that its bits stand for.

Nothing stays that is not marked. A mark either proves the word to be structure (``STAYS``), or says what its value
must be for that: the address of something, never a number or a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from mapscope.arrays import unique
from mapscope.binary.structs import StructLayout
from mapscope.evidence.memory import CHUNK_SHIFT
from mapscope.heap.model import Heap
from mapscope.heap.trace import MARKED

U8 = npt.NDArray[np.uint64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

STAYS, POINTER, KNOWN, LOOSE, CODE, SET, BYTE, HALF = 1, 2, 4, 8, 16, 32, 64, 128
"""Marks. ``STAYS``: structure of the runtime. ``POINTER``: the collector calls it a pointer, so it stays when it points
into memory that is there. ``KNOWN``: stays when it is exactly a type, an itab or the entry of a closure. ``LOOSE``: as
``KNOWN``, or when it points into the heap. ``CODE``: stays when it points into the program's text. ``SET``: is 1 where
it was not 0 and does not stay. ``BYTE``, ``HALF``: its first one or four bytes stay."""

_WORD_SHIFT = CHUNK_SHIFT - 3
_BATCH = 1 << 21
_LOWEST = np.uint64(4096)


class Words:
    """The marks of one process."""

    def __init__(self, heap: Heap) -> None:
        """No word is marked yet."""
        index = heap.index
        self.index = index
        self._live = (heap.state.flags & MARKED) != 0
        self._marks = np.zeros(len(index.page_host) >> (CHUNK_SHIFT - 12) << _WORD_SHIFT, dtype=np.uint8)
        types = heap.types
        known = types.hash_keys[(types.hash_keys != 0) & (types.hash_values >= 0)]
        self._known = unique(known)
        self._known_chunk = np.zeros(len(index.chunk_slot) + 1, dtype=np.bool_)
        self._known_chunk[self._chunk(self._known)] = True
        self._known_chunk[-1] = False
        self._arena = np.zeros(len(index.chunk_slot) + 1, dtype=np.bool_)
        numbers = heap.arenas.number
        self._arena[numbers[(numbers >= 0) & (numbers < len(index.chunk_slot))]] = True
        self._text = [(np.uint64(m.text), np.uint64(m.etext)) for m in heap.process.modules]

    # ------------------------------------------------------------------ marking

    def mark(self, addresses: U8, rule: int) -> None:
        """Marks the words that hold the bytes at the addresses; those outside of memory are passed over."""
        self._marks[self._places(addresses)] |= np.uint8(rule)

    def runs(self, starts: U8, counts: I8, rule: int, step: int = 8) -> None:
        """Marks ``counts`` words from each of ``starts`` on, ``step`` bytes apart."""
        for addresses, _ in spread(starts, counts, step):
            self.mark(addresses, rule)

    def run(self, start: int, size: int, rule: int = STAYS) -> None:
        """Marks every word of ``size`` bytes at ``start``."""
        low = start & ~7
        if size > 0 and start > 0:
            self.runs(np.array([low], dtype=np.uint64), np.array([(start + size - low + 7) // 8]), rule)

    def fields(self, addresses: U8, struct: StructLayout, names: Iterable[str] | None = None) -> None:
        """Marks fields of a struct of the runtime at each address; those that the release lacks are passed over."""
        for name in struct.fields if names is None else names:
            if name in struct:
                entry = struct.field(name)
                for at in range(entry.offset & ~7, entry.offset + entry.size, 8):
                    self.mark(addresses + np.uint64(at), STAYS)

    def marked(self, addresses: U8) -> Bools:
        """Whether each word is marked ``STAYS`` already; False outside of memory."""
        out = np.zeros(len(addresses), dtype=np.bool_)
        there = self._there(addresses)
        out[there] = self._marks[self._places(addresses[there])] & STAYS != 0
        return out

    def _chunk(self, values: U8) -> I8:
        """Number of the 64 MB chunk of each value; what no process has is the last, which holds nothing."""
        chunks: I8 = np.minimum(values >> np.uint64(CHUNK_SHIFT), np.uint64(len(self.index.chunk_slot))).astype(
            np.int64
        )
        return chunks

    def _there(self, addresses: U8) -> Bools:
        chunk = self._chunk(addresses)
        inside = chunk < len(self.index.chunk_slot)
        there: Bools = inside.copy()
        there[inside] = self.index.chunk_slot[chunk[inside]] > 0
        return there

    def _places(self, addresses: U8) -> I8:
        at = addresses[self._there(addresses)]
        slot = self.index.chunk_slot[self._chunk(at)].astype(np.int64)
        return slot << _WORD_SHIFT | (at >> np.uint64(3)).astype(np.int64) & (1 << _WORD_SHIFT) - 1

    # ------------------------------------------------------------------ what stays

    def filtered(self, address: int, words: U8) -> U8:
        """The words at ``address`` (a multiple of 8, all in one chunk) with zeros for all that does not stay."""
        slot = int(self.index.chunk_slot[address >> CHUNK_SHIFT])
        if not slot:
            return np.zeros_like(words)
        first = slot << _WORD_SHIFT | (address >> 3) & (1 << _WORD_SHIFT) - 1
        marks = self._marks[first : first + len(words)]
        if self._arena[address >> CHUNK_SHIFT]:
            marks = marks | self._of_objects(address, first, len(words))
        stays = marks & STAYS != 0
        at = np.flatnonzero((marks != 0) & ~stays & (words >= _LOWEST))
        stays[at] = self._passes(marks[at], words[at])
        out: U8 = np.where(stays, words, np.uint64(0))
        for rule, part in ((BYTE, 0xFF), (HALF, 0xFFFFFFFF)):
            at = np.flatnonzero(marks & rule)
            out[at] |= words[at] & np.uint64(part)
        at = np.flatnonzero(marks & SET)
        out[at] = np.where(words[at] != 0, np.maximum(out[at], np.uint64(1)), np.uint64(0))
        return out

    def _passes(self, marks: npt.NDArray[np.uint8], values: U8) -> Bools:
        out: Bools = (marks & POINTER != 0) & self.mapped(values)
        known = (marks & (KNOWN | LOOSE) != 0) & self._known_chunk[self._chunk(values)]
        known[known] = self._is_known(values[known])
        out |= known | (marks & LOOSE != 0) & self._arena[self._chunk(values)]
        out |= (marks & CODE != 0) & self.in_text(values)
        return out

    def mapped(self, values: U8) -> Bools:
        """Whether a page of the evidence lies at each value."""
        out = self._there(values)
        at = values[out]
        slot = self.index.chunk_slot[self._chunk(at)].astype(np.int64)
        page = (at >> np.uint64(12)).astype(np.int64) & (1 << (CHUNK_SHIFT - 12)) - 1
        out[out] = self.index.page_host[slot << (CHUNK_SHIFT - 12) | page] != 0
        return out

    def in_arena(self, values: U8) -> Bools:
        """Whether each value points into an arena of the heap, where stacks lie too."""
        inside: Bools = self._arena[self._chunk(values)]
        return inside

    def in_text(self, values: U8) -> Bools:
        """Whether each value points into the program's code."""
        out = np.zeros(len(values), dtype=np.bool_)
        for low, high in self._text:
            out |= (values >= low) & (values < high)
        return out

    def _is_known(self, values: U8) -> Bools:
        at = np.minimum(np.searchsorted(self._known, values), max(len(self._known) - 1, 0))
        return self._known[at] == values if len(self._known) else np.zeros(len(values), dtype=np.bool_)

    def _of_objects(self, address: int, first: int, count: int) -> npt.NDArray[np.uint8]:
        """The marks that live objects give: their pointer words, and the words before a pointer that may be types."""
        live = np.zeros(count + 1, dtype=np.int8)
        spans = self.index.spans
        low = max(int(np.searchsorted(spans["base"], np.uint64(address), side="right")) - 1, 0)
        high = int(np.searchsorted(spans["base"], np.uint64(address + 8 * count)))
        part = spans[low:high]
        scan = part[part["noscan"] == 0]
        counts = scan["nelems"].astype(np.int64)
        for start, begin in spread(np.zeros(len(scan), dtype=np.uint64), counts, 1):
            span, slot = scan[begin], start
            alive = self._live[span["first"] + slot.astype(np.int64)]
            size = span["elemsize"][alive].astype(np.int64)
            at = span["base"][alive].astype(np.int64) + slot[alive].astype(np.int64) * size - address
            keep = (at + size > 0) & (at < 8 * count)
            live[np.maximum(at[keep], 0) >> 3] += 1
            live[np.minimum(at[keep] + size[keep], 8 * count) >> 3] -= 1
        alive_words = np.cumsum(live[:count], dtype=np.int8) > 0
        bits = self.index.ptrmask[first >> 6 : (first + count + 63) >> 6]
        pointer = np.unpackbits(bits.view(np.uint8), bitorder="little")[first & 63 : (first & 63) + count]
        return np.where(alive_words, np.where(pointer, np.uint8(POINTER), np.uint8(KNOWN)), np.uint8(0))


def spread(starts: U8, counts: I8, step: int) -> Iterator[tuple[U8, I8]]:
    """``counts`` addresses from each of ``starts`` on, ``step`` bytes apart, with the row of each; in batches."""
    counts = np.maximum(counts, 0)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    for begin in range(0, total, _BATCH):
        rank = np.arange(begin, min(begin + _BATCH, total), dtype=np.int64)
        row = np.searchsorted(ends, rank, side="right")
        yield starts[row] + (rank - (ends - counts)[row]).astype(np.uint64) * np.uint64(step), row
