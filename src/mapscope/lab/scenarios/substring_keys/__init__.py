"""Substring keys keep the texts that they were cut out of."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """Measured against a map of copies; mapscope's waste is the difference."""
    cut, copies = run.number("bytes_with_substrings"), run.number("bytes_with_copies")
    yield Check("substrings take many times as much", cut > 20 * copies,
                run.pick("bytes_with_substrings", "bytes_with_copies"))  # fmt: skip
    waste = run.rules().get("R16", 0)
    yield Check(
        "mapscope's waste is what copies save",
        abs(waste - (cut - copies)) < 0.05 * cut,
        {"waste": waste, "saved": cut - copies},
    )


SCENARIO = Scenario(
    name="substring_keys",
    section="",
    shows="keys that are substrings keep the whole texts",
    judge=judge,
    classic=("R16",),
    swiss=("R16",),
)
