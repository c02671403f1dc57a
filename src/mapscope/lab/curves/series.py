"""The curves themselves: what is measured, what the model does, what the article predicts, as columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mapscope.errors import UsageError
from mapscope.lab.curves.measure import Shape, measure
from mapscope.lab.model.article import ArticleMap
from mapscope.lab.model.classic import ClassicMap
from mapscope.lab.model.fast import inserts
from mapscope.lab.model.interface import MapModel
from mapscope.lab.model.making import make, random_numbers
from mapscope.lab.model.maptype import MapType
from mapscope.lab.model.releases import CLASSIC

POINTS = 200
READABLE = 1_000_000
"""Beyond so many inserts classic maps are modelled by the compiled twin, and Swiss ones and the article not at all."""
MAPS = 40
"""Maps whose growths make the curve of stalled ones."""
DOUBLINGS = 5


@dataclass(slots=True)
class Curve:
    """One line: ``x`` and ``y`` by point, and ``old``, the part of ``y`` that is old arrays, where there is such.

    ``who``: ``Go 1.23.9``, ``model 1.23`` or ``article``.
    """

    who: str
    x: list[int] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    old: list[float] = field(default_factory=list)

    def add(self, x: int, y: float, old: float | None = None) -> None:
        """One more point."""
        self.x.append(x)
        self.y.append(y)
        if old is not None:
            self.old.append(old)


def residency(release: str, shape: Shape, to: int) -> tuple[list[Curve], MapType | None]:
    """Live bytes against inserts: measured and modelled. ``old`` of the measured one is that of the model's array."""
    points = POINTS if to <= READABLE else POINTS // 5  # each is two collections
    told = measure(release, shape, "residency", to, points)
    t = _type(shape, told)
    real = Curve(f"Go {told['type']['version'].removeprefix('go')}")
    old = _old_bytes(release, t)
    for one in told["points"]:
        real.add(one["count"], one["live"], old(one["b"]) if one["old"] else 0.0)
    if t is None:
        return [real], None
    model = Curve(f"model {release}")
    wanted = {one["count"] for one in told["points"]}
    if to <= READABLE:
        _fill(model, make(release, t, rand=random_numbers(2)), to, wanted)
    elif release in CLASSIC:
        for one in inserts(release, sorted(wanted), t):
            model.add(one.writes, one.bytes.total, one.bytes.oldbuckets)
    else:
        return [real], t  # the model of Swiss maps has no compiled twin
    return [real, model], t


