"""R7: an iterator on the heap that has come to its end keeps its map.

At the end ``mapiternext`` and ``Iter.Next`` clear ``key`` and ``elem`` but leave the map and the array set, so a
``reflect.MapIter`` that is kept after its last ``Next`` keeps the whole map.
"""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.findings.context import Context
from mapscope.findings.iterating import evidence, findings_of
from mapscope.findings.model import Advice, Finding
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence

RULE = "R7"
TITLE = "exhausted iterator on the heap keeps its map or an old array of it"


def describe(context: Context, one: MapIterator) -> Finding:
    """The words for one iterator."""
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=one.pinned_bytes,
        subject=one.map,
        confidence=Confidence.EXACT,
        why="Its key is nil, so it has come to the end, and only the object that holds it keeps these bytes.",
        evidence=evidence(one),
        advice=Advice(
            "Drop the iterator when Next has said false, or let it forget the map with Reset.",
            "for iter.Next() {\n\tuse(iter.Key(), iter.Value())\n}\niter.Reset(reflect.Value{}) // forgets the map",
        ),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return findings_of(context, RULE, describe)
