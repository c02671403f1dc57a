"""Old buckets keep what they point to, and what was deleted since: R3."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """Nothing that is in the map is collected; of what was deleted, a classic map in mid growth keeps most."""
    lost, entries = run.number("present_but_finalized"), run.number("entries")
    if not run.classic:
        all_gone = run.number("deleted_and_finalized") == run.number("deleted")
        yield Check(
            "everything deleted is collected, and nothing else",
            all_gone and lost == 0,
            run.pick("entries", "present_but_finalized", "deleted", "deleted_and_finalized"),
        )
        return
    only_there = run.number("old_buckets_not_moved")
    alive = only_there > 100 and lost == 0 and entries > 1000
    yield Check(
        "entries that only old buckets hold survive six collections",
        alive,
        run.pick("old_buckets", "old_buckets_not_moved", "entries", "present_but_finalized"),
        {39: "true" if alive else "false", 46: "false" if alive else "true"},
    )
    kept = run.number("deleted") - run.number("deleted_and_finalized")
    rules = run.rules()
    yield Check(
        "values that were deleted since stay, and mapscope counts them",
        kept > 100 and rules.get("R3", 0) >= kept * 1024 * 0.9,
        {"deleted": run.number("deleted"), "kept": kept, "bytes by R3": rules.get("R3", 0)},
    )


SCENARIO = Scenario(
    name="stale_values",
    section="",
    shows="a growth left in its middle keeps values that were deleted since, where a loop had been under way",
    judge=judge,
    classic=("R1", "R3"),
)
