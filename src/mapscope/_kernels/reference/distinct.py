"""Distinct numbers in the order in which they first come: the plain version of _distinct.pyx."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def distinct(keys: npt.NDArray[np.uint64], codes: npt.NDArray[np.int32], first: npt.NDArray[np.int64]) -> int:
    """Fills ``codes`` (by row: which of the distinct keys) and ``first`` (by distinct key: its first row).

    ``first`` has room for a row each; how many there are is the answer.
    """
    known: dict[int, int] = {}
    codes[:] = [known.setdefault(key, len(known)) for key in keys.tolist()]
    _, rows = np.unique(codes, return_index=True)
    first[: len(rows)] = rows
    return len(known)
