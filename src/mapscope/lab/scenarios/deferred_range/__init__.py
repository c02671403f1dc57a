"""Deferred loops: section 4.4."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """Both loops keep what they captured; setting it to nil, or not capturing it, helps."""
    size = run.number("size")
    after = run.number("held_after_return_range")
    held = run.number("held_range") >= size and after < size // 4
    yield Check(
        "a deferred range keeps it until the return",
        held,
        run.pick("size", "held_range", "held_after_return_range"),
        {94: "true" if held else "false"},
    )
    same = run.number("held_index") >= size
    helps = run.number("held_nil") < size // 4 and run.number("held_not_captured") < size // 4
    yield Check(
        "an index loop keeps as much; nil, or no capture, helps",
        same and helps,
        run.pick("held_range", "held_index", "held_nil", "held_not_captured"),
        {95: "false" if same else "true"},
    )


SCENARIO = Scenario(
    name="deferred_range",
    section="4.4",
    shows="a deferred loop keeps what its closure captured, whatever kind of loop it is",
    judge=judge,
)