def article(t: MapType, to: int) -> Curve:
    """What the article predicts of the same map."""
    curve = Curve("article")
    _fill(curve, ArticleMap(t), to, set(range(1, to + 1, max(to // POINTS, 1))) | {to})
    return curve


def _fill(curve: Curve, run: MapModel, to: int, wanted: set[int]) -> None:
    was = 0
    for count in range(1, to + 1):
        run.assign(count, None)
        held = _held_old(run)
        if count in wanted or held != was:
            size = run.bytes()
            curve.add(count, size.total, size.oldbuckets)
        was = held


def _held_old(run: MapModel) -> int:
    """Whether a classic model is in mid growth; cheap enough for each insert."""
    return int(isinstance(run, ClassicMap) and run.oldbuckets is not None)


def stalled(release: str, shape: Shape, to: int) -> list[Curve]:
    """Probability that a map of n entries was left in mid growth, measured over MAPS maps and modelled."""
    told = measure(release, shape, "stalled", to, MAPS)
    curves = [_share(f"Go {told['type']['version'].removeprefix('go')}", told["growths"] or [], MAPS, to)]
    if (t := _type(shape, told)) is not None:
        spans = []
        for seed in range(MAPS // 4):
            spans += _spans(make(release, t, rand=random_numbers(seed)), to, seed)
        curves.append(_share(f"model {release}", spans, MAPS // 4, to))
    return curves


def stalled_share(curve: Curve) -> float | None:
    """Over the last whole doubling, from one growth to the next: the share of sizes left in mid growth.

    None where no growth was seen, or none whose size doubled since.
    """
    begins = [x for x, y, last in zip(curve.x[1:], curve.y[1:], curve.y, strict=False) if y > 0 and last == 0]
    whole = [x for x in begins if 2 * x <= curve.x[-1]]
    if not whole:
        return None
    within = [y for x, y in zip(curve.x, curve.y, strict=True) if whole[-1] <= x < 2 * whole[-1]]
    return math.fsum(within) / len(within)


def pinned(release: str, shape: Shape, from_: int) -> list[Curve]:
    """Bytes that a blocked range keeps against the factor by which its map has grown since."""
    told = measure(release, shape, "pinned", from_, DOUBLINGS)
    real = Curve(f"Go {told['type']['version'].removeprefix('go')}")
    for one in told["pinned"]:
        real.add(one["factor"], one["bytes"])
    t = _type(shape, told)
    if t is None:
        return [real]
    model = Curve(f"model {release}")
    for k in range(DOUBLINGS + 1):
        run: MapModel = make(release, t, rand=random_numbers(k))
        for count in range(from_):
            run.assign(count, None)
        cursor = run.iterate()
        for count in range(from_, from_ << k):
            run.assign(count, None)
        for _ in range(2 * from_ << k):
            if not _held_old(run):
                break
            run.delete(-1)
        with_ = run.bytes().total
        run.stop(cursor)
        model.add(1 << k, with_ - run.bytes().total)
    return [real, model]


def _spans(run: MapModel, to: int, seed: int) -> list[dict[str, int]]:
    """Times in which an old array is held, as the program tells them."""
    spans: list[dict[str, int]] = []
    was = 0
    for count in range(1, to + 1):
        run.assign(count + seed * (to + 1), None)
        held = _held_old(run)
        if held and not was:
            spans.append({"begin": count, "end": to + 1})
        elif was and not held:
            spans[-1]["end"] = count
        was = held
    return spans


def _share(who: str, spans: Iterable[dict[str, int]], maps: int, to: int) -> Curve:
    """Share of maps that hold an old array at each of evenly spread sizes."""
    step = max(to // (4 * POINTS), 1)
    counts = [0] * (to // step + 2)
    for one in spans:
        first, last = -(-one["begin"] // step), (one["end"] - 1) // step
        for at in range(first, min(last, len(counts) - 1) + 1):
            counts[at] += 1
    curve = Curve(who)
    for at in range(1, to // step + 1):
        curve.add(at * step, counts[at] / maps)
    return curve


def _type(shape: Shape, told: dict[str, Any]) -> MapType | None:
    """The type for the model; None where no model knows it (values without a size)."""
    try:
        return shape.model(told["type"])
    except UsageError:
        return None


def _old_bytes(release: str, t: MapType | None) -> Any:
    """Bytes of the old array of a map of 2^B buckets that doubles."""
    if t is None:
        return lambda b: 0.0
    from mapscope.goruntime.layout import load
    from mapscope.maps.sizes import Allocator, classic_array

    classes = load(f"go{release.partition('+')[0]}.0", "amd64").class_to_size
    minor = int(release.partition("+")[0].split(".")[1])
    allocator = Allocator(tuple(sorted(c for c in classes if c)), minor >= 22)
    return lambda b: float(classic_array(allocator, max(b - 1, 0), t.BucketSize, not t.pointers)[0])


def rows(curves: Sequence[Curve], names: tuple[str, str]) -> Iterable[list[object]]:
    """The table of all curves: who, x, y, and the part of old arrays."""
    yield ["who", *names, "old_bytes"]
    for curve in curves:
        for at, (x, y) in enumerate(zip(curve.x, curve.y, strict=True)):
            yield [curve.who, x, y, curve.old[at] if curve.old else ""]
