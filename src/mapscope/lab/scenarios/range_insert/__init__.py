"""Delete and insert inside a range: section 1A."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario

_SLACK = 1.25
"""Which buckets random keys hit differs; a growth of 2048 buckets takes some 1420 random writes."""


def judge(run: Run) -> Iterator[Check]:
    """The growth begins inside the loop and, of classic maps, ends there."""
    begun = run.number("growth_begins_in_turn")
    yield Check(
        "a growth begins inside the loop",
        begun > 0,
        run.pick("growth_begins_in_turn", "slots_before", "slots_after"),
        {3: "true" if begun > 0 else "false"},
    )
    if not run.classic:
        return
    inside = run.number("ended_inside_the_loop") == 1
    with_loop, without = run.number("turns_in_the_loop"), run.number("turns_without_a_loop")
    alike = with_loop < without * _SLACK
    yield Check(
        "it ends after as many writes as without a loop",
        inside and alike,
        run.pick("turns_in_the_loop", "turns_without_a_loop"),
        {9: "false" if inside and alike else "true"},
    )
    yield Check(
        "oldbuckets is nil while the loop goes on; the iterator keeps the array that it started on",
        inside and run.number("pinned_by_the_iterator") > 0,
        run.pick("growth_ends_in_turn", "turns", "pinned_by_the_iterator"),
        {8: "false" if inside else "true"},
    )


SCENARIO = Scenario(
    name="range_insert",
    section="1A",
    shows="a growth begins and ends inside a range that deletes and inserts",
    judge=judge,
)
