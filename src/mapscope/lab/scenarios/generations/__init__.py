"""Iterators that are left behind keep one generation of the map each."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """Arrays of many sizes (classic), or one small table each (Swiss)."""
    subject = run.found("subject")
    if run.snapshot is None or subject is None:
        yield Check("mapscope finds the map", False, {"found": 0})
        return
    mine = [one for one in run.snapshot.iterators if one.map == subject.address and one.detached]
    freed = run.number("freed_when_the_loops_end")
    kept = sum(one.detached_bytes for one in {int(one.detached): one for one in mine}.values())
    yield Check(
        "each iterator keeps a generation, and together they keep what their ends free",
        len(mine) == run.number("iterators") and kept > 50_000 and 0.8 * freed <= kept <= 1.05 * freed,
        {"iterators": len(mine), "detached_bytes": kept, "freed_when_the_loops_end": freed},
    )
    share = freed / max(subject.array_bytes, 1)
    expected = share > 0.8 if run.classic else share < 0.1
    yield Check(
        "as much as the map itself" if run.classic else "little beside the map itself",
        expected,
        {"array_bytes": subject.array_bytes, "share": f"{share:.1%}"},
    )


SCENARIO = Scenario(
    name="generations",
    section="",
    shows="an iterator left behind before each doubling: all generations of the map stay",
    judge=judge,
    classic=("R4",),
    swiss=("R5",),
)
