from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

def string_keys(
    h: Any,
    rows: NDArray[np.uint64],
    is_swiss: bool,
    lay: NDArray[np.uint64],
    seen: NDArray[np.uint8],
    touched: NDArray[np.int64],
    rounded: NDArray[np.uint32],
    out: NDArray[np.uint64],
) -> None: ...
