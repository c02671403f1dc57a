"""``mapscope history``: curves of indicators and places, and findings with their beginning and end."""

from __future__ import annotations

import time
from collections.abc import Iterator

from mapscope.report.history_document import FindingHistory, HistoryDocument, IndicatorSeries, InstanceHistory
from mapscope.report.profile_view import csv_line, place_of, short
from mapscope.report.style import WIDTH, Style, next_commands, sparkline, wrap
from mapscope.units import human_bytes, human_duration

_SPARK = 24
_TITLE = 30
_PLACES = 10
_FINDINGS = 30
_ORDER = ("P1", "P1s", "P2", "P3", "P4", "P5", "P7", "heap_inuse_bytes", "goroutines")
_CSV = ("time", "service", "instance", "indicator", "value", "low", "high", "unit")
_DAY = 86400 * 10**9


def render(document: HistoryDocument, top: int = _PLACES, style: Style | None = None) -> Iterator[str]:
    """The report, 80 columns wide; ``top`` places, 0 for all."""
    style = style or Style()
    yield from _head(document, style)
    for one in document.instances:
        yield from _instance(one, document, style)
    yield from _places(document, top, style)
    yield from _findings(document, style)
    for note in document.notes:
        yield ""
        yield from wrap(note, "  ", "Note: ")
    yield from next_commands(document.next, style)


def render_csv(document: HistoryDocument) -> Iterator[str]:
    """One line a value."""
    yield csv_line(_CSV)
    for one in document.instances:
        for series in one.indicators:
            bounds = zip(series.low, series.high, strict=True) if series.low else ((None, None),) * len(series.values)
            for nanos, value, (low, high) in zip(series.time_nanos, series.values, bounds, strict=True):
                yield csv_line(
                    (stamp(nanos, 3), document.service, one.instance, series.id, value, low, high, series.unit)
                )  # fmt: skip


def stamp(nanos: int, digits: int = 0) -> str:
    """``2026-11-25T22:43:20Z``, with so many digits of a second."""
    part = f".{nanos % 10**9:09}"[: digits + 1] if digits else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanos // 10**9)) + f"{part}Z"


def _head(document: HistoryDocument, style: Style) -> Iterator[str]:
    span = human_duration((document.until_nanos - document.since_nanos) / 1e9)
    yield style.head("HISTORY ") + short(f"{document.service}, {span} to {stamp(document.until_nanos)}", 72)
    kept = sum(one.stored_bytes for one in document.profiles)
    instances = "1 instance" if len(document.instances) == 1 else f"{len(document.instances):,} instances"
    profiles = "1 profile" if len(document.profiles) == 1 else f"{len(document.profiles):,} profiles"
    yield "        " + short(f"{instances}, {profiles} kept ({human_bytes(kept)}) in {document.store}", 72)


def _instance(one: InstanceHistory, document: HistoryDocument, style: Style) -> Iterator[str]:
    yield ""
    yield (
        style.head(short(one.instance, 40))
        + f"  {one.profiles:,} profiles, {_clock(one.first_nanos, document)} to "
        + (_clock(one.last_nanos, document))
    )
    by_id = {series.id: series for series in one.indicators}
    for key in _ORDER:
        series = by_id.get(key)
        if series is not None:
            yield from _curve(series)


def _curve(series: IndicatorSeries) -> Iterator[str]:
    scale = 1000 if series.unit == "ratio" else 1
    curve = sparkline([max(round(value * scale), 0) for value in series.values], _SPARK)
    first, last = _number(series.values[0], series.unit), _number(series.values[-1], series.unit)
    moved = last if first == last else f"{first} to {last}"
    yield f"  {shortened(series.title):{_TITLE}} {curve:{_SPARK}} {moved}"[:WIDTH].rstrip()


def shortened(title: str) -> str:
    """A title in its column."""
    return title.replace("places whose map bytes only rise", "places that only rise")[:_TITLE]


def _number(value: float, unit: str) -> str:
    if unit in ("bytes", "bytes/hour"):
        return human_bytes(round(value)) + ("/h" if unit == "bytes/hour" else "")
    return f"{value:.2f}" if unit == "ratio" else f"{value:,.0f}"


def _places(document: HistoryDocument, top: int, style: Style) -> Iterator[str]:
    if not document.places:
        return
    shown = document.places[:top] if top else document.places
    yield ""
    yield style.head("PLACES") + f"  {len(shown):,} of {len(document.places):,}, the largest at last first"
    for one in shown:
        curve = sparkline(one.inuse_bytes, _SPARK)
        moved = f"{human_bytes(one.inuse_bytes[0])} to {human_bytes(one.inuse_bytes[-1])}"
        yield f"  {curve:{_SPARK}} {moved:24} {short(one.instance, 27)}"
        yield "      " + style.name(short(one.type or "type not known", WIDTH - 6))
        yield "      " + short(f"{one.function}  {place_of(one.file, one.line)}", WIDTH - 6)


def _findings(document: HistoryDocument, style: Style) -> Iterator[str]:
    yield ""
    if not document.findings:
        yield style.head("FINDINGS") + "  " + style.good("none")
        return
    lasting = sum(one.ended_nanos is None for one in document.findings)
    yield style.head("FINDINGS") + f"  {len(document.findings):,}, {lasting:,} of them last"
    for one in document.findings[:_FINDINGS]:
        until = "lasts" if one.ended_nanos is None else f"ended {_clock(one.ended_nanos, document)}"
        line = f"  {one.indicator} {_what(one)}: began {_clock(one.began_nanos, document)}, {until}"
        yield style.bad(line) if one.ended_nanos is None else line
        yield "      " + style.name(short(f"{one.type or 'type not known'}  ({one.told})", WIDTH - 6))
        yield "      " + short(f"{one.function}  {place_of(one.file, one.line)}  {one.instance}", WIDTH - 6)
    if len(document.findings) > _FINDINGS:
        yield f"  and {len(document.findings) - _FINDINGS:,} more: -f json has all"


def _what(one: FindingHistory) -> str:
    if one.indicator == "P7":
        return f"{one.goroutines or 0:,} goroutines in a loop over a map"
    size = human_bytes(one.bytes or 0)
    return f"only rises, by {size}" if one.indicator == "P5" else f"two generations, the smaller {size}"


def _clock(nanos: int, document: HistoryDocument) -> str:
    """The time of day, with the date where the period is longer than a day."""
    long = document.until_nanos - document.since_nanos > _DAY or nanos < document.since_nanos
    return time.strftime("%m-%d %H:%M:%S" if long else "%H:%M:%S", time.gmtime(nanos // 10**9))
