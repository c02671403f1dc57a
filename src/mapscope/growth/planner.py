"""What to move where: a list of moves, each of which makes the fleet more even.

Nodes that a trigger names give shards away until they are at the leave level. What goes is a cover of what is too
much, by as few bytes as a greedy cover finds (``shedding``); where it goes is the node that is under the least
pressure afterwards, among those that stay within the limits *without* counting anything that the plan takes from
them: no node both gives and receives in one plan. So the limits hold at every moment, in whichever order and however
many at once the moves are carried out, and where some of them are abandoned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mapscope.growth.detect import Cause, Trigger
from mapscope.growth.fleet import Fleet, PlannedMove
from mapscope.growth.measures import Columns, Floats, Integers, columns
from mapscope.growth.settings import CLOSE, DEFAULT, Settings
from mapscope.growth.shedding import least_bytes, selected

Bools = npt.NDArray[np.bool_]
_STEP = 1e-13
"""A move must lower the imbalance by more than this, so that rounding never makes a step of nothing."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What moves alone cannot mend: ``subject`` is a node or ``shard N``, ``text`` says what would."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node before and after all moves of a plan; ratios are fractions of 1."""

    name: str
    load_before: float
    load_after: float
    free_before: float
    free_after: float
    shards_before: int
    shards_after: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Moves in the order in which they are begun, why, and what they bring.

    ``bytes_moved`` is what the moves copy; no plan that relieves the same nodes as far copies less than
    ``lower_bound_bytes``. ``skew_before`` and ``skew_after`` are the fleet's imbalance.
    """

    triggers: tuple[Trigger, ...]
    moves: tuple[PlannedMove, ...]
    advice: tuple[Advice, ...]
    nodes: tuple[NodeChange, ...]
    bytes_moved: int
    lower_bound_bytes: int
    skew_before: float
    skew_after: float


@dataclass(frozen=True, slots=True)
class _Limits:
    """The most that a target may have after a move."""

    load: float
    fill: float


@dataclass(frozen=True, slots=True)
class _Goal:
    """What a node that gives must come down to; infinite where nothing triggered it."""

    node: int
    load: float
    fill: float
    why: str


class _Work:
    """The fleet while it is planned: columns that change with each move."""

    def __init__(self, fleet: Fleet, settings: Settings) -> None:
        self.fleet = fleet
        self.now: Columns = columns(fleet, settings)
        self.load: Floats = self.now.load.copy()
        self.fill: Floats = self.now.fill.copy()
        self.movable = np.fromiter((shard.movable for shard in fleet.shards), np.bool_, len(fleet.shards))
        self.moves: list[PlannedMove] = []

    def fits(self, shard: int, targets: Integers, limits: _Limits) -> Integers:
        """Those of ``targets`` that may take ``shard`` and make the fleet more even by it."""
        now, source = self.now, int(self.now.holder[shard])
        work, size = float(now.work[shard]), float(now.size[shard])
        power, capacity = now.power[targets], now.capacity[targets]
        room = self.load[targets] + work / power <= limits.load + CLOSE
        room &= self.fill[targets] + size / capacity <= limits.fill + CLOSE
        change = _change(work, now.power[source], power, self.load[source], self.load[targets]) / now.power.sum()
        change += _change(size, now.capacity[source], capacity, self.fill[source], self.fill[targets]) / (
            now.capacity.sum()
        )
        found: Integers = targets[room & (change < -_STEP)]
        return found

    def move(self, shard: int, target: int, why: str) -> None:
        """Plans one move."""
        now, source = self.now, int(self.now.holder[shard])
        before = self.imbalance()
        self.load[source] -= now.work[shard] / now.power[source]
        self.load[target] += now.work[shard] / now.power[target]
        self.fill[source] -= now.size[shard] / now.capacity[source]
        self.fill[target] += now.size[shard] / now.capacity[target]
        self.movable[shard] = False
        record = self.fleet.shards[shard]
        self.moves.append(
            PlannedMove(
                record.id,
                record.node,
                self.fleet.nodes[target].name,
                record.size_bytes,
                float(now.work[shard] / now.power[target]),
                before,
                self.imbalance(),
                why,
            )
        )

    def imbalance(self) -> float:
        """Of the fleet as planned so far."""
        return replace(self.now, load=self.load, fill=self.fill).imbalance


def _change(amount: float, size_from: float, size_to: Floats, level_from: float, level_to: Floats) -> Floats:
    """How the size-weighted sum of squared levels changes when ``amount`` goes from one node to each of others."""
    gone = amount * (amount / size_from - 2 * level_from)
    return np.asarray(gone + amount * (amount / size_to + 2 * level_to), dtype=np.float64)


