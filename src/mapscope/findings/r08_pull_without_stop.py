"""R8: an ``iter.Pull`` over a map that nobody can resume any more.

The coroutine of ``iter.Pull`` (runtime/coro.go) is a goroutine; it ends when its sequence ends or ``stop`` is called.
When ``next`` and ``stop`` are dropped before, it waits for ever and keeps the map that it ranges over. No collection
ends it.
"""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.findings.context import Context
from mapscope.findings.iterating import evidence, findings_of
from mapscope.findings.model import Advice, Finding
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence

RULE = "R8"
TITLE = "iter.Pull without stop keeps its map and a goroutine"


def describe(context: Context, one: MapIterator) -> Finding:
    """The words for one iterator."""
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=one.pinned_bytes,
        subject=one.map,
        confidence=Confidence.EXACT,
        why=f"Only the stack of the coroutine (goroutine {one.goroutine}) keeps the map: whoever could call next or "
        "stop would keep it, too.",
        evidence=evidence(one),
        advice=Advice(
            "Call stop on every way out; defer it right after iter.Pull.",
            "next, stop := iter.Pull(maps.Keys(m))\ndefer stop()",
        ),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return findings_of(context, RULE, describe)
