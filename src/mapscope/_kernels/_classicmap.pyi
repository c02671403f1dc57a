from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

def run(
    ops: NDArray[np.uint8],
    hashes: NDArray[np.uint64],
    at: NDArray[np.int64],
    b: int,
    load: int,
    scanned: bool,
    made: NDArray[np.int64],
    seed: int,
    rows: NDArray[np.int64],
    keep: bool,
) -> tuple[
    NDArray[np.uint8],
    NDArray[np.uint64],
    NDArray[np.int32],
    NDArray[np.uint8],
    NDArray[np.uint64],
    NDArray[np.int32],
]: ...
