"""From a snapshot to the document, and the document to JSON, piece by piece where there are a million maps."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import asdict

from mapscope.arrays import among
from mapscope.findings import WHOLE_MAP
from mapscope.findings.columns import current_waste, ints
from mapscope.findings.model import Finding
from mapscope.findings.thresholds import DEFAULT
from mapscope.goruntime.frames import Frame, Goroutine
from mapscope.heap.holding import Held
from mapscope.heap.later import Later, shared
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence, MapTable
from mapscope.report import document as doc
from mapscope.report.escape import ascii_json, valid
from mapscope.report.goroutine_rows import goroutine_rows
from mapscope.report.holding import StepRows, dominator_row
from mapscope.report.rows import map_lines, map_rows
from mapscope.report.source import Source
from mapscope.report.writing import tool
from mapscope.units import hex_addr, human_bytes

Rows = npt.NDArray[np.int64]

CHUNK = 1 << 13
"""Maps that are turned into JSON at a time."""
_AHEAD = 4
"""Times that many are, before what stands above them is written."""


def build(source: Source, rows: Rows | None = None, goroutines: bool = True) -> doc.Document:
    """The document of a snapshot. ``rows`` limits the maps in it (the verdict counts all); None takes every map.

    Without ``goroutines`` it has none: the text does not show them.
    """
    maps = source.maps
    chosen = np.arange(len(maps)) if rows is None else rows
    findings = source.findings
    return doc.Document(
        schema=doc.SCHEMA,
        tool=tool(),
        evidence=evidence(source),
        process=process(source),
        heap=_heap(source),
        verdict=_verdict(maps, findings, source.heap.live_bytes),
        notes=[valid(note) for note in _notes(source, findings)],
        next=_next_commands(source, findings),
        thresholds=asdict(DEFAULT),
        suspects=[dominator_row(found) for found in source.suspects],
        findings=finding_rows(source, findings),
        iterators=iterator_rows(source.iterators),
        goroutines=goroutine_rows(there(source.goroutines), source.maps_by_goroutine()) if goroutines else [],
        maps=list(map_rows(maps, chosen, source.holders)),
    )


def there(goroutines: Iterable[Goroutine]) -> list[Goroutine]:
    """Those that are not dead, and dead ones whose stack says otherwise."""
    return [one for one in goroutines if one.status != "dead" or one.problem]


def json_of(source: Source) -> Iterator[bytes | memoryview]:
    """The document as JSON, every map in it, in pieces of a few thousand maps; printable ASCII, one map a line."""
    addresses = np.asarray(source.maps.columns["address"]).astype(np.uint64)
    for start in range(0, len(addresses), CHUNK):
        if not source.prepare(addresses[start : start + CHUNK]):
            break
    rows = np.arange(len(source.maps))
    lines = _chunks(source, rows)
    ahead = [Later(make).start() for make in islice(lines, _AHEAD)]  # in the other thread, beside the head
    head = build(source, np.zeros(0, np.int64))
    return _stream(head, chain((one.get for one in ahead), lines))


def maps_json(source: Source, rows: Rows, matching: int) -> Iterator[bytes | memoryview]:
    """The document of ``mapscope maps``: the chosen rows in their order."""
    head = doc.MapsDocument(
        schema=doc.SCHEMA,
        tool=tool(),
        evidence=evidence(source),
        process=process(source),
        matching=matching,
        maps=[],
    )
    return _stream(head, _chunks(source, rows))


def _chunks(source: Source, rows: Rows) -> Iterator[Callable[[], memoryview]]:
    """What makes the lines of so many maps at a time."""

    def lines(start: int) -> memoryview:
        before = b",\n    " if start else b"\n    "
        return map_lines(source.maps, rows[start : start + CHUNK], source.holders, (before, b",\n    ")).text.data

    return (partial(lines, start) for start in range(0, len(rows), CHUNK))


def _stream(
    head: doc.Document | doc.MapsDocument, chunks: Iterator[Callable[[], memoryview]]
) -> Iterator[bytes | memoryview]:
    """``head`` with its last field, the empty ``maps``, replaced by the lines of ``chunks``."""
    text = msgspec.json.format(msgspec.json.encode(head), indent=2)
    end = b'"maps": []\n}'
    if not text.endswith(end):
        raise AssertionError("maps is the last field of the document")
    yield ascii_json(text[: -len(end)]) + b'"maps": ['
    closing = b"]\n}\n"
    for lines in shared(chunks):
        yield lines
        closing = b"\n  ]\n}\n"
    yield closing


def evidence(source: Source) -> doc.Evidence:
    """What was handed in."""
    info = source.evidence
    return doc.Evidence(
        path=valid(info.path),
        kind=info.kind,
        size_bytes=info.size_bytes,
        executable=None if info.executable is None else valid(info.executable),
        executable_found_by=info.executable_found_by,
        build_id=None if info.build_id is None else valid(info.build_id),
        missing=[valid(text) for text in info.missing],
        warnings=[valid(text) for text in info.warnings],
        pause_seconds=info.pause_seconds,
        redacted=info.redacted,
    )


def process(source: Source) -> doc.Process:
    """The process that the evidence shows."""
    info = source.process
    return doc.Process(
        go_version=valid(info.go_version),
        arch=valid(info.arch),
        pid=info.pid,
        stripped=info.stripped,
        has_dwarf=info.has_dwarf,
        source_root=valid(info.source_root) or None,
    )


def finding_rows(source: Source, findings: Sequence[Finding]) -> list[doc.FindingRow]:
    """The rows of findings, with who holds their subjects; the chain of an iterator's leads to what it holds."""
    held = source.held([finding.subject for finding in findings])
    rows = [finding_row(source.maps, finding, who) for finding, who in zip(findings, held, strict=True)]
    behind = [at for at, one in enumerate(findings) if isinstance(one.evidence.get("detached"), int)]
    ways = source.held([int(findings[at].evidence["detached"]) for at in behind]) if behind else []
    steps = StepRows()
    for at, way in zip(behind, ways, strict=True):
        if way is not None and findings[at].rule not in WHOLE_MAP:
            rows[at] = msgspec.structs.replace(rows[at], chain=steps.chain(way))
    return rows


