"""A blocked range over a map in a structure: section 4.2, its chain traced backwards."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """The growth ends all the same; the iterator keeps the array (classic) or table (Swiss) where it stands."""
    yield from _kept(run)
    if not run.classic:
        return
    ended = run.number("growth_goes_on_while_blocked") == 0 and run.number("grew_times") >= 8
    yield Check(
        "growths end while the loop is blocked",
        ended,
        run.pick("grew_times", "growth_goes_on_while_blocked", "writes_to_finish_while_blocked"),
        {81: "false" if ended else "true"},
    )
    inside, outside = run.number("midway_standing_in_the_old_array"), run.number("midway_standing_elsewhere")
    both = inside > 0 and outside > 0
    yield Check(
        "of iterators that started during a growth some keep the old array",
        both,
        run.pick("midway_standing_in_the_old_array", "midway_standing_elsewhere"),
        {80: "partly" if both else "true" if inside else "false"},
    )


def _kept(run: Run) -> Iterator[Check]:
    subject = run.found("subject")
    if run.snapshot is None or subject is None:
        yield Check("mapscope finds the map", False, {"found": 0})
        return
    address = int(subject.address)
    iterators = [one for one in run.snapshot.iterators if int(one.map) == address and one.detached]
    freed = run.number("freed_when_the_loop_ends")
    pinned = iterators[0].pinned_bytes if iterators else 0
    keeps = len(iterators) == 1 and freed > 10_000 and abs(pinned - freed) < 0.05 * freed + 1024
    yield Check(
        "mapscope finds the array that only the iterator keeps",
        keeps,
        {"iterators": len(iterators), "pinned_bytes": pinned, "freed_when_the_loop_ends": freed},
        {79: "true" if keeps else "false"},
    )
    if not iterators:
        return
    kinds, back = run.chain(int(iterators[0].detached))
    owners, owner = run.chain(address)
    yield Check(
        "the chain to that array leads over the goroutine's iterator, that to the map from the variable",
        kinds[:2] == ["goroutine", "iterator"] and owners[:1] == ["global"] and owner.startswith("main.global"),
        {"to the array": back, "to the map": owner},
    )


SCENARIO = Scenario(
    name="struct_field",
    section="4.2",
    shows="a blocked range does not hold up growths; it keeps the array that it started on",
    judge=judge,
    classic=("R4",),
    swiss=("R5",),
)
