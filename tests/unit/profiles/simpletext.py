"""Text profiles read the plain way, line by line with regular expressions: the oracle of ``mapscope.profiles.textual``.

ASCII alone: there ``str`` and ``bytes`` mean the same by digits and spaces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from mapscope.errors import EvidenceError
from mapscope.profiles.model import Builder, Profile
from mapscope.profiles.textual import HEAP_TYPES

_N, _PC = r"(-?\d{1,19})", "0x[0-9a-f]{1,16}"
_HEAP = re.compile(rf"heap profile: +{_N}: +{_N} +\[ *{_N}: +{_N}\] +@ +(?:heap(?:_v2)?/{_N}|growthz|heap)\s*$")
_COUNTS = re.compile(rf"(\w[\w./-]*) profile: total {_N}\s*$")
_HEAP_SAMPLE = re.compile(rf" *{_N}: +{_N} +\[ *{_N}: +{_N}\] +@((?: +{_PC})*)\s*$")
_COUNT_SAMPLE = re.compile(rf" *{_N} +@((?: +{_PC})*)\s*$")
_NAMED = re.compile(rf"#\t({_PC})\t+(\S.*?)\+{_PC}\t+(.*):{_N}\s*$")
_STATISTIC = re.compile(rf"# (\w+) = {_N}(?: / {_N})?\s*$")
_GOROUTINE = re.compile(r"goroutine (\d{1,19})(?: gp=\S+)?(?: m=\S+)?(?: mp=\S+)? \[([^\]]*)\]:\s*$")
_MINUTES = re.compile(rf"{_N} minutes$")
_PLACE = re.compile(rf"\t(.*):{_N}(?: \+({_PC}))?(?: fp=\S+.*)?$")
_CREATED = re.compile(rf"created by (.*?)(?: in goroutine {_N})?$")
MAX_STACK = 4096


def read_text(origin: str, data: bytes) -> Profile:
    """The profile in ``data``. EvidenceError where a line is none of the format, with its number."""
    first = data[:4096].split(b"\n", 1)[0].decode("ascii", "replace")
    if _GOROUTINE.match(first):
        return _read_stacks(origin, data)
    builder, heap = Builder(), _HEAP.match(first)
    counts = _COUNTS.match(first)
    if heap is None and counts is None:
        raise EvidenceError(f"{origin} is no text profile", "give what /debug/pprof/heap?debug=1 sends")
    rate = max(int(heap[5] or 0), 0) // 2 if heap else 1
    if heap:
        builder.types(*HEAP_TYPES)
        builder.period("space", "bytes", rate)
    else:
        assert counts is not None
        builder.types((counts[1], "count"))
        builder.period(counts[1], "count", 1)
    statistics: dict[str, int] = {}
    pattern = _HEAP_SAMPLE if heap else _COUNT_SAMPLE
    for number, sample, comments in _records(data):
        found = pattern.match(sample)
        if found is None:
            raise EvidenceError(
                f"{origin} is no sound profile: line {number:,} is none of its format",
                "fetch it again: it may be cut short",
            )
        names = {}
        for comment in comments:
            if named := _NAMED.match(comment):
                names[int(named[1], 16) + 1] = named[2], named[3], int(named[4])
            elif fact := _STATISTIC.match(comment):
                statistics[fact[1]] = int(fact[2])
        pcs = [int(one, 16) for one in found[found.lastindex or 0].split()][:MAX_STACK]
        locations = [_location(builder, pc, names.get(pc)) for pc in pcs]
        if heap:
            live, live_bytes, made, made_bytes = (int(found[k]) for k in range(1, 5))
            size = made_bytes // made if made > 0 else 0
            values = [*scaled(made, made_bytes, rate), *scaled(live, live_bytes, rate)]
            block = [("bytes", _bounded(size), "bytes")] if size else []
            builder.sample(locations, [_bounded(one) for one in values], block)
        else:
            builder.sample(locations, [_bounded(int(found[1]))])
    return builder.build(origin, "text", statistics)


def scaled(count: int, size: int, rate: int) -> tuple[int, int]:
    """What ``count`` recorded objects of ``size`` bytes together stand for (runtime/pprof: scaleHeapSample)."""
    if count <= 0 or size <= 0:
        return 0, 0
    if rate <= 1:
        return count, size
    factor = 1 / -math.expm1(-(size / count) / rate)
    return int(count * factor), int(size * factor)


def _bounded(number: int) -> int:
    return max(-(1 << 63), min(number, (1 << 63) - 1))


def _records(data: bytes) -> Iterator[tuple[int, str, list[str]]]:
    """Number of the line, the sample's line, and the comments under it. The last may be comments alone."""
    sample, at, comments = "", 0, list[str]()
    for number, raw in enumerate(data.split(b"\n")[1:], 2):
        line = raw.decode("utf-8", "replace")
        if line.startswith("#"):
            comments.append(line)
        elif line.strip():
            if sample:
                yield at, sample, comments
            sample, at, comments = line, number, []
    if sample:
        yield at, sample, comments


def _location(builder: Builder, pc: int, named: tuple[str, str, int] | None) -> int:
    if named is None:
        return builder.location(pc, 0, ())
    name, file, line = named
    return builder.location(pc, 0, ((builder.function(name, name, file), line),))


def _read_stacks(origin: str, data: bytes) -> Profile:
    """debug=2: one sample a goroutine, with its state, its wait in minutes and its number as labels.

    The address of a location is the offset from the entry of its function, 0 for an inlined one (runtime/traceback.go:
    traceback2).
    """
    builder = Builder()
    builder.types(("goroutine", "count"))
    builder.period("goroutine", "count", 1)
    lines = data.decode("utf-8", "replace").split("\n")
    at = 0
    while at < len(lines):
        head = _GOROUTINE.match(lines[at])
        at += 1
        if head is None:
            if lines[at - 1].strip():
                raise EvidenceError(
                    f"{origin} is no sound profile: line {at:,} does not begin a goroutine", "fetch it again"
                )
            continue
        locations: list[int] = []
        texts = [("state", head[2].split(",")[0])]
        while at < len(lines) and lines[at].strip():
            line, at = lines[at], at + 1
            place = _PLACE.match(lines[at]) if at < len(lines) else None
            if created := _CREATED.match(line):
                texts.append(("created by", created[1]))
            elif place is not None and len(locations) < MAX_STACK:
                name = line[: line.rfind("(")] if line.endswith(")") else line
                function = builder.function(name, name, place[1])
                offset = int(place[3], 16) if place[3] else 0
                locations.append(builder.location(offset, 0, ((function, int(place[2])),)))
            at += place is not None
        waits = [int(found[1]) for part in head[2].split(", ") if (found := _MINUTES.match(part))]
        numbers = [("goroutine", _bounded(int(head[1])), "")]
        numbers += [("wait", _bounded(waits[0]), "minutes")] if waits else []
        builder.sample(locations, [1], numbers, texts)
    return builder.build(origin, "stacks")
