"""Maps never shrink: what the article leaves out."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """The arrays stay; a copy of what is left is small."""
    stays = run.number("left_slots") >= run.number("full_slots") * 0.99
    yield Check(
        "after deleting 99 % it has all its slots",
        stays and run.number("left_bytes") > 0.95 * run.number("full_bytes"),
        run.pick("full_entries", "full_slots", "full_bytes", "left_entries", "left_slots", "left_bytes"),
        {40: "false" if stays else "true"},
    )
    small = run.number("fresh_bytes") < 0.05 * run.number("left_bytes")
    yield Check("a new map of what is left is small", small, run.pick("left_bytes", "fresh_bytes"))
    waste = run.rules().get("R9", 0)
    saved = run.number("left_bytes") - run.number("fresh_bytes")
    yield Check(
        "mapscope's waste is what the copy saves",
        abs(waste - saved) < 0.1 * saved,
        {"waste": waste, "saved": saved},
    )


SCENARIO = Scenario(
    name="never_shrink",
    section="",
    shows="a map keeps its arrays when its entries are deleted",
    judge=judge,
    classic=("R9",),
    swiss=("R9", "R12"),
)
