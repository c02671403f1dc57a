"""Channels that no typed word reaches, known by their own element type word (runtime/chan.go: hchan.elemtype).

A slot of the size and pointer mask of ``hchan`` whose ``elemtype`` is a type of just ``elemsize`` bytes, whose counts
fit and whose ring buffer is a slot of the right size, is a channel of that type.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapscope.arrays import unique
from mapscope.goruntime.index import gather_fields
from mapscope.heap.model import Heap
from mapscope.heap.trace import COVER_ELEM, MARKED

_FIELDS = ("elemtype", "elemsize", "qcount", "dataqsiz", "sendx", "recvx", "buf")
_POINTERS = ("buf", "timer", "elemtype", "recvq.first", "recvq.last", "sendq.first", "sendq.last")


def type_channels(heap: Heap) -> npt.NDArray[np.int64]:
    """Gives such slots their type. Answers regions for the trace kernel (int64, n × 5), from which the walk goes on."""
    layout = heap.process.layouts.struct("hchan")
    spans = heap.index.spans
    sizes = np.ascontiguousarray(spans["elemsize"])
    fitting = sizes >= layout.size
    none = np.zeros((0, 5), dtype=np.int64)
    if not fitting.any():
        return none
    which = np.flatnonzero((sizes == sizes[fitting].min()) & (spans["noscan"] == 0))
    want = sum(1 << (layout.offset(name) // 8) for name in _POINTERS if name in layout)
    state = heap.state
    ids, _ = heap.index.slots_like(which, want, flags=state.flags, need=MARKED)
    ids = ids[state.types_of(ids) < 0]
    field, ok = gather_fields(heap.index, heap.index.address_of(ids), layout, _FIELDS)
    elemtype, elemsize, length, capacity = (field[name] for name in _FIELDS[:4])
    ok &= (length <= capacity) & (capacity > 0) & (field["sendx"] < capacity) & (field["recvx"] < capacity)
    buffers, _ = heap.index.find(field["buf"])
    ok &= buffers >= 0
    ok[ok] &= heap.index.sizes_of(buffers[ok]) >= capacity[ok] * elemsize[ok]
    out = []
    for address in unique(elemtype[ok]).tolist():
        rtype = heap.process.types.at(address)
        if rtype is None:
            continue
        here = ok & (elemtype == address) & (elemsize == rtype.size)
        type_id = heap.types.channel_type(address)
        state.give(ids[here], type_id, COVER_ELEM)
        regions = np.empty((int(here.sum()), 5), dtype=np.int64)
        regions[:, 0] = heap.index.address_of(ids[here]).astype(np.int64)
        regions[:, 1:] = (layout.size // 8, type_id, -1, 0)
        out.append(regions)
    return np.concatenate(out) if out else none
