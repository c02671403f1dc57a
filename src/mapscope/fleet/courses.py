"""How the places of a service moved, out of the rows of its store.

A profile keeps its largest places only, and none that holds nothing. One that is not in a profile held nothing then
exactly when the places that are there make up all of its map bytes (the indicator P1); else nobody knows, and the
course has no entry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy.engine import RowMapping

from mapscope.report.escape import valid
from mapscope.report.history_document import PlaceHistory

MAX_PLACES = 1000
"""Courses that are told."""
MAX_ENTRIES = 2_000_000
"""Entries with nothing that are added to all of them; the rest of the courses ends with such an entry only."""
NANOS = 1000
"""Nanoseconds of a unit of the store's times."""

_Key = tuple[str, str, str | None]


def courses(places: list[RowMapping], indicators: list[RowMapping], entries: int = MAX_ENTRIES) -> list[PlaceHistory]:
    """By instance, function and type, as courses of a profile series are; file and line are those of the largest.

    ``places``: by time, the largest first; ``indicators``: of the same period. The largest at last come first.
    """
    sums: dict[_Key, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    where: dict[_Key, tuple[str, int]] = {}
    for row in places:
        key = row["instance"], row["function"], row["type"]
        sums[key][row["taken_us"]] += row["inuse_bytes"]
        where.setdefault(key, (row["file"], row["line"]))
    told = _told(places, indicators)
    for key, of in sums.items():
        last = told.get(key[0], [])[-1:]
        if last and last[0] > max(of):
            of[last[0]] = 0
    chosen = sorted(sums, key=lambda key: (-_last(sums[key]), -max(sums[key].values()), key[1], key[0]))[:MAX_PLACES]
    for key in chosen:
        times = told.get(key[0], [])
        entries -= len(times)
        if entries < 0:
            break
        sums[key] = dict.fromkeys(times, 0) | sums[key]
    return [_course(key, dict(sorted(sums[key].items())), where[key]) for key in chosen]


def _told(places: list[RowMapping], indicators: list[RowMapping]) -> dict[str, list[int]]:
    """By instance, the times whose profiles are in the store with everything that maps held, in order."""
    held: dict[object, int] = defaultdict(int)
    for row in places:
        held[row["profile_id"]] += row["inuse_bytes"]
    found: dict[str, list[int]] = defaultdict(list)
    for row in indicators:
        if row["name"] == "P1" and row["value"] == held.get(row["profile_id"], 0):
            found[row["instance"]].append(row["taken_us"])
    return {instance: sorted(times) for instance, times in found.items()}


def _last(of: Mapping[int, int]) -> int:
    return of[max(of)]


def _course(key: _Key, of: Mapping[int, int], where: tuple[str, int]) -> PlaceHistory:
    return PlaceHistory(
        instance=valid(key[0]), function=valid(key[1]), file=valid(where[0]), line=where[1],
        type=None if key[2] is None else valid(key[2]), time_nanos=[at * NANOS for at in of],
        inuse_bytes=list(of.values()),
    )  # fmt: skip
