from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

def classic(h: Any, flags: NDArray[np.uint8], maps: NDArray[np.uint64], out: NDArray[np.uint64]) -> None: ...
def classic_histogram(
    h: Any,
    flags: NDArray[np.uint8],
    one: NDArray[np.uint64],
    out: NDArray[np.uint64],
    occupancy: NDArray[np.uint64],
    chains: NDArray[np.uint64],
) -> None: ...
def swiss(h: Any, lay: NDArray[np.uint64], maps: NDArray[np.uint64], out: NDArray[np.uint64]) -> None: ...
def swiss_detail(
    h: Any,
    lay: NDArray[np.uint64],
    one: NDArray[np.uint64],
    out: NDArray[np.uint64],
    occupancy: NDArray[np.uint64],
    tables: NDArray[np.uint64],
) -> None: ...
