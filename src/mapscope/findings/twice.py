"""What a second snapshot of the same process adds to a finding: stalled or in progress, lasting or just now.

One snapshot shows states. A growth whose ``oldbuckets`` and ``nevacuate`` are the same in two was moved on by no write
in between, since every write to a growing map evacuates the bucket at ``nevacuate`` (``growWork``, runtime/map.go).
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from mapscope.findings.columns import Bools, Ints, ints, is_swiss
from mapscope.findings.model import Finding
from mapscope.findings.r01_stalled_growth import RULE as R1
from mapscope.findings.r01_stalled_growth import TITLE as R1_TITLE
from mapscope.findings.r02_same_size import RULE as R2
from mapscope.findings.r03_stale_values import RULE as R3
from mapscope.findings.r09_sparse import RULE as R9
from mapscope.findings.r10_overhinted import RULE as R10
from mapscope.maps.model import FLAG_SAME_SIZE_GROW, Confidence, Map, MapTable

GROWTHS = frozenset({R1, R2, R3})
"""Rules about growths that have begun and not ended."""
R1_STALLED = "stalled growth holds the old bucket array"
_LASTING = frozenset({R9, R10})


class Twice(Struct, frozen=True):
    """A finding of the newer snapshot, judged again."""

    finding: Finding
    in_progress: bool = False
    """The growth moved on between the snapshots: a state on its way, no finding."""


def stalled(before: Map, after: Map) -> bool:
    """Whether the growth of a map stands where it stood."""
    here, there = (before.oldbuckets, before.nevacuate), (after.oldbuckets, after.nevacuate)
    return before.oldbuckets != 0 and here == there


def judge(finding: Finding, before: Map | None, after: Map, seen_before: bool, apart: str) -> Twice:
    """One map's finding once more.

    Args:
        finding: of the newer snapshot.
        before: the same map in the older snapshot, None where it was not there.
        after: the map in the newer one.
        seen_before: the older snapshot has a finding of the same rule on it.
        apart: how far the snapshots are apart, in words with a leading space, or empty.
    """
    if before is None:
        return Twice(finding)
    if finding.rule in GROWTHS:
        if not stalled(before, after):
            return Twice(finding, in_progress=True)
        why = (
            f"Stalled: oldbuckets and nevacuate ({after.nevacuate:,} of {after.noldbuckets:,}) are the same in both "
            f"snapshots{apart}. Every insert, update or delete of an entry would have moved them on."
        )
        part = Confidence.INFERRED if after.unreadable else Confidence.EXACT
        sure = Confidence(max(before.confidence, after.confidence, part))
        title = R1_STALLED if finding.title == R1_TITLE else finding.title
        return Twice(replace(finding, title=title, confidence=sure, why=why))
    if finding.rule in _LASTING and seen_before:
        return Twice(replace(finding, why=f"{finding.why} It was so in the older snapshot too{apart}."))
    return Twice(finding)


def judge_group(finding: Finding, old: MapTable, new: MapTable, partner: Ints, apart: str) -> Twice:
    """A finding over many small growing maps of one type once more; ``partner``: row in ``old`` of each row of ``new``.

    It is judged as a whole: stalled when every growth of that type stands still, in progress when each moved on.
    """
    subject = new.at(finding.subject)
    if finding.rule not in GROWTHS or subject is None:
        return Twice(finding)
    same_size = subject.flags & FLAG_SAME_SIZE_GROW
    rows = np.flatnonzero(
        _growing(new)
        & (new.columns["type_index"] == subject.type_index)
        & ((ints(new, "flags") & FLAG_SAME_SIZE_GROW) == same_size)
    )
    mates = partner[rows]
    still = mates >= 0
    for name in ("oldbuckets", "nevacuate"):
        still &= old.columns[name][mates] == new.columns[name][rows] if len(old) else False
    count, moved = int(still.sum()), int(((mates >= 0) & ~still).sum())
    if moved == len(rows):
        return Twice(finding, in_progress=True)
    if count < len(rows):
        words = f" Of {len(rows):,} such maps, {count:,} stand where they stood in the older snapshot{apart}."
        return Twice(replace(finding, why=finding.why + words))
    why = f"Stalled: oldbuckets and nevacuate of each are the same in both snapshots{apart}."
    title = R1_STALLED if finding.title == R1_TITLE else finding.title
    worst = max(int(new.columns["confidence"][rows].max()), int(old.columns["confidence"][mates].max()))
    return Twice(replace(finding, title=title, confidence=Confidence(worst), why=why))


def _growing(maps: MapTable) -> Bools:
    unfinished = (maps.columns["oldbuckets"] != 0) & (ints(maps, "nevacuate") < ints(maps, "noldbuckets"))
    return np.asarray(~is_swiss(maps) & unfinished)
