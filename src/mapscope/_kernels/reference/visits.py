"""What the walk keeps, and what it does with one pointer. See trace.py beside this."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np

from mapscope._kernels.reference.memory import ALLOCATED, MARKED, QUEUED, Slots
from mapscope._kernels.reference.typeview import COVER_ELEM, COVER_FILL, COVER_HEADER, TypeView, hashed

MAX_UPGRADES: Final = 6
"""So often at most does the type of one object change: hostile pointers cannot keep the walk busy."""


class Visits(TypeView):
    """The state of one round, unpacked from ``st`` and ``types`` into what plain Python reads fast."""

    def __init__(self, h: Any, st: Any, types: Any) -> None:
        super().__init__(types)
        self.memory = Slots(h)
        self.st = st
        self.flags: list[int] = (st.known >> 5 & 7).tolist()  # and QUEUED
        self.obj_type: list[int] = ((st.known >> 8).astype(np.int64) - 1).tolist()
        self.cover: list[int] = (st.known & 3).tolist()
        self.changes: list[int] = (st.known >> 2 & 7).tolist()
        around = np.roll(st.queue, -st.queue_head)
        self.queue: deque[int] = deque(around[: st.nqueue].tolist())
        self.in_queue = memoryview(st.in_queue)
        self.here = self.reached = -1  # the span that is walked, and how far: an object id
        self.plain: list[int] = st.plain_stack[: st.nplain].tolist()
        self.loose_stack: list[int] = st.loose_stack[: st.nloose_stack].tolist()
        self.nloose: int = st.nloose
        self.dangling = 0

    def save(self, pending: list[tuple[int, int]]) -> None:
        """Puts back into ``st`` what lists hold here."""
        st = self.st
        flags = np.array(self.flags, dtype=np.uint32)
        parts = (self.cover, 0), (self.changes, 2), (flags, 5), (np.array(self.obj_type, dtype=np.int64) + 1, 8)
        st.known[:] = sum(np.asarray(part, dtype=np.uint32) << shift for part, shift in parts)
        st.queue[: len(self.queue)] = self.queue
        st.queue_head, st.nqueue = 0, len(self.queue)
        st.plain_stack[: len(self.plain)] = self.plain
        st.nplain = len(self.plain)
        st.pending[: 2 * len(pending)] = np.array(pending, dtype=np.uint64).reshape(-1)
        st.npending = len(pending)
        st.loose_stack[: len(self.loose_stack)] = self.loose_stack
        st.nloose, st.nloose_stack = self.nloose, len(self.loose_stack)
        st.dangling += self.dangling

    def better(self, oid: int, type_id: int, cover: int) -> bool:
        """Whether a type just met says more about an object than the one it has.

        Any type is better than none, and of one type the wider cover. What the runtime itself wrote (a malloc
        header) yields only to a pseudo type, which is the same memory known more closely. Between others a pseudo
        type wins and stays; of two types of the program that stand for one value, an array, or the one with more
        words (a pointer to the first field is also a pointer to the struct).
        """
        old = self.obj_type[oid]
        was = self.cover[oid]
        if old < 0:
            return True
        if old == type_id:
            return cover > was
        if was == COVER_HEADER:
            return bool(self.pseudo[type_id])
        if self.pseudo[old]:
            return False
        if self.pseudo[type_id]:
            return True
        return bool(was == COVER_ELEM and (cover == COVER_FILL or self.words[type_id] > self.words[old]))

    def visit(self, value: int, type_id: int, cover: int) -> None:
        """Marks the object that ``value`` points into and gives it ``type_id`` (-1: none) where that is news.

        An object comes to wait when it is marked for the first time, and again when its type got better.
        """
        memory, flags = self.memory, self.flags
        place = memory.place(value)
        if place is None:
            if memory.span(value) < 0:
                self.note_loose(value, type_id)
            return
        s, slot = place
        oid = memory.first[s] + slot
        if not flags[oid] & ALLOCATED:
            self.dangling += 1
            return
        if not self.fits(value, s, slot, type_id, cover):
            if type_id >= 0 and cover == COVER_ELEM and self.obj_type[oid] < 0 and not memory.noscan[s]:
                self.note_loose(value, type_id)
            type_id = -1
        if type_id < 0:
            if flags[oid] & MARKED:
                return
            flags[oid] |= MARKED
            if memory.noscan[s]:
                return
            if self.obj_type[oid] >= 0:
                self.wait(s, oid)
            else:
                self.plain.append(s << 32 | slot)
            return
        if self.changes[oid] < MAX_UPGRADES and self.better(oid, type_id, cover):
            self.obj_type[oid] = type_id
            self.cover[oid] = cover
            self.changes[oid] += 1
        elif flags[oid] & MARKED:
            return
        flags[oid] |= MARKED
        if not memory.noscan[s] and not flags[oid] & QUEUED:
            self.wait(s, oid)

    def wait(self, s: int, oid: int) -> None:
        """A typed object waits until its span is walked; in the span that is being walked, one ahead is met anyhow."""
        self.flags[oid] |= QUEUED
        if s != self.here or oid <= self.reached:
            self.line_up(s)

    def line_up(self, s: int) -> None:
        """A span in which objects wait, once, at the end of the queue."""
        if not self.in_queue[s]:
            self.in_queue[s] = 1
            self.queue.append(s)

    def fits(self, value: int, s: int, slot: int, type_id: int, cover: int) -> bool:
        """Whether ``type_id`` says what the whole slot is.

        That is at the slot's start (behind its malloc header), or, for an array, at the border of an element.
        """
        if type_id < 0:
            return False
        memory = self.memory
        offset = value - memory.base[s] - slot * memory.elemsize[s]
        if memory.header[s] and offset >= 8:
            offset -= 8
        if not offset:
            return True
        words = self.words[type_id]
        return cover == COVER_FILL and words > 0 and offset % (8 * words) == 0

    def note_loose(self, address: int, type_id: int) -> None:
        """Remembers a typed value that is no slot of its own, once an address, and puts it on its stack."""
        loose, mask = self.st.loose, len(self.st.loose) - 1
        if self.words[type_id] <= 0 or address & 7 or 2 * self.nloose > mask:
            return
        at = hashed(address) & mask
        while int(loose[at]) not in (0, address):
            at = at + 1 & mask
        if int(loose[at]) != address:
            loose[at], self.st.loose_type[at] = address, type_id
            self.loose_stack.append(at)
            self.nloose += 1
