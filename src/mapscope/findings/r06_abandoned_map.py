"""R6: nothing but an iterator keeps a map.

``hiter.h`` and ``Iter.m`` point to the map itself, so a goroutine that is blocked in a loop over a map keeps all of it,
also when everyone else has dropped it.
"""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.findings.context import Context
from mapscope.findings.iterating import blocked_at, evidence, findings_of, long_blocked
from mapscope.findings.model import Advice, Finding
from mapscope.maps.itermodel import MapIterator

RULE = "R6"
TITLE = "only an iterator keeps this map alive"


def describe(context: Context, one: MapIterator) -> Finding:
    """The words for one iterator."""
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=one.pinned_bytes,
        subject=one.map,
        confidence=long_blocked(one),
        why=f"Every way to the map leads through {blocked_at(one)}. Whether the loop will go on, one snapshot cannot "
        "show; the map goes when it ends.",
        evidence=evidence(one),
        advice=Advice(
            "End the goroutine when its map is dropped: give the loop a context, or close the channel that it waits "
            "for.",
            "for k, v := range m {\n\tselect {\n\tcase <-ctx.Done():\n\t\treturn\n\tcase out <- pair{k, v}:\n\t}\n}",
        ),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return findings_of(context, RULE, describe)
