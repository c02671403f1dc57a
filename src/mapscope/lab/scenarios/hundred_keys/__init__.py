"""The program of section 4.1: 100 keys, a million writes."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario

_KEY = 16
"""Bytes that the text of a key takes at most."""
_SLACK = 16 << 10
"""Headers, buffers of package fmt, and what the runtime allocates now and then; fifty old arrays are 100 KB or more."""


def judge(run: Run) -> Iterator[Check]:
    """It stops growing within the first hundred or so writes."""
    early = 0 < run.number("last_growth_at_write") <= 200
    yield Check(
        "the last growth begins within 200 of a million writes",
        early,
        run.pick("writes", "growths", "last_growth_at_write", "slots"),
        {72: "false" if early else "true"},
    )
    if not run.classic:
        return
    gone = run.number("old_at_end") == 0
    found = run.found("subject")
    array = found.array_bytes if found is not None else 0
    fifty = run.number("bytes_of_fifty_such_maps")
    alone = gone and 50 * array < fifty < 50 * (array + 100 * _KEY) + _SLACK
    yield Check(
        "fifty such maps hold their arrays and keys, and no more",
        alone,
        {**run.pick("bytes_of_fifty_such_maps", "old_at_end"), "array_bytes": array},
        {73: "false" if alone else "true"},
    )
    ended = 0 < run.number("last_growth_ended_at_write") <= 1000
    yield Check(
        "the last growth ends before the second loop",
        ended and gone,
        run.pick("last_growth_at_write", "last_growth_ended_at_write"),
        {74: "false" if ended and gone else "true"},
    )


SCENARIO = Scenario(
    name="hundred_keys",
    section="4.1",
    shows="100 keys and a million writes: the map stops growing after the first few",
    judge=judge,
)
