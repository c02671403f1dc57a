from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

def pages(chunk_slot: NDArray[np.int32], runs: NDArray[np.uint64], page_host: NDArray[np.uint64]) -> None: ...
def judge(
    columns: NDArray[np.uint64],
    ok: NDArray[np.uint8],
    arena: NDArray[np.uint8],
    most: int,
    verdict: NDArray[np.uint8],
) -> None: ...
def apart(
    base: NDArray[np.uint64], size: NDArray[np.uint64], chunk_slot: NDArray[np.int32], keep: NDArray[np.uint8]
) -> None: ...
def write(columns: NDArray[np.uint64], order: NDArray[np.int64], spans: NDArray[np.uint8]) -> None: ...
def place(
    chunk_slot: NDArray[np.int32],
    page_host: NDArray[np.uint64],
    spans: NDArray[np.uint8],
    page_span: NDArray[np.int32],
) -> int: ...
def targets(
    chunk_slot: NDArray[np.int32],
    spans: NDArray[np.uint8],
    holds: NDArray[np.uint8],
    pages: NDArray[np.uint64],
    kinds: NDArray[np.uint8],
) -> None: ...
