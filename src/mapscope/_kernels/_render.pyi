from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

def measure(parts: list[Any], ends: NDArray[np.int64]) -> int: ...
def render(parts: list[Any], rows: int, out: NDArray[np.uint8]) -> None: ...
