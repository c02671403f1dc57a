"""An iterator that is blocked across a growth keeps all that the entries pointed to: the worst real case."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario

_TABLE = 896
"""Entries that one Swiss table holds at most."""
_TABLES_DIFFER = 0.4
"""What is measured is a twin of the map, whose keys are hashed otherwise: its tables hold other numbers of entries."""


def judge(run: Run) -> Iterator[Check]:
    """All of them (classic), or those of one table (Swiss)."""
    freed = run.number("freed_when_the_loop_ends")
    kept = freed // run.number("payload_bytes")
    most = run.number("entries")
    expected = most <= kept <= most * 1.2 if run.classic else 100 <= kept <= _TABLE + 64
    yield Check(
        "it keeps every value that was deleted" if run.classic else "it keeps the values of one table",
        expected,
        {"entries": most, "payloads kept": kept, "freed_when_the_loop_ends": freed},
    )
    found = run.rules().get("R4" if run.classic else "R5", 0)
    yield Check(
        "mapscope counts what the end of the loop frees",
        abs(found - freed) < (0.1 if run.classic else _TABLES_DIFFER) * freed,
        {"by mapscope": found, "freed_when_the_loop_ends": freed},
    )


SCENARIO = Scenario(
    name="pointees",
    section="",
    shows="an iterator blocked across a growth keeps everything that deleted entries pointed to",
    judge=judge,
    classic=("R4", "R9"),
    swiss=("R5", "R9", "R12"),
)
