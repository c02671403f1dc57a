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
from mapscope.goruntime.targets import Targets, build_targets
from mapscope.goruntime.typetable import TypeTable
from mapscope.heap.later import Later

ALLOCATED, MARKED = 1, 2
"""Bits of ``flags``."""
COVER_ELEM, COVER_FILL, COVER_HEADER = 1, 2, 3
"""The type is one value at the slot's start, an array over the slot, or the runtime's own word."""
_COVER, _MARKED, _FLAGS = np.uint32(3), np.uint32(64), np.uint32(0xE0)
_TYPE_SHIFT = np.uint32(8)

Chosen = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice
LEAF = np.dtype([("value", "<u8"), ("oid", "<u4"), ("kind", "<i4")])
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
_PAGE = 4096


class TraceState(Struct):
    """What the kernel keeps between rounds.

    By object id: ``flags`` uint8, for everyone; ``known`` uint32, all that is known of it, which the walk works on: the
    cover in the lowest two bits, then how often the type changed, the flags, and from bit 8 on the type's number plus
    one (there is room for four times as many as TypeTable takes up). ``queue``, ``in_queue``: the spans in which typed
    objects wait, and by span whether it is there; ``plain_stack``: untyped objects that wait.
    """

    flags: npt.NDArray[np.uint8]
    known: npt.NDArray[np.uint32]
    targets: Targets
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
    walked: bool = False
    at_once: bool = True
    """Whether the walk tells ``flags`` as it goes. Two threads would write to the same lines of the cache all the time:
    they leave it to ``settle``."""
    leaves: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(_LEAVES, dtype=LEAF))
    """Ring of the pointers to leaves that wait for their visit, by whichever thread has time. ``shared``: its ends."""
    shared: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(32, dtype=np.uint64))

    @classmethod
    def fresh(cls, flags: npt.NDArray[np.uint8], index: HeapIndex) -> TraceState:
        """State before the first round; ``flags`` has bit 0 for allocated slots."""
        state = cls.roomy(flags, index)
        state.begin()
        return state

    @classmethod
    def roomy(cls, flags: npt.NDArray[np.uint8], index: HeapIndex) -> TraceState:
        """State whose ``flags`` are still to come: then ``begin`` is called. Its memory takes a while to get."""
        nspans = max(len(index.spans), 1)
        known = zeros(len(flags), np.uint32)
        known[:: _PAGE // known.itemsize] = 0  # touched
        return cls(
            flags,
            known,
            build_targets(index),
            np.zeros(nspans, dtype=np.int32),
            np.zeros(nspans, dtype=np.uint8),
            np.empty(max(len(flags), 1), dtype=np.uint64),
        )

    def begin(self) -> None:
        """Takes over what ``flags`` say."""
        load("trace").begin(self.flags, self.known)

    @property
    def types(self) -> npt.NDArray[np.int32]:
        """By object id, its type; -1: not known."""
        return self.types_of(slice(None))

    def types_of(self, objects: Chosen) -> npt.NDArray[np.int32]:
        """The types of some objects."""
        types: npt.NDArray[np.int32] = (self.known[objects] >> _TYPE_SHIFT).view(np.int32)
        types -= np.int32(1)
        return types

    def covers_of(self, objects: Chosen) -> npt.NDArray[np.uint8]:
        """How the type of each covers its slot."""
        return (self.known[objects] & _COVER).astype(np.uint8)

    def type_of(self, oid: int) -> int:
        """The type of one object."""
        return (int(self.known[oid]) >> int(_TYPE_SHIFT)) - 1

    def cover_of(self, oid: int) -> int:
        """How that covers its slot."""
        return int(self.known[oid] & _COVER)

    def give(self, objects: npt.NDArray[np.int64], types: npt.ArrayLike, cover: int) -> None:
        """Says what objects are, of which a walk has not told the type; ``types`` -1 for those that stay unknown."""
        said = (np.asarray(types, dtype=np.int64) + 1).astype(np.uint32) << _TYPE_SHIFT
        self.known[objects] = said | self.known[objects] & _FLAGS | np.uint32(cover)

    def resume(self, known: npt.NDArray[np.uint32]) -> None:
        """Takes up types and covers that were kept; the flags stay as they are."""
        self.known |= known & ~_FLAGS

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
    # what comes after the first walk is little, as a rule, for which another thread takes longer to come
    state.at_once = state.walked or index.nobjects < _WORTH
    state.walked = True
    for _ in range(_MAX_ROUNDS):
        _round(kernel, index, state, types, regions, mask, pairs)
        if not state.npending:
            break
        pairs = state.pending[: 2 * state.npending].reshape(-1, 2).copy()
        for address in unique(pairs[:, 0]).tolist():
            types.intern(address)
        regions = regions[:0]
        types.freeze()
        if progress:
            progress(int(np.count_nonzero(state.known & _MARKED)), len(state.known))
    if not state.at_once:
        kernel.settle(state.known, state.flags)


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
    if state.at_once:
        kernel.trace(index, state, types, regions, mask, pairs)
        return
    helper = Later(partial(kernel.visit_leaves, index, state, types)).start()
    try:
        kernel.trace(index, state, types, regions, mask, pairs)
    finally:
        state.shared[_DONE] = 1
        state.dangling += helper.get()
