"""R1: a classic map whose growth has begun and has not ended keeps two bucket arrays.

``hashGrow`` (runtime/map.go, up to Go 1.23) moves ``buckets`` to ``oldbuckets``; only ``mapassign`` and ``mapdelete``
evacuate old buckets (``growWork``), so a map that grew and is then only read keeps both arrays for ever. 10.7 % of
uniformly drawn final counts end there. One snapshot shows the growth, not whether writes still come.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapscope.findings.columns import Bools, ints, is_swiss, old_bytes
from mapscope.findings.context import Context
from mapscope.findings.model import Advice, Finding
from mapscope.findings.selection import Selection, emit
from mapscope.findings.sketch import go_key
from mapscope.maps.facts import ENTRY_MAP
from mapscope.maps.model import FLAG_HASH_WRITING, FLAG_SAME_SIZE_GROW, Confidence, Map
from mapscope.units import Addr

RULE = "R1"
TITLE = "growth in progress holds the old bucket array"


def growing(context: Context) -> Bools:
    """Rows with old buckets still to evacuate, except those that a goroutine is writing to at this very instant."""
    maps = context.maps
    unfinished = (maps.columns["oldbuckets"] != 0) & (ints(maps, "nevacuate") < ints(maps, "noldbuckets"))
    written_now = (ints(maps, "flags") & FLAG_HASH_WRITING) != 0
    return np.asarray(~is_swiss(maps) & unfinished & ~written_now)


def select(context: Context) -> Selection:
    """Doubling growths; the bytes are the old array and its overflow buckets, with the slice that keeps them."""
    doubling = (ints(context.maps, "flags") & FLAG_SAME_SIZE_GROW) == 0
    return Selection.where(growing(context) & doubling, old_bytes(context.maps), context.thresholds.growth_min_bytes)


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one map."""
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=held,
        subject=Addr(found.address),
        confidence=Confidence.POSSIBLE,
        why="The header shows the growth exactly; that it is stalled, one snapshot cannot show. It will stay so unless "
        "the map is written: reads and ranges move nothing.",
        evidence=growth_evidence(found),
        advice=finish_advice(found),
    )


def growth_evidence(found: Map) -> dict[str, int | str]:
    """The header fields of a growth."""
    return {
        "count": found.count,
        "B": found.B,
        "flags": found.flags,
        "oldbuckets": found.oldbuckets,
        "nevacuate": found.nevacuate,
        "noldbuckets": found.noldbuckets,
        "old_evacuated": found.old_evacuated,
        "old_array_bytes": found.old_array_bytes,
        "old_overflow_bytes": found.old_overflow_bytes,
    }


def finish_advice(found: Map) -> Advice:
    """How to end the growth of ``found``."""
    if found.type_name == ENTRY_MAP:
        return Advice(
            "It is a map inside a sync.Map, which the program cannot write to itself. A read map goes when dirty is "
            "promoted; rebuild the sync.Map, or build with Go 1.24 or later."
        )
    left = found.noldbuckets - found.nevacuate
    if found.count == 0:
        return Advice("It is empty, so delete and clear return at once and end nothing: put a new map in its place.")
    after = (
        "Or rebuild it: a copy into a new map of its length holds one array. Deletes and inserts in turn led here."
        if found.same_size_growth
        else "Or make it with its final size, make(T, n). From Go 1.24 on the default maps grow a table at once."
    )
    return Advice(
        f"If nothing writes to it any more, finish the growth: at most {left:,} deletes of a key that is not in it "
        f"do it. {after}",
        "// Each delete moves at least one old bucket and changes nothing else.\n"
        f"var absent {go_key(found)} // a key that the map never holds\n"
        f"for i := 0; i < {left}; i++ {{\n\tdelete(m, absent)\n}}",
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
