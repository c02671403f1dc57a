"""The roots on all stacks, found as the collector finds them (runtime/mgcmark.go: scanstack).

Frames give live words; words that point into their own stack lead to stack objects, whose pointer words live then too,
and so on. What precise words lead to is certain; what only conservatively scanned words lead to is not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope.arrays import among, unique
from mapscope.evidence.memory import CHUNK_SHIFT
from mapscope.goruntime.goroutines import GoroutineTable
from mapscope.goruntime.index import HeapIndex, column, gather
from mapscope.goruntime.layout import Layouts
from mapscope.goruntime.stackmaps import FrameMap, StackMaps
from mapscope.goruntime.unwind import AFTER_SIGPANIC, CONSERVATIVE, Frames

DEAD, LIVE, MAYBE = 0, 1, 2
"""Values of ``StackObjects.live``: nothing says that it lives; the frame's map or a certain pointer does; only
conservative pointers lead there, or its whole frame is scanned conservatively."""

_MAX_ROUNDS = 1 << 14
_MAX_DEFERS = 1 << 22
_MAX_WORDS = 1 << 28
_U8 = np.uint64(8)


class StackWords(Struct, frozen=True):
    """Words of stacks that point into the heap and are roots, as columns.

    ``address`` and ``value`` uint64; ``stack`` int32: row of the goroutine; ``frame`` int64: index into ``Frames``, -1
    for words that are in no frame (defer records, sched.ctxt, registers); ``certain``: a stack map calls it live.
    """

    address: npt.NDArray[np.uint64]
    value: npt.NDArray[np.uint64]
    stack: npt.NDArray[np.int32]
    frame: npt.NDArray[np.int64]
    certain: npt.NDArray[np.bool_]

    @classmethod
    def join(cls, parts: list[StackWords]) -> StackWords:
        """All rows of ``parts``."""
        none = np.zeros(0, dtype=np.uint64)
        empty = cls(none, none, none.astype(np.int32), none.astype(np.int64), none.astype(np.bool_))
        parts = [*parts, empty]
        return cls(
            np.concatenate([p.address for p in parts]),
            np.concatenate([p.value for p in parts]),
            np.concatenate([p.stack for p in parts]),
            np.concatenate([p.frame for p in parts]),
            np.concatenate([p.certain for p in parts]),
        )

    def where(self, keep: npt.NDArray[np.bool_]) -> StackWords:
        """The rows that ``keep`` says."""
        return StackWords(self.address[keep], self.value[keep], self.stack[keep], self.frame[keep], self.certain[keep])

    def __len__(self) -> int:
        return len(self.address)


class StackObjects(Struct, frozen=True):
    """Variables on stacks whose address is taken, as columns by address.

    ``address``, ``size`` uint64; ``mask`` int32: index into ``StackMaps.masks``; ``stack`` int32; ``frame`` int64:
    index into ``Frames``; ``live`` uint8: DEAD, LIVE, MAYBE.
    """

    address: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint64]
    mask: npt.NDArray[np.int32]
    stack: npt.NDArray[np.int32]
    frame: npt.NDArray[np.int64]
    live: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.address)


class StackScan(Struct):
    """What the stacks hold. ``ranges`` int64 (n, 4): conservative ranges low, high, stack, frame (-1: whole stack)."""

    words: StackWords
    objects: StackObjects
    ranges: npt.NDArray[np.int64]
    notes: list[str] = field(default_factory=list)


class Scanner:
    """Scans the stacks of one process."""

    def __init__(
        self, index: HeapIndex, layouts: Layouts, table: GoroutineTable, frames: Frames, maps: StackMaps
    ) -> None:
        """``frames`` by row of ``table``."""
        self.index, self.layouts, self.table, self.frames, self.maps = index, layouts, table, frames, maps
        self.notes: list[str] = []

    def scan(
        self, whole: npt.NDArray[np.int64], starts: npt.NDArray[np.uint64], registers: list[tuple[int, int]]
    ) -> StackScan:
        """All roots on the stacks.

        Args:
            whole: rows whose stacks are scanned from ``starts`` (by row) up, since their frames are not known.
            starts: stack pointers, by row.
            registers: values of registers, with the row of the goroutine that they belong to.
        """
        words, objects, ranges = self._frames(whole)
        low, high = self.table.stack_lo[whole], self.table.stack_hi[whole]
        begin = starts[whole]
        begin = np.where((begin >= low) & (begin <= high), begin, low) & ~np.uint64(7)
        rows = np.stack([begin, high, whole.astype(np.uint64), np.full(len(whole), -1).astype(np.uint64)], axis=1)
        ranges = np.concatenate([ranges, rows.astype(np.int64)])
        certain = [words, *self._records()]
        maybe = [self._expand(ranges), self._vectors(), self._loose(registers)]
        found = self._reach(StackWords.join(certain), StackWords.join(maybe), objects)
        if self.maps.untyped:
            self.notes.append(
                f"{self.maps.untyped} places in the code have no stack map: their frames are scanned whole"
            )
        return StackScan(found, objects, ranges, self.notes)

    def _frames(self, whole: npt.NDArray[np.int64]) -> tuple[StackWords, StackObjects, npt.NDArray[np.int64]]:
        """Live words, objects and conservative ranges of all frames but those of the stacks in ``whole``."""
        frames = self.frames
        use = ~among(frames.stack, whole) if len(whole) else np.ones(len(frames), dtype=np.bool_)
        rows = np.flatnonzero(use)
        kind = frames.note[rows].astype(np.uint64) & np.uint64(AFTER_SIGPANIC | CONSERVATIVE)
        keys, inverse = np.unique(frames.pc[rows] << _U8 | kind, return_inverse=True)
        order = np.argsort(inverse.reshape(-1), kind="stable")
        bounds = np.searchsorted(inverse.reshape(-1)[order], np.arange(len(keys) + 1))
        words: list[StackWords] = []
        objects: list[StackObjects] = []
        ranges: list[npt.NDArray[np.int64]] = [np.zeros((0, 4), dtype=np.int64)]
        for k, key in enumerate(keys.tolist()):
            at = rows[order[bounds[k] : bounds[k + 1]]]
            size = int(frames.fp[at[0]] - frames.sp[at[0]])
            made = self.maps.at(key >> 8, size, key & 0xFF)
            conservative = bool(key & CONSERVATIVE)
            if len(made.words):
                words.append(self._words(at, (frames.fp[at][:, None] + made.words.astype(np.uint64)[None, :])))
            if made.stub:
                words += [
                    self._words(at[i : i + 1], self.maps.stub_words(int(frames.sp[j]), int(frames.fp[j]))[None, :])
                    for i, j in enumerate(at.tolist())
                ]
            for one in made.objects:
                live = MAYBE if conservative else LIVE if one.held else DEAD
                objects += [self._object(at, one.offset, one.size, one.mask, live)]
            ranges += [self._range(at, made, k) for k in range(len(made.scanned))]
        return StackWords.join(words), _sorted(objects), np.concatenate(ranges)

    def _words(self, at: npt.NDArray[np.int64], addresses: npt.NDArray[np.uint64]) -> StackWords:
        """Words at ``addresses`` (frames × words)."""
        frame = np.repeat(at, addresses.shape[1])
        flat = addresses.reshape(-1)
        return self._read(flat, self.frames.stack[frame], frame, True)

    def _object(self, at: npt.NDArray[np.int64], offset: int, size: int, mask: int, live: int) -> StackObjects:
        n = len(at)
        address = self.frames.fp[at] + np.uint64(offset % (1 << 64))
        return StackObjects(
            address, np.full(n, size, dtype=np.uint64), np.full(n, mask, dtype=np.int32),
            self.frames.stack[at], at, np.full(n, live, dtype=np.uint8),
        )  # fmt: skip

    def _range(self, at: npt.NDArray[np.int64], made: FrameMap, k: int) -> npt.NDArray[np.int64]:
        fp = self.frames.fp[at].astype(np.int64)
        low, high = made.scanned[k]
        top = self.table.stack_hi[self.frames.stack[at]].astype(np.int64)
        return np.stack([fp + low, np.minimum(fp + high, top), self.frames.stack[at].astype(np.int64), at], axis=1)

    def _read(
        self, address: npt.NDArray[np.uint64], stack: npt.NDArray[np.int32], frame: npt.NDArray[np.int64], certain: bool
    ) -> StackWords:
        """The words at the addresses, those that are there and could be pointers."""
        data, ok = gather(self.index, address, 8)
        value = data.view(np.uint64).reshape(-1)
        keep = ok & (value >= np.uint64(4096))
        return StackWords(
            address[keep], value[keep], stack[keep], frame[keep], np.full(int(keep.sum()), certain, dtype=np.bool_)
        )

    def _expand(self, ranges: npt.NDArray[np.int64]) -> StackWords:
        """Every word of the conservative ranges."""
        counts = np.maximum(ranges[:, 1] - ranges[:, 0], 0) // 8
        if int(counts.sum()) > _MAX_WORDS:
            kept = np.cumsum(counts) <= _MAX_WORDS
            self.notes.append(f"{int((~kept).sum())} stacks are too large to scan: what only they hold counts as dead")
            counts = np.where(kept, counts, 0)
        within = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        address = (np.repeat(ranges[:, 0], counts) + within * 8).astype(np.uint64)
        stack = np.repeat(ranges[:, 2], counts).astype(np.int32)
        return self._read(address, stack, np.repeat(ranges[:, 3], counts), False)

    def _records(self) -> list[StackWords]:
        """Pointers from outside the frames: sched.ctxt, the panic's record, defer records (scanstack)."""
        table, g = self.table, self.layouts.struct("g")
        alive = (table.stack_lo != 0) & (self.frames.state != 0)
        parts = []
        for values, name in ((table.context, "sched.ctxt"), (table.panics, "_panic")):
            at = np.flatnonzero(alive & (values >= np.uint64(4096)))
            parts.append(_outside(table.address[at] + np.uint64(g.offset(name)), values[at], at))
        record = self.layouts.struct("_defer")
        at = np.flatnonzero(alive & (table.defers >= np.uint64(4096)))
        where, record_at = table.address[at] + np.uint64(g.offset("_defer")), table.defers[at]
        seen: set[int] = set()
        while len(record_at) and len(seen) < _MAX_DEFERS:
            fresh = np.array([address not in seen for address in record_at.tolist()], dtype=np.bool_)
            seen.update(record_at.tolist())
            rows, ok = gather(self.index, record_at, record.size)
            keep = ok & fresh
            rows, record_at, where, at = rows[keep], record_at[keep], where[keep], at[keep]
            heap = column(rows, record.offset("heap"), 1) != 0
            parts.append(_outside(where[heap], record_at[heap], at[heap]))
            fn, link = (column(rows, record.offset(name), 8) for name in ("fn", "link"))
            link_at = record_at + np.uint64(record.offset("link"))
            parts += [_outside(record_at + np.uint64(record.offset("fn")), fn, at), _outside(link_at, link, at)]
            more = link >= np.uint64(4096)
            where, record_at, at = link_at[more], link[more], at[more]
        return parts

    def _vectors(self) -> StackWords:
        """Vector registers of preempted goroutines, which Go 1.27 scans conservatively (runtime: xRegScan)."""
        p = self.layouts.struct("p")
        size = p.fields["xRegs.scratch"].size if "xRegs.scratch" in p else 0
        at = np.flatnonzero(self.table.registers != 0)
        if not size or not len(at):
            return StackWords.join([])
        first = self.table.registers[at]
        address = (first[:, None] + np.arange(0, size, 8, dtype=np.uint64)[None, :]).reshape(-1)
        stack = np.repeat(at, size // 8).astype(np.int32)
        return self._read(address, stack, np.full(len(address), -1, dtype=np.int64), False)

    def _loose(self, registers: list[tuple[int, int]]) -> StackWords:
        value = np.array([value for value, _ in registers], dtype=np.uint64)
        stack = np.array([row for _, row in registers], dtype=np.int32)
        n = len(value)
        return StackWords(
            np.zeros(n, dtype=np.uint64), value, stack, np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.bool_)
        )

    def _reach(self, certain: StackWords, maybe: StackWords, objects: StackObjects) -> StackWords:
        """All words that point into the heap, stack objects followed: the certain ones first, then the others."""
        kept: list[StackWords] = []
        for words, live in ((certain, LIVE), (maybe, MAYBE)):
            for rounds in range(_MAX_ROUNDS + 1):
                kept.append(words.where(self._in_heap(words.value)))
                into = self._objects_hit(words, objects)
                if rounds == _MAX_ROUNDS and len(into):
                    self.notes.append("a chain of variables on a stack is too long to follow: they all count as live")
                    own = among(objects.stack, unique(objects.stack[into]))
                    into, live = np.flatnonzero(own & (objects.live == DEAD)), MAYBE
                if not len(into):
                    break
                objects.live[into] = live
                words = self._contents(objects, into, live == LIVE)
        return StackWords.join(kept)

    def _objects_hit(self, words: StackWords, objects: StackObjects) -> npt.NDArray[np.int64]:
        """Objects that are not live yet and that the words, on the same stack, point into."""
        if not len(objects) or not len(words):
            return np.zeros(0, dtype=np.int64)
        low, high = self.table.stack_lo[words.stack], self.table.stack_hi[words.stack]
        own = (words.value >= low) & (words.value < high)
        value, stack = words.value[own], words.stack[own]
        at = np.searchsorted(objects.address, value, side="right") - 1
        hit = (at >= 0) & (objects.stack[at] == stack) & (value - objects.address[at] < objects.size[at])
        hit &= objects.live[at] == DEAD
        return unique(at[hit])

    def _contents(self, objects: StackObjects, at: npt.NDArray[np.int64], certain: bool) -> StackWords:
        """The pointer words of the objects."""
        parts = []
        for mask in unique(objects.mask[at]).tolist():
            mine = at[objects.mask[at] == mask]
            offsets = self.maps.masks.offsets[mask].astype(np.uint64)
            address = (objects.address[mine][:, None] + offsets[None, :]).reshape(-1)
            stack, frame = np.repeat(objects.stack[mine], len(offsets)), np.repeat(objects.frame[mine], len(offsets))
            parts.append(self._read(address, stack, frame, certain))
        return StackWords.join(parts)

    def _in_heap(self, value: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Whether a span in use lies at each value."""
        index = self.index
        chunk = value >> np.uint64(CHUNK_SHIFT)
        sane = chunk < np.uint64(len(index.chunk_slot))
        slot = index.chunk_slot[np.where(sane, chunk, np.uint64(0)).astype(np.int64)].astype(np.int64)
        page = slot << 13 | (value >> np.uint64(13) & np.uint64(8191)).astype(np.int64)
        inside: npt.NDArray[np.bool_] = sane & (index.page_span[page] >= 0)
        return inside


def _outside(address: npt.NDArray[np.uint64], value: npt.NDArray[np.uint64], at: npt.NDArray[np.int64]) -> StackWords:
    """Certain words that are in no frame."""
    n = len(at)
    return StackWords(address, value, at.astype(np.int32), np.full(n, -1, dtype=np.int64), np.ones(n, dtype=np.bool_))


def _sorted(parts: list[StackObjects]) -> StackObjects:
    none = np.zeros(0, dtype=np.uint64)
    parts = [*parts, StackObjects(none, none, none.astype(np.int32), none.astype(np.int32), none.astype(np.int64),
                                  none.astype(np.uint8))]  # fmt: skip
    address = np.concatenate([p.address for p in parts])
    order = np.argsort(address, kind="stable")
    return StackObjects(
        address[order],
        np.concatenate([p.size for p in parts])[order],
        np.concatenate([p.mask for p in parts])[order],
        np.concatenate([p.stack for p in parts])[order],
        np.concatenate([p.frame for p in parts])[order],
        np.concatenate([p.live for p in parts])[order],
    )
