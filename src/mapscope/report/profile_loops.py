"""Goroutines in loops over maps as rows of the document of ``mapscope profile`` (P7)."""

from __future__ import annotations

from collections.abc import Sequence

from mapscope.profiles.model import Profile
from mapscope.profiles.series import Rise
from mapscope.profiles.standing import Standing, Suspicion
from mapscope.report.escape import valid
from mapscope.report.profile_document import IndicatorRow, LoopRow, RiseRow, SuspectRow

_LOOP = (
    "Goroutines stand in a loop over a map, and map memory only rises at the places named. An iterator that stands "
    "still can pin the arrays from before each growth. Whether it does, and whether this is the map that grows, no "
    "profile says: take a core to decide."
)
_NO_WAIT = " How long they stand is not known: each of several profiles shows them; debug=2 says it."


def name_of(name: str | None) -> str | None:
    """A name of the evidence as valid text."""
    return None if name is None else valid(name)


def rise_row(rise: Rise) -> RiseRow:
    """One place that only rises."""
    return RiseRow(
        function=valid(rise.function), type=name_of(rise.type), first_bytes=rise.first, last_bytes=rise.last
    )  # fmt: skip


def loop_row(one: Standing) -> LoopRow:
    """Goroutines in one loop."""
    return LoopRow(
        function=valid(one.site.function),
        file=valid(one.site.file),
        line=one.site.line,
        type=name_of(one.type),
        told=one.how,
        state=valid(one.state) or None,
        goroutines=max(one.goroutines, 0),
        wait_minutes=one.wait,
        lasting=one.lasting,
    )


def suspect_of_loop(found: Suspicion) -> SuspectRow:
    """One suspect of P7."""
    one = found.standing
    return SuspectRow(
        indicator="P7",
        function=valid(one.site.function),
        file=valid(one.site.file),
        line=one.site.line,
        type=name_of(one.type),
        told=one.how,
        smaller_bytes=None,
        larger_bytes=None,
        goroutines=max(one.goroutines, 0),
        state=valid(one.state) or None,
        wait_minutes=one.wait,
        rises=[rise_row(rise) for rise in found.rises],
        text=_LOOP + ("" if one.wait else _NO_WAIT),
    )


def indicator_of_loops(found: Sequence[Standing] | None, profiles: Sequence[Profile]) -> list[IndicatorRow]:
    """P7 itself, where a goroutine profile was given; ``found`` is None without the executable."""
    if not profiles:
        return []
    known = None if found is None else float(sum(one.goroutines for one in found if one.lasting))
    text = (
        "In which functions loops over maps are is not known without the executable: give it with -e."
        if found is None
        else "They wait for a minute or more by debug=2, are in a profile of leaks, or in each of several profiles. A "
        "suspect only where map memory of their type also only rises."
        + _others(sum(one.goroutines for one in found if not one.lasting))
    )
    return [
        IndicatorRow(
            id="P7", title="goroutines that stand in loops over maps", value=known, unit="goroutines", low=None,
            high=None, threshold=None, text=text,
        )
    ]  # fmt: skip


def _others(count: int) -> str:
    """What is said of goroutines of which nothing says that they stay."""
    return f" Besides, {count:,} in such loops for less, or nobody knows how long." if count > 0 else ""
