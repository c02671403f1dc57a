"""The experiment of section 2.5, as printed and as meant."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario

_ARTICLE_BYTES = 16 * 1024
"""What the article takes the old array for."""


def judge(run: Run) -> Iterator[Check]:
    """The growth is over long before the loop; stopped in its middle, the array is larger than the article says."""
    places = run.pick("profile_places", "profile_bytes_in_use")
    gone = run.number("profile_places") > 0 and run.number("profile_bytes_in_use") < _ARTICLE_BYTES // 4
    yield Check(
        "after the loop a profile of every allocation shows no array of it in use",
        gone,
        places,
        {54: "false" if gone else "true"},
    )
    if not run.classic:
        made = run.pick("slots_made", "tables_made")
        two = run.number("slots_made") == 2048 and run.number("tables_made") == 2
        yield Check("1024 entries make two tables of 1024 slots", two, made, {49: "false" if two else "true"})
        split = run.number("splits") > 0
        yield Check("tables are split one by one", split, run.pick("splits", "doublings"),
                    {50: "false" if split and not run.number("doublings") else "true"})  # fmt: skip
        return
    buckets = 1 << run.number("B_made")
    yield Check("1024 entries make 256 buckets", buckets == 256, {"B": run.number("B_made"), "buckets": buckets},
                {49: "true" if buckets == 1024 else "false"})  # fmt: skip
    once = run.number("doublings") == 1 and run.number("B_filled") == run.number("B_made") + 1
    yield Check("2049 inserts double it once", once, run.pick("doublings", "B_made", "B_filled"),
                {50: "true" if once else "false"})  # fmt: skip
    held = run.number("old_after_loop") == 1
    over = not held and 0 < run.number("growth_begins_at") < run.number("growth_ends_at") < 2049
    yield Check(
        "its growth ends inside the loop",
        over,
        run.pick("growth_begins_at", "growth_ends_at", "old_after_loop"),
        {51: "true" if held else "false"},
    )
    meant = run.found("meant")
    size = meant.old_array_bytes if meant is not None else 0
    yield Check(
        "stopped in the middle, the old array has 272 buckets of 208 bytes, rounded up",
        size == 57_344,
        {"old_array_bytes": size, "meant_grows": run.number("meant_grows")},
        {52: "false" if size > 2 * _ARTICLE_BYTES else "true"},
    )


SCENARIO = Scenario(
    name="residency",
    section="2.5",
    shows="the article's experiment refutes itself: the old array is gone before its loop ends",
    judge=judge,
    classic=("R1",),
)
