"""Findings that name a line of the source, as SARIF 2.1.0 for code scanning.

A finding names a line in three ways: the loop of its iterator; with a source tree, the declaration of the field or
variable that holds the map; the function whose stack holds it. A finding that names none is left out and counted:
no location is made up. Limits are those of GitHub's code scanning.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from mapscope.report.diff_document import DiffDocument
from mapscope.report.document import Document, FindingRow, StepRow
from mapscope.report.escape import clean, valid
from mapscope.report.goroutine_rows import GoroutineRow
from mapscope.report.holding import chain_text, step_text
from mapscope.report.profile_diff import ProfileDiffDocument
from mapscope.report.profile_document import ProfileDocument, SiteRow, SuspectRow
from mapscope.report.sarif_places import GOROOT, ROOT, Place, Places, Tree, parse
from mapscope.report.sarif_rules import INDICATORS, LEVELS, RULES, RuleText, descriptor
from mapscope.report.writing import Tool
from mapscope.units import human_bytes

SCHEMA_URI = "https://json.schemastore.org/sarif-2.1.0.json"
MAX_RESULTS = 25_000
"""Results of a run that GitHub takes."""
_MAX_FRAMES = 64
_FINGERPRINT = "mapscopeFinding/v1"
_NUMBERS = re.compile(r"\[\d+\]|0x[0-9a-f]+|goroutine \d+|:\d+\b")
_STATES = {"new": "new", "unchanged": "unchanged", "gone": "absent"}


class Sarif(Struct, frozen=True):
    """The log, and how many findings it has and lacks."""

    text: bytes
    shown: int
    left_out: int
    """Findings that name no line of the source."""
    too_many: int = 0
    """Findings beyond what GitHub takes of one run."""


class _Result(Struct):
    rule: str
    level: str
    message: str
    place: Place
    identity: tuple[str, ...]
    properties: dict[str, object]
    state: str | None = None
    related: list[tuple[Place, str]] = field(default_factory=list)
    frames: list[Place] = field(default_factory=list)
    """The stack of the goroutine, innermost function first."""
    path: list[Place] = field(default_factory=list)
    """Through which declarations the root holds the map."""


def of_snapshot(document: Document, tree: Tree | None = None) -> Sarif:
    """The findings of a snapshot; the goroutines of the document give the stacks."""
    places = Places(document.process.source_root or "", tree)
    goroutines = {row.id: row for row in document.goroutines}
    results = [_finding(row, places, goroutines) for row in document.findings]
    return _log(document.tool, RULES, results, places, [*document.evidence.missing, *document.evidence.warnings])


def of_diff(document: DiffDocument, tree: Tree | None = None) -> Sarif:
    """The findings of the newer snapshot and those that are gone; growths that move on are none."""
    places = Places(document.new.process.source_root or "", tree)
    results = []
    for one in document.findings:
        if one.status not in _STATES:
            continue
        made = _finding(one.finding, places, {})
        if made is not None:
            made.state = "updated" if one.status == "unchanged" and one.bytes_then != one.bytes_now else _STATES[
                one.status
            ]  # fmt: skip
            made.properties |= {"status": one.status, "bytesThen": one.bytes_then, "bytesNow": one.bytes_now}
        results.append(made)
    return _log(document.tool, RULES, results, places, document.warnings)


def of_profile(document: ProfileDocument, tree: Tree | None = None) -> Sarif:
    """The suspects (P3, P7), and the places whose map memory only rises (P5)."""
    places = Places(document.source_root or "", tree)
    results = [_suspect(one, None) for one in document.suspects]
    largest: dict[tuple[str, str | None], SiteRow] = {}
    for site in document.sites:
        best = largest.setdefault((site.function, site.type), site)
        if site.sums.inuse_bytes > best.sums.inuse_bytes:
            largest[site.function, site.type] = site
    for rise in document.rising:
        at = largest.get((rise.function, rise.type))
        place = None if at is None else _place(at.file, at.line, at.function)
        if at is None or place is None:
            results.append(None)
            continue
        title = (
            f"Map memory of this place only rises: {human_bytes(rise.first_bytes)} to {human_bytes(rise.last_bytes)}"
        )
        results.append(
            _Result(
                "P5", "note", f"{title}, {_kind(rise.type)}.", place, ("P5", rise.function, rise.type or ""),
                {"bytes": rise.last_bytes, "firstBytes": rise.first_bytes, "confidence": at.told},
            )
        )  # fmt: skip
    return _log(document.tool, INDICATORS, results, places, document.notes)


def of_profile_diff(document: ProfileDiffDocument, tree: Tree | None = None) -> Sarif:
    """Suspects that are new, that stay, and that are gone."""
    lists = (
        ("new", document.new_suspects), ("unchanged", document.same_suspects), ("absent", document.gone_suspects)
    )  # fmt: skip
    results = [_suspect(one, state) for state, suspects in lists for one in suspects]
    return _log(document.tool, INDICATORS, results, Places(document.source_root or "", tree), document.notes)


def _finding(row: FindingRow, places: Places, goroutines: dict[int, GoroutineRow]) -> _Result | None:
    chain = row.chain or []
    number = row.evidence.get("goroutine")
    held_by = next((step.goroutine for step in chain if step.goroutine is not None), None)
    stack = goroutines.get(number if isinstance(number, int) else -1 if held_by is None else held_by)
    loop, caller = parse(row.evidence.get("loop")), parse(row.evidence.get("called_from"))
    path = list(filter(None, map(places.declared, chain)))
    declared = path[-1] if path else None  # of the last field or variable before the map that the source tree has
    place = caller or loop or declared or _holder(chain, stack, places)
    if place is None:
        return None
    held = f" Held by: {chain_text(chain)}." if chain else ""
    many = f"{row.maps:,} maps {_kind(row.type)}" if row.maps > 1 else _kind(row.type)
    message = f"{human_bytes(row.bytes)} held by {many}: {row.title}. {row.confidence}: {row.why}{held}"
    properties: dict[str, object] = {
        "bytes": row.bytes, "confidence": row.confidence, "type": row.type, "subject": row.subject, "maps": row.maps,
        "retainedBytes": row.retained_bytes, "partOf": row.part_of,
        "evidence": {name: places.words(value) for name, value in row.evidence.items()},
        "chain": [step_text(step) for step in chain],
    }  # fmt: skip
    related = [(one, text) for one, text in ((loop, "the loop"), (declared, "what holds the map")) if one]
    return _Result(
        row.rule, LEVELS[row.confidence], f"{message} {row.advice.text}".rstrip(), place,
        (row.rule, row.type or "", place.function, *(_NUMBERS.sub("", step_text(step)) for step in chain)),
        {name: value for name, value in properties.items() if value is not None},
        related=[pair for pair in related if pair[0] != place], frames=_frames(stack),
        path=path if place == declared else [],
    )  # fmt: skip


def _holder(chain: Sequence[StepRow], stack: GoroutineRow | None, places: Places) -> Place | None:
    """The frame that a chain begins in: its function and line are in the root's name, the file is in the stack.

    A frame of the standard library that holds, say, the server of the program is no place to mend anything.
    """
    if stack is None or not chain or chain[0].goroutine is None:
        return None
    for frame in stack.frames:
        base = frame.file.rpartition("/")[2]
        if f" in {frame.function} ({base}:{frame.line})" in clean(chain[0].name or ""):
            return _place(frame.file, frame.line, frame.function) if places.own(frame.file) else None
    return None


def _frames(stack: GoroutineRow | None) -> list[Place]:
    rows = stack.frames[:_MAX_FRAMES] if stack is not None else ()
    return list(filter(None, (_place(row.file, row.line, row.function) for row in rows)))


def _place(file: str, line: int, function: str) -> Place | None:
    return Place(file, line, function) if file not in ("", "?") and 0 < line < 1 << 31 else None


def _suspect(one: SuspectRow, state: str | None) -> _Result | None:
    place = _place(one.file, one.line, one.function)
    if place is None:
        return None
    properties: dict[str, object] = {
        "bytes": one.larger_bytes, "smallerBytes": one.smaller_bytes, "confidence": one.told, "type": one.type,
        "goroutines": one.goroutines, "state": one.state, "waitMinutes": one.wait_minutes,
    }  # fmt: skip
    level = "note" if one.told == "possible" else "warning"
    title = next(rule.title for rule in INDICATORS if rule.id == one.indicator)
    return _Result(
        one.indicator, level, f"{title[0].upper()}{title[1:]}, {_kind(one.type)}: {one.text}", place,
        (one.indicator, one.type or "", one.function),
        {name: value for name, value in properties.items() if value is not None}, state,
    )  # fmt: skip


def _kind(name: str | None) -> str:
    return clean(name or "a map of unknown type", 120)


def _log(
    tool: Tool, rules: Sequence[RuleText], found: Iterable[_Result | None], places: Places, remarks: Iterable[str]
) -> Sarif:
    every = list(found)
    results = [one for one in every if one is not None]
    missing, dropped = len(every) - len(results), max(len(results) - MAX_RESULTS, 0)
    results = results[:MAX_RESULTS]
    index = {rule.id: number for number, rule in enumerate(rules)}
    seen: Counter[str] = Counter()
    notes = [valid(text, 1000) for text in remarks]
    if missing:
        notes.append(f"{missing:,} of {len(every):,} findings name no line of the source and are left out")
    if dropped:
        notes.append(f"{dropped:,} findings are left out: a run may have {MAX_RESULTS:,}")
    run = {
        "tool": {
            "driver": {
                "name": clean(tool.name, 100),
                "version": clean(tool.version, 100),
                "semanticVersion": clean(tool.version, 100),
                "rules": [descriptor(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {
            ROOT: {"description": {"text": "The root of the source of the program's module."}},
            GOROOT: {"description": {"text": "The Go release that built the program."}},
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [{"level": "note", "message": {"text": _text(one)}} for one in notes],
            }
        ],
        "properties": {
            "findings": len(every), "withoutSourceLine": missing, "beyondLimit": dropped,
        },
        "results": [_result(one, index, places, seen) for one in results],
    }  # fmt: skip
    log = {"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}
    return Sarif(json.dumps(log, indent=2).encode("ascii") + b"\n", len(results), missing, dropped)


def _result(one: _Result, index: dict[str, int], places: Places, seen: Counter[str]) -> dict[str, object]:
    identity = hashlib.sha256("\0".join(one.identity).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    seen[identity] += 1
    out: dict[str, object] = {
        "ruleId": one.rule,
        "ruleIndex": index[one.rule],
        "level": one.level,
        "message": {"text": _text(one.message)},
        "locations": [places.location(one.place)],
        "partialFingerprints": {_FINGERPRINT: f"{identity}:{seen[identity]}"},
        "properties": one.properties,
    }
    if one.state is not None:
        out["baselineState"] = one.state
    if one.related:
        out["relatedLocations"] = [
            {"id": number, **places.location(place, text)} for number, (place, text) in enumerate(one.related, 1)
        ]
    if one.frames:
        inner = [{"location": places.location(place, clean(place.function))} for place in one.frames]
        out["stacks"] = [{"message": {"text": "The goroutine, innermost function first."}, "frames": inner}]
    flow = one.path or list(reversed(one.frames))
    if len(flow) > 1:
        steps = [{"location": places.location(place, clean(place.function))} for place in flow]
        out["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    return out


def _text(message: str) -> str:
    """Text of the heap in a message: one line, no terminal escapes, and no ``[text](link)`` of SARIF's own."""
    return clean(message, 4000).replace("](", "] (")
