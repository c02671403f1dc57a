"""A range and a write at the same time: section 3.2."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario

_FATAL = "fatal error: concurrent map "


def judge(run: Run) -> Iterator[Check]:
    """It dies of the runtime's own check, not of a bad address."""
    line = next((one for one in run.output.splitlines() if one.startswith("fatal error:")), "no fatal error")
    fatal = line.startswith(_FATAL) and run.status == 2
    panics = "invalid memory address" in run.output
    yield Check(
        "the program dies of the runtime's check, with status 2",
        fatal and not panics,
        {"said": line, "status": run.status or 0, "invalid memory address": str(panics).lower()},
        {1: "false" if fatal else "true", 67: "true" if panics else "false" if fatal else "true"},
    )


SCENARIO = Scenario(
    name="concurrent",
    section="3.2",
    shows="a range and a write at the same time end the program",
    judge=judge,
    dies=_FATAL,
)
