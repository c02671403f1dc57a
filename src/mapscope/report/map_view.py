"""``mapscope map``: one map in full. Header fields by their Go names, growth, occupancy, kinds; contents on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from mapscope.maps.contents import TEXT_BYTES, Content
from mapscope.maps.detail import MapDetail
from mapscope.report import document as doc
from mapscope.report.build import evidence, finding_rows, process
from mapscope.report.document import MapDocument, SwissMap
from mapscope.report.escape import clean, valid
from mapscope.report.fields import flag_names
from mapscope.report.holding import chain_text
from mapscope.report.rows import map_rows
from mapscope.report.source import Source
from mapscope.report.style import Style, bar, listed, percent, table
from mapscope.report.text import also_lines, finding_lines
from mapscope.report.writing import tool
from mapscope.units import hex_addr, human_bytes

_SHOWN_TABLES = 16
_SHOWN_KINDS = 12


def build_map(source: Source, detail: MapDetail) -> MapDocument:
    """The document of one map."""
    found = detail.map
    (row,) = map_rows(found.table, np.array([found.row], np.int64), source.holders)
    return MapDocument(
        schema=doc.SCHEMA,
        tool=tool(),
        evidence=evidence(source),
        process=process(source),
        map=row,
        occupancy=list(detail.occupancy),
        chain_lengths=list(detail.chain_lengths),
        tables=[
            doc.TableRow(
                address=hex_addr(t.address),
                used=t.used,
                capacity=t.capacity,
                growthLeft=t.growth_left,
                localDepth=t.local_depth,
                index=t.index,
                tombstones=t.tombstones,
            )
            for t in detail.tables
        ],
        key_kinds={valid(name): count for name, count in detail.key_kinds.items()},
        elem_kinds={valid(name): count for name, count in detail.elem_kinds.items()},
        how_found=valid(detail.how_found),
        findings=finding_rows(source, [f for f in source.findings if f.subject == found.address]),
        contents=None
        if detail.contents is None
        else [doc.EntryRow(key=content_text(key), value=content_text(value)) for key, value in detail.contents],
    )


def render(document: MapDocument, style: Style | None = None) -> Iterator[str]:
    """The lines for one map."""
    style = style or Style()
    row = document.map
    at = f" at {row.address}"
    yield style.name(style.cut(clean(row.type or "map of unknown type"), len(at))) + at
    load = f"{row.load_factor:.2f} a slot" if isinstance(row, SwissMap) else f"{row.load_factor:.2f} a bucket"
    yield from style.wrap(
        f"{row.count:,} entries in {row.capacity:,} slots ({load}), state {row.state}, header on the {row.place}"
        if row.place != "data"
        else f"{row.count:,} entries in {row.capacity:,} slots ({load}), state {row.state}, header in the data segment"
    )
    yield from style.wrap(f"{row.confidence}: {clean(document.how_found, 400)}")
    if not row.complete:
        yield from style.wrap("Part of its arrays is not in the evidence: sums and histograms are lower bounds.")
    yield from _held(row, style)
    yield from _header(document, style)
    yield from _bytes(document, style)
    yield from _growth(document, style)
    yield from _occupancy(document, style)
    yield from _tables(document, style)
    yield from _kinds("KEYS", document.key_kinds, style)
    yield from _kinds("VALUES", document.elem_kinds, style)
    yield from _contents(document, style)
    if document.findings:
        yield ""
        yield style.head("FINDINGS")
        for finding in document.findings:
            yield from finding_lines(finding, style) if finding.part_of is None else also_lines(finding, style)


def content_text(content: Content) -> str:
    """A key or value on one line of printable characters."""
    if not content.quoted:
        return clean(content.text)
    more = f"... and {content.more:,} bytes" if content.more else ""
    text = content.text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{clean(text, 4 * TEXT_BYTES)}"{more}'


def _contents(document: MapDocument, style: Style) -> Iterator[str]:
    if document.contents is None:
        return
    yield ""
    yield style.head("CONTENTS") + " shown because of --show-contents: this may hold secrets"
    if document.evidence.redacted:
        yield "  the core is redacted: contents read as zeros"
    for entry in document.contents:
        yield from style.wrap(f"{entry.key}: {entry.value}", "      ", "  ")
    if not document.contents:
        yield "  none that can be read by type"
    elif document.map.count > len(document.contents):
        yield style.dim(f"  and {document.map.count - len(document.contents):,} more")


def _held(row: doc.MapRow, style: Style) -> Iterator[str]:
    if row.chain:
        yield from style.wrap(f"held by: {chain_text(row.chain)}", "    ", "  ")
    if row.retained_bytes:
        yield from style.wrap(f"retains {human_bytes(row.retained_bytes)}: so much would be free without it")


def _header(document: MapDocument, style: Style) -> Iterator[str]:
    yield ""
    swiss = isinstance(document.map, SwissMap)
    yield style.head("HEADER") + style.dim(" maps.Map" if swiss else " hmap")
    facts = {}
    for name, value in msgspec.structs.asdict(document.map.header).items():
        if name == "flags":
            facts[name] = flag_names(value)
        elif name in ("hash0", "seed"):
            facts[name] = hex_addr(value)
        else:
            facts[name] = f"{value:,}" if isinstance(value, int) else value
    yield from listed(facts, "  ", style.width)


def _bytes(document: MapDocument, style: Style) -> Iterator[str]:
    row = document.map
    yield ""
    yield style.head("BYTES")
    parts = msgspec.structs.asdict(row.bytes)
    total = parts.pop("total")
    for name, part in parts.items():
        if part:
            yield f"  {name:<13} {human_bytes(part):>10} {percent(part, total):>6}  {bar(part, total)}".rstrip()
    yield f"  {'total':<13} {human_bytes(total):>10}"
    yield f"  {'needed':<13} {human_bytes(row.needed_bytes):>10}         for make(map, {row.count})"
    yield f"  {'waste':<13} {human_bytes(row.waste_bytes):>10} {percent(row.waste_bytes, total):>6}"


def _growth(document: MapDocument, style: Style) -> Iterator[str]:
    row = document.map
    if isinstance(row, SwissMap) or not row.state.startswith("growing"):
        return
    yield ""
    kind = "same-size growth" if row.state == "growing-same-size" else "doubling"
    yield style.head("GROWTH") + f" {kind} in progress"
    done, whole = row.header.nevacuate, row.noldbuckets
    yield f"  [{bar(done, whole, 40):<40}] nevacuate {done:,} of noldbuckets {whole:,}"
    yield from style.wrap(
        f"{row.old_evacuated:,} old buckets are evacuated, some of them above nevacuate; "
        "every write moves one or two more, reads and ranges none."
    )


def _occupancy(document: MapDocument, style: Style) -> Iterator[str]:
    unit = "groups" if isinstance(document.map, SwissMap) else "buckets"
    if any(document.occupancy):
        yield ""
        yield style.head("OCCUPANCY") + f" {unit} by entries in them"
        yield from _histogram(document.occupancy, open_ended=unit == "buckets")
    if any(document.chain_lengths[1:]):
        yield ""
        yield style.head("CHAINS") + " buckets by overflow buckets behind them"
        yield from _histogram(document.chain_lengths, open_ended=True)


def _histogram(counts: Sequence[int], open_ended: bool) -> Iterator[str]:
    """One line a number; the last one stands for itself and all above where ``open_ended``."""
    most, whole = max(counts), sum(counts)
    for number, count in enumerate(counts):
        label = f"{number}+" if open_ended and number == len(counts) - 1 else str(number)
        yield f"  {label:>4} {count:>12,} {percent(count, whole):>6}  {bar(count, most, 40)}".rstrip()


def _tables(document: MapDocument, style: Style) -> Iterator[str]:
    if not document.tables:
        return
    yield ""
    yield style.head("TABLES")
    cells = [
        (
            t.address,
            f"{t.used:,}",
            f"{t.capacity:,}",
            f"{t.growthLeft:,}",
            f"{t.tombstones:,}",
            str(t.localDepth),
            str(t.index),
        )
        for t in document.tables[:_SHOWN_TABLES]
    ]
    heads = ("address", "used", "capacity", "growthLeft", "tombstones", "localDepth", "index")
    yield from table(heads, cells, "<>>>>>>")
    if len(document.tables) > _SHOWN_TABLES:
        yield style.dim(f"  and more: -f json lists the first {len(document.tables)}")


def _kinds(head: str, kinds: Mapping[str, int], style: Style) -> Iterator[str]:
    if not kinds:
        return
    yield ""
    sample = sum(kinds.values())
    yield style.head(head) + f" kinds in a sample of {sample:,}"
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    for name, count in ordered[:_SHOWN_KINDS]:
        yield f"  {count:>8,} {percent(count, sample):>6}  {style.cut(clean(name), 20)}"
    if len(ordered) > _SHOWN_KINDS:
        yield f"  and {len(ordered) - _SHOWN_KINDS:,} more kinds"
