"""R15: a blocked ``sync.Map.Range`` keeps the read map that the ``sync.Map`` has replaced meanwhile.

Up to Go 1.23 ``Range`` loops over ``read.m`` without the lock (sync/map.go). When ``dirty`` is promoted meanwhile, the
map that is looped over has only the iterator left, and with it the keys that were deleted since.
"""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.findings.context import Context
from mapscope.findings.iterating import blocked_at, evidence, findings_of, long_blocked
from mapscope.findings.model import Advice, Finding
from mapscope.maps.itermodel import MapIterator

RULE = "R15"
TITLE = "blocked sync.Map.Range keeps a read map that was replaced"


def describe(context: Context, one: MapIterator) -> Finding:
    """The words for one iterator."""
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=one.pinned_bytes,
        subject=one.map,
        confidence=long_blocked(one),
        why=f"The map is neither read.m nor dirty of any sync.Map, and only {blocked_at(one)} keeps it: it was "
        "replaced, or its sync.Map was dropped, after the Range began. Whether the Range will go on, one snapshot "
        "cannot show; the map goes when it ends.",
        evidence=evidence(one),
        advice=Advice(
            "Do not wait inside sync.Map.Range: collect what you need first, then wait outside of it. From Go 1.24 on "
            "Range walks no map that could be left behind.",
            "var keys []any\nm.Range(func(k, _ any) bool {\n\tkeys = append(keys, k)\n\treturn true\n})\n"
            "for _, k := range keys {\n\tif v, ok := m.Load(k); ok {\n\t\tout <- v\n\t}\n}",
        ),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return findings_of(context, RULE, describe)
