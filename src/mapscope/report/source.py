"""What a report needs of a snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mapscope.findings.model import Finding
from mapscope.goruntime.frames import Goroutine
from mapscope.heap.domtree import DominatorTree
from mapscope.heap.holding import Dominator, Held, HeldTable
from mapscope.heap.summary import EvidenceInfo, HeapSummary, ProcessInfo
from mapscope.maps.cells import CellArray
from mapscope.maps.detail import MapDetail
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import MapTable
from mapscope.table import Table


class Source(Protocol):
    """One Go heap at one instant; ``mapscope.Snapshot`` is one."""

    @property
    def evidence(self) -> EvidenceInfo:
        """What was handed in."""

    @property
    def process(self) -> ProcessInfo:
        """The process that it shows."""

    @property
    def heap(self) -> HeapSummary:
        """The heap in sums."""

    @property
    def maps(self) -> MapTable:
        """Every map."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the rules say; judged when first asked for."""

    @property
    def iterators(self) -> Sequence[MapIterator]:
        """Iterators over maps, with what only each of them keeps."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences worth reading, one each."""

    @property
    def goroutines(self) -> Sequence[Goroutine]:
        """Every goroutine with its frames, dead ones too."""

    def maps_by_goroutine(self) -> Mapping[int, tuple[int, int]] | None:
        """Maps that one goroutine's stack alone keeps: count and bytes, by address of its g; None: not known."""

    def held(self, addresses: Sequence[int]) -> Sequence[Held | None]:
        """Chain, retained size and dominator of the map at each address; None where it is not known."""

    def holders(self, addresses: npt.NDArray[np.uint64]) -> HeldTable:
        """The same as columns, for many maps."""

    def prepare(self, addresses: npt.NDArray[np.uint64]) -> bool:
        """Begins what ``holders`` will be asked of the same addresses; False where there is nothing to wait for."""

    @property
    def suspects(self) -> Sequence[Dominator]:
        """The few dominators that hold most of the heap."""

    def detail(self, address: int, *, contents: bool = False) -> MapDetail:
        """One map in full."""

    def cells(self, address: int) -> Sequence[CellArray]:
        """How full the arrays of one map are, bucket by bucket."""

    def dominator_tree(self, most: int) -> DominatorTree | None:
        """The top of the dominator tree; None: not known."""

    def type_sums(self) -> Table:
        """Live objects and their bytes by type."""


class Unheld:
    """A source of which nobody asks who holds what: its graph is not built, unless an iterator must be weighed."""

    def __init__(self, source: Source) -> None:
        """All but chains, retained sizes, dominators and suspects are those of ``source``."""
        self._source = source
        self.evidence, self.process = source.evidence, source.process
        self.heap, self.maps = source.heap, source.maps
        self.notes = (*source.notes, "Chains, retained sizes, dominators and suspects were left out (--no-chains).")
        self.suspects: Sequence[Dominator] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of the source."""
        return self._source.findings

    @property
    def iterators(self) -> Sequence[MapIterator]:
        """Those of the source."""
        return self._source.iterators

    @property
    def goroutines(self) -> Sequence[Goroutine]:
        """Those of the source."""
        return self._source.goroutines

    def maps_by_goroutine(self) -> None:
        """Not known."""

    def held(self, addresses: Sequence[int]) -> Sequence[Held | None]:
        """Not known."""
        return [None] * len(addresses)

    def holders(self, addresses: npt.NDArray[np.uint64]) -> HeldTable:
        """Not known."""
        return HeldTable.unknown(len(addresses))

    def prepare(self, addresses: npt.NDArray[np.uint64]) -> bool:
        """Nothing to wait for."""
        return False

    def detail(self, address: int, *, contents: bool = False) -> MapDetail:
        """That of the source."""
        return self._source.detail(address, contents=contents)

    def cells(self, address: int) -> Sequence[CellArray]:
        """Those of the source."""
        return self._source.cells(address)

    def dominator_tree(self, most: int) -> None:
        """Not known."""

    def type_sums(self) -> Table:
        """Those of the source."""
        return self._source.type_sums()