def iterator_rows(found: Sequence[MapIterator]) -> list[doc.IteratorRow]:
    """The rows of iterators, those that keep most first."""
    ordered = sorted(found, key=lambda one: (-one.pinned_bytes, one.address))
    return [
        doc.IteratorRow(
            address=hex_addr(one.address),
            map=hex_addr(one.map),
            type=None if one.type_name is None else valid(one.type_name),
            place=one.place.name.lower(),
            goroutine=one.goroutine,
            frame=_function(one.frame),
            called_from=_function(one.caller),
            status=one.status,
            wait_reason=None if one.wait_reason is None else valid(one.wait_reason),
            wait_seconds=one.wait_seconds,
            state=one.state,
            liveness=one.liveness,
            position=one.position,
            positions=one.positions,
            detached=hex_addr(one.detached) if one.detached else None,
            detached_bytes=one.detached_bytes,
            pinned_bytes=one.pinned_bytes,
            sole_owner=one.sole_owner,
            together=one.together,
            together_bytes=one.together_bytes,
        )
        for one in ordered
    ]


def _function(frame: Frame | None) -> str | None:
    return None if frame is None else valid(f"{frame.function} ({frame.file}:{frame.line})")


def finding_row(maps: MapTable, finding: Finding, held: Held | None) -> doc.FindingRow:
    """One finding with its addresses as strings."""
    steps = StepRows()
    found = maps.at(finding.subject)
    name = None if found is None else found.type_name
    return doc.FindingRow(
        rule=finding.rule,
        title=finding.title,
        bytes=finding.bytes,
        subject=hex_addr(finding.subject),
        type=None if name is None else valid(name),
        maps=finding.maps,
        confidence=finding.confidence.label,
        why=valid(finding.why),
        evidence={name: _evidence_value(name, value) for name, value in finding.evidence.items()},
        advice=doc.AdviceText(text=valid(finding.advice.text), code=valid(finding.advice.code)),
        part_of=finding.part_of or None,
        chain=_chain_to_bytes(finding, steps.chain(held)),
        retained_bytes=None if held is None else held.retained,
        dominator=steps.dominator(held),
    )


def _chain_to_bytes(finding: Finding, chain: list[doc.StepRow] | None) -> list[doc.StepRow] | None:
    """The chain to the map, with the field of its header that holds the bytes where the evidence names it."""
    if not chain or "oldbuckets" not in finding.evidence:
        return chain
    return [*chain[:-1], msgspec.structs.replace(chain[-1], field=".oldbuckets")]


def _evidence_value(name: str, value: int | str) -> int | str:
    if isinstance(value, str):
        return valid(value)
    return hex_addr(value) if name in doc.ADDRESS_FIELDS else value


