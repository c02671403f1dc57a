from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

def trace(
    h: Any,
    st: Any,
    types: Any,
    regions: NDArray[np.int64],
    mask: NDArray[np.uint8],
    pairs: NDArray[np.uint64],
) -> None: ...
def begin(flags: NDArray[np.uint8], known: NDArray[np.uint32]) -> None: ...
def settle(known: NDArray[np.uint32], flags: NDArray[np.uint8]) -> None: ...
def visit_leaves(h: Any, st: Any, types: Any) -> int: ...
