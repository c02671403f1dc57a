"""What the rules on iterators share: which rule an iterator falls under, its evidence, many of one kind together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from mapscope.findings.context import Context
from mapscope.findings.model import Advice, Finding
from mapscope.maps.itermodel import EXACT, EXHAUSTED, UNCERTAIN, MapIterator
from mapscope.maps.model import Confidence, Place

Words = Callable[[Context, MapIterator], Finding]
SYNC_RANGE = "sync.(*Map).Range"
"""The function whose loop over ``read.m`` calls what the program gave it (sync/map.go)."""
LONG_SECONDS = 60.0
"""Who has waited at least so long does not just pause."""


def rule_of(context: Context, one: MapIterator) -> str | None:
    """The one rule that an iterator gives a finding of; None for most.

    Loops that merely run, or of which only stray words are left, give none. Of a conservatively scanned frame only an
    ended loop is judged: whether another one still runs, nothing tells.
    """
    if max(one.pinned_bytes, one.together_bytes) < context.thresholds.iterator_min_bytes:
        return None
    if one.liveness == UNCERTAIN:
        return "R17" if one.state == EXHAUSTED and one.place == Place.STACK else None
    if one.liveness != EXACT or not (one.sole_owner or one.together_own or one.detached):
        return None
    if one.place == Place.HEAP and one.state == EXHAUSTED:
        return "R7"
    if one.coroutine and one.sole_owner:
        return "R8"
    if one.place == Place.STACK and not one.blocked:
        return None
    if one.sole_owner or one.together_own:
        of_range = one.frame is not None and one.frame.function == SYNC_RANGE
        return "R15" if of_range and not context.queries.in_sync_map(one.map) else "R6"
    return "R5" if context.swiss else "R4"


def findings_of(context: Context, rule: str, words: Words) -> Iterator[Finding]:
    """The findings of a rule, the largest first; beyond ``group_after`` of them the rest is summed by type."""
    mine = [one for one in context.iterators if rule_of(context, one) == rule]
    busy = {one.map for one in context.iterators if one.together > 1 and not one.blocked}
    common: dict[int, list[MapIterator]] = {}
    for one in mine:
        if one.together > 1 and one.map not in busy:
            common.setdefault(one.map, []).append(one)
    for group in common.values():
        first = words(context, max(group, key=lambda one: (one.wait_seconds or 0, -one.address)))
        number: dict[str, int | str] = {"iterators": group[0].together}
        yield replace(
            first,
            bytes=group[0].together_bytes,
            why=first.why + f" {group[0].together:,} iterators over this map share that; this is one of them.",
            evidence=number | first.evidence,
        )
    least = context.thresholds.iterator_min_bytes
    mine = [one for one in mine if one.together == 1 or (one.map in busy and one.pinned_bytes >= least)]
    mine.sort(key=lambda one: (-one.pinned_bytes, one.address))
    limit = context.thresholds.group_after
    for one in mine[:limit]:
        yield words(context, one)
    rest: dict[str | None, list[MapIterator]] = {}
    for one in mine[limit:]:
        rest.setdefault(one.type_name, []).append(one)
    for group in rest.values():
        total = sum(one.pinned_bytes for one in group)
        if total >= context.thresholds.group_min_bytes:
            first = words(context, group[0])
            together: dict[str, int | str] = {"iterators": len(group), "largest_bytes": first.bytes}
            yield replace(first, bytes=total, maps=len(group), evidence=together | first.evidence)


def evidence(one: MapIterator) -> dict[str, int | str]:
    """The fields that prove it."""
    facts: dict[str, int | str] = {"iterator": one.address}
    if one.goroutine is not None:
        facts["goroutine"] = one.goroutine
        facts["waits"] = _waits(one)
        facts["loop"] = one.where
        if one.caller is not None and one.caller != one.frame:
            facts["called_from"] = f"{one.caller.function} ({one.caller.file}:{one.caller.line})"
    facts |= {"state": one.state, "walked": one.position, "of": one.positions}
    if one.detached:
        facts |= {"detached": one.detached, "detached_bytes": one.detached_bytes}
    return facts


def _waits(one: MapIterator) -> str:
    reason = one.wait_reason or one.status or "unknown"
    seconds = one.wait_seconds or 0
    return f"{reason}, at least {seconds:.0f} s" if seconds >= 1 else reason


def blocked_at(one: MapIterator) -> str:
    """``goroutine 8 waits (chan receive) in main.work``: who, for a sentence."""
    if one.goroutine is None:
        return "an iterator on the heap"
    function = one.frame.function if one.frame is not None else "a frame"
    return f"goroutine {one.goroutine} ({one.wait_reason or one.status}) in the loop of {function}"


def long_blocked(one: MapIterator) -> Confidence:
    """EXACT for who has waited long; in one snapshot a short wait looks the same as a leak."""
    return Confidence.EXACT if (one.wait_seconds or 0) >= LONG_SECONDS else Confidence.POSSIBLE


def copy_first(one: MapIterator) -> Advice:
    """Do not block in a loop over a map."""
    key = (one.type_name or "").removeprefix("map[").split("]", 1)[0]
    key = key if key and (one.type_name or "").startswith("map[") and "[" not in key else "K"
    return Advice(
        "Do not wait inside a range over a map: copy the keys (under the lock), then loop over the copy. If the "
        "goroutine is leaked, give it a way out: a context, or a channel that is closed.",
        f"keys := make([]{key}, 0, len(m))\n"
        "for k := range m {\n\tkeys = append(keys, k)\n}\n"
        "for _, k := range keys {\n"
        "\tselect {\n\tcase <-ctx.Done():\n\t\treturn\n\tcase out <- k: // may wait\n\t}\n}",
    )
