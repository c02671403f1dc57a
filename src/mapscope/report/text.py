"""The report as text: the verdict, where the memory is, the findings, the largest maps, the next command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from mapscope.report.document import AdviceText, Document, FindingRow, MapRow
from mapscope.report.escape import clean, clean_lines
from mapscope.report.fields import shown
from mapscope.report.holding import held_lines, suspect_lines
from mapscope.report.style import Style, bar, fitted, listed, next_commands, percent
from mapscope.units import human_bytes

SHOWN_FINDINGS = 20
"""Findings that the text shows in full; JSON has them all."""
SHOWN_MAPS = 10
SHOWN_SUSPECTS = 3

_PARTS = (
    ("live", "live_bytes", "objects that something reaches"),
    ("dead", "dead_bytes", "garbage and free slots"),
    ("free spans", "free_span_bytes", "heap pages without objects"),
    ("stacks", "stack_bytes", "goroutine stacks"),
    ("runtime", "runtime_bytes", "the runtime's own tables"),
    ("outside Go", "outside_go_bytes", "code, data, C libraries"),
    ("unexplained", "unexplained_bytes", ""),
)


def render(document: Document, style: Style | None = None) -> Iterator[str]:
    """The lines of the report. ``document.maps`` holds the maps for the table of the largest, in its order."""
    style = style or Style()
    yield from _opening(document, style)
    yield from _verdict(document, style)
    yield from _reconciliation(document, style)
    yield from _suspects(document, style)
    yield from _findings(document, style)
    yield from _largest(document, style)
    yield from _remarks(document, style)
    yield from next_commands(document.next, style)


def _opening(document: Document, style: Style) -> Iterator[str]:
    evidence, process = document.evidence, document.process
    name = clean(os.path.basename(evidence.path) or evidence.path)
    pid = "" if process.pid is None else f", pid {process.pid}"
    build = "stripped" if process.stripped else "with DWARF" if process.has_dwarf else "with symbols"
    size = human_bytes(evidence.size_bytes)
    yield from style.wrap(f"mapscope {document.tool.version}: {evidence.kind} {name} ({size})", "  ", "")
    if evidence.pause_seconds is not None:
        yield f"  stood still for {evidence.pause_seconds:.3f} s"
    yield from style.wrap(f"{clean(process.go_version, 40)} {clean(process.arch, 12)}{pid}, {build}")
    if evidence.redacted:
        yield "  redacted by mapscope: keys, values and all other contents read as zeros"
    if evidence.executable is not None:
        yield from style.wrap(f"executable {clean(evidence.executable)} ({clean(evidence.executable_found_by, 40)})")


def _verdict(document: Document, style: Style) -> Iterator[str]:
    verdict, live = document.verdict, document.heap.live_bytes
    yield ""
    yield style.head("VERDICT")
    share = percent(verdict.map_bytes, live)
    of_heap = f", {share} of the live heap" if share else ""
    yield f"  {verdict.maps:,} {_plural('map', verdict.maps)} hold {human_bytes(verdict.map_bytes)}{of_heap}."
    if not verdict.findings:
        yield style.good("  No findings: no map holds memory that it clearly should not.")
        yield from _why_empty(document, style)
        return
    findings = sum(finding.part_of is None for finding in document.findings)
    sums = sorted(((rule, sums.bytes) for rule, sums in verdict.rules.items() if sums.bytes), key=lambda pair: -pair[1])
    by_rule = ", ".join(f"{rule} {human_bytes(size)}" for rule, size in sums)
    held = style.bad(human_bytes(verdict.waste_bytes))
    yield f"  {held} held for nothing, in {findings:,} {_plural('finding', findings)}."
    yield from style.wrap(f"By rule: {by_rule}.")
    if verdict.possible_waste_bytes:
        yield from style.wrap(
            f"{human_bytes(verdict.possible_waste_bytes)} of it only possibly: one snapshot shows a state, not how "
            "long it lasts."
        )


def _why_empty(document: Document, style: Style) -> Iterator[str]:
    if not document.verdict.maps:
        reason = "No map was found in this evidence at all"
        reason += ", and parts of it are missing (see REMARKS)." if document.evidence.missing else "."
        if document.process.stripped:
            reason += " In a stripped program maps of up to 8 entries that no typed word reaches can stay unseen."
        yield from style.wrap(reason + " A core taken under load, with the executable beside it, would tell more.")
        return
    least = min(int(value) for name, value in document.thresholds.items() if name.endswith("_min_bytes"))
    yield from style.wrap(
        f"Every map was held against every rule; waste under {human_bytes(least)} a map stays unsaid. A second "
        "core, taken later, would show growth over time."
    )


def _reconciliation(document: Document, style: Style) -> Iterator[str]:
    heap, sums = document.heap, document.heap.reconciliation
    yield ""
    yield style.head("WHERE THE MEMORY IS")
    if sums is None:
        yield f"  {'live':<13} {human_bytes(heap.live_bytes):>10}  {style.dim('objects that something reaches')}"
        yield f"  {'dead':<13} {human_bytes(heap.dead_bytes):>10}  {style.dim('garbage')}"
        yield from _figures(document, style)
        return
    whole = sums.rss_bytes
    yield f"  {'resident':<13} {human_bytes(whole):>10}"
    for label, name, meaning in _PARTS:
        part = getattr(sums, name)
        if part == 0 and label in ("outside Go", "free spans"):
            continue
        line = f"  {'= ' if label == 'live' else '+ '}{label:<11} {human_bytes(part):>10} {percent(part, whole):>6}"
        yield f"{line}  {bar(part, whole, 12):<12}  {style.dim(meaning)}".rstrip()
    counted = f"mapscope counts {human_bytes(heap.live_bytes)} live in {heap.live_objects:,} objects"
    untouched = heap.live_bytes - sums.live_bytes
    if untouched > heap.live_bytes // 100:
        counted += f", of which {human_bytes(untouched)} were never touched and are not resident"
    yield from style.wrap(f"{counted}.")
    yield from _figures(document, style)


def _figures(document: Document, style: Style) -> Iterator[str]:
    """The runtime's own sums."""
    figures = document.heap.runtime
    if figures is None:
        yield "  The runtime's own figures are not in this evidence."
        return
    last = f"it has made {figures.num_gc:,} collections"
    if figures.heap_marked_bytes is not None:
        marked = human_bytes(figures.heap_marked_bytes)
        last = f"its last collection, number {figures.num_gc:,}, marked {marked}"
    yield from style.wrap(
        f"The runtime counts {human_bytes(figures.heap_alloc_bytes)} in {figures.heap_objects:,} objects (garbage not "
        f"yet swept included); {last}."
    )


