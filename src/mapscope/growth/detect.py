"""When to move: thresholds that are entered strictly, left at another level, and seen more than once.

Any of the three measures is enough. A node that keeps swinging around a threshold neither enters (it takes
``observations`` rounds one after the other) nor, once in, leaves and enters again (the leave level is another). After a
move its two nodes and the shard rest for ``cool_down`` seconds: what is measured then is still the old state in part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mapscope.growth.fleet import Fleet
from mapscope.growth.measures import columns
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


def exceeded(fleet: Fleet, settings: Settings = DEFAULT) -> tuple[Trigger, ...]:
    """Every measure that is beyond its enter level in this one round, strictly: a value at the level is not."""
    return tuple(trigger for trigger in _readings(fleet, settings) if _beyond(trigger, trigger.threshold))


def observe(watch: Watch, fleet: Fleet, now: float, settings: Settings = DEFAULT) -> tuple[Watch, tuple[Trigger, ...]]:
    """One round: the new memory, and the triggers that stand (entered, not left, and the node does not rest)."""
    seen: dict[tuple[Cause, str], int] = {}
    inside: set[tuple[Cause, str]] = set()
    standing: list[Trigger] = []
    for reading in _readings(fleet, settings):
        key = (reading.cause, reading.subject)
        if _beyond(reading, reading.threshold):
            seen[key] = watch.seen.get(key, 0) + 1
        entered = seen.get(key, 0) >= settings.observations
        stays = key in watch.inside and _beyond(reading, _leave(reading.cause, settings))
        if entered or stays:
            inside.add(key)
            if watch.resting.get(reading.subject, now) <= now:
                standing.append(reading)
    resting = {name: at for name, at in watch.resting.items() if at > now}
    return Watch(seen, frozenset(inside), resting), tuple(standing)


def _readings(fleet: Fleet, settings: Settings) -> list[Trigger]:
    """Every measure of the fleet beside its enter level, whether beyond it or not."""
    if not fleet.nodes:
        return []
    measured = columns(fleet, settings)
    found: list[Trigger] = []
    mean = measured.mean_load
    for index, node in enumerate(fleet.nodes):
        load = float(measured.load[index])
        found.append(Trigger(Cause.LOAD, node.name, load, settings.load_enter))
        found.append(Trigger(Cause.FREE, node.name, float(measured.free[index]), settings.free_enter))
        if load > settings.skew_floor and mean > 0:
            found.append(Trigger(Cause.NODE_SKEW, node.name, load / mean, settings.skew_enter))
    at = int(measured.weight.argmax()) if fleet.shards else -1
    if at >= 0 and float(measured.load[measured.holder[at]]) > settings.skew_floor:
        heaviest = fleet.shards[at]
        found.append(Trigger(Cause.SHARD_SKEW, f"shard {heaviest.id}", measured.shard_skew, settings.skew_enter))
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
