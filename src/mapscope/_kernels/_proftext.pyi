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
