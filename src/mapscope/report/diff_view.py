"""``mapscope diff``: what two snapshots differ in, as a document and as text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from mapscope import diff as two
from mapscope.findings.columns import Ints
from mapscope.maps.model import MapTable
from mapscope.report import diff_document as dd
from mapscope.report import document as doc
from mapscope.report.build import evidence, finding_rows, process
from mapscope.report.escape import clean, valid
from mapscope.report.holding import StepRows, chain_text
from mapscope.report.source import Source
from mapscope.report.style import Style, next_commands
from mapscope.report.text import finding_lines
from mapscope.report.writing import tool
from mapscope.units import hex_addr, human_bytes

SHOWN_FINDINGS = 20
"""Findings of each status that the text shows; JSON has them all."""
_SECTIONS = (("grown", "GROWN"), ("new_maps", "NEW"), ("shrunk", "SHRUNK"), ("gone_maps", "GONE"))


def build_diff(found: two.Diff, old: Source, new: Source, top: int = 0) -> dd.DiffDocument:
    """The document; each list of maps holds at most ``top`` (0: all). ``old`` and ``new`` are those of ``found``."""
    matches = found.matches
    lists = {name: _changes(matches, rows, old, new, top) for name, rows in matches.lists().items()}
    then, now = two.amounts(matches.then), two.amounts(matches.now)
    return dd.DiffDocument(
        schema=doc.SCHEMA,
        tool=tool(),
        old=_side(old),
        new=_side(new),
        same_process=found.relation.same_process,
        same_build=found.relation.same_build,
        collections=found.relation.collections,
        warnings=[valid(text) for text in _warnings(found)],
        then=_amounts(then),
        now=_amounts(now),
        change=_change(then, now),
        findings=_findings(found, old, new),
        grown=lists["grown"],
        shrunk=lists["shrunk"],
        new_maps=lists["new"],
        gone_maps=lists["gone"],
    )


def _side(source: Source) -> dd.DiffSide:
    return dd.DiffSide(evidence=evidence(source), process=process(source), live_bytes=source.heap.live_bytes)


def _warnings(found: two.Diff) -> Iterator[str]:
    relation = found.relation
    before, after = found.old.identity, found.new.identity
    if relation.same_evidence:
        yield "OLD and NEW are one file: nothing can have changed, and no growth can be judged"
        return
    if relation.collections is not None and relation.collections < 0:
        yield (
            f"NEW shows {-relation.collections:,} garbage collections fewer than OLD: give the older one first. Maps "
            "are matched by chain only, and growths are not judged"
        )
    if not relation.same_program:
        yield (
            f"two different programs, {before.program} and {after.program}: only maps whose chain and type agree "
            "by name are matched"
        )
    elif not relation.same_build:
        yield "two builds of one program: maps are matched by chain and type"
    elif not relation.same_process and relation.collections is None:
        yield (
            "two processes of one build: maps are matched by chain and type, and one snapshot of each cannot show "
            "whether a growth is stalled"
        )


def _amounts(sums: two.Amounts) -> dd.Amounts:
    return dd.Amounts(maps=sums.maps, entries=sums.entries, bytes=sums.bytes, waste_bytes=sums.waste)


def _change(then: two.Amounts, now: two.Amounts) -> dd.Change:
    return dd.Change(
        maps=now.maps - then.maps,
        entries=now.entries - then.entries,
        bytes=now.bytes - then.bytes,
        waste_bytes=now.waste - then.waste,
    )


def _changes(matches: two.Matches, rows: Ints, old: Source, new: Source, top: int) -> dd.MapChanges:
    shown = rows[:top] if top else rows
    then, now = matches.row_then[shown], matches.row_now[shown]
    chains: list[list[doc.StepRow] | None] = [None] * len(shown)
    steps = StepRows()
    for source, at, wanted in ((new, now, now >= 0), (old, then, now < 0)):
        places = np.flatnonzero(wanted)
        held = source.held(source.maps.columns["address"][at[places]].tolist()) if len(places) else ()
        for place, one in zip(places.tolist(), held, strict=True):
            chains[place] = steps.chain(one)
    changes = [
        _map_change(matches, match, old.maps, new.maps, chain)
        for match, chain in zip(shown.tolist(), chains, strict=True)
    ]
    total = _change(two.amounts(matches.then, rows), two.amounts(matches.now, rows))
    return dd.MapChanges(total=len(rows), change=total, maps=changes)


def _map_change(
    matches: two.Matches, match: int, old: MapTable, new: MapTable, chain: list[doc.StepRow] | None
) -> dd.MapChange:
    row_then, row_now = int(matches.row_then[match]), int(matches.row_now[match])
    here = np.array([match])
    then, now = two.amounts(matches.then, here), two.amounts(matches.now, here)
    largest = new[row_now] if row_now >= 0 else old[row_then]
    both = row_then >= 0 and row_now >= 0
    return dd.MapChange(
        matched="none" if not both else "address" if match < matches.pairs else "chain",
        type=None if largest.type_name is None else valid(largest.type_name),
        address_then=hex_addr(old[row_then].address) if row_then >= 0 else None,
        address_now=hex_addr(new[row_now].address) if row_now >= 0 else None,
        then=_amounts(then) if row_then >= 0 else None,
        now=_amounts(now) if row_now >= 0 else None,
        change=_change(then, now),
        chain=chain,
    )


def _findings(found: two.Diff, old: Source, new: Source) -> list[dd.FindingChange]:
    rows: dict[int, doc.FindingRow] = {}
    for source, gone in ((new, False), (old, True)):
        mine = [at for at, one in enumerate(found.findings) if (one.status == "gone") == gone]
        if mine:
            made = finding_rows(source, [found.findings[at].finding for at in mine])
            rows.update(zip(mine, made, strict=True))
    return [
        dd.FindingChange(
            status=one.status,
            bytes_then=one.bytes_then,
            bytes_now=one.bytes_now,
            maps_then=one.maps_then,
            maps_now=one.maps_now,
            finding=rows[at],
        )
        for at, one in enumerate(found.findings)
    ]


def render(document: dd.DiffDocument, commands: Sequence[str] = (), style: Style | None = None) -> Iterator[str]:
    """What the two are, the sums, the findings, then the maps that grew, came, shrank, went."""
    style = style or Style()
    yield from _opening(document, style)
    yield from _findings_text(document, style)
    for name, head in _SECTIONS:
        yield from _section(getattr(document, name), head, style)
    if not any(getattr(document, name).total for name, _ in _SECTIONS):
        yield ""
        yield "  Every map is as it was."
    yield from next_commands(commands, style)


def _opening(document: dd.DiffDocument, style: Style) -> Iterator[str]:
    yield f"mapscope {document.tool.version}: two snapshots"
    for label, side in (("old", document.old), ("new", document.new)):
        name = clean(os.path.basename(side.evidence.path) or side.evidence.path)
        pid = "" if side.process.pid is None else f", pid {side.process.pid}"
        version = clean(side.process.go_version, 40)
        yield from style.wrap(f"{label} {name}: {version}{pid}, {human_bytes(side.live_bytes)} live", "      ", "  ")
    if document.same_process:
        apart = f", {_signed(document.collections)[1:]} garbage collections apart" if document.collections else ""
        yield f"  One process{apart}."
    for warning in document.warnings:
        yield from style.wrap(clean(warning, 400), "    ", "  - ")
    yield ""
    yield style.head("MAPS")
    then, now, change = document.then, document.now, document.change
    for label, before, after, by in (
        ("maps", f"{then.maps:,}", f"{now.maps:,}", _signed(change.maps)),
        ("entries", f"{then.entries:,}", f"{now.entries:,}", _signed(change.entries)),
        ("bytes", human_bytes(then.bytes), human_bytes(now.bytes), _signed_bytes(change.bytes)),
        ("waste", human_bytes(then.waste_bytes), human_bytes(now.waste_bytes), _signed_bytes(change.waste_bytes)),
    ):
        yield f"  {label:<8} {before:>15} → {after:>15}  {by:>15}"


def _findings_text(document: dd.DiffDocument, style: Style) -> Iterator[str]:
    yield ""
    yield style.head("FINDINGS")
    counts = {status: sum(one.status == status for one in document.findings) for status in two.STATUS}
    words = {"unchanged": "that stay"}
    yield "  " + ", ".join(f"{count:,} {words.get(status, status)}" for status, count in counts.items()) + "."
    number = 0
    for status, head in (("new", "New:"), ("unchanged", "That stay:")):
        mine = [one for one in document.findings if one.status == status]
        if mine:
            yield ""
            yield style.head(head)
        for one in mine[:SHOWN_FINDINGS]:
            number += 1
            yield from finding_lines(one.finding, style, f"{number}. ")
            if one.maps_then and (one.bytes_then, one.maps_then) != (one.bytes_now, one.maps_now):
                yield from style.wrap(f"was: {_was(one)}", "       ", "   ")
        if len(mine) > SHOWN_FINDINGS:
            yield ""
            yield f"  {len(mine) - SHOWN_FINDINGS:,} more: -f json lists them."
    if counts["in progress"] or counts["gone"]:
        yield ""
    for status in ("in progress", "gone"):
        mine = [one for one in document.findings if one.status == status]
        for one in mine[:SHOWN_FINDINGS]:
            size = human_bytes(one.bytes_then if status == "gone" else one.bytes_now)
            kind = clean(one.finding.type or "map of unknown type", 100)
            yield from style.wrap(
                f"{status}: {one.finding.rule}, {size}, {kind} at {one.finding.subject}", "      ", "  "
            )
        if len(mine) > SHOWN_FINDINGS:
            yield f"  {len(mine) - SHOWN_FINDINGS:,} more {status}: -f json lists them."


def _was(one: dd.FindingChange) -> str:
    maps = f" in {one.maps_then:,} maps" if one.maps_then > 1 else ""
    return f"{human_bytes(one.bytes_then)}{maps}, now {human_bytes(one.bytes_now)}"


def _section(changes: dd.MapChanges, head: str, style: Style) -> Iterator[str]:
    if not changes.total:
        return
    yield ""
    sums = f"{_signed_bytes(changes.change.bytes)}, {_signed(changes.change.entries)} entries"
    yield style.head(head) + f" {changes.total:,}: {sums}"
    for one in changes.maps:
        yield from _map_lines(one, style)
    if changes.total > len(changes.maps):
        yield style.dim(f"  and {changes.total - len(changes.maps):,} more (--top 0 shows all)")


def _map_lines(one: dd.MapChange, style: Style) -> Iterator[str]:
    sums = one.now or one.then
    assert sums is not None
    kind = style.name(clean(one.type or "map of unknown type", 60))
    many = f", {sums.maps:,} maps" if sums.maps > 1 else ""
    yield from style.wrap(f"{_signed_bytes(one.change.bytes)}  {kind} at {one.address_now or one.address_then}{many}")
    if one.then is not None and one.now is not None:
        facts = [
            f"entries {one.then.entries:,} → {one.now.entries:,}",
            f"bytes {human_bytes(one.then.bytes)} → {human_bytes(one.now.bytes)}",
            f"waste {human_bytes(one.then.waste_bytes)} → {human_bytes(one.now.waste_bytes)}",
        ]
        if one.then.maps != one.now.maps:
            facts.append(f"maps {one.then.maps:,} → {one.now.maps:,}")
    else:
        facts = [f"entries {sums.entries:,}", f"waste {human_bytes(sums.waste_bytes)}"]
    yield from style.wrap(", ".join(facts), "      ")
    if one.chain:
        yield from style.wrap(f"held by: {chain_text(one.chain)}", "          ", "      ")


def _signed(value: int | None) -> str:
    return "+0" if value is None else f"{value:+,}"


def _signed_bytes(value: int) -> str:
    return ("-" if value < 0 else "+") + human_bytes(abs(value))
