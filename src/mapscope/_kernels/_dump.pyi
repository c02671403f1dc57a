from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def scan(
    data: NDArray[np.uint8],
    shapes: Sequence[bytes],
    kept: bytes,
    pages: NDArray[np.uint8],
    state: NDArray[np.int64],
    spans: NDArray[np.int64],
    others: NDArray[np.int64],
) -> int: ...
def decode(data: NDArray[np.uint8], shape: bytes, offsets: NDArray[np.int64], out: NDArray[np.uint64]) -> int: ...
def field_bits(data: NDArray[np.uint8], at: int, size: int, bits: NDArray[np.uint8]) -> int: ...
def copy(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    sizes: NDArray[np.int64],
    target: NDArray[np.uint8],
    places: NDArray[np.int64],
) -> None: ...
def fill(
    data: NDArray[np.uint8],
    rows: NDArray[np.int64],
    target: NDArray[np.uint8],
    places: NDArray[np.int64],
    h: Any,
    flags: NDArray[np.uint8],
    ptrmask: NDArray[np.uint64],
) -> int: ...
