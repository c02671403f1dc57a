"""A growth that nobody moves on: the one real finding of section 4.1."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """Reads, loops and collections leave the growth where it is; writes end it."""
    if not run.classic:
        numbers = run.pick("array_stays")
        yield Check("four loops at once move nothing", numbers["array_stays"] == 1, numbers, {64: "false"})
        return
    numbers = run.pick("evacuated_at_start", "evacuated_after_reads", "evacuated_after_loops", "noldbuckets")
    still = len({numbers[name] for name in list(numbers)[:3]}) == 1 and run.number("old_array_stays") == 1
    yield Check(
        "reads, loops, concurrent loops and collections evacuate nothing",
        still,
        numbers,
        {64: "false" if still else "true"},
    )
    stalled = run.pick("nevacuate", "noldbuckets", "old_array_stays")
    kept = run.number("nevacuate") < run.number("noldbuckets") and run.number("old_array_stays") == 1
    yield Check("the old array is kept below noldbuckets", kept, stalled, {77: "true" if kept else "false"})
    ended = run.pick("writes_to_finish", "freed_by_writes", "twin_grows")
    finished = 0 < run.number("writes_to_finish") <= run.number("noldbuckets") and not run.number("twin_grows")
    freed = run.number("freed_by_writes")
    yield Check("at most noldbuckets writes end it", finished, ended, {55: "partly" if finished and still else "true"})
    kept_for_nothing = run.rules().get("R1", 0)
    yield Check(
        "what R1 says is kept is what the end of the growth frees, within a fiftieth",
        freed > 0 and abs(kept_for_nothing - freed) < freed / 50,
        {"R1": kept_for_nothing, "freed_by_writes": freed},
    )


SCENARIO = Scenario(
    name="stalled",
    section="4.1",
    shows="a map that grew and is then only read keeps its old array; writes end that",
    judge=judge,
    classic=("R1",),
)
