"""Marking the heap from its roots, with types spreading on the way: the driver of the trace kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mapscope._kernels import load
from mapscope.goruntime.index import HeapIndex
from mapscope.goruntime.typetable import TypeTable

ALLOCATED, MARKED, QUEUED = 1, 2, 4
"""Bits of ``flags``."""
COVER_ELEM, COVER_FILL, COVER_HEADER = 1, 2, 3
"""Low four bits of ``cover``: the type is one value at the slot's start, an array over the slot, or the runtime's own
word."""

_PENDING = 1 << 16
_OUTSIDE = 1 << 20
_MAX_ROUNDS = 10_000


@dataclass(slots=True)
class TraceState:
    """What the kernel keeps between rounds.

    By object id: ``flags`` uint8, ``obj_type`` int32 (-1: unknown), ``cover`` uint8.
    """

    flags: npt.NDArray[np.uint8]
    obj_type: npt.NDArray[np.int32]
    cover: npt.NDArray[np.uint8]
    typed_stack: npt.NDArray[np.uint64]
    plain_stack: npt.NDArray[np.uint64]
    ntyped: int = 0
    nplain: int = 0
    npending: int = 0
    noutside: int = 0
    dangling: int = 0
    """Pointers to slots that are not allocated (stale stack words, mostly)."""
    pending: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(2 * _PENDING, dtype=np.uint64))
    outside: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(_OUTSIDE, dtype=np.uint64))
    outside_type: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(_OUTSIDE, dtype=np.int32))
    outside_cover: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_OUTSIDE, dtype=np.uint8))

    @classmethod
    def fresh(cls, flags: npt.NDArray[np.uint8]) -> TraceState:
        """State before the first round; ``flags`` has bit 0 for allocated slots."""
        count = len(flags)
        return cls(
            flags,
            np.full(count, -1, dtype=np.int32),
            np.zeros(count, dtype=np.uint8),
            np.empty(max(count, 1), dtype=np.uint64),
            np.empty(max(count, 1), dtype=np.uint64),
        )


def run_trace(
    index: HeapIndex,
    state: TraceState,
    types: TypeTable,
    regions: npt.NDArray[np.int64],
    mask: npt.NDArray[np.uint8],
    loose: npt.NDArray[np.uint64],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.int64]:
    """Walks everything that ``regions`` and the ``loose`` values reach. See Roots for their shapes.

    Types that the walk meets for the first time are compiled between rounds; typed pointers to static data become
    regions of their own. Answers those regions (int64, n × 5), which typed map pointers may lie in.
    """
    kernel = load("trace").trace
    pairs = np.zeros((len(loose), 2), dtype=np.uint64)
    pairs[:, 1] = loose
    seen: set[int] = set()
    found: list[npt.NDArray[np.int64]] = []
    types.freeze()
    for _ in range(_MAX_ROUNDS):
        kernel(index, state, types, np.ascontiguousarray(regions, dtype=np.int64), mask, np.ascontiguousarray(pairs))
        if not state.npending and not state.noutside:
            break
        pairs = state.pending[: 2 * state.npending].reshape(-1, 2).copy()
        for address in np.unique(pairs[:, 0]).tolist():
            types.intern(address)
        regions = _outside_regions(state, types, seen)
        found.append(regions)
        state.outside[:] = 0
        types.freeze()
        if progress:
            progress(int((state.flags & MARKED != 0).sum()), len(state.flags))
    return np.concatenate(found) if found else np.zeros((0, 5), dtype=np.int64)


def _outside_regions(state: TraceState, types: TypeTable, seen: set[int]) -> npt.NDArray[np.int64]:
    """Typed static data that pointers led to, each address once."""
    at = np.flatnonzero(state.outside)
    rows = []
    for address, type_id in zip(state.outside[at].tolist(), state.outside_type[at].tolist(), strict=True):
        words = int(types.words[type_id])
        if address in seen or words <= 0 or address % 8:
            continue
        seen.add(address)
        rows.append((address, words, type_id, -1, 0))
    return np.array(rows, dtype=np.int64).reshape(-1, 5)
