"""Where pointers lead, in tables that are small enough to stay in the processor's cache."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope._kernels import load
from mapscope.arrays import zeros
from mapscope.goruntime.index import HeapIndex

KIND_DTYPE = np.dtype(
    [
        ("divmul", "<u4"),
        ("nelems", "<u4"),
        ("elemsize", "<u4"),
        ("noscan", "u1"),
        ("header", "u1"),
        ("pad", "V2"),
    ]
)
"""What the slots of a span are like; ``Kind`` in _kernels/_targets.pxd."""
_KINDS = 512
"""Go has 67 size classes, and spans of each with pointers and without; a core that was made up can have any."""


class Targets(Struct, frozen=True):
    """What a pointer tells by the page that it leads into.

    By page, as HeapIndex.page_span: ``holds`` uint8, 0 where no span lies, 2 where its objects hold no pointers, else
    1; ``pages`` uint64, id of the span's first object << 32 | kind << 16 | number of the page in the span. ``kinds``:
    KIND_DTYPE. Kind 0 stands for spans of which only the span itself tells more: one slot, or more than 65,536 pages.
    """

    holds: npt.NDArray[np.uint8]
    pages: npt.NDArray[np.uint64]
    kinds: npt.NDArray[np.void]

    @property
    def kind_bytes(self) -> npt.NDArray[np.uint8]:
        """The kinds as raw bytes, for the kernels."""
        return self.kinds.view(np.uint8)


def build_targets(index: HeapIndex) -> Targets:
    """The tables of a heap."""
    count = len(index.page_span)
    holds, pages, kinds = zeros(count, np.uint8), zeros(count, np.uint64), np.zeros(_KINDS, dtype=KIND_DTYPE)
    load("spantable").targets(index.chunk_slot, index.span_bytes, holds, pages, kinds.view(np.uint8))
    return Targets(holds, pages, kinds)
