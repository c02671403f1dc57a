"""R3: values that were deleted during a growth stay alive in the evacuated old buckets.

``evacuate`` (runtime/map.go) clears an old bucket only if no iterator was opened before the growth (flag
``oldIterator``), so after one range before the growth the old buckets keep their key and value pointers until the
growth ends. Overflow buckets that were made with the array lie in it and are never cleared: they count here too, but
alone they make no finding.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mapscope.findings.columns import ints, old_bytes
from mapscope.findings.context import Context, StaleValues
from mapscope.findings.model import Finding
from mapscope.findings.r01_stalled_growth import finish_advice, growing, growth_evidence
from mapscope.findings.selection import Selection, emit
from mapscope.maps.model import FLAG_OLD_ITERATOR, Confidence, Map
from mapscope.units import Addr

RULE = "R3"
TITLE = "evacuated old buckets keep deleted values alive"


def select(context: Context) -> Selection:
    """Growing maps with ``oldIterator`` and evacuated buckets; the heap says what only those buckets reach."""
    limits = context.thresholds
    kept = (ints(context.maps, "flags") & FLAG_OLD_ITERATOR) != 0
    rows = np.flatnonzero(growing(context) & kept & (ints(context.maps, "old_evacuated") > 0))
    rows = rows[np.argsort(-old_bytes(context.maps)[rows], kind="stable")][: limits.stale_max_maps]
    facts: dict[int, object] = {}
    held: dict[int, int] = {}
    for row in rows.tolist():
        stale = context.queries.stale_values(context.maps[row])
        if stale is not None and stale.bytes > 0:
            facts[row], held[row] = stale, stale.bytes
    return Selection(
        np.fromiter(held, np.int64, len(held)),
        np.fromiter(held.values(), np.int64, len(held)),
        limits.growth_min_bytes,
        facts,
    )


def describe(context: Context, found: Map, held: int, fact: object) -> Finding:
    """The words for one map."""
    assert isinstance(fact, StaleValues)
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=held,
        subject=Addr(found.address),
        confidence=Confidence.POSSIBLE,
        why=f"Nothing but {fact.buckets:,} evacuated old buckets reaches these {fact.objects:,} objects; they go when "
        "the growth ends, and one snapshot cannot show that it is stalled.",
        evidence=growth_evidence(found)
        | {"stale_buckets": fact.buckets, "stale_objects": fact.objects, "stale_bytes": fact.bytes},
        advice=finish_advice(found),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return emit(context, select(context), describe)