def plan(fleet: Fleet, triggers: Sequence[Trigger], settings: Settings = DEFAULT) -> Plan:
    """The moves that answer ``triggers``; the same for the same input. Without triggers there are none."""
    if not fleet.nodes:
        return Plan(tuple(triggers), (), (), (), 0, 0, 0.0, 0.0)
    work = _Work(fleet, settings)
    goals = _goals(work, triggers, settings)
    givers = {goal.node for goal in goals}
    targets = np.array(
        [index for index, node in enumerate(fleet.nodes) if node.accepts and index not in givers], dtype=np.int64
    )
    mean = work.now.mean_load
    careful = _Limits(min(settings.load_leave, max(settings.skew_leave * mean, settings.skew_floor)),
                      1 - settings.free_leave)  # fmt: skip
    hard = _Limits(min(settings.load_enter, max(settings.skew_enter * mean, settings.skew_floor)),
                   1 - settings.free_enter)  # fmt: skip
    possible = _possible(work, givers, targets, hard)
    advice: list[Advice] = []
    most = settings.max_moves or len(fleet.shards)
    for goal in goals:
        _relieve(work, goal, targets, careful, most)
        left = _Goal(goal.node, max(goal.load, hard.load), max(goal.fill, hard.fill), goal.why)
        if _needs(work, left):
            _relieve(work, left, targets, hard, most)
        if _needs(work, goal):
            advice.append(_what_else(work, goal, targets, hard, most))
    advice += _to_split(triggers)
    return _result(work, goals, triggers, advice, possible)


def _possible(work: _Work, givers: set[int], targets: Integers, limits: _Limits) -> Bools:
    """Which shards of the nodes that give fit anywhere at the start."""
    found = np.zeros(len(work.movable), dtype=np.bool_)
    for shard in np.flatnonzero(np.isin(work.now.holder, list(givers)) & work.movable):
        found[shard] = len(work.fits(int(shard), targets, limits)) > 0
    return found


def _goals(work: _Work, triggers: Sequence[Trigger], settings: Settings) -> list[_Goal]:
    """What each triggered node must come down to, the most pressed first."""
    place = {node.name: index for index, node in enumerate(work.fleet.nodes)}
    mean = work.now.mean_load
    found: dict[int, _Goal] = {}
    for trigger in triggers:
        at = place.get(trigger.subject)
        if at is None:
            continue
        old = found.get(at, _Goal(at, np.inf, np.inf, ""))
        load, fill = old.load, old.fill
        match trigger.cause:
            case Cause.LOAD:
                load = min(load, settings.load_leave)
            case Cause.NODE_SKEW:
                load = min(load, max(settings.skew_leave * mean, settings.skew_floor))
            case _:
                fill = min(fill, 1 - settings.free_leave)
        why = f"{trigger.cause} of {trigger.subject} is {trigger.value:.3g}"
        found[at] = _Goal(at, load, fill, f"{old.why}, {why}" if old.why else why)
    return sorted(found.values(), key=lambda goal: (-_pressure(work, goal), goal.node))


def _pressure(work: _Work, goal: _Goal) -> float:
    return max(float(work.load[goal.node]) / goal.load, float(work.fill[goal.node]) / goal.fill)


def _needs(work: _Work, goal: _Goal) -> bool:
    return bool(work.load[goal.node] > goal.load + CLOSE or work.fill[goal.node] > goal.fill + CLOSE)


def _excess(work: _Work, goal: _Goal) -> tuple[float, float]:
    """Work and bytes that the node must give away."""
    now, at = work.now, goal.node
    return (
        max(float((work.load[at] - goal.load) * now.power[at]), 0.0),
        max(float((work.fill[at] - goal.fill) * now.capacity[at]), 0.0),
    )


def _relieve(work: _Work, goal: _Goal, targets: Integers, limits: _Limits, most: int) -> None:
    """Moves shards away from one node until the goal is met or nothing more fits."""
    held = np.flatnonzero((work.now.holder == goal.node) & work.movable)
    while _needs(work, goal) and len(work.moves) < most:
        held = np.array([shard for shard in held if len(work.fits(int(shard), targets, limits))], dtype=np.int64)
        chosen = selected(work.now.work[held], work.now.size[held], *_excess(work, goal))
        placed = False
        for shard in held[chosen]:
            open_to = work.fits(int(shard), targets, limits)
            if len(open_to) and len(work.moves) < most and _needs(work, goal):
                work.move(int(shard), _least_pressed(work, int(shard), open_to, limits), goal.why)
                placed = True
        if not placed:
            return
        held = held[work.movable[held]]


