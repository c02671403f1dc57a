"""A closure that captured a map: section 3.3, with the compiler's own words."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """The map escapes and lives as long as the closure; its old array does not."""
    lines = [line.strip() for line in run.compiler.splitlines() if "leaking param: m" in line]
    yield Check("the compiler says that the parameter leaks", bool(lines), {"-m": lines[0] if lines else "nothing"},
                {68: "true" if lines else "false"})  # fmt: skip
    found = run.found("subject")
    size = found.total_bytes if found is not None else 0
    freed = run.number("freed_when_the_closure_ends")
    alive = found is not None and abs(freed - size) < 0.05 * size + 1024
    yield Check(
        "the closure alone keeps the map",
        alive,
        {"map_bytes": size, "freed_when_the_closure_ends": freed},
        {71: "true" if alive else "false"},
    )
    if found is not None:
        kinds, words = run.chain(int(found.address))
        yield Check("mapscope's chain to it starts at the goroutine", kinds[:1] == ["goroutine"], {"chain": words})
    if run.classic:
        gone = run.number("old_after_growth") == 0 and run.number("grew") == 1
        yield Check(
            "its growth has ended and the old array is gone",
            gone,
            run.pick("grew", "writes_to_finish", "old_after_growth"),
            {70: "false" if gone else "true"},
        )


SCENARIO = Scenario(
    name="closure",
    section="3.3",
    shows="a closure keeps the map that it captured, and not its old array",
    judge=judge,
    compiler=True,
)
