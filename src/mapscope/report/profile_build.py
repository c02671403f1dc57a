"""From classified profiles to the document of ``mapscope profile``."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from mapscope.profiles import indicators as ind
from mapscope.profiles.classify import Classified
from mapscope.profiles.model import HEAP, Profile
from mapscope.profiles.series import Slope, courses, rising, slope
from mapscope.profiles.settings import DEFAULT, Settings
from mapscope.profiles.standing import LEAK, standing, suspicions
from mapscope.profiles.waiting import by_place
from mapscope.report.escape import valid
from mapscope.report.profile_document import (
    ArticleRow,
    CourseRow,
    GoroutineSummary,
    IndicatorRow,
    PartRow,
    ProfileDocument,
    ProfileSource,
    SiteRow,
    SizeRow,
    SumsRow,
    SuspectRow,
    WaitRow,
)
from mapscope.report.profile_loops import indicator_of_loops, loop_row, name_of, rise_row, suspect_of_loop
from mapscope.report.writing import SCHEMA, tool
from mapscope.units import human_bytes

if TYPE_CHECKING:
    from mapscope.binary.executable import Executable

_PAIR = (
    "Two arrays in use, one twice the other: a growth that stands still (no more writes), one in progress, an iterator "
    "that pins the array from before the growth, or two maps made here. These look the same in a heap profile: take a "
    "core to decide."
)
_SWISS = "Go's Swiss maps grow table by table, all tables of one size: a profile has no such print of them."
_NANOS = 3.6e12
_COURSES = 1000
_GOROUTINES = ("goroutine", LEAK)


def build_profile(
    heaps: Sequence[Classified],
    others: Sequence[Profile],
    executable: Executable | None = None,
    settings: Settings = DEFAULT,
) -> ProfileDocument:
    """The document; ``heaps`` in order of time, the newest last.

    ``executable``: the program, with which goroutines in loops over maps are found.
    """
    newest = heaps[-1] if heaps else None
    groups = [ind.groups(one) for one in heaps]
    rises = rising(groups, settings)
    routines = [one for one in others if one.kind in _GOROUTINES]
    stands = standing(executable, routines, settings) if executable is not None and routines else None
    joined = suspicions(stands or (), rises)
    pairs = [] if newest is None else ind.pairs(newest, settings)
    maps = sum((group.sums for group in groups[-1]), ind.Sums()) if groups else ind.Sums()
    return ProfileDocument(
        schema=SCHEMA,
        tool=tool(),
        profiles=[source_row(one) for one in [*(heap.profile for heap in heaps), *others]],
        newest=None if newest is None else valid(newest.profile.origin),
        executable=None if executable is None else valid(str(executable.path)),
        go_version=None if executable is None else valid(executable.go_version),
        heap=sums_row(ind.totals(newest) if newest is not None else ind.Sums()),
        maps=sums_row(maps),
        told={} if newest is None else ind.by_how(newest),
        parts=_parts(groups[-1]) if groups else [],
        sites=[_site(group) for group in groups[-1]] if groups else [],
        sizes=[_size(row) for row in ind.by_size(newest)] if newest is not None else [],
        suspects=[*map(suspect_of_loop, joined), *(suspect_row(pair) for pair in pairs)],
        indicators=[*_indicators(heaps, groups, maps, len(pairs), settings), *indicator_of_loops(stands, routines)],
        article=[] if newest is None else _article(heaps, settings),
        rising=[rise_row(one) for one in rises],
        series=[
            CourseRow(function=valid(one.function), type=name_of(one.type), inuse_bytes=list(one.values))
            for one in (courses(groups)[:_COURSES] if len(heaps) > 1 else ())
        ],
        goroutines=[_goroutines(one) for one in others if one.kind != HEAP],
        loops=[loop_row(one) for one in stands or ()],
        settings=asdict(settings),
        notes=[valid(note) for note in notes_of(heaps)],
        next=following(newest, executable, bool(pairs or joined)),
        source_root=None if executable is None else valid(executable.source_root) or None,
    )


def source_row(profile: Profile) -> ProfileSource:
    """A profile that was handed in."""
    return ProfileSource(
        origin=valid(profile.origin),
        form=profile.form,
        kind=valid(profile.kind),
        samples=len(profile),
        period=profile.period,
        time_nanos=profile.time_nanos or None,
    )


def sums_row(sums: ind.Sums) -> SumsRow:
    """Sums as they are in the document."""
    return SumsRow(**asdict(sums))


def _site(group: ind.Group) -> SiteRow:
    return SiteRow(
        function=valid(group.site.function),
        file=valid(group.site.file),
        line=group.site.line,
        type=name_of(group.type),
        part=group.part,
        told=group.how,
        entry=valid(group.entry),
        sums=sums_row(group.sums),
        alloc_to_live=group.sums.ratio,
    )


def _size(row: ind.SizeRow) -> SizeRow:
    return SizeRow(
        size_bytes=max(row.size, 0),
        part=row.part,
        type=name_of(row.type),
        inuse_bytes=row.sums.inuse_bytes,
        inuse_objects=row.sums.inuse_objects,
    )


def _parts(groups: Sequence[ind.Group]) -> list[PartRow]:
    sums: dict[str, ind.Sums] = defaultdict(ind.Sums)
    for group in groups:
        sums[group.part] += group.sums
    ordered = sorted(sums.items(), key=lambda item: (-item[1].inuse_bytes, item[0]))
    return [PartRow(part=part, sums=sums_row(found)) for part, found in ordered]


def suspect_row(pair: ind.Pair) -> SuspectRow:
    """A suspect of P3."""
    return SuspectRow(
        indicator="P3",
        function=valid(pair.site.function),
        file=valid(pair.site.file),
        line=pair.site.line,
        type=name_of(pair.type),
        told=pair.how,
        smaller_bytes=pair.smaller,
        larger_bytes=pair.larger,
        goroutines=None,
        state=None,
        wait_minutes=None,
        rises=[],
        text=_PAIR,
    )


def _growth(heaps: Sequence[Classified], values: Sequence[int]) -> Slope | None:
    times = [heap.profile.time_nanos for heap in heaps]
    if not all(times):
        return None
    return slope([(one - times[0]) / _NANOS for one in times], [float(one) for one in values])


def _indicators(
    heaps: Sequence[Classified],
    groups: Sequence[Sequence[ind.Group]],
    maps: ind.Sums,
    pairs: int,
    settings: Settings,
) -> list[IndicatorRow]:
    if not heaps:
        return []
    newest = heaps[-1]
    total = ind.totals(newest)
    share = maps.inuse_bytes / total.inuse_bytes if total.inuse_bytes else None
    sums = [sum(group.sums.inuse_bytes for group in one) for one in groups]
    trend = _growth(heaps, sums) if len(heaps) >= settings.rising_min_profiles else None
    swiss = newest.symbols is not None and newest.symbols.executable.swiss_maps
    partial = newest.symbols is None and bool(newest.notes)
    unknown = partial and not maps.alloc_objects
    return [
        _row("P1", "map bytes in use", None if unknown else float(maps.inuse_bytes), "bytes",
             "Not known without the executable: give it with -e." if unknown else
             "At least: the rest is not known without the executable." if partial else
             "What maps keep for themselves: arrays, headers, large keys and values; not what values point to."),
        _row("P1s", "their share of the heap in use", None if unknown else share, "ratio", "P1 over all bytes in use."),
        _row("P2", "growth of map bytes", trend.per_hour if trend else None, "bytes/hour",
             "Theil–Sen slope with its 95 % interval; a growing cache and a leak look the same." if trend else
             f"Needs {settings.rising_min_profiles} protocol buffers of different times.",
             low=trend.low if trend else None, high=trend.high if trend else None),
        _row("P3", "pairs of array generations", None if swiss else float(pairs), "places",
             _SWISS if swiss else "One array of s and one of 2s bytes in use at one growth site.",
             threshold=float(settings.pair_min_bytes)),
        _row("P4", "allocated to live map bytes", maps.ratio, "ratio",
             "How much was thrown away by growth and by maps that died; for each place in `sites`."),
        _row("P5", "places whose map bytes only rise", float(len(rising(groups, settings)))
             if len(heaps) >= settings.rising_min_profiles else None, "places",
             "Function and type whose bytes in use fall from no profile to the next.",
             threshold=float(settings.rising_min_bytes)),
    ]  # fmt: skip


def _row(
    id_: str,
    title: str,
    value: float | None,
    unit: str,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    threshold: float | None = None,
) -> IndicatorRow:
    return IndicatorRow(
        id=id_, title=title, value=value, unit=unit, low=low, high=high, threshold=threshold, text=text
    )  # fmt: skip


def _article(heaps: Sequence[Classified], settings: Settings) -> list[ArticleRow]:
    """Claims 10, 14 to 17 of the ledger."""
    found = ind.article(heaps[-1])
    arrays = [ind.article(one).array_bytes for one in heaps] if len(heaps) >= settings.rising_min_profiles else []
    trend = _growth(heaps, arrays) if arrays else None
    return [
        ArticleRow(
            id="A1", title="bytes of runtime.bmap", value=float(found.array_bytes), unit="bytes",
            threshold=float(settings.article_bytes), article_says="more than 10 MB and rising: oldbuckets leak",
            verdict="False: no profile has such a node, heap profiles know no types. The value is what the allocators "
            "of bucket arrays and tables have in use. Large maps are no leak"
            + (f"; slope {human_bytes(round(trend.per_hour))}/h." if trend else "."),
        ),
        ArticleRow(
            id="A2", title="alloc_objects / inuse_objects", value=found.objects_ratio, unit="ratio",
            threshold=1.0, article_says="about 1.0: objects are not collected",
            verdict="False: measured 1.99 for a stalled growth and for a pinned array, 3.60 and 950 for "
            "healthy maps. It says how short-lived all objects are, not what maps hold.",
        ),
        ArticleRow(
            id="A3", title="depth under mapassign_fast64", value=None if found.depth is None else float(found.depth),
            unit="frames", threshold=float(settings.article_depth), article_says="at most 3 is healthy",
            verdict="False: a constant of the release (3 up to Go 1.23, 8 in 1.24, 10 in 1.26). It needs whole stacks: "
            "debug=1 and -e.",
        ),
        ArticleRow(
            id="A4", title="chain makeslice, growslice, mapassign",
            value=None if found.chain is None else float(found.chain), unit="samples", threshold=1.0,
            article_says="a danger sign",
            verdict="Impossible: mapassign does not call them in this order; only the list of overflow buckets grows "
            "by growslice. It needs whole stacks: debug=1 and -e.",
        ),
    ]  # fmt: skip


def _goroutines(profile: Profile) -> GoroutineSummary:
    """Goroutines by where they stand: the first function outside of the runtime."""
    ordered = sorted(by_place(profile).items(), key=lambda item: (-item[1][1], -item[1][0], item[0]))
    return GoroutineSummary(
        origin=valid(profile.origin),
        kind=valid(profile.kind),
        total=int(profile.values[:, 0].sum()),
        groups=[
            WaitRow(
                function=valid(key[0] or "?"), file=valid(key[1]), line=key[2], state=valid(key[3]) or None,
                goroutines=max(sums[0], 0), wait_minutes=sums[1] or None,
            )
            for key, sums in ordered
        ],
    )  # fmt: skip


def notes_of(heaps: Sequence[Classified]) -> list[str]:
    """What could not be told, and that sizes are estimates."""
    found: dict[str, None] = {}
    for one in heaps:
        found.update(dict.fromkeys(one.notes))
    if heaps and heaps[-1].profile.period > 1:
        found["Sizes are estimates from a sample: one allocation in about every "
              f"{human_bytes(heaps[-1].profile.period)} is recorded."] = None  # fmt: skip
    return list(found)


def following(newest: Classified | None, executable: Executable | None, suspects: bool) -> list[str]:
    """Commands worth running now."""
    if executable is None:
        return [] if newest is None else [f"mapscope profile {shlex.quote(newest.profile.origin)} -e EXECUTABLE"]
    path = shlex.quote(str(executable.path))
    return [f"mapscope capture PID -o svc.core && mapscope analyze svc.core {path}"] if suspects else []
