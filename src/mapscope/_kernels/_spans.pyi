from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

def gather(pages: Any, addresses: NDArray[np.uint64], out: NDArray[np.uint8], ok: NDArray[np.uint8]) -> None: ...
def gather_fields(
    pages: Any,
    addresses: NDArray[np.uint64],
    size: int,
    fields: NDArray[np.int64],
    out: NDArray[np.uint64],
    ok: NDArray[np.uint8],
) -> None: ...
def find_objects(h: Any, addresses: NDArray[np.uint64], out: NDArray[np.int64], base: NDArray[np.uint64]) -> None: ...
def slot_sizes(h: Any, addresses: NDArray[np.uint64], out: NDArray[np.uint64]) -> None: ...
def slots_of(h: Any, objects: NDArray[np.int64], address: NDArray[np.uint64], size: NDArray[np.uint64]) -> None: ...
def alloc_flags(
    h: Any, freeindex: NDArray[np.uint64], allocbits: NDArray[np.uint64], flags: NDArray[np.uint8]
) -> int: ...
def mask_from_span_end(
    h: Any, which: NDArray[np.int64], bitmap: NDArray[np.uint64], ptrmask: NDArray[np.uint64]
) -> int: ...
def mask_from_types(
    h: Any,
    objects: NDArray[np.int64],
    kinds: NDArray[np.int32],
    type_words: NDArray[np.int64],
    type_bits: NDArray[np.int64],
    pool: NDArray[np.uint64],
    ptrmask: NDArray[np.uint64],
) -> None: ...
def mask_from_arena_words(
    h: Any, which: NDArray[np.int64], arena_bitmap: NDArray[np.uint64], ptrmask: NDArray[np.uint64]
) -> int: ...
def mask_from_nibbles(
    h: Any, which: NDArray[np.int64], arena_bitmap: NDArray[np.uint64], ptrmask: NDArray[np.uint64]
) -> int: ...
def slots_like(
    h: Any,
    which: NDArray[np.int64],
    flags: NDArray[np.uint8],
    need: int,
    want: int,
    every: int,
    shifts: int,
    ids: NDArray[np.int64],
    at: NDArray[np.uint8],
) -> int: ...
def sum_marked(h: Any, flags: NDArray[np.uint8], out: NDArray[np.int64]) -> None: ...
