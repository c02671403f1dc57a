"""R11: a classic map carries about as many overflow buckets as buckets.

Inserts after deletes hang overflow buckets behind full ones. The runtime regrows at the same size only when an
insert finds ``noverflow`` at 2^min(B,15) (``tooManyOverflowBuckets``, runtime/map.go), so a map that stops short of
that keeps them. At its full load of 6.5 entries a bucket a map needs 0.21 overflow buckets a bucket, and churn
commonly reaches 0.5.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapscope.findings.columns import GROUP_SLOTS, current_waste, ints, is_swiss
from mapscope.findings.context import Context
from mapscope.findings.model import Advice, Finding
from mapscope.findings.selection import Selection, emit
from mapscope.findings.sketch import rebuild
from mapscope.maps.model import Confidence, Map
from mapscope.units import Addr

RULE = "R11"
TITLE = "overflow buckets take as much as the buckets"


def select(context: Context) -> Selection:
    """Maps near the runtime's own limit of overflow buckets; the bytes are the overflow buckets beyond need."""
    maps, limits = context.maps, context.thresholds
    buckets = ints(maps, "capacity") // GROUP_SLOTS
    bloated = ints(maps, "overflow_count") >= limits.overflow_share * buckets
    # extra: where buckets hold no pointers, a slice keeps the overflow buckets alive (runtime: mapextra.overflow)
    held = np.minimum(ints(maps, "overflow_bytes") + ints(maps, "extra_bytes"), current_waste(maps))
    return Selection.where(np.asarray(~is_swiss(maps) & bloated & (buckets > 0)), held, limits.sparse_min_bytes)


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one map."""
    buckets = found.capacity // GROUP_SLOTS
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=held,
        subject=Addr(found.address),
        confidence=Confidence.EXACT,
        why=f"{found.overflow_count:,} overflow buckets were counted along the chains of {buckets:,} buckets; at "
        f"full load a map has about {round(0.21 * buckets):,}.",
        evidence={
            "count": found.count,
            "B": found.B,
            "noverflow": found.noverflow,
            "overflow_count": found.overflow_count,
            "prealloc_overflow": found.prealloc_overflow,
            "overflow_bytes": found.overflow_bytes,
            "extra_bytes": found.extra_bytes,
            "array_bytes": found.array_bytes,
        },
        advice=Advice(
            "Many deletes and inserts hung overflow buckets behind full ones; lookups walk them, too. Rebuild the map "
            "now and then, or move to Go 1.24, whose default maps have no overflow buckets.",
            rebuild(found),
        ),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
