from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

def goroutines(
    data: NDArray[np.uint8], deepest: int, tables: Sequence[NDArray[np.int64]] | None, counts: NDArray[np.int64]
) -> int: ...
