"""A goroutine stuck in a range: section 1B."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """The iterator keeps the whole map; a loop over a copy of the keys keeps the copy."""
    whole, freed = run.number("map_bytes"), run.number("freed_when_the_loop_ends")
    keeps = 0.95 * whole <= freed
    yield Check(
        "the iterator alone keeps the whole map",
        keeps,
        run.pick("map_bytes", "freed_when_the_loop_ends"),
        {11: "true" if keeps else "false", 12: "true" if keeps else "false"},
    )
    copy, keys = run.number("freed_when_the_loop_over_a_copy_ends"), run.number("keys_bytes")
    light = copy < 1.2 * keys
    yield Check(
        "a loop over a copy of the keys keeps the copy alone",
        light,
        run.pick("freed_when_the_loop_over_a_copy_ends", "keys_bytes", "map_bytes"),
        {19: "true" if light else "false"},
    )
    subject = run.found("subject")
    address = int(subject.address) if subject is not None else 0
    iterators = [one for one in run.snapshot.iterators if int(one.map) == address] if run.snapshot is not None else []
    on_stack = [one for one in iterators if one.goroutine is not None]
    pinned = max((one.pinned_bytes for one in on_stack), default=0)
    yield Check(
        "mapscope finds it on the goroutine's stack, with what it keeps",
        len(on_stack) == len(iterators) == 1 and abs(pinned - freed) < 0.05 * freed,
        {"iterators": len(iterators), "on stacks": len(on_stack), "pinned_bytes": pinned, "freed": freed},
        {13: "true" if on_stack else "false"},
    )


SCENARIO = Scenario(
    name="blocked_goroutine",
    section="1B",
    shows="a goroutine stuck in a range keeps the whole map that its owner has dropped",
    judge=judge,
    classic=("R6",),
    swiss=("R6",),
)
