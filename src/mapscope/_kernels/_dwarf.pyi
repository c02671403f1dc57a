from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

def index_unit(
    info: bytes | memoryview,
    strings: bytes | memoryview,
    line_strings: bytes | memoryview,
    str_offsets: bytes | memoryview,
    addresses: bytes | memoryview,
    rows: NDArray[np.int32],
    tags: NDArray[np.int32],
    children: NDArray[np.uint8],
    first: NDArray[np.int32],
    attributes: NDArray[np.int32],
    forms: NDArray[np.int32],
    implicit: NDArray[np.int64],
    unit: NDArray[np.int64],
    out: NDArray[np.uint64],
    row: int,
) -> int: ...
