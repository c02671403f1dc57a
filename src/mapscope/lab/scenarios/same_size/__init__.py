"""A growth to the same size: what the article leaves out."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """Of classic maps alone: as many buckets as before, twice."""
    if not run.classic:
        numbers = run.pick("writes", "two_arrays", "buckets_before", "buckets_after")
        yield Check("there is no second array", run.number("two_arrays") == 0, numbers)
        return
    same = (
        run.number("buckets_before") == run.number("buckets_after") == run.number("noldbuckets")
        and run.number("same_size_flag") == 8
    )
    yield Check(
        "too many overflow buckets begin a growth to the same size",
        same,
        run.pick("writes", "entries", "buckets_before", "buckets_after", "noldbuckets", "same_size_flag"),
        {5: "true" if same else "false"},
    )
    found = run.found("subject")
    arrays = (found.array_bytes, found.old_array_bytes) if found is not None else (0, 1)
    yield Check("both arrays are equally large", arrays[0] == arrays[1], {"array": arrays[0], "old array": arrays[1]})


SCENARIO = Scenario(
    name="same_size",
    section="",
    shows="replacing entries for long begins a growth to the same size, and a quiet map keeps both arrays",
    judge=judge,
    classic=("R2",),
)
