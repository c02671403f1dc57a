"""``mapscope profile diff``: what moved between two heap profiles, as a document and for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta, Struct

from mapscope.profiles import indicators as ind
from mapscope.profiles.classify import Classified
from mapscope.profiles.settings import DEFAULT, Settings
from mapscope.report.escape import clean, valid
from mapscope.report.profile_build import following, notes_of, source_row, sums_row, suspect_row
from mapscope.report.profile_document import ProfileSource, SumsRow, SuspectRow
from mapscope.report.profile_loops import name_of
from mapscope.report.profile_view import csv_line, place_of, short, suspect_lines
from mapscope.report.style import Style, next_commands, percent
from mapscope.report.writing import SCHEMA, Tool, tool
from mapscope.units import human_bytes, human_duration

_HOUR = 3.6e12
_CSV = ("function", "file", "line", "type", "old_bytes", "new_bytes", "change_bytes", "old_objects", "new_objects")


class MoveRow(Struct, frozen=True, kw_only=True):
    """Map memory in use of one function and type, in both profiles. ``file`` and ``line``: the largest place of it."""

    function: str
    file: str
    line: int
    type: str | None
    old_bytes: int
    new_bytes: int
    old_objects: int
    new_objects: int


class ProfileDiffDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="profile diff"):
    """What ``mapscope profile diff -f json`` writes."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    old: ProfileSource
    new: ProfileSource
    executable: str | None
    hours: Annotated[float | None, Meta(description="Between the two; null where they do not say when they are from.")]
    old_heap: SumsRow
    new_heap: SumsRow
    old_maps: SumsRow
    new_maps: SumsRow
    sites: Annotated[list[MoveRow], Meta(description="What grew most first; what stayed as it was is left out.")]
    unchanged_sites: int
    new_suspects: list[SuspectRow]
    gone_suspects: list[SuspectRow]
    same_suspects: list[SuspectRow]
    notes: list[str]
    next: list[str]
    source_root: Annotated[
        str | None, Meta(description="Folder of the main module's source where it was built; null: not known.")
    ] = None


def build_profile_diff(old: Classified, new: Classified, settings: Settings = DEFAULT) -> ProfileDiffDocument:
    """The document of two classified heap profiles."""
    sides = [ind.groups(old), ind.groups(new)]
    before, after = ({(p.site, p.type): p for p in ind.pairs(one, settings)} for one in (old, new))
    moved = _moves(*sides)
    times = old.profile.time_nanos, new.profile.time_nanos
    program = None if new.symbols is None else new.symbols.executable
    return ProfileDiffDocument(
        schema=SCHEMA,
        tool=tool(),
        old=source_row(old.profile),
        new=source_row(new.profile),
        executable=None if program is None else valid(str(program.path)),
        hours=(times[1] - times[0]) / _HOUR if all(times) else None,
        old_heap=sums_row(ind.totals(old)),
        new_heap=sums_row(ind.totals(new)),
        old_maps=sums_row(sum((one.sums for one in sides[0]), ind.Sums())),
        new_maps=sums_row(sum((one.sums for one in sides[1]), ind.Sums())),
        sites=[one for one in moved if _change(one) or one.old_objects != one.new_objects],
        unchanged_sites=sum(not _change(one) and one.old_objects == one.new_objects for one in moved),
        new_suspects=[suspect_row(after[key]) for key in after if key not in before],
        gone_suspects=[suspect_row(before[key]) for key in before if key not in after],
        same_suspects=[suspect_row(after[key]) for key in after if key in before],
        notes=[valid(note) for note in notes_of([old, new])],
        next=following(new, program, bool(after)),
        source_root=None if program is None else valid(program.source_root) or None,
    )


def _change(row: MoveRow) -> int:
    return row.new_bytes - row.old_bytes


def _moves(old: Sequence[ind.Group], new: Sequence[ind.Group]) -> list[MoveRow]:
    sums: dict[tuple[str, str | None], list[ind.Sums]] = defaultdict(lambda: [ind.Sums(), ind.Sums()])
    largest: dict[tuple[str, str | None], ind.Group] = {}
    for side, groups in enumerate((old, new)):
        for group in groups:
            key = group.site.function, group.type
            sums[key][side] += group.sums
            if key not in largest or group.sums.inuse_bytes > largest[key].sums.inuse_bytes:
                largest[key] = group
    rows = [
        MoveRow(
            function=valid(key[0]), file=valid(largest[key].site.file), line=largest[key].site.line,
            type=name_of(key[1]), old_bytes=before.inuse_bytes, new_bytes=after.inuse_bytes,
            old_objects=before.inuse_objects, new_objects=after.inuse_objects,
        )
        for key, (before, after) in sums.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (-_change(row), row.function, row.type or ""))


def render(document: ProfileDiffDocument, top: int, style: Style) -> Iterator[str]:
    """The report, 80 columns wide: ``top`` places that grew and as many that shrank, 0 for all."""
    for word, one in (("OLD ", document.old), ("NEW ", document.new)):
        yield style.head(word) + short(f"{one.origin}: {one.form}, {one.samples:,} samples", style.width - 4)
    if document.hours is not None:
        yield f"    {human_duration(document.hours * 3600)} apart"
    yield ""
    for name, old, new in (
        ("MAPS", document.old_maps, document.new_maps),
        ("HEAP", document.old_heap, document.new_heap),
    ):
        change = new.inuse_bytes - old.inuse_bytes
        yield (
            style.head(name)
            + f"  {human_bytes(old.inuse_bytes)} to {human_bytes(new.inuse_bytes)} in use, "
            + (
                f"{_signed(change)} ({percent(abs(change), old.inuse_bytes) or 'from nothing'})"
                if change
                else "unchanged"
            )
        )
    grown = [row for row in document.sites if _change(row) > 0]
    shrunk = [row for row in reversed(document.sites) if _change(row) < 0]
    for title, rows in (("GREW", grown), ("SHRANK", shrunk)):
        shown = rows[:top] if top else rows
        if shown:
            yield ""
            yield style.head(title) + f"  {len(shown):,} of {len(rows):,} places of map memory"
        for row in shown:
            text = f"{_signed(_change(row))}: {human_bytes(row.old_bytes)} to {human_bytes(row.new_bytes)}"
            yield f"  {text} in {row.new_objects:,} objects"
            yield "      " + style.name(short(row.type or "type not known", style.width - 6))
            yield "      " + short(f"{row.function}  {place_of(row.file, row.line)}", style.width - 6)
    if document.unchanged_sites:
        yield ""
        yield f"  {document.unchanged_sites:,} places are unchanged."
    for title, suspects in (
        ("NEW SUSPECTS", document.new_suspects),
        ("SUSPECTS THAT STAY", document.same_suspects),
        ("SUSPECTS THAT ARE GONE", document.gone_suspects),
    ):
        if suspects:
            yield ""
            yield style.head(title) + "  a profile suspects, a snapshot decides"
            for suspect in suspects:
                yield from suspect_lines(suspect, style)
    for note in document.notes:
        yield ""
        yield from style.wrap(clean(note, 1000), "  ", "Note: ")
    yield from next_commands(document.next, style)


def _signed(size: int) -> str:
    return ("+" if size >= 0 else "-") + human_bytes(abs(size))


def render_csv(document: ProfileDiffDocument) -> Iterator[str]:
    """One line a function and type."""
    yield csv_line(_CSV)
    for row in document.sites:
        yield csv_line(
            (row.function, row.file, row.line, row.type, row.old_bytes, row.new_bytes, _change(row), row.old_objects,
             row.new_objects)
        )  # fmt: skip
