"""What a map made for a count takes, where the count is what a damaged header says."""

from __future__ import annotations

import numpy as np
import pytest

from mapscope.maps.sizes import Allocator, classic_needed, swiss_needed

ALLOCATOR = Allocator((8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 1024, 32768), True)
COUNTS = np.array([1, 8, 1000, 1 << 39, 1 << 44, (1 << 63) - 1, 1 << 63, (1 << 64) - 1], dtype=np.uint64)


@pytest.mark.parametrize("size", [32, 1104, 65535 // 8 * 8])
def test_counts_that_no_map_has(size: int):
    classic = classic_needed(ALLOCATOR, (1, 23), 48, COUNTS, size, False)
    swiss = swiss_needed(ALLOCATOR, 48, 32, COUNTS, size, False)
    for needed in (classic, swiss):
        assert needed[0] == needed[1] == ALLOCATOR.slot(48, False) + ALLOCATOR.slot(size, False)
        assert (needed[1:] >= needed[:-1]).all()
        # at least a slot of a group or bucket for every eight entries up to the limit
        assert int(needed[3]) > (1 << 39) // 8 * size
        assert len(set(needed[4:].tolist())) == 1
