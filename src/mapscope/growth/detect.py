"""When to move: thresholds that are entered strictly, left at another level, and seen more than once.

Any of the three measures is enough. A node that keeps swinging around a threshold neither enters (it takes
``observations`` rounds one after the other) nor, once in, leaves and enters again (the leave level is another). After a
move its two nodes and the shard rest for ``cool_down`` seconds: what is measured then is still the old state in part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from mapscope.growth.fleet import Fleet
from mapscope.growth.measures import Columns, columns
from mapscope.growth.settings import CLOSE, DEFAULT, Settings


class Cause(StrEnum):
    """Which measure is beyond its threshold."""

    LOAD = "load_ratio"
    FREE = "free_capacity"
    NODE_SKEW = "node_skew"
    SHARD_SKEW = "skew_ratio"


@dataclass(frozen=True, slots=True)
class Trigger:
    """One reason to plan: ``subject`` is a node's name or ``shard N``; ``value`` is strictly beyond ``threshold``."""

    cause: Cause
    subject: str
    value: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Watch:
    """What detection remembers between rounds; begin with ``Watch()``.

    ``seen`` counts the rounds one after the other in which a measure was beyond its enter level, ``inside`` are the
    measures that have entered and not left, ``resting`` says until when (seconds on the caller's clock) a node rests.
    """

    seen: Mapping[tuple[Cause, str], int] = field(default_factory=dict)
    inside: frozenset[tuple[Cause, str]] = frozenset()
    resting: Mapping[str, float] = field(default_factory=dict)

    def after_move(self, nodes: Iterable[str], now: float, settings: Settings = DEFAULT) -> Watch:
        """The same after a move that ended at ``now``: its nodes rest."""
        until = {**self.resting, **dict.fromkeys(nodes, now + settings.cool_down)}
        return Watch(self.seen, self.inside, {name: at for name, at in until.items() if at > now})


@dataclass(frozen=True, slots=True)
class Readings:
    """What one round measured: the columns of a fleet, its nodes' names, its shards' ids, and which nodes rest."""

    measured: Columns
    names: Sequence[str]
    shards: Sequence[int]
    resting: frozenset[str] = frozenset()

    @classmethod
    def of(cls, fleet: Fleet, settings: Settings = DEFAULT) -> Readings | None:
        """Those of ``fleet``; None where it has no nodes."""
        if not fleet.nodes:
            return None
        names, ids = [node.name for node in fleet.nodes], [shard.id for shard in fleet.shards]
        resting = frozenset(node.name for node in fleet.nodes if node.rests)
        return cls(columns(fleet, settings), names, ids, resting)


def exceeded(fleet: Fleet, settings: Settings = DEFAULT) -> tuple[Trigger, ...]:
    """Every measure that is beyond its enter level in this one round, strictly: a value at the level is not."""
    readings = Readings.of(fleet, settings)
    found = _beyond_some(readings, settings, frozenset()) if readings else []
    resting = readings.resting if readings else frozenset()
    return tuple(one for one in found if _beyond(one, one.threshold) and one.subject not in resting)


def observe(
    watch: Watch, readings: Readings | None, now: float, settings: Settings = DEFAULT
) -> tuple[Watch, tuple[Trigger, ...]]:
    """One round: the new memory, and the triggers that stand (entered, not left, and the node does not rest)."""
    seen: dict[tuple[Cause, str], int] = {}
    inside: set[tuple[Cause, str]] = set()
    standing: list[Trigger] = []
    for reading in _beyond_some(readings, settings, watch.inside) if readings else []:
        key = (reading.cause, reading.subject)
        if _beyond(reading, reading.threshold):
            seen[key] = watch.seen.get(key, 0) + 1
        entered = seen.get(key, 0) >= settings.observations
        stays = key in watch.inside and _beyond(reading, _leave(reading.cause, settings))
        if entered or stays:
            inside.add(key)
            rests = readings is not None and reading.subject in readings.resting
            if watch.resting.get(reading.subject, now) <= now and not rests:
                standing.append(reading)
    resting = {name: at for name, at in watch.resting.items() if at > now}
    return Watch(seen, frozenset(inside), resting), tuple(standing)


def _beyond_some(readings: Readings, settings: Settings, inside: frozenset[tuple[Cause, str]]) -> list[Trigger]:
    """The measures that are beyond the enter level, or inside and so to be compared with the leave level."""
    measured, names = readings.measured, readings.names
    mean = measured.mean_load
    skew = measured.load / mean if mean > 0 else np.ones_like(measured.load)
    counts = measured.load > settings.skew_floor
    found: list[Trigger] = []
    for cause, values, enter, wanted in (
        (Cause.LOAD, measured.load, settings.load_enter, measured.load > settings.load_leave),
        (Cause.FREE, measured.free, settings.free_enter, measured.free < settings.free_leave),
        (Cause.NODE_SKEW, skew, settings.skew_enter, counts & (skew > settings.skew_leave)),
    ):
        for node in np.flatnonzero(wanted).tolist():
            reading = Trigger(cause, names[node], float(values[node]), enter)
            if _beyond(reading, enter) or (cause, names[node]) in inside:
                found.append(reading)
    heaviest = int(measured.weight.argmax()) if len(measured.weight) else -1
    if heaviest >= 0 and counts[measured.holder[heaviest]]:
        subject = f"shard {readings.shards[heaviest]}"
        found.append(Trigger(Cause.SHARD_SKEW, subject, measured.shard_skew, settings.skew_enter))
    return found


def _beyond(reading: Trigger, level: float) -> bool:
    """Strictly, where what is closer than ``CLOSE`` counts as equal."""
    return reading.value < level - CLOSE if reading.cause is Cause.FREE else reading.value > level + CLOSE


def _leave(cause: Cause, settings: Settings) -> float:
    match cause:
        case Cause.LOAD:
            return settings.load_leave
        case Cause.FREE:
            return settings.free_leave
        case _:
            return settings.skew_leave
