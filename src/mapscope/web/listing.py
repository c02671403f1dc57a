"""Which maps a page of the table shows: filtered, sorted and cut on columns, so that ten million maps are no matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapscope.maps.model import Confidence, Generation, MapTable
from mapscope.report.rows import STATES, state_codes

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SORTS = {
    "waste": "waste_bytes", "bytes": "total_bytes", "count": "count", "capacity": "capacity", "needed": "needed_bytes",
    "address": "address", "type": "type_index",
}  # fmt: skip
"""Name of an order, column that it goes by."""
ORDERS = ("descending", "ascending")
GENERATIONS = tuple(one.label for one in Generation)
CONFIDENCES = tuple(one.label for one in Confidence)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to show. Empty texts and words leave all in."""

    sort: str = "waste"
    order: str = "descending"
    search: str = ""
    """Part of a type's name, whatever its case."""
    state: str = ""
    generation: str = ""
    confidence: str = ""
    offset: int = 0
    limit: int = 100


class Listing:
    """Pages of one table of maps."""

    def __init__(self, maps: MapTable) -> None:
        """Sorts the names of the types once."""
        self._maps = maps
        names = [kind.name for kind in maps.types]
        ranks = {name: rank for rank, name in enumerate(sorted(set(names)))}
        self._folded = [name.casefold() for name in names]
        self._rank = np.array([*(ranks[name] for name in names), len(ranks)], dtype=np.int64)

    def page(self, wanted: Wanted) -> tuple[Rows, int]:
        """The rows of a page in their order, equal ones by address, and how many match in all."""
        rows = self._matching(wanted)
        key = self._key(wanted.sort, rows)
        if wanted.order == "descending":
            key = ~key
        return rows[first(key, wanted.offset, wanted.limit)], len(rows)

    def _matching(self, wanted: Wanted) -> Rows:
        columns = self._maps.columns
        masks: list[Mask] = []
        if wanted.search:
            folded = wanted.search.casefold()
            fits = np.array([*(folded in name for name in self._folded), False], dtype=np.bool_)
            masks.append(fits[columns["type_index"]])
        if wanted.state:
            masks.append(state_codes(self._maps) == STATES.index(wanted.state))
        if wanted.generation:
            masks.append(columns["generation"] == GENERATIONS.index(wanted.generation))
        if wanted.confidence:
            masks.append(columns["confidence"] == CONFIDENCES.index(wanted.confidence))
        if not masks:
            return np.arange(len(self._maps))
        found: Rows = np.flatnonzero(np.logical_and.reduce(masks))
        return found

    def _key(self, sort: str, rows: Rows) -> npt.NDArray[np.uint64]:
        """What to sort by, as unsigned numbers."""
        column = self._maps.columns[SORTS[sort]][rows]
        if sort == "type":
            column = self._rank[column]
        key: npt.NDArray[np.uint64] = column.astype(np.uint64)
        return key


def first(key: npt.NDArray[np.uint64], offset: int, limit: int) -> Rows:
    """Rows ``offset`` to ``offset + limit`` of the ascending order of ``key``, equal ones in their own order.

    Only what lies before the end of the page is sorted.
    """
    end = min(offset + limit, len(key))
    if offset >= end:
        return np.zeros(0, dtype=np.int64)
    edge = np.partition(key, end - 1)[end - 1]
    below = np.flatnonzero(key < edge)
    level = np.flatnonzero(key == edge)[: end - len(below)]
    chosen = np.concatenate([below, level])
    out: Rows = chosen[np.lexsort((chosen, key[chosen]))]
    return out[offset:end]
