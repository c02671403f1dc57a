"""Several profiles of one service over time: how fast map memory grows, and which places only rise."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct

from mapscope.profiles.indicators import Group
from mapscope.profiles.settings import Settings

_MAX_POINTS = 2000
_Z95 = 1.959963984540054


class Slope(Struct, frozen=True):
    """Bytes an hour: the median slope of all pairs, and the bounds of its 95 % interval (None with too few points)."""

    per_hour: float
    low: float | None
    high: float | None


class Course(Struct, frozen=True):
    """Map bytes in use of one place (function and type), a number a profile, the oldest first."""

    function: str
    type: str | None
    values: tuple[int, ...]


class Rise(Struct, frozen=True):
    """A place whose map bytes in use never fell from one profile to the next, and rose over all."""

    function: str
    type: str | None
    first: int
    last: int


def slope(hours: Sequence[float], values: Sequence[float]) -> Slope | None:
    """The Theil–Sen slope (Sen 1968, section 3.1), with ties in time left out; None where no two times differ.

    The interval takes the variance of Kendall's S with its correction for ties in ``hours``. Of very long series evenly
    spread points are taken.
    """
    step = -(-len(hours) // _MAX_POINTS) or 1
    points = sorted(zip(hours[::step], values[::step], strict=True))
    found = sorted(
        (b[1] - a[1]) / (b[0] - a[0]) for at, a in enumerate(points) for b in points[at + 1 :] if b[0] > a[0]
    )
    if not found:
        return None
    n, count = len(points), len(found)
    ties: dict[float, int] = defaultdict(int)
    for hour, _ in points:
        ties[hour] += 1
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties.values())) / 18
    width = _Z95 * math.sqrt(variance)
    low, high = round((count - width) / 2) - 1, round((count + width) / 2)
    middle = count // 2
    median = found[middle] if count % 2 else (found[middle - 1] + found[middle]) / 2
    known = low >= 0 and high < count
    return Slope(median, found[low] if known else None, found[high] if known else None)


def courses(series: Sequence[Sequence[Group]]) -> list[Course]:
    """What became of each place, the largest at last first. The oldest profile comes first."""
    sums: list[dict[tuple[str, str | None], int]] = []
    for groups in series:
        one: dict[tuple[str, str | None], int] = defaultdict(int)
        for group in groups:
            one[group.site.function, group.type] += group.sums.inuse_bytes
        sums.append(one)
    keys = dict.fromkeys(key for one in sums for key in one)
    found = [Course(*key, tuple(one.get(key, 0) for one in sums)) for key in keys]
    return sorted((one for one in found if any(one.values)), key=lambda one: (-one.values[-1], -max(one.values)))


def rising(series: Sequence[Sequence[Group]], settings: Settings) -> list[Rise]:
    """P5: places (function and type) whose bytes only rise over the profiles, most first; the oldest profile first."""
    if len(series) < settings.rising_min_profiles:
        return []
    found = []
    for one in courses(series):
        never_less = all(a <= b for a, b in itertools.pairwise(one.values))
        if never_less and one.values[-1] - one.values[0] >= settings.rising_min_bytes:
            found.append(Rise(one.function, one.type, one.values[0], one.values[-1]))
    return sorted(found, key=lambda one: one.first - one.last)
