from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

def mark(
    h: Any,
    flags: NDArray[np.uint8],
    regions: NDArray[np.int64],
    mask: NDArray[np.uint8],
    loose: NDArray[np.uint64],
    except_object: int,
    skip: NDArray[np.uint64],
) -> None: ...
def stale_buckets(
    h: Any, old: int, count: int, size: int, skip: NDArray[np.uint64], out: NDArray[np.uint64]
) -> int: ...
