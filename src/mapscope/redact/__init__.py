"""Writes a core without contents: every byte is zero but those that are proven to be structure.

What stays are pointers (by the collector's own masks, and only where they point into memory that is there), types,
return addresses, and the fields of the runtime's own structs that mapscope reads. The analysis of the redacted core is
that of the whole one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mapscope import __version__
from mapscope.evidence.core import Core
from mapscope.evidence.redaction import Redaction
from mapscope.heap.model import Heap
from mapscope.heap.progress import Progress, quiet
from mapscope.heap.reconcile import arena_ranges, resident_of
from mapscope.maps.find import MapSet
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence
from mapscope.redact.mapwords import mark_maps
from mapscope.redact.runtimewords import mark_runtime
from mapscope.redact.stackwords import mark_stacks
from mapscope.redact.words import Words
from mapscope.redact.writing import write

__all__ = ["redact"]


def redact(
    core: Core,
    heap: Heap,
    maps: MapSet,
    iterators: Sequence[MapIterator],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Writes the redacted core of a heap that has been read to ``path``; answers its bytes on disk.

    The file has mode 0600 and is complete or absent. EvidenceError where it exists (and ``overwrite`` is not set),
    where it is the core itself, or where it cannot be written.
    """
    say = progress or quiet
    say("choose", 0, 0)
    words = Words(heap)
    mark_runtime(words, heap)
    mark_stacks(words, heap, iterators)
    mark_maps(words, heap, maps)
    return write(
        core, heap.process, words, _facts(core, heap, maps, iterators), Path(path), overwrite,
        lambda done, total: say("write", done, total),
    )  # fmt: skip


def _facts(core: Core, heap: Heap, maps: MapSet, iterators: Sequence[MapIterator]) -> Redaction:
    columns = maps.table.columns
    by_shape = np.asarray(columns["confidence"]) != int(Confidence.EXACT)
    resident = resident_of(heap, arena_ranges(heap))
    # ranges that touch are one
    apart = np.flatnonzero(resident.start[1:] != resident.end[:-1])
    start = resident.start[np.concatenate(([0], apart + 1))] if len(resident.start) else resident.start
    end = resident.end[np.concatenate((apart, [len(resident.end) - 1]))] if len(resident.end) else resident.end
    return Redaction(
        __version__,
        core.missing,
        np.sort(np.asarray(columns["address"])[by_shape].astype(np.uint64)),
        np.sort(np.array([one.address for one in iterators], dtype=np.uint64)),
        np.stack([start, end], axis=1).astype(np.uint64),
    )
