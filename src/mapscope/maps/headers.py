"""Headers of maps, read in bulk: hmap and maps.Map as columns (runtime/map.go, internal/runtime/maps/map.go)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapscope.goruntime.index import HeapIndex, gather_fields
from mapscope.goruntime.layout import Layouts

CLASSIC_FIELDS = {
    "count": "count", "flags": "flags", "B": "B", "noverflow": "noverflow", "hash0": "hash0",
    "buckets": "buckets", "oldbuckets": "oldbuckets", "nevacuate": "nevacuate", "extra": "extra",
}  # fmt: skip
SWISS_FIELDS = {
    "used": "count", "seed": "seed", "dirPtr": "dirPtr", "dirLen": "dirLen", "globalDepth": "globalDepth",
    "globalShift": "globalShift", "writing": "writing", "tombstonePossible": "tombstonePossible",
    "clearSeq": "clearSeq",
}  # fmt: skip
"""Field of the runtime's struct → column of the table of maps. ``tombstonePossible`` is there from Go 1.25 on."""


def read_headers(
    index: HeapIndex, layouts: Layouts, addresses: npt.NDArray[np.uint64], swiss: bool
) -> tuple[dict[str, npt.NDArray[np.uint64]], npt.NDArray[np.bool_]]:
    """Columns (named as in maps.model.COLUMNS) of the headers at ``addresses``, and which of them could be read."""
    layout = layouts.struct("swissmap" if swiss else "hmap")
    fields = SWISS_FIELDS if swiss else CLASSIC_FIELDS
    columns, ok = gather_fields(index, addresses, layout, [name for name in fields if name in layout])
    return {fields[name]: values for name, values in columns.items()}, ok
