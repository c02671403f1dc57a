"""What the last hour of one target says: growth of map memory (P2) and places that only rise (P5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mapscope.fleet.store.records import RISING, Place, Sighting, Value
from mapscope.profiles.indicators import Group, Sums
from mapscope.profiles.parts import POSSIBLE
from mapscope.profiles.series import Rise, rising, slope
from mapscope.profiles.settings import DEFAULT, Settings
from mapscope.profiles.sites import Site

MAX_POINTS = 30
"""Profiles of a window that are kept; the others in between are left out."""
_HOUR = 3600.0
Key = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Point:
    """One profile: seconds of a clock that never jumps, bytes of maps, and bytes by function and type.

    ``complete``: no place was left out, so one that is missing has nothing.
    """

    at: float
    map_bytes: int
    places: dict[Key, int]
    complete: bool


@dataclass(slots=True)
class Window:
    """Profiles of one target, the oldest first."""

    seconds: float
    points: list[Point] = field(default_factory=list)

    def add(self, point: Point) -> None:
        """Takes a profile in, and drops what has become too old or stands too close."""
        if len(self.points) >= 2 and point.at - self.points[-2].at < self.seconds / MAX_POINTS:
            self.points.pop()
        self.points.append(point)
        self.points[:] = [one for one in self.points if point.at - one.at <= self.seconds][-MAX_POINTS - 1 :]

    def growth(self, settings: Settings = DEFAULT) -> Value | None:
        """P2 in bytes an hour; None with too few profiles."""
        if len(self.points) < settings.rising_min_profiles:
            return None
        begin = self.points[0].at
        found = slope(
            [(one.at - begin) / _HOUR for one in self.points], [float(one.map_bytes) for one in self.points]
        )  # fmt: skip
        return None if found is None else Value("P2", found.per_hour, found.low, found.high)

    def rises(self, settings: Settings = DEFAULT) -> list[Rise]:
        """P5. A place that a profile may have left out is not judged."""
        missing = {key for one in self.points for key in one.places}
        known = {key for key in missing if all(one.complete or key in one.places for one in self.points)}
        return rising([_groups(one, known) for one in self.points], settings)


def point_of(at: float, places: Sequence[Place], map_bytes: int, complete: bool) -> Point:
    """The point of one profile."""
    sums: dict[Key, int] = {}
    for one in places:
        key = one.function, one.type
        sums[key] = sums.get(key, 0) + one.inuse_bytes
    return Point(at, map_bytes, sums, complete)


def sightings(rises: Sequence[Rise], places: Sequence[Place]) -> tuple[Sighting, ...]:
    """Findings of P5; ``places`` are those of the newest profile."""
    told = {(one.function, one.type): one.told for one in reversed(places)}  # the largest decides
    return tuple(
        Sighting(
            RISING, one.function, "", 0, one.type, told.get((one.function, one.type), POSSIBLE), one.last - one.first
        )
        for one in rises
    )


def _groups(point: Point, known: set[Key]) -> list[Group]:
    return [
        Group(Site(function, "", 0), kind, "", "", "", Sums(size, 0, 0, 0))
        for (function, kind), size in point.places.items()
        if (function, kind) in known
    ]
