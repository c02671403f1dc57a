from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

def distinct(keys: NDArray[np.uint64], codes: NDArray[np.int32], first: NDArray[np.int64]) -> int: ...
