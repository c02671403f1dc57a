"""``mapscope goroutines``: who runs, who waits where and since when, and which maps only its stack keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mapscope.goruntime.frames import Goroutine
from mapscope.report import document as doc
from mapscope.report.build import evidence, process
from mapscope.report.goroutine_document import GoroutinesDocument
from mapscope.report.goroutine_rows import GoroutineRow, goroutine_rows
from mapscope.report.source import Source
from mapscope.report.style import Style, next_commands
from mapscope.report.writing import tool
from mapscope.units import human_bytes, human_duration

_SHOWN_FRAMES = 12
_SHOWN_IDS = 8


def build_goroutines(
    source: Source, found: Sequence[Goroutine], held: Mapping[int, tuple[int, int]], total: int
) -> GoroutinesDocument:
    """The document of ``found``; ``held``: maps and bytes that only a goroutine's stack keeps, by address of its g."""
    return GoroutinesDocument(
        schema=doc.SCHEMA,
        tool=tool(),
        evidence=evidence(source),
        process=process(source),
        total=total,
        goroutines=goroutine_rows(found, held),
    )


def render(document: GoroutinesDocument, commands: Sequence[str] = (), style: Style | None = None) -> Iterator[str]:
    """Goroutines with one stack together: those that hold maps first, then the largest groups."""
    style = style or Style()
    shown = len(document.goroutines)
    yield style.head("GOROUTINES") + f" {shown:,} of {document.total:,} (the runtime's own are left out of the text)"
    groups: dict[tuple[object, ...], list[GoroutineRow]] = {}
    for row in document.goroutines:
        if not row.system or row.maps:
            key = (row.status, row.wait_reason, row.problem, *((f.function, f.line) for f in row.frames))
            groups.setdefault(key, []).append(row)
    ordered = sorted(groups.values(), key=lambda rows: (-sum(r.map_bytes or 0 for r in rows), -len(rows), rows[0].id))
    for rows in ordered:
        yield ""
        yield from _group(rows, style)
    if not ordered:
        yield "  None to show: the evidence lists no goroutine, or none that holds a map."
    yield from next_commands(commands, style)


def _group(rows: Sequence[GoroutineRow], style: Style) -> Iterator[str]:
    first = rows[0]
    ids = ", ".join(str(row.id) for row in rows[:_SHOWN_IDS]) + (", ..." if len(rows) > _SHOWN_IDS else "")
    waits = [row.wait_seconds for row in rows if row.wait_seconds is not None]
    state = first.wait_reason or first.status
    longest = f", at least {human_duration(max(waits))}" if waits else ""
    name = "goroutine" if len(rows) == 1 else f"{len(rows):,} goroutines"
    yield from style.wrap(style.name(f"{name} {ids}") + f" [{state}{longest}]", "  ", "")
    maps, size = sum(row.maps or 0 for row in rows), sum(row.map_bytes or 0 for row in rows)
    if maps:
        yield style.bad(f"  only this stack keeps {maps:,} map{'s' if maps > 1 else ''} of {human_bytes(size)}")
    if first.problem:
        yield from style.wrap(f"not readable: {first.problem}", "    ", "  ")
    for frame in first.frames[:_SHOWN_FRAMES]:
        mark = " (conservative)" if frame.conservative else ""
        yield "  " + style.cut(f"{frame.function}{mark}", 2)
        yield "      " + style.cut(f"{frame.file}:{frame.line}", 6)
    if len(first.frames) > _SHOWN_FRAMES:
        yield f"  and {len(first.frames) - _SHOWN_FRAMES:,} more frames"
    if first.created_by:
        yield "  made by " + style.cut(first.created_by, 10)
