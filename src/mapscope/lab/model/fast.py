"""The classic map in its fast path: millions of writes without records, by a compiled twin of the readable model.

A key is its hash, there are no iterators, and only the header is told, at the writes that are asked for. The kernel is
``mapscope._kernels`` ``classicmap``; without a compiler its plain version does the same, a hundred times more slowly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapscope.errors import UsageError
from mapscope.lab.model.allocator import allocator, growslice
from mapscope.lab.model.classicheap import EXTRA_BYTES, SLICE_BYTES
from mapscope.lab.model.interface import Bytes
from mapscope.lab.model.maptype import INT_INT, MapType
from mapscope.lab.model.releases import ClassicSettings, settings_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mapscope.maps.sizes import Allocator

ASSIGN, DELETE, CLEAR = 0, 1, 2
_LARGEST_B = 26
_COLUMNS = 11


@dataclass(frozen=True, slots=True)
class Sample:
    """A map after so many writes."""

    writes: int
    count: int
    B: int
    growing: bool
    same_size: bool
    noverflow: int
    nevacuate: int
    bytes: Bytes


def hashes_of(count: int, seed: int = 1) -> npt.NDArray[np.uint64]:
    """``count`` hashes, all different, as good as random (splitmix64). 8 bytes each."""
    import numpy as np

    mixed = np.arange(1, count + 1, dtype=np.uint64)
    mixed += np.uint64(seed << 40 & (1 << 64) - 1)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def inserts(
    release: str, at: Sequence[int], t: MapType = INT_INT, *, hint: int | None = None, seed: int = 1
) -> list[Sample]:
    """A map after each of the numbers of inserts in ``at``, ascending, of keys that are all different."""
    import numpy as np

    if not at or list(at) != sorted(at) or at[0] < 0:
        raise UsageError("the numbers of inserts do not ascend from 0 on", "give at least one, the smallest first")
    hashes = hashes_of(at[-1], seed)
    return writes(release, np.zeros(len(hashes), dtype=np.uint8), hashes, at, t, hint=hint, seed=seed)


def writes(
    release: str,
    ops: npt.NDArray[np.uint8],
    hashes: npt.NDArray[np.uint64],
    at: Sequence[int],
    t: MapType = INT_INT,
    *,
    hint: int | None = None,
    seed: int = 1,
) -> list[Sample]:
    """A map after each of the numbers of writes in ``at``, ascending: ``ops`` on the keys with these hashes.

    ``seed`` is of the random counting of overflow buckets from B=16 on. Raises :class:`UsageError` for a release
    without a classic map, MemoryError beyond 2^26 buckets.
    """
    import numpy as np

    from mapscope._kernels import load

    family = settings_of(release)
    if not isinstance(family, ClassicSettings):
        raise UsageError(f"the map of Go {release} is no classic one", "the fast path has those to 1.23")
    sizes = Sizes(family, t)
    rows = np.zeros((len(at), _COLUMNS), dtype=np.int64)
    load("classicmap").run(
        np.ascontiguousarray(ops, dtype=np.uint8),
        np.ascontiguousarray(hashes, dtype=np.uint64),
        np.array(at, dtype=np.int64),
        sizes.bits(hint or 0),
        family.loadFactorNum,
        t.pointers,
        np.array([sizes.buckets(b)[0] for b in range(_LARGEST_B + 1)], dtype=np.int64),
        seed,
        rows,
        False,
    )
    assigned = np.flatnonzero(np.asarray(ops) == ASSIGN)
    first = int(assigned[0]) if len(assigned) else len(ops)
    return [sizes.sample(done, row, done > first) for done, row in zip(at, rows.tolist(), strict=True)]


class Sizes:
    """Bytes of the parts of a map of one type and release."""

    def __init__(self, family: ClassicSettings, t: MapType) -> None:
        self.family = family
        self.t = t
        self.allocator: Allocator = allocator(family.malloc_headers)
        self.caps = [0]
        """Capacities that an overflow list goes through."""

    def bits(self, hint: int) -> int:
        """B of a new map (makemap)."""
        b = 0
        while hint > 8 and hint > self.family.loadFactorNum * ((1 << b) // 2):
            b += 1
        return b

    def buckets(self, b: int) -> tuple[int, int]:
        """Buckets of the array for B with the overflow buckets made with them, and the bytes of its slot."""
        from mapscope.maps.sizes import classic_array

        slot, spare = classic_array(self.allocator, b, self.t.BucketSize, not self.t.pointers)
        return (1 << b) + spare, slot

    def sample(self, writes: int, row: list[int], assigned: bool) -> Sample:
        """A row of the kernel with its bytes. ``assigned``: so that there is a bucket even for B=0 (mapassign)."""
        count, b, growing, same_size, noverflow, nevacuate, extra, apart, oldapart, listed, oldlisted = row
        slot = self.allocator.slot
        header = slot(self.family.header_bytes, False) + (slot(EXTRA_BYTES, False) if extra else 0)
        old = self.buckets(b if same_size else b - 1)[1] if growing else 0
        overflow = (apart + oldapart) * slot(self.t.BucketSize, not self.t.pointers)
        if not self.t.pointers:
            overflow += sum(map(self.list_bytes, (listed, oldlisted)))
        array = self.buckets(b)[1] if b or assigned else 0
        return Sample(
            writes,
            count,
            b,
            bool(growing),
            bool(same_size),
            noverflow,
            nevacuate,
            Bytes(header, array, old, overflow, 0),
        )

    def list_bytes(self, length: int) -> int:
        """Of a ``*[]*bmap`` to which so many buckets were appended; -1 is none."""
        if length < 0:
            return 0
        while self.caps[-1] < length:
            self.caps.append(growslice(self.allocator, self.caps[-1] + 1, self.caps[-1]))
        cap = next(cap for cap in self.caps if cap >= length)
        return self.allocator.slot(SLICE_BYTES, False) + self.allocator.slot(8 * cap, False)
