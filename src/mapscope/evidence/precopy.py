"""Copies memory before the process is stopped, so that in the stop only what changed since has to be copied.

The kernel is told to note writes first, the copy is made behind that: a page that is not noted at the stop holds what
was copied, whenever it was read. Private anonymous memory only, where the heap is: pages of files and of shared memory
can change without a write of this process.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from msgspec import Struct

from mapscope.errors import EvidenceError
from mapscope.evidence import plan, procfs, ranges, softdirty
from mapscope.evidence.copier import CHUNK, Copier, Held, Piece
from mapscope.evidence.corewriter import Segment
from mapscope.evidence.plan import Plan
from mapscope.evidence.procfs import PAGE, Mapping
from mapscope.evidence.ranges import Ranges

LEAST = 64 << 20
"""Bytes from which on it pays: less is copied in a few hundredths of a second."""
IN_USE = "in use"
"""Somebody may rely on the soft-dirty bits of the process."""
_ROUNDS = 2
_WORTH = 0.5
"""Part of what was copied that may have changed at the stop; with more, a plain stop is as short."""
_GAP = 3 * PAGE
"""Unchanged memory between two changed places that is quicker copied than skipped."""


class Ahead(Struct, frozen=True):
    """What was copied while the process ran."""

    maps: dict[tuple[str, str], Ranges]
    """The mappings that it was copied from, by permissions and name."""
    held: list[Held]
    have: Ranges
    """The addresses of ``held``."""


class Rest(Struct, frozen=True):
    """What is left for the stop, and what is not."""

    plans: list[Plan]
    """Segments as in the plans they were made from, with the ranges that must be copied now."""
    reused: Ranges
    """What need not."""


def eligible(mapping: Mapping) -> bool:
    """Private anonymous memory of the process's own making."""
    named = mapping.path.startswith("[") and not mapping.path.startswith(("[heap]", "[stack]", "[anon"))
    return not mapping.shared and mapping.inode == 0 and not mapping.path.startswith("/") and not named


def size(plans: Sequence[Plan]) -> int:
    """Bytes that can be copied ahead."""
    return sum(each.size for each in plans if eligible(each.segment.mapping))


def allowed(pid: int, plans: Sequence[Plan], wish: bool | None) -> str:
    """Why nothing is copied ahead of the stop; empty when it can be.

    ``wish`` is that of the user; None leaves it to us: where it pays, and takes nobody's soft-dirty bits away.
    """
    if wish is False:
        return "unwanted"
    if wish is None and size(plans) < LEAST:
        return "little memory"
    if not softdirty.tracked():
        if wish:
            raise EvidenceError(
                "cannot copy ahead of the stop: this kernel does not track what is written (CONFIG_MEM_SOFT_DIRTY)",
                "leave --precopy out; with --pause fork the process stands still for a few milliseconds only",
            )
        return "untracked"
    if wish is None and softdirty.in_use(pid, procfs.mappings(pid)):
        return IN_USE
    return ""


def take(pid: int, copier: Copier) -> Ahead | None:
    """Copies what can be copied, while the process runs; None when too much of it changed meanwhile to be of use.

    OSError when the process is gone or its soft-dirty bits cannot be had.
    """
    for _ in range(_ROUNDS):
        softdirty.clear(pid)
        plans = [
            Plan(Segment(each.segment.mapping, each.segment.file_bytes, each.segment.mapping.start), each.ranges)
            for each in plan.make(pid, [each for each in procfs.mappings(pid) if eligible(each)])
        ]
        held = copier.hold(plan.in_order(plans))
        have = _addresses(held)
        ahead = Ahead({kind: _extents(of_kind) for kind, of_kind in _kinds(plans).items()}, held, have)
        if _pays(ahead, softdirty.unchanged(pid, have), copier):
            return ahead
        copier.drop(held)
    return None


def _pays(ahead: Ahead, unchanged: Ranges, copier: Copier) -> bool:
    changed = ranges.size(ahead.have) - ranges.size(unchanged)
    return changed <= _WORTH * ranges.size(ahead.have) and changed < copier.room - CHUNK


def rest(pid: int, ahead: Ahead, plans: list[Plan]) -> Rest:
    """Called in the stop: what of ``plans`` must still be copied.

    Memory that is not where it was, with the permissions that it had, is copied; what is gone is in no plan.
    """
    unchanged = softdirty.unchanged(pid, ahead.have)
    left: dict[int, Plan] = {}
    reused = []
    for kind, of_kind in _kinds([each for each in plans if eligible(each.segment.mapping)]).items():
        wanted = ranges.ranges_of(piece for each in of_kind for piece in each.ranges)
        known = ranges.intersect(unchanged, ahead.maps.get(kind, ranges.ranges_of([])))
        now = ranges.intersect(ranges.near(ranges.subtract(wanted, known), _GAP), wanted)
        left |= {each.segment.mapping.start: Plan(each.segment, _pairs(now, each.segment.mapping)) for each in of_kind}
        reused.append(ranges.subtract(wanted, now))
    every = ranges.ranges_of(sorted((start, end) for found in reused for start, end in found.tolist()))
    return Rest([left.get(each.segment.mapping.start, each) for each in plans], every)


def hand_on(copier: Copier, ahead: Ahead, left: Rest) -> None:
    """Called behind the stop, when each segment has its place in the core: writes what is reused."""
    pieces = sorted(
        (address, address + size, place, number)
        for number, held in enumerate(ahead.held)
        for place, address, size in held.pieces
    )
    starts = [piece[0] for piece in pieces]
    out: list[list[Piece]] = [[] for _ in ahead.held]
    for each in left.plans:
        mapping = each.segment.mapping
        for start, end in _pairs(left.reused, mapping):
            at = bisect.bisect_right(starts, start) - 1
            while start < end:
                first, last, place, number = pieces[at]
                stop = min(end, last)
                offset = each.segment.offset + start - mapping.start
                out[number].append((place + start - first, offset, stop - start, False))
                start, at = stop, at + 1
    copier.write_held(ahead.held, out)


def _kinds(plans: Sequence[Plan]) -> dict[tuple[str, str], list[Plan]]:
    """By what must be the same before the stop and in it."""
    found: dict[tuple[str, str], list[Plan]] = {}
    for each in plans:
        found.setdefault((each.segment.mapping.perms, each.segment.mapping.path), []).append(each)
    return found


def _extents(plans: Sequence[Plan]) -> Ranges:
    return ranges.ranges_of((each.segment.mapping.start, each.segment.mapping.end) for each in plans)


def _pairs(found: Ranges, mapping: Mapping) -> list[tuple[int, int]]:
    return [(start, end) for start, end in ranges.within(found, mapping.start, mapping.end).tolist()]


def _addresses(held: Sequence[Held]) -> Ranges:
    return ranges.ranges_of(sorted((address, address + size) for each in held for _, address, size in each.pieces))
