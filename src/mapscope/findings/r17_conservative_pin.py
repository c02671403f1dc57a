"""R17: words of an ended loop in a frame that the collector scans conservatively.

A goroutine that was preempted at any instruction (``runtime.asyncPreempt``) has no stack map there, so the collector
takes every word of that frame for a pointer, also those of a loop that is over (runtime/mgcmark.go: scanframeworker).
"""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.findings.context import Context
from mapscope.findings.iterating import evidence, findings_of
from mapscope.findings.model import Advice, Finding
from mapscope.maps.itermodel import MapIterator
from mapscope.maps.model import Confidence

RULE = "R17"
TITLE = "words of an ended loop seem to keep an old array or map"


def describe(context: Context, one: MapIterator) -> Finding:
    """The words for one iterator."""
    return Finding(
        rule=RULE,
        title=TITLE,
        bytes=one.pinned_bytes,
        subject=one.map,
        confidence=Confidence.UNCERTAIN,
        why=f"The loop has ended, but goroutine {one.goroutine} was stopped where no stack map says which words live, "
        "so the collector keeps what they point to. It passes when the goroutine reaches a call.",
        evidence=evidence(one),
        advice=Advice(
            "Nothing, if it passes: look at a second snapshot. If it stays, end the function that held the loop before "
            "the long computation: give each a function of its own.",
            "sum := total(m) // the loop over m, in a function of its own\ncompute(sum)",
        ),
    )


def check(context: Context) -> Iterator[Finding]:
    """The findings of this rule alone."""
    return findings_of(context, RULE, describe)
