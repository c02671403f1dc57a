"""R4: an iterator over a classic map keeps a bucket array that the map has left behind.

``mapiterinit`` (runtime/map.go, up to Go 1.23) copies ``buckets`` into the ``hiter``; a growth gives the map a new
array and never looks at iterators, so the old one lives as long as the loop, with all that its entries point to,
deleted since or not.
"""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.findings.context import Context
from mapscope.findings.iterating import blocked_at, copy_first, evidence, findings_of
from mapscope.findings.model import Finding
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence

RULE = "R4"
TITLE = "blocked iterator keeps a bucket array that its map has left behind"


def describe(context: Context, one: MapIterator) -> Finding:
    """The words for one iterator."""
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=one.pinned_bytes,
        subject=one.map,
        confidence=Confidence.EXACT,
        why=f"The array is neither buckets nor oldbuckets of the map, and only {blocked_at(one)} keeps it and what "
        "its entries point to. It goes when the loop ends.",
        evidence=evidence(one),
        advice=copy_first(one),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return findings_of(context, RULE, describe)
