from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

def dominators(
    offsets: NDArray[np.uint32],
    targets: NDArray[np.int32],
    idom: NDArray[np.int32],
    order: NDArray[np.int32],
    budget: int = -1,
) -> int: ...
def subtree_sums(order: NDArray[np.int32], idom: NDArray[np.int32], sums: NDArray[np.uint64]) -> None: ...
