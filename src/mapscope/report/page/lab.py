"""The pages of the lab: what ``mapscope lab run``, ``verify``, ``claims`` and ``curve`` show with ``-f html``.

The lab gives plain records; this room knows nothing of how they came about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import asdict

from mapscope.arrays import unique
from mapscope.report.page.pack import Column, Pack, Texts

KIND = "lab"
MOST_ROWS = 3000
"""Runs, judgements and claims of a page each."""
MOST_POINTS = 5000
"""Points of one curve, evenly spread where there are more."""

Record = Mapping[str, object]
Floats = npt.NDArray[np.float64]


class CurveLine(Struct, frozen=True):
    """One curve. ``old``: the part of ``y`` that is old arrays; empty where it has none."""

    who: str
    x: Sequence[float]
    y: Sequence[float]
    old: Sequence[float] = ()


class Axes(Struct, frozen=True):
    """What a picture of curves is of. ``unit`` of ``y``: ``bytes`` or ``share``; ``log2``: of ``x``."""

    what: str
    title: str
    x: str
    y: str
    unit: str
    log2: bool


def runs_pack(runs: Sequence[Record], claims: Sequence[Record], growths: Iterable[Record]) -> Pack:
    """Scenarios on releases.

    Args:
        runs: ``scenario``, ``section``, ``shows``, ``go``, ``ok``, ``failure``, ``kept`` and ``checks`` (``what``,
            ``ok``, ``numbers``, ``claims``: number of the claim → what the numbers say of it).
        claims: those that the checks speak of: ``id``, ``section``, ``text``, and ``verdicts``: release → verdict.
        growths: of the models of these releases, as ``lab.model.growth`` tells them.
    """
    pack = Pack(KIND)
    pack.values |= {"what": "run", "runs": list(runs[:MOST_ROWS]), "rest": max(0, len(runs) - MOST_ROWS)}
    pack.values |= {"claims": list(claims[:MOST_ROWS]), "growths": list(growths)}
    return pack


def verify_pack(judgements: Sequence[Record]) -> Pack:
    """Claims judged anew: records as ``mapscope lab verify -f json`` writes them, and ``stands``."""
    return _listed("verify", "judgements", judgements)


def claims_pack(claims: Sequence[Record]) -> Pack:
    """The ledger: records as ``mapscope lab claims -f json`` writes them."""
    return _listed("claims", "ledger", claims)


def _listed(what: str, name: str, rows: Sequence[Record]) -> Pack:
    pack = Pack(KIND)
    pack.values |= {"what": what, name: list(rows[:MOST_ROWS]), "rest": max(0, len(rows) - MOST_ROWS)}
    return pack


def curves_pack(axes: Axes, curves: Sequence[CurveLine], summaries: Sequence[str]) -> Pack:
    """Curves of one picture. ``summaries``: a line a curve."""
    pack = Pack(KIND)
    chosen = [_spread(len(one.x)) for one in curves]
    columns: dict[str, Column] = {}
    for name in ("x", "y"):
        columns[name] = _joined(
            np.asarray(getattr(one, name), np.float64)[rows] for one, rows in zip(curves, chosen, strict=True)
        )
    columns["old"] = _joined(
        np.asarray(one.old, np.float64)[rows] if one.old else np.full(len(rows), np.nan)
        for one, rows in zip(curves, chosen, strict=True)
    )
    pack.values |= {"what": "curve", "axes": asdict(axes), "summaries": list(summaries)}
    pack.values["thinned"] = any(len(rows) < len(one.x) for one, rows in zip(curves, chosen, strict=True))
    pack.sections["curves"] = {
        "who": Texts.of(one.who for one in curves),
        "end": np.cumsum([len(rows) for rows in chosen]).astype(np.int64),
        "area": np.array([any(one.old) for one in curves], np.bool_),
    }
    pack.sections["points"] = columns
    return pack


def _spread(count: int) -> npt.NDArray[np.int64]:
    return unique(np.linspace(0, max(count - 1, 0), min(count, MOST_POINTS)).round().astype(np.int64))


def _joined(parts: Iterable[Floats]) -> Floats:
    return np.concatenate([np.zeros(0, np.float64), *parts])
