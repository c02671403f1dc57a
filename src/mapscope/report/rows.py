"""Rows of the table of maps as records of the document, column by column: a million maps take seconds, not minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mapscope.heap.holding import Held
from mapscope.maps.model import FLAG_SAME_SIZE_GROW, Confidence, Generation, MapTable, Place
from mapscope.report import document as doc
from mapscope.report.escape import valid
from mapscope.report.holding import StepRows

Rows = npt.NDArray[np.int64]

_CHUNK = 8192
_GROUP_SLOTS = 8
_HEX = "0x{:x}".format


AskHeld = Callable[[Sequence[int]], Sequence[Held | None]]
"""From addresses of maps to who holds each."""


def map_rows(maps: MapTable, rows: Rows, ask: AskHeld | None = None) -> Iterator[doc.MapRow]:
    """The records of ``rows``, in their order. Without ``ask`` they do not say who holds them."""
    names: list[str | None] = [valid(t.name) for t in maps.types]
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        swiss = maps.columns["generation"][part] == Generation.SWISS
        if swiss.all():
            yield from _swiss(_Columns(maps, part, names, ask))
        elif not swiss.any():
            yield from _classic(_Columns(maps, part, names, ask))
        else:
            newer, older = (_Columns(maps, part[which], names, ask) for which in (swiss, ~swiss))
            records: tuple[Iterator[doc.MapRow], Iterator[doc.MapRow]] = (_classic(older), _swiss(newer))
            yield from (next(records[generation]) for generation in swiss.tolist())


class _Columns:
    """Some columns of some rows as Python lists."""

    def __init__(self, maps: MapTable, rows: Rows, names: list[str | None], ask: AskHeld | None) -> None:
        self._columns = maps.columns
        self._rows = rows
        self._names = names
        self._ask = ask

    def array(self, name: str) -> npt.NDArray[np.generic]:
        return self._columns[name][self._rows]

    def numbers(self, *names: str) -> Iterator[list[int]]:
        """The plain values of each column."""
        return (self.array(name).tolist() for name in names)

    def addresses(self, name: str) -> list[str]:
        return list(map(_HEX, self.array(name).tolist()))

    def words(self, name: str, words: tuple[str, ...]) -> list[str]:
        """Small codes as their words."""
        return [words[code] for code in self.array(name).tolist()]

    def types(self) -> list[str | None]:
        names, known = self._names, len(self._names)
        return [names[index] if 0 <= index < known else None for index in self.array("type_index").tolist()]

    def loads(self, slots_a_unit: int) -> list[float]:
        """Entries a unit of the arrays, 0 where there are none."""
        units = (self.array("capacity").astype(np.uint64) // np.uint64(slots_a_unit)).astype(np.float64)
        count = self.array("count").astype(np.float64)
        shares: list[float] = np.round(np.divide(count, units, out=np.zeros_like(count), where=units > 0), 4).tolist()
        return shares

    def states(self) -> list[str]:
        """As ``Map.state``, by column."""
        swiss = self.array("generation") == Generation.SWISS
        growing = ~swiss & (self.array("oldbuckets") != 0)
        same_size = self.array("flags").astype(np.int64) & FLAG_SAME_SIZE_GROW != 0
        conditions = [growing & same_size, growing, self.array("count") == 0, swiss & (self.array("dirLen") == 0)]
        states: list[str] = np.select(
            conditions, ["growing-same-size", "growing", "empty", "small"], default="steady"
        ).tolist()
        return states

    def complete(self) -> list[bool]:
        complete: list[bool] = (self.array("unreadable") == 0).tolist()
        return complete

    def common(self, slots_a_unit: int) -> tuple[Sequence[object], ...]:
        """The fields that both generations share, in the order of the record."""
        return (
            self.addresses("address"),
            self.types(),
            self.words("place", _PLACES),
            *self.numbers("count", "capacity"),
            self.loads(slots_a_unit),
            self.states(),
            self.words("confidence", _CONFIDENCE),
            *self.numbers("needed_bytes", "waste_bytes"),
            self.complete(),
            *self.held(),
        )

    def held(self) -> tuple[Sequence[object], ...]:
        """Chain, retained bytes and dominator of each."""
        if self._ask is None:
            unknown = [None] * len(self._rows)
            return unknown, unknown, unknown
        answers = self._ask(self.array("address").tolist())
        steps = StepRows()
        return (
            [steps.chain(held) for held in answers],
            [None if held is None else held.retained for held in answers],
            [steps.dominator(held) for held in answers],
        )


_PLACES = tuple(place.name.lower() for place in Place)
_CONFIDENCE = tuple(confidence.label for confidence in Confidence)


def _classic(columns: _Columns) -> Iterator[doc.ClassicMap]:
    headers = map(
        doc.ClassicHeader,
        *columns.numbers("count", "flags", "B", "noverflow", "hash0"),
        columns.addresses("buckets"),
        columns.addresses("oldbuckets"),
        *columns.numbers("nevacuate"),
        columns.addresses("extra"),
    )
    sizes = map(
        doc.ClassicBytes,
        *columns.numbers(
            "total_bytes",
            "header_bytes",
            "array_bytes",
            "old_array_bytes",
            "overflow_bytes",
            "old_overflow_bytes",
            "extra_bytes",
            "indirect_bytes",
        ),
    )
    counted = columns.numbers(
        "noldbuckets", "old_evacuated", "overflow_count", "old_overflow_count", "prealloc_overflow"
    )
    return map(doc.ClassicMap, *columns.common(_GROUP_SLOTS), headers, sizes, *counted)


def _swiss(columns: _Columns) -> Iterator[doc.SwissMap]:
    headers = map(
        doc.SwissHeader,
        *columns.numbers("count", "seed"),
        columns.addresses("dirPtr"),
        *columns.numbers("dirLen", "globalDepth", "globalShift", "writing", "tombstonePossible", "clearSeq"),
    )
    sizes = map(
        doc.SwissBytes,
        *columns.numbers(
            "total_bytes", "header_bytes", "array_bytes", "table_bytes", "directory_bytes", "indirect_bytes"
        ),
    )
    counted = columns.numbers("tables", "groups", "tombstones", "growth_left")
    return map(doc.SwissMap, *columns.common(1), headers, sizes, *counted)
