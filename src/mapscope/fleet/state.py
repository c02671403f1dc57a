"""What the watch knows now: of each target, and of itself. Only the event loop changes it; /metrics reads it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace

from mapscope.fleet.judging import Judged, plain
from mapscope.fleet.store.records import LOOPS, PAIRS, RISING, Record, Sighting, Value
from mapscope.fleet.targets import Target
from mapscope.fleet.window import Window, point_of, sightings
from mapscope.profiles.standing import Standing, suspicions


@dataclass(slots=True)
class TargetState:
    """One target. ``up``: None until it was asked once. ``tried_at``, ``seen_at``: by the clock, seconds since 1970."""

    window: Window
    up: bool | None = None
    failures: int = 0
    tried_at: float = 0.0
    seen_at: float = 0.0
    values: dict[str, Value] = field(default_factory=dict)
    suspects: Counter[str] = field(default_factory=Counter)
    standing: tuple[Standing, ...] = ()
    told: bool = False
    reason: str = ""
    note: str = ""
    restored: bool = False


@dataclass(slots=True)
class State:
    """Everything. ``scrapes``: requests by profile and outcome. Times as in TargetState."""

    targets: dict[Target, TargetState] = field(default_factory=dict)
    scrapes: Counter[tuple[str, str]] = field(default_factory=Counter)
    discovery_failures: Counter[str] = field(default_factory=Counter)
    targets_over_limit: int = 0
    reload_ok: bool = True
    reloaded_at: float = field(default_factory=time.time)
    ready: bool = False
    beat: float = field(default_factory=time.monotonic)
    """When the event loop turned last, by the clock that never jumps."""


def completed(state: TargetState, judged: Judged, now: float) -> Record:
    """The record with what earlier profiles add to it, and the state brought up to it; ``now`` never jumps."""
    return _heap(state, judged, now) if judged.record.kind == "heap" else _goroutines(state, judged)


def _heap(state: TargetState, judged: Judged, now: float) -> Record:
    record = judged.record
    values = {one.name: one for one in record.values}
    findings: tuple[Sighting, ...] = record.findings
    told: tuple[str, ...] = (PAIRS,) if PAIRS in values else ()
    state.told = judged.told
    if judged.told:
        state.window.add(point_of(now, record.places, int(values["P1"].value), judged.complete))
        if (growth := state.window.growth()) is not None:
            values["P2"] = growth
            rises = state.window.rises()
            values[RISING] = Value(RISING, float(len(rises)))
            findings, told = (*findings, *sightings(rises, record.places)), (*told, RISING)
    kept = {name: one for name, one in state.values.items() if name in ("goroutines", LOOPS)}
    state.values = {**values, **kept}
    state.suspects = Counter({LOOPS: state.suspects[LOOPS]}) + Counter(one.indicator for one in findings)
    distinct = tuple({one.key: one for one in findings}.values())
    return replace(record, values=tuple(values.values()), findings=distinct, judged=told)


def _goroutines(state: TargetState, judged: Judged) -> Record:
    record = judged.record
    state.standing = judged.standing
    for one in record.values:
        state.values[one.name] = one
    if not judged.told:
        state.values.pop(LOOPS, None)
    joined = suspicions(judged.standing, state.window.rises() if state.window.points else [])
    sites = {(one.standing.site, one.standing.type): one.standing for one in reversed(joined)}
    findings = tuple(
        plain(Sighting(LOOPS, site.function, site.file, site.line, type_, one.how, None, one.goroutines))
        for (site, type_), one in sites.items()
    )
    state.suspects = Counter({name: n for name, n in state.suspects.items() if name != LOOPS})
    state.suspects[LOOPS] = len(findings)
    return replace(record, findings=findings, judged=(LOOPS,) if judged.told else ())
