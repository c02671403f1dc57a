"""The article's two signs in a heap profile: neither tells a healthy map from one with trouble."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario

_NEAR = 1.05
"""So near to 1 is "near 1.0"."""
_FAR = 1.5


def judge(run: Run) -> Iterator[Check]:
    """The ratio is 1 where all is well and 2 where it is not; the depth is the same in both."""
    trouble = "stalled" if run.classic else "emptied"
    numbers = run.pick(*(f"{name}_{which}_objects" for name in ("presized", trouble) for which in ("alloc", "inuse")))
    healthy = _ratio(run, "presized") <= _NEAR
    far = _ratio(run, trouble) >= _FAR
    yield Check(
        f"allocated to in use is 1 for a healthy presized map, and not for one that is {trouble}",
        healthy and far,
        numbers,
        {15: "false" if healthy and far else "partly" if healthy else "true"},
    )
    depths = run.pick(*(f"{name}_frames_below_mapassign" for name in ("finished", "stalled", "emptied")))
    same = len(set(depths.values())) == 1 and run.number("finished_frames_below_mapassign") > 0
    yield Check(
        "as many frames lie below mapassign_fast64 in a healthy map as in one with trouble",
        same,
        depths,
        {16: "false" if same else "true"},
    )


def _ratio(run: Run, name: str) -> float:
    """Objects allocated by objects in use at the place that made a map."""
    return run.number(f"{name}_alloc_objects") / max(run.number(f"{name}_inuse_objects"), 1)


SCENARIO = Scenario(
    name="profile_signs",
    section="1B",
    shows="neither alloc/inuse near 1 nor the depth below mapassign_fast64 tells trouble from health",
    judge=judge,
    classic=("R1", "R9"),
    swiss=("R9",),
    may=("R12",),
)
