"""Goroutines by what they do: those with one stack, one state and one creator are a group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from mapscope.goruntime.frames import Frame, Goroutine
from mapscope.report.build import there
from mapscope.report.page.caps import Caps
from mapscope.report.source import Source


def groups(source: Source, caps: Caps) -> dict[str, object]:
    """The groups, those that hold iterators first, then by the bytes of maps that only their stacks keep."""
    kept = source.maps_by_goroutine()
    loops: Counter[int] = Counter()
    pinned: Counter[int] = Counter()
    for loop in source.iterators:
        if loop.goroutine is not None:
            loops[loop.goroutine] += 1
            pinned[loop.goroutine] += loop.pinned_bytes
    found: dict[tuple[object, ...], list[Goroutine]] = {}
    live = there(source.goroutines)
    for one in live:
        found.setdefault(_key(one), []).append(one)
    made = [_group(members, kept, loops, pinned, caps) for members in found.values()]
    made.sort(key=_weight)
    shown, rest = made[: caps.groups], made[caps.groups :]
    return {
        "goroutines": len(live),
        "known": kept is not None,
        "groups": shown,
        "rest": {"groups": len(rest), "goroutines": sum(int(str(one["count"])) for one in rest)},
    }


def group_of(made: Mapping[str, object], wanted: Iterable[int]) -> dict[int, int]:
    """Number of the group of each goroutine id."""
    ids, out = set(wanted), {}
    groups_of = made["groups"]
    assert isinstance(groups_of, list)
    for number, group in enumerate(groups_of):
        for one in group["all"] & ids:
            out[one] = number
    return out


def _weight(group: dict[str, object]) -> tuple[int, int, int, int]:
    numbers = [int(str(group[name] or 0)) for name in ("iterators", "pinned_bytes", "map_bytes", "count")]
    return -numbers[0], -numbers[1], -numbers[2], -numbers[3]


def _key(one: Goroutine) -> tuple[object, ...]:
    stack = tuple((frame.function, frame.line) for frame in one.frames)
    return one.status, one.wait_reason, one.creator_function, one.system, bool(one.problem), stack


def _group(
    members: list[Goroutine], kept: Mapping[int, tuple[int, int]] | None, loops: Counter[int],
    pinned: Counter[int], caps: Caps,
) -> dict[str, object]:  # fmt: skip
    first = members[0]
    waits = [one.wait_seconds for one in members if one.wait_seconds is not None]
    maps = [(0, 0) if kept is None else kept.get(one.address, (0, 0)) for one in members]
    creator = f"{first.creator_function} at {first.creator_file or '?'}:{first.creator_line}"
    return {
        "count": len(members),
        "ids": [one.id for one in members[: caps.ids]],
        "all": {one.id for one in members},
        "status": first.status,
        "wait_reason": first.wait_reason,
        "wait_seconds": max(waits) if waits else None,
        "system": first.system,
        "created_by": creator if first.creator_function else None,
        "frames": [_frame(frame) for frame in first.frames[: caps.frames]],
        "frames_left_out": max(0, len(first.frames) - caps.frames),
        "problem": first.problem or None,
        "iterators": sum(loops.get(one.id, 0) for one in members),
        "pinned_bytes": sum(pinned.get(one.id, 0) for one in members),
        "maps": None if kept is None else sum(count for count, _ in maps),
        "map_bytes": None if kept is None else sum(size for _, size in maps),
    }


def _frame(frame: Frame) -> dict[str, object]:
    return {"function": frame.function, "file": frame.file, "line": frame.line, "inlined": frame.inlined}
