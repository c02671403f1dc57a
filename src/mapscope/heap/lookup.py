"""What lies at any address of the process: an object, garbage, a free slot, a variable, a stack, code, or nothing."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from mapscope.heap.model import Heap
from mapscope.heap.statics import Statics
from mapscope.heap.steps import Steps
from mapscope.heap.trace import ALLOCATED, MARKED

KINDS = ("object", "garbage", "free", "span", "variable", "stack", "code", "types", "memory", "nothing")
"""``object`` is live, ``garbage`` is allocated and no root reaches it, ``free`` a slot that nothing lies in, ``span``
the rest behind the last slot of a span; ``memory`` is mapped and no part of Go's heap, stacks, data or code;
``nothing`` is not in the evidence."""


class SpanFacts(Struct, frozen=True):
    """The span of a slot (``mspan`` of runtime/mheap.go)."""

    address: int
    bytes: int
    slots: int
    slot_bytes: int
    pointers: bool
    """False: its objects hold no pointers (a noscan span class)."""


class Spot(Struct, frozen=True):
    """What lies at an address."""

    address: int
    kind: str
    """One of KINDS."""
    start: int = 0
    """Where the slot or the variable begins; 0 where there is neither."""
    size: int = 0
    """Bytes of the slot."""
    type: str | None = None
    """As Go prints it, ``[]T`` for an array over the slot; None where nothing tells it."""
    field: str | None = None
    """The field at the address, where that is not the start and the type is known."""
    name: str | None = None
    """Of a variable, of a function, of a goroutine."""
    uncertain: bool = False
    """Only words that a conservative scan takes for pointers lead to it."""
    span: SpanFacts | None = None
    object_id: int = -1


class Lookup:
    """Answers for one heap."""

    def __init__(self, heap: Heap, statics: Statics, steps: Steps) -> None:
        """``statics`` and ``steps`` of the same heap."""
        self._heap, self._statics, self._steps = heap, statics, steps

    def at(self, address: int) -> Spot:
        """What lies at ``address`` (below 2^64). Never an error: what is not there is said."""
        where = np.array([address], dtype=np.uint64)
        ids, bases = self._heap.index.find(where)
        if int(ids[0]) >= 0:
            return self._slot(address, int(ids[0]), int(bases[0]))
        span = self._span_around(address)
        if span is not None:
            return Spot(address, "span", span=span)
        return self._elsewhere(address)

    def _slot(self, address: int, oid: int, base: int) -> Spot:
        heap = self._heap
        flags = int(heap.state.flags[oid])
        at = int(heap.index.span_of_object(np.array([oid]))[0])
        span = _facts(heap.index.spans[at])
        if not flags & ALLOCATED:
            return Spot(address, "free", base, span.slot_bytes, span=span, object_id=oid)
        offset = address - base
        label, field = self._steps.describe(oid, offset)
        return Spot(
            address,
            "object" if flags & MARKED else "garbage",
            base,
            span.slot_bytes,
            label,
            field if offset else None,
            uncertain=bool(np.isin(oid, heap.uncertain)),
            span=span,
            object_id=oid,
        )

    def _span_around(self, address: int) -> SpanFacts | None:
        spans = self._heap.index.spans
        at = int(np.searchsorted(spans["base"], np.uint64(address), side="right")) - 1
        if at < 0 or address >= int(spans["base"][at]) + int(spans["bytes"][at]):
            return None
        return _facts(spans[at])

    def _elsewhere(self, address: int) -> Spot:
        heap = self._heap
        if self._statics.at(address) is not None:
            step = self._steps.static(address, address, leads=True)
            return Spot(address, "variable", step.address, type=step.type, field=step.field, name=step.name)
        table = heap.goroutines
        hits = np.flatnonzero((table.stack_lo <= address) & (address < table.stack_hi))
        if len(hits):
            row = int(hits[0])
            return Spot(address, "stack", name=self._steps.goroutine(row, address, self._frame(row, address)).name)
        for module in heap.process.modules:
            if module.text <= address < module.etext:
                return Spot(address, "code", name=heap.frames.code.name(address))
            if module.types <= address < module.etypes:
                rtype = heap.process.types.at(address)
                return Spot(address, "types", name=None if rtype is None else rtype.name)
        return Spot(address, "memory" if heap.process.memory.covered(address) else "nothing")

    def _frame(self, row: int, address: int) -> int:
        """The frame of goroutine ``row`` in which an address of its stack lies; -1 for none."""
        frames = self._heap.frames.frames
        low, high = int(frames.first[row]), int(frames.first[row + 1])
        inside = (frames.sp[low:high] <= address) & (address < frames.fp[low:high])
        hits = np.flatnonzero(inside)
        return low + int(hits[0]) if len(hits) else -1


def _facts(span: np.void) -> SpanFacts:
    return SpanFacts(
        int(span["base"]), int(span["bytes"]), int(span["nelems"]), int(span["elemsize"]), not int(span["noscan"])
    )
