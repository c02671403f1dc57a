from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

def forms(
    address: NDArray[np.uint64],
    size: NDArray[np.uint16],
    mnemonic: NDArray[np.uint8],
    operands: NDArray[np.uint8],
    w: Any,
    form: NDArray[np.int32],
    numbers: NDArray[np.int64],
) -> None: ...
def expand(
    address: NDArray[np.uint64],
    size: NDArray[np.uint16],
    form: NDArray[np.int32],
    numbers: NDArray[np.int64],
    first: NDArray[np.int64],
    parts: NDArray[np.int64],
    out: NDArray[np.int64],
) -> int: ...
