from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

def intern(
    data: NDArray[np.uint8], spans: NDArray[np.int64], seed: int, codes: NDArray[np.int32], first: NDArray[np.int64]
) -> int: ...
def gather(data: NDArray[np.uint8], spans: NDArray[np.int64], out: NDArray[np.uint8]) -> None: ...
