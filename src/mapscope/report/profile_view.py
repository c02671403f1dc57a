"""``mapscope profile``: map memory by place and part, suspects, indicators, and the article's table with its worth."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from mapscope.report.escape import clean, csv_cell
from mapscope.report.profile_document import (
    CourseRow,
    IndicatorRow,
    LoopRow,
    ProfileDocument,
    RiseRow,
    SiteRow,
    SuspectRow,
)
from mapscope.report.style import Style, fitted, next_commands, percent, shorten, sparkline, table
from mapscope.units import human_bytes

_SIZES = 8
_WAITS = 8
_SPARK = 40
_CSV = (
    *("function", "file", "line", "type", "part", "told", "entry"),
    *("inuse_bytes", "inuse_objects", "alloc_bytes", "alloc_objects", "alloc_to_live"),
)


def render(document: ProfileDocument, top: int = 20, style: Style | None = None) -> Iterator[str]:
    """The report, 80 columns wide; ``top`` places, 0 for all."""
    style = style or Style()
    yield from _head(document, style)
    if document.newest is not None:
        yield from _parts(document, style)
        yield from _sites(document.sites, top, style)
        yield from _course(document.series, top, style)
        yield from _sizes(document, style)
        yield from _suspects(document.suspects, style)
        yield from _indicators(document, style)
        yield from _article(document, style)
    elif document.indicators:
        yield from _indicators(document, style)
    yield from _goroutines(document, style)
    yield from _loops(document.loops, style)
    for note in document.notes:
        yield ""
        yield from style.wrap(clean(note, 1000), "  ", "Note: ")
    yield from next_commands(document.next, style)


def render_csv(document: ProfileDocument) -> Iterator[str]:
    """One line a place and part."""
    yield csv_line(_CSV)
    for row in document.sites:
        ratio = None if row.alloc_to_live is None else round(row.alloc_to_live, 3)
        sums = row.sums
        yield csv_line(
            (row.function, row.file, row.line, row.type, row.part, row.told, row.entry, sums.inuse_bytes,
             sums.inuse_objects, sums.alloc_bytes, sums.alloc_objects, ratio)
        )  # fmt: skip


def csv_line(cells: Sequence[object]) -> str:
    """One line of a table for spreadsheets, harmless in them."""
    import csv

    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([csv_cell(cell) for cell in cells])
    return out.getvalue()


def _head(document: ProfileDocument, style: Style) -> Iterator[str]:
    for one in document.profiles:
        mark = " (newest)" if one.origin == document.newest and len(document.profiles) > 1 else ""
        what = f"{mark}: {clean(one.kind, 30)}, {one.form}, {one.samples:,} samples"
        yield style.head("PROFILE ") + style.cut(clean(one.origin), 8 + len(what)) + what
    if document.newest is None:
        return
    if document.executable is not None:
        yield "        " + short(f"executable {document.executable}, {document.go_version}", style.width - 8)
    yield ""
    heap, maps = document.heap, document.maps
    if document.executable is None and not document.sites:
        told = f"{human_bytes(heap.inuse_bytes)} in use; how much of it maps hold is not known without the executable."
        yield from style.wrap(told)
        return
    share = percent(maps.inuse_bytes, heap.inuse_bytes)
    yield (
        style.head("MAPS")
        + f"  {human_bytes(maps.inuse_bytes)} in use"
        + (f", {share} of {human_bytes(heap.inuse_bytes)}" if share else "")
    )
    told = ", ".join(f"{name} {human_bytes(size)}" for name, size in sorted(document.told.items()) if size)
    if told:
        yield from style.wrap(f"told: {told}", "      ")


def _parts(document: ProfileDocument, style: Style) -> Iterator[str]:
    if not document.parts:
        return
    yield ""
    yield style.head("WHAT MAPS ALLOCATED")
    rows = [
        (one.part, human_bytes(one.sums.inuse_bytes), f"{one.sums.inuse_objects:,}", human_bytes(one.sums.alloc_bytes))
        for one in document.parts
    ]
    yield from table(("part", "in use", "objects", "allocated"), rows, "<>>>")


def _sites(sites: Sequence[SiteRow], top: int, style: Style) -> Iterator[str]:
    live = [one for one in sites if one.sums.inuse_bytes]
    if not live:
        return
    shown = live[:top] if top else live
    yield ""
    yield style.head("WHERE") + f"  {len(shown):,} of {len(live):,} places with map memory in use"
    for one in shown:
        ratio = "" if one.alloc_to_live is None else f", allocated {one.alloc_to_live:.1f} times that"
        text = f"{human_bytes(one.sums.inuse_bytes)} in {one.sums.inuse_objects:,}: {one.part} ({one.told}){ratio}"
        yield from style.wrap(text, "      ", "  ")
        yield "      " + style.name(short(one.type or "type not known", style.width - 6))
        yield "      " + short(f"{one.function}  {place_of(one.file, one.line)}", style.width - 6)


def _course(series: Sequence[CourseRow], top: int, style: Style) -> Iterator[str]:
    if not series:
        return
    shown = series[:top] if top else series
    yield ""
    yield style.head("OVER TIME") + f"  {len(shown):,} of {len(series):,} places, the oldest profile first"
    for one in shown:
        first, last = one.inuse_bytes[0], one.inuse_bytes[-1]
        yield f"  {sparkline(one.inuse_bytes, _SPARK)}  {human_bytes(first)} to {human_bytes(last)}"
        yield "      " + short(f"{one.function}  {one.type or 'type not known'}", style.width - 6)


def short(text: str, width: int) -> str:
    """Text of the profile on one line, safe for a terminal, in ``width`` columns."""
    return shorten(clean(text, 4 * width), width)


def place_of(file: str, line: int) -> str:
    """``main.go:94``; empty where no file is known."""
    return f"{file.rpartition('/')[2]}:{line}" if file else ""


def _sizes(document: ProfileDocument, style: Style) -> Iterator[str]:
    if not document.sizes:
        return
    yield ""
    yield style.head("SIZES") + "  of one allocation, in use"
    rows = [
        (f"{one.size_bytes:,}", f"{one.inuse_objects:,}", human_bytes(one.inuse_bytes), one.part,
         clean(one.type or "?"))
        for one in document.sizes[:_SIZES]
    ]  # fmt: skip
    yield from fitted(("bytes", "objects", "in use", "part", "type"), rows, ">>><<", style)


def _suspects(suspects: Sequence[SuspectRow], style: Style) -> Iterator[str]:
    yield ""
    if not suspects:
        yield style.head("SUSPECTS") + "  " + style.good("none")
        return
    yield style.head("SUSPECTS") + "  a profile suspects, a snapshot decides"
    for one in suspects:
        yield from suspect_lines(one, style)


def suspect_lines(one: SuspectRow, style: Style) -> Iterator[str]:
    """One suspect: what, of which type, where, and what it may be."""
    yield from style.wrap(style.bad(_what(one)) + f" ({one.told})", "      ", "  ")
    yield "      " + style.name(short(one.type or "type not known", style.width - 6))
    yield "      " + short(f"{one.function}  {place_of(one.file, one.line)}", style.width - 6)
    for rise in one.rises[:_SIZES]:
        yield from style.wrap(_rise(rise), "        ", "      - ")
    yield from style.wrap(one.text, "      ")


def _what(one: SuspectRow) -> str:
    if one.smaller_bytes is not None and one.larger_bytes is not None:
        return f"{human_bytes(one.smaller_bytes)} beside {human_bytes(one.larger_bytes)}"
    wait = "" if one.wait_minutes is None else f" for up to {one.wait_minutes:,} min"
    state = "" if one.state is None else f" ({short(one.state, 20)})"
    many = "goroutine stands" if one.goroutines == 1 else "goroutines stand"
    return f"{one.goroutines:,} {many} in a loop over a map{wait}{state}"


def _rise(rise: RiseRow) -> str:
    return (
        f"{clean(rise.function)}, {clean(rise.type or 'type not known')}: {human_bytes(rise.first_bytes)} to "
        f"{human_bytes(rise.last_bytes)}"
    )


def _indicators(document: ProfileDocument, style: Style) -> Iterator[str]:
    yield ""
    yield style.head("INDICATORS") + "  docs/reference/indicators.md"
    for one in document.indicators:
        yield from style.wrap(f"{one.title}: {_value(one)}", "      ", f"  {one.id:3} ")
        yield from style.wrap(one.text, "      ")
        for rise in document.rising[:_SIZES] if one.id == "P5" else ():
            yield from style.wrap(_rise(rise), "        ", "      - ")


def _value(one: IndicatorRow) -> str:
    if one.value is None:
        return "not known"
    between = (
        ""
        if one.low is None or one.high is None
        else f" ({_number(one.low, one.unit)} to {_number(one.high, one.unit)})"
    )
    return _number(one.value, one.unit) + between


def _number(value: float, unit: str) -> str:
    if unit in ("bytes", "bytes/hour"):
        return human_bytes(round(value)) + ("/h" if unit == "bytes/hour" else "")
    if unit == "ratio":
        return f"{value:.2f}"
    return f"{value:,.0f} {unit.removesuffix('s') if round(value) == 1 else unit}"


def _article(document: ProfileDocument, style: Style) -> Iterator[str]:
    yield ""
    yield style.head("THE ARTICLE'S INDICATORS") + "  as it writes them, and what they are worth"
    for one in document.article:
        value = "not known" if one.value is None else _number(one.value, one.unit)
        yield from style.wrap(f"{one.title}: {value}", "      ", f"  {one.id:3} ")
        yield from style.wrap(f"The article: {one.article_says}. {one.verdict}", "      ")


def _goroutines(document: ProfileDocument, style: Style) -> Iterator[str]:
    for one in document.goroutines:
        yield ""
        text = f"  {one.total:,} in {short(one.origin, style.width - 40)} ({clean(one.kind, 20)})"
        yield style.head("GOROUTINES") + text
        rows = [
            (f"{row.goroutines:,}", "" if row.wait_minutes is None else f"{row.wait_minutes:,} min",
             short(row.state or "", 20), clean(f"{row.function}  {place_of(row.file, row.line)}", 400))
            for row in one.groups[:_WAITS]
        ]  # fmt: skip
        if rows:
            yield from fitted(("count", "waits", "state", "where"), rows, ">><<", style)


def _loops(loops: Sequence[LoopRow], style: Style) -> Iterator[str]:
    if not loops:
        return
    yield ""
    yield style.head("IN LOOPS OVER MAPS") + f"  {sum(one.goroutines for one in loops):,} goroutines"
    for one in loops[:_WAITS]:
        many = "goroutine" if one.goroutines == 1 else "goroutines"
        wait = "" if one.wait_minutes is None else f", up to {one.wait_minutes:,} min"
        state = f" [{short(one.state, 20)}{wait}]" if one.state else wait
        yield f"  {one.goroutines:,} {many}{state} ({one.told})"
        yield "      " + style.name(short(one.type or "type not known", style.width - 6))
        yield "      " + short(f"{one.function}  {place_of(one.file, one.line)}", style.width - 6)
    if len(loops) > _WAITS:
        yield f"  and {len(loops) - _WAITS:,} more places"