def _suspects(document: Document, style: Style) -> Iterator[str]:
    if not document.suspects:
        return
    yield ""
    yield style.head("WHAT HOLDS MOST")
    yield from suspect_lines(document.suspects[:SHOWN_SUSPECTS], document.heap.live_bytes, style)


def _findings(document: Document, style: Style) -> Iterator[str]:
    if not document.findings:
        return
    yield ""
    yield style.head("FINDINGS")
    main = [finding for finding in document.findings if finding.part_of is None]
    also: dict[tuple[str, str | None], list[FindingRow]] = {}
    for finding in document.findings:
        if finding.part_of is not None:
            also.setdefault((finding.subject, finding.part_of), []).append(finding)
    told: dict[tuple[str, AdviceText], int] = {}
    for number, finding in enumerate(main[:SHOWN_FINDINGS], 1):
        before = told.setdefault((finding.subject, finding.advice), number)
        yield from finding_lines(finding, style, f"{number}. ", "" if before == number else f"as in {before}")
        for other in also.get((finding.subject, finding.rule), ()):
            yield from also_lines(other, style)
    rest = main[SHOWN_FINDINGS:]
    if rest:
        more = f"{len(rest):,} more {_plural('finding', len(rest))}"
        yield ""
        yield f"  {more} of {human_bytes(sum(f.bytes for f in rest))} in all: -f json lists them."


def finding_lines(finding: FindingRow, style: Style, number: str = "", do: str = "") -> Iterator[str]:
    """One finding: what, where, how sure, the proof, what to do (``do`` in place of advice that was just given)."""
    size = human_bytes(finding.bytes)
    yield ""
    yield from style.wrap(f"{number}{style.name(finding.rule)}  {style.bad(size)}  {finding.title}", "   ", "")
    indent = "   "
    kind = style.cut(clean(finding.type or "map of unknown type"), 30)
    if finding.maps > 1:
        yield from style.wrap(f"{finding.maps:,} maps {kind}, the largest at {finding.subject}", indent)
    else:
        yield from style.wrap(f"{kind} at {finding.subject}", indent)
    yield from style.wrap(f"{finding.confidence}: {finding.why}", indent)
    yield from held_lines(finding, indent, style)
    yield from map(style.dim, listed(shown(finding.evidence), indent, style.width))
    if do:
        yield f"{indent}do: {do}"
        return
    if finding.advice.text:
        yield from style.wrap(f"do: {finding.advice.text}", indent + "    ", indent)
    if finding.advice.code:
        for line in clean_lines(finding.advice.code).expandtabs(4).split("\n"):
            deep = indent + "    " + " " * (len(line) - len(line.lstrip()))
            yield from style.wrap(line.lstrip(), deep + "        ", deep) if line.strip() else ("",)


def also_lines(finding: FindingRow, style: Style) -> Iterator[str]:
    """A second rule that holds for the same map and the same bytes, in short."""
    yield from style.wrap(
        f"also {finding.rule}, {human_bytes(finding.bytes)} of the same bytes: {finding.title}.", "   "
    )
    yield from style.wrap(f"do: {finding.advice.text}", "       ", "   ")


def _largest(document: Document, style: Style) -> Iterator[str]:
    if not document.maps:
        return
    yield ""
    yield style.head("LARGEST MAPS")
    yield from map_table(document.maps[:SHOWN_MAPS], style)
    unseen = document.verdict.maps - SHOWN_MAPS
    if unseen > 0:
        yield style.dim(f"  and {unseen:,} more")


def map_table(maps: Sequence[MapRow], style: Style) -> Iterator[str]:
    """Address, entries, bytes, waste, state and type, a map a line. ``~`` marks a map found by shape alone."""
    cells = [
        (
            row.address + ("" if row.confidence == "exact" else "~"),
            f"{row.count:,}",
            human_bytes(row.bytes.total),
            human_bytes(row.waste_bytes),
            row.state,
            clean(row.type or "?"),
        )
        for row in maps
    ]
    heads = ("address", "entries", "bytes", "waste", "state", "type")
    yield from fitted(heads, cells, "<>>><<", style)


def _remarks(document: Document, style: Style) -> Iterator[str]:
    remarks = [*document.evidence.missing, *document.evidence.warnings, *document.notes]
    if not remarks:
        return
    yield ""
    yield style.head("REMARKS")
    for remark in remarks:
        yield from style.wrap(clean(remark, 400), "    ", "  - ")


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"
