"""Marking the heap from its roots, with types spreading on the way: the driver of the trace kernel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from mapscope._kernels import load
from mapscope.arrays import unique, zeros
from mapscope.goruntime.index import HeapIndex
from mapscope.goruntime.typetable import TypeTable
from mapscope.heap.later import Later

ALLOCATED, MARKED, QUEUED = 1, 2, 4
"""Bits of ``flags``."""
COVER_ELEM, COVER_FILL, COVER_HEADER = 1, 2, 3
"""Low four bits of ``cover``: the type is one value at the slot's start, an array over the slot, or the runtime's own
word."""

LEAF = np.dtype([("value", "<u8"), ("place", "<i4"), ("kind", "<i4")])
"""A pointer that was met: ``Met`` in _kernels/_walk.pxd."""
_LEAVES = 1 << 16
"""Pointers to leaves that can wait; a power of two."""
_DONE = 24
"""The word of ``shared`` that says that no more leaves come."""
_WORTH = 1 << 17
"""So many slots make a second thread worth its while."""
_PENDING = 1 << 16
_LOOSE = 1 << 20
_MAX_ROUNDS = 10_000


class TraceState(Struct):
    """What the kernel keeps between rounds.

    By object id: ``flags`` uint8, ``obj_type`` int32 (-1: unknown), ``cover`` uint8. ``leaf``: by span, whether its
    objects hold no pointers. ``queue``, ``in_queue``: the spans in which typed objects wait, and by span whether it is
    there; ``plain_stack``: untyped objects that wait.
    """

    flags: npt.NDArray[np.uint8]
    obj_type: npt.NDArray[np.int32]
    cover: npt.NDArray[np.uint8]
    leaf: npt.NDArray[np.uint8]
    queue: npt.NDArray[np.int32]
    in_queue: npt.NDArray[np.uint8]
    plain_stack: npt.NDArray[np.uint64]
    queue_head: int = 0
    nqueue: int = 0
    nplain: int = 0
    npending: int = 0
    dangling: int = 0
    """Pointers to slots that are not allocated (stale stack words, mostly)."""
    pending: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(2 * _PENDING, dtype=np.uint64))
    loose: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(_LOOSE, dtype=np.uint64))
    """Hash set of addresses of typed values that are no slot of their own: static data, parts of untyped slots."""
    loose_type: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(_LOOSE, dtype=np.int32))
    loose_stack: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(_LOOSE, dtype=np.uint64))
    nloose: int = 0
    nloose_stack: int = 0
    leaves: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(_LEAVES, dtype=LEAF))
    """Ring of the pointers to leaves that wait for their visit, by whichever thread has time. ``shared``: its ends."""
    shared: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(32, dtype=np.uint64))

    @classmethod
    def fresh(cls, flags: npt.NDArray[np.uint8], spans: npt.NDArray[np.void]) -> TraceState:
        """State before the first round; ``flags`` has bit 0 for allocated slots of ``spans``."""
        count, nspans = len(flags), len(spans)
        leaf = np.ones(max(nspans, 1), dtype=np.uint8)
        leaf[:nspans] = spans["noscan"]
        return cls(
            flags,
            np.full(count, -1, dtype=np.int32),
            zeros(count, np.uint8),
            leaf,
            np.zeros(max(nspans, 1), dtype=np.int32),
            np.zeros(max(nspans, 1), dtype=np.uint8),
            np.empty(max(count, 1), dtype=np.uint64),
        )

    def rest(self) -> None:
        """Gives the memory back that the stack has touched; the walk can go on later."""
        self.plain_stack = np.empty_like(self.plain_stack)


def run_trace(
    index: HeapIndex,
    state: TraceState,
    types: TypeTable,
    regions: npt.NDArray[np.int64],
    mask: npt.NDArray[np.uint8],
    loose: npt.NDArray[np.uint64],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Walks everything that ``regions`` and the ``loose`` values reach. See Roots for their shapes.

    Types that the walk meets for the first time are compiled between rounds.
    """
    kernel = load("trace")
    pairs = np.zeros((len(loose), 2), dtype=np.uint64)
    pairs[:, 1] = loose
    regions = np.ascontiguousarray(regions, dtype=np.int64)
    types.freeze()
    for _ in range(_MAX_ROUNDS):
        _round(kernel, index, state, types, regions, mask, pairs)
        if not state.npending:
            return
        pairs = state.pending[: 2 * state.npending].reshape(-1, 2).copy()
        for address in unique(pairs[:, 0]).tolist():
            types.intern(address)
        regions = regions[:0]
        types.freeze()
        if progress:
            progress(int((state.flags & MARKED != 0).sum()), len(state.flags))


def _round(
    kernel: ModuleType,
    index: HeapIndex,
    state: TraceState,
    types: TypeTable,
    regions: npt.NDArray[np.int64],
    mask: npt.NDArray[np.uint8],
    pairs: npt.NDArray[np.uint64],
) -> None:
    """One round. In a large heap the other thread visits the objects without pointers, often more than half of all."""
    state.shared[:] = 0
    if index.nobjects < _WORTH:
        kernel.trace(index, state, types, regions, mask, pairs)
        return
    helper = Later(partial(kernel.visit_leaves, index, state, types)).start()
    try:
        kernel.trace(index, state, types, regions, mask, pairs)
    finally:
        state.shared[_DONE] = 1
        state.dangling += helper.get()
