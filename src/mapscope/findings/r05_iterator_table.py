"""R5: an iterator over a Swiss map keeps a table that has been split or has grown since.

``table.grow`` and ``table.split`` (internal/runtime/maps/table.go) put new tables in the directory and mark the old one
with index -1; an ``Iter`` that stands in it walks it to its end. A table has at most 1024 slots, so what weighs is what
its entries point to, deleted since or not.
"""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.findings.context import Context
from mapscope.findings.iterating import blocked_at, copy_first, evidence, findings_of
from mapscope.findings.model import Finding
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence

RULE = "R5"
TITLE = "blocked iterator keeps a table that its map has left behind"


def describe(context: Context, one: MapIterator) -> Finding:
    """The words for one iterator."""
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=one.pinned_bytes,
        subject=one.map,
        confidence=Confidence.EXACT,
        why=f"The table is no longer in the map's directory, and only {blocked_at(one)} keeps it and what its entries "
        "point to. It goes when the loop ends.",
        evidence=evidence(one),
        advice=copy_first(one),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return findings_of(context, RULE, describe)