def _heap(source: Source) -> doc.Heap:
    heap, sums = source.heap, source.heap.reconciliation
    return doc.Heap(
        live_bytes=heap.live_bytes,
        live_objects=heap.live_objects,
        dead_bytes=heap.dead_bytes,
        dead_objects=heap.dead_objects,
        runtime=None if heap.runtime is None else doc.Runtime(**asdict(heap.runtime)),
        reconciliation=None if sums is None else doc.Reconciliation(**asdict(sums)),
    )


def _verdict(maps: MapTable, findings: Sequence[Finding], live_bytes: int) -> doc.Verdict:
    counted = [finding for finding in findings if not finding.part_of]
    waste = sum(finding.bytes for finding in counted)
    possible = sum(finding.bytes for finding in counted if finding.confidence >= Confidence.POSSIBLE)
    waste = min(waste, live_bytes) if live_bytes else waste
    rules = {
        rule: doc.RuleSum(
            findings=sum(f.rule == rule for f in findings), bytes=sum(f.bytes for f in counted if f.rule == rule)
        )
        for rule in sorted({f.rule for f in findings}, key=lambda rule: int(rule[1:]))
    }
    return doc.Verdict(
        maps=len(maps),
        map_bytes=_total(maps, "total_bytes"),
        waste_bytes=waste,
        possible_waste_bytes=min(possible, waste),
        findings=len(findings),
        rules=rules,
    )


def _total(maps: MapTable, name: str) -> int:
    """An exact sum: a column of hostile 64-bit values would wrap in NumPy."""
    column = maps.columns[name].astype(np.uint64)
    high, low = column >> np.uint64(32), column & np.uint64(0xFFFFFFFF)
    return (int(high.sum(dtype=np.uint64)) << 32) + int(low.sum(dtype=np.uint64))


def _notes(source: Source, findings: Iterable[Finding]) -> Iterator[str]:
    yield from dict.fromkeys((*source.notes, *source.heap.notes))
    maps = source.maps
    waste = current_waste(maps)
    subjects = np.fromiter((f.subject for f in findings), np.uint64)
    idle = (ints(maps, "count") == 0) & (waste >= DEFAULT.sparse_min_bytes)
    idle &= ~among(maps.columns["address"], subjects)
    if idle.any():
        count, held = int(idle.sum()), human_bytes(sum(waste[idle].tolist()))
        kept = f"map keeps arrays of {held}" if count == 1 else f"maps keep arrays of {held}"
        yield (
            f"{count:,} empty {kept}: made with a hint and not yet filled, or cleared for reuse. One snapshot cannot "
            "tell, so this is no finding."
        )
    strings = [t.key_kind == "string" for t in maps.types] + [False]
    asked = int((np.array(strings)[maps.columns["type_index"]] & (ints(maps, "count") > 0)).sum())
    if asked > DEFAULT.keys_max_maps:
        yield f"R16 looked into the {DEFAULT.keys_max_maps:,} largest of {asked:,} maps with string keys."


def map_command(source: Source, address: str) -> str:
    """The command that shows one map of this evidence in full."""
    core, executable = _paths(source)
    return f"mapscope map {core} {address}" + (f" -e {executable}" if executable else "")


def chain_command(source: Source, address: str) -> str:
    """The command that shows who holds one object of this evidence."""
    core, executable = _paths(source)
    return f"mapscope chain {core} {address}" + (f" -e {executable}" if executable else "")


PAGE = "report.html"
"""What the last of the next commands writes; a page itself leaves it out."""


def _next_commands(source: Source, findings: Sequence[Finding]) -> list[str]:
    core, executable = _paths(source)
    both = f"{core} {executable}" if executable else core
    commands = [map_command(source, hex_addr(findings[0].subject))] if findings else []
    if len(source.maps):
        commands.append(f"mapscope maps {both} --sort waste")
    if findings:
        commands.append(f"{chain_command(source, hex_addr(findings[0].subject))} --all")
    commands.append(f"mapscope analyze {both} -o {PAGE}")
    return commands


def _paths(source: Source) -> tuple[str, str]:
    """Core and executable, quoted for a shell; the executable is empty where mapscope finds it by itself."""
    info = source.evidence
    given = info.executable is not None and info.executable_found_by == "given"
    live = info.pause_seconds is not None
    core = f"--pid {source.process.pid}" if live else shlex.quote(valid(info.path))
    return core, shlex.quote(valid(info.executable or "")) if given else ""
