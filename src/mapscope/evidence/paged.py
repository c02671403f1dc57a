"""Runs of bytes that lie anywhere in a file, laid out by page in memory of our own, as kernels want them."""

from __future__ import annotations

import mmap

import numpy as np
import numpy.typing as npt

from mapscope.evidence.memory import PAGE, Memory

I8 = npt.NDArray[np.int64]
_SHIFT = 12


class Paged:
    """Room for address ranges, page by page; pages that the ranges touch only in part are there too, zeros else.

    The room is anonymous memory: what is never written takes none. ``bytes``: writable, uint8. ``starts``, ``ends``:
    the ranges, ascending, joined where they meet.
    """

    def __init__(self, starts: I8, sizes: I8) -> None:
        """Ranges of at least one byte each, below 2^48, in any order. MemoryError when there is no room for them."""
        self.starts, self.ends = joined(starts, starts + sizes)
        first, last = self.starts >> _SHIFT, (self.ends + PAGE - 1) >> _SHIFT
        self._first, self._last = joined(first, last)
        pages = self._last - self._first
        self._before = np.cumsum(pages) - pages
        try:
            self.room = mmap.mmap(-1, max(int(pages.sum()), 1) * PAGE)
        except (OSError, OverflowError) as error:
            raise MemoryError(str(error)) from error
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self.room, dtype=np.uint8)

    def places(self, addresses: I8) -> I8:
        """Where each address, which lies in a range, lies in ``bytes``."""
        at = np.searchsorted(self._first, addresses >> _SHIFT, side="right") - 1
        out: I8 = addresses - (self._first[at] << _SHIFT) + self._before[at] * PAGE
        return out

    def lay(self, memory: Memory) -> None:
        """Makes the ranges part of ``memory``."""
        buffer = memory.add_buffer(self.room, padded=True)
        places = self.places(self.starts)
        for start, end, place in zip(self.starts.tolist(), self.ends.tolist(), places.tolist(), strict=True):
            memory.add(start, end - start, buffer, place)


def joined(starts: I8, ends: I8) -> tuple[I8, I8]:
    """Ascending ranges [start, end) that cover the same, joined where they meet or overlap."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    reach = np.maximum.accumulate(ends) if len(ends) else ends
    fresh = np.ones(len(starts), dtype=np.bool_)
    fresh[1:] = starts[1:] > reach[:-1]
    last = np.append(np.flatnonzero(fresh)[1:], len(starts)) - 1
    return starts[fresh], reach[last] if len(starts) else ends
