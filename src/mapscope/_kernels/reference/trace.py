"""Marks the heap from the roots and spreads types on the way.

One walk does both. The pointer words of an object come from the pointer bitmap, so marking is exactly the
collector's; where the object's type is known, the *descriptor* of a word says what it points to.

Order matters, because a type once given is only replaced by a better one, and because the walk stops when the caller
has to compile a type. So it is part of the contract: first ``pairs``, then ``regions`` row by row, word by word;
then typed objects; a loose typed value only when no typed object is left; an untyped object only when none of these is
left and no type waits for the caller; loose values and untyped objects last in first out. Words are taken in ascending
order.

Typed objects wait in their spans, and the spans in a queue, first in first out, each once. A span is walked by
ascending slot, with what comes to wait ahead in it meanwhile. By then it often has many objects that wait, so memory is
read in runs and not here and there: on a heap whose pointers lead anywhere that is four times faster than a stack of
objects. (The idea is that of the Go collector's own: runtime/mgcmark_greenteagc.go.)

A pointer that is met is visited when ``AHEAD`` more have been met, or when no span is left to walk; the compiled kernel
fetches meanwhile what the visit looks at. Pointers to *leaves*, objects without pointers, do not count among these:
nothing is walked from there, so when they are visited does not matter, as long as that is in the order in which they
were met. The compiled kernel hands them over to another thread, which runs ``visit_leaves``, and visits them itself
where that has no time.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference.memory import ALLOCATED, MARKED, QUEUED, U64, Slots, set_bits
from mapscope._kernels.reference.typeview import (
    COVER_ELEM,
    COVER_FILL,
    COVER_HEADER,
    COVER_NONE,
    OP_EFACE,
    OP_FILL,
    OP_FUNC,
    OP_IFACE,
    OP_NONE,
    OP_PTR,
    OP_SWISSDIR,
    OP_TRIENODE,
    TypeView,
    hashed,
)

MAX_UPGRADES: Final = 6
"""So often at most does the type of one object change: hostile pointers cannot keep the walk busy."""

AHEAD: Final = 32
"""So many pointers wait for their visit at most."""

_LOWEST: Final = 4096
"""No pointer lies below (``minLegalPointer`` in runtime/malloc.go)."""


def trace(
    h: Any,
    st: Any,
    types: Any,
    regions: npt.NDArray[np.int64],
    mask: npt.NDArray[np.uint8],
    pairs: npt.NDArray[np.uint64],
) -> None:
    """One round of the walk; the result is the state.

    ``h`` is a HeapIndex. ``st``, a TraceState:

    * by object id: ``flags`` uint8 (1 allocated, 2 marked, 4 waits to be walked with its type), ``obj_type`` int32 (-1:
      not known), ``cover`` uint8 (low four bits: COVER_…; high four: how often the type changed);
    * by span: ``leaf`` uint8, 1 where its objects hold no pointers; ``queue`` int32, the spans in which typed objects
      wait: ``nqueue`` of them from ``queue_head`` on, round; ``in_queue`` uint8, 1 for those;
    * ``plain_stack`` uint64, one place an object: untyped objects still to be walked, as span << 32 | slot, the last on
      top; ``nplain`` says how many;
    * ``pending`` uint64, pairs (address that may be a type, data word) for the caller to compile and to hand back in
      ``pairs``; ``npending`` says how many were met in this round;
    * ``loose`` uint64 (zeros at first), ``loose_type`` int32: hash set of addresses of typed values that are no slot of
      their own (static data, the inside of an untyped slot), a power of two of places, at most half full, the first
      type of an address kept; ``nloose`` says how many; ``loose_stack`` uint64 holds the places in the set that are
      still to be walked, the last on top, ``nloose_stack`` of them;
    * ``dangling`` counts pointers to slots that are not allocated;
    * ``leaves``, a ring of rows of LEAF (heap/trace.py), a power of two of them, at least two; ``shared`` uint64, 32
      words, 0 before the round: how many leaves have gone in (word 0) and have been taken out (8), whether someone is
      taking some (16), whether no more will come (24).

    ``types``, a TypeTable after ``freeze``: by type id ``offsets`` int64 and ``words`` int32 (where its descriptors
    lie in ``descriptors`` uint64, and how many; -1 for a type without any, which gives its object a name but no
    meaning to its words), ``iface`` uint64 (descriptor of the data word of an interface that holds the type),
    ``pseudo`` uint8 (1: the runtime's own, such as hmap); ``hash_keys`` uint64 and ``hash_values`` int32: open
    addressing by ``key * 0x9E3779B97F4A7C15 >> 20``, a key of 0 ends a search, a value of -2 means "known to be no
    type"; the ranges [low, high) ``types_range``, ``text_range`` and ``module_range`` (all static data).

    ``regions``: int64, n × 5: address, words, type id or -1, offset in ``mask`` in bytes or -1, 1 for a stack. A typed
    region is read by its type's descriptors, repeated; an untyped one by its mask (uint8, bit w is set where word w
    is a pointer) or every word. ``pairs``: uint64, n × 2: the two words of an interface, 0 as the first for a mere
    pointer.
    """
    st.shared[24] = 1
    if not h.nobjects:
        return
    walk = _Walk(h, st, types, mask)
    for first, data in pairs.tolist():
        if not walk.follow_interface(first, data, False):
            walk.meet(data, -1, COVER_NONE)
    for address, words, type_id, bits, stack in regions.tolist():
        if type_id >= 0:
            walk.typed_value(address, words, type_id)
        else:
            walk.region(address, words, bits, stack != 0)
    walk.drain()
    walk.save()


def visit_leaves(h: Any, st: Any, types: Any) -> int:
    """Visits leaves while ``trace``, in another thread, hands them over, until the round is over.

    Answers what is to be added to ``dangling``. This walk visits all by itself, so there is nothing to do.
    """
    return 0


class _Walk(TypeView):
    """The state of one round, unpacked from ``st`` and ``types`` into what plain Python reads fast."""

    def __init__(self, h: Any, st: Any, types: Any, mask: npt.NDArray[np.uint8]) -> None:
        super().__init__(types)
        self.memory = Slots(h)
        self.st = st
        self.flags = memoryview(st.flags)
        self.obj_type = memoryview(st.obj_type)
        self.cover = memoryview(st.cover)
        around = np.roll(st.queue, -st.queue_head)
        self.queue: deque[int] = deque(around[: st.nqueue].tolist())
        self.in_queue = memoryview(st.in_queue)
        self.here = self.reached = -1  # the span that is walked, and how far: an object id
        self.met: deque[tuple[int, int, int]] = deque()
        self.plain: list[int] = st.plain_stack[: st.nplain].tolist()
        self.pending: list[tuple[int, int]] = []
        self.pending_cap = len(st.pending) // 2
        self.loose_stack: list[int] = st.loose_stack[: st.nloose_stack].tolist()
        self.nloose: int = st.nloose
        self.dangling = 0
        self.mask = mask.data

    def save(self) -> None:
        """Puts back into ``st`` what lists hold here."""
        st = self.st
        st.queue[: len(self.queue)] = self.queue
        st.queue_head, st.nqueue = 0, len(self.queue)
        st.plain_stack[: len(self.plain)] = self.plain
        st.nplain = len(self.plain)
        st.pending[: 2 * len(self.pending)] = np.array(self.pending, dtype=np.uint64).reshape(-1)
        st.npending = len(self.pending)
        st.loose_stack[: len(self.loose_stack)] = self.loose_stack
        st.nloose, st.nloose_stack = self.nloose, len(self.loose_stack)
        st.dangling += self.dangling

    # -- one pointer

    def better(self, oid: int, type_id: int, cover: int) -> bool:
        """Whether a type just met says more about an object than the one it has.

        Any type is better than none, and of one type the wider cover. What the runtime itself wrote (a malloc
        header) yields only to a pseudo type, which is the same memory known more closely. Between others a pseudo
        type wins and stays; of two types of the program that stand for one value, an array, or the one with more
        words (a pointer to the first field is also a pointer to the struct).
        """
        old = self.obj_type[oid]
        was = self.cover[oid] & 15
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

    def meet(self, value: int, type_id: int, cover: int) -> None:
        """A pointer that waits for its visit, unless it leads to a leaf."""
        s = self.memory.span(value)
        if s >= 0 and self.memory.noscan[s]:
            self.visit(value, type_id, cover)
            return
        if len(self.met) == AHEAD:
            self.visit(*self.met.popleft())
        self.met.append((value, type_id, cover))

    def visit(self, value: int, type_id: int, cover: int) -> None:
        """Marks the object that ``value`` points into and gives it ``type_id`` (-1: none) where that is news.

        An object comes to wait when it is marked for the first time, and again when its type got better.
        """
        memory, flags = self.memory, self.flags
        place = memory.place(value)
        if place is None:
            static = self.module_range[0] <= value < self.module_range[1] and memory.span(value) < 0
            if type_id >= 0 and static:
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
        changes = self.cover[oid] >> 4
        if changes < MAX_UPGRADES and self.better(oid, type_id, cover):
            self.obj_type[oid] = type_id
            self.cover[oid] = cover | changes + 1 << 4
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

    # -- one word

    def follow(self, desc: int, value: int, address: int) -> None:
        """The pointer ``value`` of the word at ``address``, whose descriptor is ``desc``."""
        op, arg = desc & 255, desc >> 8
        if op == OP_PTR:
            self.meet(value, arg, COVER_ELEM)
        elif op == OP_FILL:
            self.meet(value, arg, COVER_FILL)
        elif op in (OP_EFACE, OP_IFACE):
            first = self.memory.word(address - 8)
            if first is None or not self.follow_interface(first, value, op == OP_EFACE):
                self.meet(value, -1, COVER_NONE)
        elif op == OP_FUNC:
            self.follow_closure(value)
        elif op == OP_SWISSDIR:
            if self.memory.word(address + 8):  # dirLen: 0 for a map of one group
                self.meet(value, arg + 1, COVER_FILL)
            else:
                self.meet(value, arg, COVER_ELEM)
        elif op == OP_TRIENODE:
            self.meet(value, arg if self.memory.byte(value) else arg + 1, COVER_ELEM)  # isEntry
        else:
            self.meet(value, -1, COVER_NONE)

    def follow_interface(self, first: int, value: int, eface: bool) -> bool:
        """The data word of an interface whose first word is ``first``; False when that word says nothing.

        In an ``any`` an unknown first word is a type that nobody has met yet: the caller will compile it.
        """
        found = self.lookup(first)
        if found >= 0:
            desc = self.iface[found]
            if desc & 255 == OP_FUNC:
                self.follow_closure(value)
            elif desc & 255 == OP_NONE:
                self.meet(value, -1, COVER_NONE)
            else:
                self.meet(value, desc >> 8, COVER_ELEM if desc & 255 == OP_PTR else COVER_FILL)
            return True
        if found == -1 and eface and first and len(self.pending) < self.pending_cap:
            self.pending.append((first, value))
            return True
        return False

    def follow_closure(self, value: int) -> None:
        """A pointer to a closure object, which starts with the function's entry (``funcval``, runtime/runtime2.go)."""
        entry = self.memory.word(value)
        found = self.lookup(entry) if entry is not None and self.in_text(entry) else -1
        self.meet(value, max(found, -1), COVER_ELEM)

    def plain_word(self, before: int | None, value: int) -> None:
        """A pointer word of no known meaning; ``before`` is the word before it where that one is no pointer.

        A type or an itab there makes the two an interface.
        """
        if before is not None and self.module_range[0] <= before < self.module_range[1]:
            eface = self.types_range[0] <= before < self.types_range[1]
            if self.follow_interface(before, value, eface):
                return
        self.meet(value, -1, COVER_NONE)

    # -- many words

    def object(self, entry: int, typed: bool) -> None:
        """All pointer words of one object."""
        memory = self.memory
        s, slot = entry >> 32, entry & 0xFFFFFFFF
        oid = memory.first[s] + slot
        base = memory.base[s] + slot * memory.elemsize[s]
        bits = memory.pointer_bits(s, slot)
        type_id = self.obj_type[oid] if typed else -1
        fill = type_id >= 0 and self.cover[oid] & 15 >= COVER_FILL
        if type_id < 0 and memory.elemsize[s] >= 8 and not bits & 1:
            type_id = self.closure_type(base, oid)
        begin, count = self.descriptors_of(type_id)
        start = memory.header[s]
        for w, value in memory.pointer_words(s, slot):
            if value < _LOWEST:
                continue
            if count:
                at = w - start & U64
                known = at < count or fill
                desc = self.descriptors[begin + at % count] if known else OP_NONE
                self.follow(desc, value, base + 8 * w)
            elif w > start and not bits >> w - 1 & 1:
                self.plain_word(memory.word(base + 8 * w - 8) or 0, value)
            else:
                self.plain_word(None, value)

    def closure_type(self, base: int, oid: int) -> int:
        """Type of an untyped object whose first word is the entry of a known closure, -1 for any other."""
        entry = self.memory.word(base)
        found = self.lookup(entry) if entry is not None and self.in_text(entry) else -1
        if found < 0:
            return -1
        self.obj_type[oid] = found
        self.cover[oid] = COVER_ELEM | 1 << 4
        return found

    def typed_value(self, address: int, words: int, type_id: int) -> None:
        """A value of a known type that is no slot of its own.

        In the heap only the pointer words of its slot count: the type may be wrong, or longer than what is left of the
        slot, and what the collector does not follow keeps nothing alive.
        """
        memory = self.memory
        begin, count = self.descriptors_of(type_id)
        bits = (1 << max(words, 0)) - 1
        if memory.span(address) >= 0:
            bits &= memory.bits_from(address)
        for w in set_bits(bits) if count else ():
            desc = self.descriptors[begin + w % count]
            value = memory.word(address + 8 * w) if desc != OP_NONE else None
            if value is not None and value >= _LOWEST:
                self.follow(desc, value, address + 8 * w)

    def region(self, address: int, words: int, bits: int, stack: bool) -> None:
        """A root without a type: a masked run of words (data, bss), or a stack (every word, no meaning)."""

        def pointer(w: int) -> bool:
            return bits < 0 or bool(self.mask[bits + (w >> 3)] >> (w & 7) & 1)

        for w in range(words):
            value = self.memory.word(address + 8 * w) if pointer(w) else None
            if value is None or value < _LOWEST:
                continue
            if stack or w == 0 or pointer(w - 1):
                self.meet(value, -1, COVER_NONE)
            else:
                self.plain_word(self.memory.word(address + 8 * w - 8) or 0, value)

    def drain(self) -> None:
        """Walks until nothing is left or the caller is needed."""
        while True:
            while self.queue and len(self.pending) < self.pending_cap:
                s = self.queue.popleft()
                self.in_queue[s] = 0
                self.span(s)
            if self.met:
                self.visit(*self.met.popleft())
                continue
            if len(self.pending) >= self.pending_cap:
                return
            if self.loose_stack:
                at = self.loose_stack.pop()
                type_id = int(self.st.loose_type[at])
                self.typed_value(int(self.st.loose[at]), self.words[type_id], type_id)
                continue
            if self.pending or not self.plain:
                return
            entry = self.plain.pop()
            if self.obj_type[self.memory.id_of(entry)] < 0:
                self.object(entry, False)

    def span(self, s: int) -> None:
        """All objects of a span that wait, by ascending slot; ends early when the caller is needed."""
        first = self.memory.first[s]
        self.here = s
        for slot in range(self.memory.nelems[s]):
            if not self.flags[first + slot] & QUEUED:
                continue
            if len(self.pending) >= self.pending_cap:
                self.line_up(s)
                break
            self.flags[first + slot] &= ~QUEUED
            self.reached = first + slot
            self.object(s << 32 | slot, True)
        self.here = -1
