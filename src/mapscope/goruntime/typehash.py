"""The hash table in which the trace kernel looks addresses of types up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def fill_hash(
    table_keys: npt.NDArray[np.uint64],
    table_values: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    values: npt.NDArray[np.int32],
) -> None:
    """Open addressing with linear probing, the hash of ``lookup`` in the trace kernel; all keys at once, in rounds."""
    mask = np.uint64(len(table_keys) - 1)
    keep = keys != 0
    keys, values = keys[keep], values[keep]
    at = ((keys * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)) & mask
    while len(keys):
        free = table_keys[at] == 0
        winner = np.zeros(len(keys), dtype=np.bool_)
        _, first = np.unique(at, return_index=True)
        winner[first] = True
        winner &= free
        table_keys[at[winner]] = keys[winner]
        table_values[at[winner]] = values[winner]
        keys, values, at = keys[~winner], values[~winner], (at[~winner] + np.uint64(1)) & mask
