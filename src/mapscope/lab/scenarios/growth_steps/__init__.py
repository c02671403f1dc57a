"""One growth, write by write: the state machine of section 2.1."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """When a growth begins, how it goes on, and what is there at its end."""
    empty = run.number("array_of_empty")
    yield Check(
        "an empty map has no array", empty == 0, {"array_of_empty": empty}, {28: "false" if not empty else "true"}
    )
    steps = run.pick("inserts", "inserts_that_allocate", "largest_step")
    stepwise = 3 <= run.number("inserts_that_allocate") < run.number("inserts") // 20
    yield Check("memory is allocated in few steps", stepwise, steps, {76: "true" if stepwise else "false"})
    yield from _classic(run) if run.classic else _swiss(run)


def _classic(run: Run) -> Iterator[Check]:
    buckets = 1 << run.number("B_before")
    at = run.number("starts_at")
    factor = 6.0 if run.toolchain.release == (1, 21) else 6.5
    yield Check(
        f"it begins at {factor} entries a bucket",
        at == int(factor * buckets) + 1,
        {**run.pick("B_before", "starts_at"), "load": f"{(at - 1) / buckets:.3f}"},
        {4: "true" if at == int(6.5 * buckets) + 1 else "false"},
    )
    moved = run.number("old_is_previous_array") == 1
    replaced = run.number("array_replaced_at_start") == 1 and run.number("array_replaced_at_end") == 0
    yield Check(
        "at its start the old array is the previous one, and buckets is new",
        moved and replaced,
        run.pick("old_is_previous_array", "array_replaced_at_start", "array_replaced_at_end"),
        {
            22: "true" if moved else "false",
            23: "false" if replaced else "true",
            24: "false" if moved else "true",
        },
    )
    writes, most = run.number("writes_to_finish"), run.number("most_a_write")
    gradual = writes > 2 and 1 <= most <= 2
    yield Check(
        "each write moves one or two buckets",
        gradual,
        run.pick("writes_to_finish", "most_a_write", "noldbuckets"),
        {6: "true" if gradual else "false"},
    )
    ahead, behind = run.number("times_ahead_of_nevacuate"), run.number("times_behind_nevacuate")
    yield Check(
        "all buckets below nevacuate are moved, and others too",
        ahead > 0 and behind == 0,
        run.pick("times_ahead_of_nevacuate", "times_behind_nevacuate"),
        {27: "partly" if ahead and not behind else "false" if behind else "true"},
    )
    marks = run.number("marks_in_old")
    yield Check("evacuation writes marks into the old array", marks > 0, {"marks_in_old": marks},
                {30: "partly" if marks else "true"})  # fmt: skip
    last, after = run.number("nevacuate_at_end"), 1 << run.number("B_after")
    halves = last == run.number("noldbuckets") == after // 2
    yield Check(
        "it ends when all 2^(B-1) old buckets are moved",
        halves,
        {"nevacuate_at_end": last, "2^B": after, "noldbuckets": run.number("noldbuckets")},
        {25: "partly" if halves else "true", 26: "false" if last != after else "true"},
    )
    freed = run.number("freed_at_end")
    found = run.found("subject")
    size = found.array_bytes // 2 if found is not None else 0
    yield Check(
        "the collector then frees the old array",
        freed > buckets * 144,
        {"freed_at_end": freed, "half_of_the_new_array": size},
        {29: "true" if freed > buckets * 144 else "false"},
    )
    count, inside = run.number("count"), run.number("entries_in_buckets")
    capacity = found.capacity if found is not None else 0
    whole = count == inside and capacity == 8 * after
    yield Check("all entries are in 2^B buckets", whole, {"count": count, "in_buckets": inside, "slots": capacity},
                {21: "true" if whole else "false"})  # fmt: skip


def _swiss(run: Run) -> Iterator[Check]:
    numbers = run.pick("first_table_at", "slots_before", "first_growth_at", "first_split_at", "tables")
    slots = run.number("slots_before")
    as_expected = run.number("first_table_at") == 9 and run.number("first_growth_at") == slots * 7 // 8 + 1
    yield Check(
        "a first group holds 8, a table 7/8 of its slots",
        as_expected,
        numbers,
        {4: "false" if as_expected else "true"},
    )
    split = run.number("first_split_at") == 1024 * 7 // 8 + 1 and run.number("tables") == 2
    yield Check("a table of 1024 slots is split at once", split, numbers, {6: "false" if split else "true"})


SCENARIO = Scenario(
    name="growth_steps",
    section="2.1",
    shows="when a growth begins, what each write moves, and what is there at the end",
    judge=judge,
)
