"""The page of one service over time: what ``mapscope history -f html`` shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from mapscope.arrays import unique
from mapscope.report.history_document import HistoryDocument
from mapscope.report.page.pack import Column, Pack, Texts

KIND = "history"
MOST_LINES = 200
"""Places with a line each."""
MOST_SERIES = 1000
"""Indicators of all instances together."""
MOST_POINTS = 300_000
"""Points of all indicators, and as many of all places: longer lines are thinned evenly."""
LEAST_POINTS = 30
MOST_ROWS = 1000

Floats = npt.NDArray[np.float64]


def history_pack(document: HistoryDocument) -> Pack:
    """All that the page shows."""
    pack = Pack(KIND)
    pack.values |= {
        "service": document.service,
        "store": document.store,
        "since": document.since_nanos / 1e9,
        "until": document.until_nanos / 1e9,
        "instances": [
            {
                "instance": one.instance,
                "profiles": one.profiles,
                "first": one.first_nanos / 1e9,
                "last": one.last_nanos / 1e9,
            }
            for one in document.instances[:MOST_ROWS]
        ],
        "notes": document.notes,
        "next": document.next,
    }
    for name in ("findings", "profiles"):
        rows = list(getattr(document, name))[-MOST_ROWS:]
        pack.values[name] = [_seconds(row) for row in rows]
        pack.values[f"{name}_rest"] = len(getattr(document, name)) - len(rows)
    series = [(one.instance, row) for one in document.instances for row in one.indicators]
    known, places = series[:MOST_SERIES], document.places[:MOST_LINES]
    kept = [_thinned(len(row.time_nanos), len(known)) for _, row in known]
    lines = [(row, at) for (_, row), at in zip(known, kept, strict=True)]
    pack.values["series_rest"] = len(series) - len(known)
    pack.values["places_rest"] = len(document.places) - len(places)
    pack.sections["indicators"] = {
        "instance": Texts.of(instance for instance, _ in known),
        "id": Texts.of(row.id for _, row in known),
        "title": Texts.of(row.title for _, row in known),
        "unit": Texts.of(row.unit for _, row in known),
        "end": _ends(kept),
    }
    pack.sections["values"] = {
        "seconds": _joined(
            np.array(row.time_nanos, np.int64)[at] / 1e9 for (_, row), at in zip(known, kept, strict=True)
        ),
        "value": _joined(np.array(row.values, np.float64)[at] for row, at in lines),
        "low": _joined(_bounds(row.low, at) for row, at in lines),
        "high": _joined(_bounds(row.high, at) for row, at in lines),
    }
    shown = [_thinned(len(one.time_nanos), len(places)) for one in places]
    pack.sections["places"] = {
        "instance": Texts.of(one.instance for one in places),
        "function": Texts.of(one.function for one in places),
        "file": Texts.of(one.file for one in places),
        "line": np.array([one.line for one in places], np.int64),
        "type": Texts.of(one.type for one in places),
        "end": _ends(shown),
    }
    pack.sections["place_values"] = {
        "seconds": _joined(np.array(one.time_nanos, np.int64)[at] / 1e9 for one, at in zip(places, shown, strict=True)),
        "bytes": _joined(np.array(one.inuse_bytes, np.float64)[at] for one, at in zip(places, shown, strict=True)),
    }
    pack.values["thinned"] = any(
        len(at) < many
        for at, many in zip(
            [*kept, *shown],
            [*(len(row.time_nanos) for _, row in known), *(len(one.time_nanos) for one in places)],
            strict=True,
        )
    )
    return pack


def title(document: HistoryDocument) -> str:
    """What the browser's tab says."""
    return f"mapscope history: {document.service}"


def _seconds(row: msgspec.Struct) -> dict[str, object]:
    """The record with its times in seconds, which a browser holds exactly enough."""
    return {
        name.removesuffix("_nanos"): value / 1e9 if name.endswith("_nanos") and value is not None else value
        for name, value in msgspec.structs.asdict(row).items()
    }


def _thinned(points: int, lines: int) -> npt.NDArray[np.int64]:
    """Rows of evenly spread points, the first and the last among them."""
    most = min(points, max(LEAST_POINTS, MOST_POINTS // max(lines, 1)))
    return unique(np.linspace(0, max(points - 1, 0), most).round().astype(np.int64))


def _bounds(values: Sequence[float | None], at: npt.NDArray[np.int64]) -> Floats:
    if not values:
        return np.full(len(at), np.nan)
    return np.array([np.nan if one is None else one for one in values], np.float64)[at]


def _ends(rows: Iterable[npt.NDArray[np.int64]]) -> Column:
    return np.cumsum([len(one) for one in rows]).astype(np.int64)


def _joined(parts: Iterable[Floats]) -> Floats:
    return np.concatenate([np.zeros(0, np.float64), *parts])
