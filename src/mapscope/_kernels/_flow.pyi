from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

def trace(ops: NDArray[np.int64], ends: NDArray[np.int64], deep: NDArray[np.int64], entry: int, w: Any) -> None: ...
