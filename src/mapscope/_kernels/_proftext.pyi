from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

def records(
    data: NDArray[np.uint8],
    numbers: int,
    deepest: int,
    tables: Sequence[NDArray[np.int64]] | None,
    counts: NDArray[np.int64],
) -> int: ...
def attach(
    samples: NDArray[np.int64], pcs: NDArray[np.int64], named: NDArray[np.int64], rows: NDArray[np.int32]
) -> None: ...
def goroutines(
    data: NDArray[np.uint8], deepest: int, tables: Sequence[NDArray[np.int64]] | None, counts: NDArray[np.int64]
) -> int: ...
def intern(
    data: NDArray[np.uint8], spans: NDArray[np.int64], seed: int, codes: NDArray[np.int32], first: NDArray[np.int64]
) -> int: ...
def gather(data: NDArray[np.uint8], spans: NDArray[np.int64], out: NDArray[np.uint8]) -> None: ...
