"""iter.Pull without stop: Go 1.23 on."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """The map and a goroutine stay; with stop neither does."""
    found = run.found("subject")
    size = found.total_bytes if found is not None else 0
    held = run.number("held_without_stop")
    yield Check(
        "without stop the map and one goroutine stay",
        size > 0 and held > 0.95 * size and run.number("goroutines_without_stop") == 1,
        {"map_bytes": size, **run.pick("held_without_stop", "goroutines_without_stop")},
    )
    yield Check(
        "with stop nothing stays",
        run.number("held_with_stop") < size // 20 and run.number("goroutines_with_stop") == 0,
        run.pick("held_with_stop", "goroutines_with_stop"),
    )


SCENARIO = Scenario(
    name="pull",
    section="",
    shows="iter.Pull over a map without stop keeps the map and a goroutine",
    judge=judge,
    classic=("R8",),
    swiss=("R8",),
    since=(1, 23),
)
