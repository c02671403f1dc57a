"""What reading a heap has found out, in a form that can be kept and taken up again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from msgspec import Struct

if TYPE_CHECKING:
    from mapscope.binary.textscan import TextFacts


class SavedHeap(Struct, frozen=True):
    """The dear parts of a traced heap: taken up again instead of reading pointer words and walking.

    ``flags``, ``known``: as in TraceState, after all maps were found. ``ptrmask``: as in HeapIndex.
    ``uncertain``: ids of objects. ``journal``: int64 (n, 2), steps of the table of types since it knew the variables.
    """

    flags: npt.NDArray[np.uint8]
    known: npt.NDArray[np.uint32]
    ptrmask: npt.NDArray[np.uint64]
    uncertain: npt.NDArray[np.int64]
    journal: npt.NDArray[np.int64]
    dangling: int
    notes: tuple[str, ...]
    facts: TextFacts | None
