"""What the collector scans and when it frees, and that no goroutine of its own grows a map."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """Neither noldbuckets nor specials bound a scan; sleeping frees nothing; a map grows in who writes to it."""
    if run.classic:
        yield _bound(run)
    chain = run.pick("chain_held", "chain_bytes", "chain_length")
    scanned = run.number("chain_held") >= run.number("chain_bytes")
    yield Check("objects in spans without specials keep what they point to", scanned, chain,
                {45: "false" if scanned else "true"})  # fmt: skip
    freed, slept, garbage = (
        run.number(name) for name in ("freed_by_the_collection", "freed_while_it_slept", "garbage")
    )
    at_once = freed > 0.99 * garbage and slept < garbage // 100
    numbers = run.pick("garbage", "freed_by_the_collection", "freed_while_it_slept")
    yield Check("runtime.GC has freed when it returns, and sleeping frees nothing", at_once, numbers,
                {53: "false" if at_once else "true"})  # fmt: skip
    yield _growth(run)


def _bound(run: Run) -> Check:
    lowered, freed = run.number("noldbuckets_lowered"), run.number("freed_with_noldbuckets_lowered")
    tried = lowered * 100 < run.number("not_evacuated")
    whole = tried and freed < 1024 * 16 and run.number("values_left") == run.number("values")
    names = (
        *("noldbuckets", "noldbuckets_lowered", "not_evacuated"),
        *("freed_with_noldbuckets_lowered", "values_left", "values"),
    )
    return Check(
        "a header that says noldbuckets 1 keeps what all old buckets point to",
        whole,
        run.pick(*names),
        {36: "false" if whole else "true"},
    )


def _growth(run: Run) -> Check:
    """The writer grows the map; the old array is an object of the heap, which mapscope finds there."""
    before, after = (run.number(f"goroutines_but_the_writer_{when}") for when in ("before", "after_growth"))
    numbers = run.pick("goroutines_but_the_writer_before", "goroutines_but_the_writer_after_growth")
    none = before == after
    if run.classic:
        found = run.found("subject")
        array = found.old_array_bytes if found is not None else 0
        none = none and array > 0 and run.number("old_array_outlives_its_goroutine") == 1
        numbers |= {**run.pick("old_array_outlives_its_goroutine"), "old array in the heap, bytes": array}
    return Check("no goroutine grows a map but its writer, and nothing of it lies on a stack", none, numbers,
                 {69: "false" if none else "true"})  # fmt: skip


SCENARIO = Scenario(
    name="collecting",
    section="2.3",
    shows="the collector scans whole objects, whatever a header or a span says, and has freed when it returns",
    judge=judge,
    classic=("R1",),
)
