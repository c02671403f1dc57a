from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

def number(flags: NDArray[np.uint8], directory: NDArray[np.uint64]) -> int: ...
def objects_at(directory: NDArray[np.uint64], ranks: NDArray[np.int64], out: NDArray[np.int64]) -> None: ...
def root_words(
    h: Any,
    regions: NDArray[np.int64],
    mask: NDArray[np.uint8],
    directory: NDArray[np.uint64],
    address: NDArray[np.uint64],
    target: NDArray[np.int64],
    region: NDArray[np.int64],
) -> int: ...
def edges(
    h: Any,
    leads: Any,
    directory: NDArray[np.uint64],
    first: int,
    last: int,
    offsets: NDArray[np.uint32],
    targets: NDArray[np.int32],
) -> int: ...
def sizes(h: Any, directory: NDArray[np.uint64], out: NDArray[np.uint64]) -> None: ...
def shortest(
    offsets: NDArray[np.uint32],
    targets: NDArray[np.int32],
    start: int,
    blocked: int,
    before: NDArray[np.int32],
    queue: NDArray[np.int32],
) -> int: ...
def reverse(
    offsets: NDArray[np.uint32],
    targets: NDArray[np.int32],
    back_offsets: NDArray[np.uint32],
    sources: NDArray[np.int32],
) -> None: ...
def locate(
    h: Any, leads: Any, sources: NDArray[np.int64], targets: NDArray[np.int64], out: NDArray[np.int64]
) -> None: ...
def words_to(h: Any, leads: Any, source: int, target: int, out: NDArray[np.int64]) -> int: ...