def _least_pressed(work: _Work, shard: int, targets: Integers, limits: _Limits) -> int:
    """The target that is furthest from its limits afterwards; the first of those that are alike."""
    now = work.now
    load = (work.load[targets] + now.work[shard] / now.power[targets]) / limits.load
    fill = (work.fill[targets] + now.size[shard] / now.capacity[targets]) / limits.fill
    return int(targets[int(np.argmin(np.maximum(load, fill)))])


def _what_else(work: _Work, goal: _Goal, targets: Integers, limits: _Limits, most: int) -> Advice:
    """Why a node stays beyond its goal, and what would help."""
    name, now = work.fleet.nodes[goal.node].name, work.now
    if len(work.moves) >= most:
        return Advice(name, f"{name} needs more moves than max_moves: plan again when these are done")
    held = np.flatnonzero(now.holder == goal.node)
    free = held[work.movable[held]]
    excess, too_full = _excess(work, goal)
    if not len(held) or (excess > 0 and not now.work[held].any() and not too_full):
        return Advice(name, f"{name} holds no shard that its load comes from: look for what else runs there")
    staying = [shard for shard in free if not len(work.fits(int(shard), targets, limits))]
    alone = [shard for shard in staying if _too_large(work, int(shard), limits)]
    if alone:
        heaviest = max(alone, key=lambda shard: (float(now.work[shard]), float(now.size[shard])))
        number = work.fleet.shards[int(heaviest)].id
        return Advice(name, f"shard {number} of {name} is too heavy for any node, even an empty one: split it, or "
                      "bring a larger node")  # fmt: skip
    if not len(free):
        return Advice(name, f"every shard of {name} is being moved or rests after a move: plan again later")
    if not len(targets):
        return Advice(name, f"no node can take shards of {name}: add a node")
    return Advice(name, f"no node has room for more shards of {name}, or none would make the fleet more even: add a "
                  "node, or split its shards")  # fmt: skip


def _too_large(work: _Work, shard: int, limits: _Limits) -> bool:
    now = work.now
    over = (now.work[shard] / now.power > limits.load) | (now.size[shard] / now.capacity > limits.fill)
    return bool(over.all())


def _to_split(triggers: Sequence[Trigger]) -> list[Advice]:
    return [
        Advice(
            trigger.subject,
            f"{trigger.subject} weighs {trigger.value:.3g} times the mean: no move changes that, splitting it does",
        )
        for trigger in triggers
        if trigger.cause is Cause.SHARD_SKEW
    ]


def _result(
    work: _Work, goals: Sequence[_Goal], triggers: Sequence[Trigger], advice: list[Advice], possible: Bools
) -> Plan:
    fleet, now = work.fleet, work.now
    count = np.bincount(now.holder, minlength=len(fleet.nodes))
    place = {node.name: index for index, node in enumerate(fleet.nodes)}
    after = count.copy()
    for move in work.moves:
        after[place[move.source]] -= 1
        after[place[move.target]] += 1
    nodes = tuple(
        NodeChange(node.name, float(now.load[i]), float(work.load[i]), float(1 - now.fill[i]), float(1 - work.fill[i]),
                   int(count[i]), int(after[i]))
        for i, node in enumerate(fleet.nodes)
    )  # fmt: skip
    return Plan(
        tuple(triggers), tuple(work.moves), tuple(advice), nodes, sum(move.size_bytes for move in work.moves),
        _lower_bound(work, goals, possible), now.imbalance, work.imbalance(),
    )  # fmt: skip


def _lower_bound(work: _Work, goals: Sequence[_Goal], possible: Bools) -> int:
    """The least bytes that take as much from the same nodes, were shards divisible and room not used up.

    Targets only fill up and givers only empty while a plan is made, so a shard that fitted nowhere at its start
    (not ``possible``) is in no plan.
    """
    now, total = work.now, 0
    for goal in goals:
        at = goal.node
        level = (max(goal.load, float(work.load[at])), max(goal.fill, float(work.fill[at])))
        held = (now.holder == at) & possible
        need = (
            max(float((now.load[at] - level[0] - CLOSE) * now.power[at]), 0.0),
            max(float((now.fill[at] - level[1] - CLOSE) * now.capacity[at]), 0.0),
        )
        total += least_bytes(now.work[held], now.size[held], *need)
    return total
