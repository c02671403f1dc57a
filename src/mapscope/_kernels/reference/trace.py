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
fetches meanwhile what the visit looks at. Pointers that lead neither into a span nor to static data of a type with
words do not wait, for nothing comes of them. Pointers to *leaves*, objects without pointers, do not count among these:
nothing is walked from there, so when they are visited does not matter, as long as that is in the order in which they
were met. The compiled kernel hands them over to another thread, which runs ``visit_leaves``, and visits them itself
where that has no time.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mapscope._kernels.reference.memory import QUEUED, U64, set_bits
from mapscope._kernels.reference.typeview import (
    COVER_ELEM,
    COVER_FILL,
    COVER_NONE,
    OP_EFACE,
    OP_FILL,
    OP_FUNC,
    OP_IFACE,
    OP_NONE,
    OP_PTR,
    OP_SWISSDIR,
    OP_TRIENODE,
)
from mapscope._kernels.reference.visits import Visits

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

    * by object id: ``known`` uint32: bits 0 and 1 COVER_…, 2 to 4 how often the type changed, 5 allocated, 6 marked, 7
      waits to be walked with its type, from 8 on the type + 1 (0: not known); ``flags`` uint8 (1 allocated, 2 marked),
      which with ``at_once`` says the same, and else waits for ``settle``;
    * ``targets``, the tables of goruntime/targets.py, which this walk does not need;
    * ``queue`` int32, the spans in which typed objects wait: ``nqueue`` of them from ``queue_head`` on, round;
      ``in_queue`` uint8 by span, 1 for those;
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
    walk.save(walk.pending)
    if st.at_once:
        settle(st.known, st.flags)


def begin(flags: npt.NDArray[np.uint8], known: npt.NDArray[np.uint32]) -> None:
    """Words of objects of which no more is known than ``flags`` say."""
    known[:] = (flags.astype(np.uint32) & 3) << 5


def settle(known: npt.NDArray[np.uint32], flags: npt.NDArray[np.uint8]) -> None:
    """Tells by ``flags`` what the words of objects say."""
    flags[:] = known >> 5 & 3


def visit_leaves(h: Any, st: Any, types: Any) -> int:
    """Visits leaves while ``trace``, in another thread, hands them over, until the round is over.

    Answers what is to be added to ``dangling``. This walk visits all by itself, so there is nothing to do.
    """
    return 0


class _Walk(Visits):
    """One round."""

    def __init__(self, h: Any, st: Any, types: Any, mask: npt.NDArray[np.uint8]) -> None:
        super().__init__(h, st, types)
        self.met: deque[tuple[int, int, int]] = deque()
        self.pending: list[tuple[int, int]] = []
        self.pending_cap = len(st.pending) // 2
        self.mask = mask.data

    # -- one pointer

    def meet(self, value: int, type_id: int, cover: int) -> None:
        """A pointer that waits for its visit, unless it leads to a leaf, or outside where nothing has words."""
        s = self.memory.span(value)
        if s >= 0 and self.memory.noscan[s]:
            self.visit(value, type_id, cover)
            return
        static = self.module_range[0] <= value < self.module_range[1]
        if s < 0 and (type_id < 0 or self.words[type_id] <= 0 or not static):
            return
        if len(self.met) == AHEAD:
            self.visit(*self.met.popleft())
        self.met.append((value, type_id, cover))

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
        fill = type_id >= 0 and self.cover[oid] >= COVER_FILL
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
        self.cover[oid], self.changes[oid] = COVER_ELEM, 1
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
