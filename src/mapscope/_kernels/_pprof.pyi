from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

def decode(data: NDArray[np.uint8], tables: Sequence[NDArray[np.int64]] | None, counts: NDArray[np.int64]) -> int: ...
def encode(text: NDArray[np.uint8], tables: Sequence[NDArray[np.int64]], out: NDArray[np.uint8] | None) -> int: ...
