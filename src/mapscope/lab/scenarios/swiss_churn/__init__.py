"""Replacing entries makes maps larger: overflow buckets (classic), tombstones (Swiss, worst in Go 1.24)."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """By how much the bytes rise, with the number of entries the same."""
    factor = run.number("bytes_after") / run.number("bytes_before")
    low, high = (1.0, 2.1) if run.classic else (2.5, 4.5) if run.toolchain.release == (1, 24) else (1.0, 2.3)
    yield Check(
        f"five million replacements make it {low} to {high} times as large",
        low <= factor <= high,
        {
            **run.pick("entries", "bytes_before", "bytes_after", "slots_before", "slots_after"),
            "factor": f"{factor:.2f}",
        },
    )
    if run.toolchain.release == (1, 24):
        found = max(run.rules().values(), default=0)
        grown = run.number("bytes_after") - run.number("bytes_before")
        yield Check(
            "mapscope finds at least what the churn added",
            found > 0.9 * grown,
            {"by mapscope": found, "added": grown},
        )


SCENARIO = Scenario(
    name="swiss_churn",
    section="",
    shows="a map of constant size grows when its entries are replaced for long, most in Go 1.24",
    judge=judge,
    may=("R9", "R11", "R12"),
)
