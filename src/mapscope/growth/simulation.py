"""Days of a synthetic fleet in seconds: detection, plans and moves that take their time, over thousands of shards.

A round is five minutes. Moves copy at 100 MB/s, and a node takes part in one at a time. A shard keeps its old place
until its move ends, and the target's disk holds the copy from the beginning. Before a move begins its target is
looked at again: what no longer fits is not begun.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from mapscope.growth.detect import Cause, Readings, Trigger, Watch, observe
from mapscope.growth.fleet import Fleet, PlannedMove
from mapscope.growth.measures import Columns, Floats
from mapscope.growth.planner import plan
from mapscope.growth.settings import CLOSE, DEFAULT, Settings
from mapscope.growth.synthetic import Living

ROUND = 300.0
"""Seconds between two measures."""
SPEED = 100e6
"""Bytes a second of one move."""
SET_UP = 5.0
"""Seconds of a move besides its bytes."""


@dataclass(frozen=True, slots=True)
class Round:
    """The fleet in one round: the truth, without noise. Ratios are parts of 1."""

    hours: float
    mean_load: float
    busiest: float
    least_free: float
    imbalance: float
    moving: int


@dataclass(slots=True)
class Outcome:
    """What the simulation gave.

    ``balanced_hours`` is from when on no node was beyond an enter level for an hour at least; None: never. ``flaps``
    are moves back to a node that the shard had left within the cool-down, ``returns`` those back to one that it had
    ever left, ``again`` moves of a shard that had moved before. ``fullest`` and ``hottest`` (parts of 1) are the worst
    of targets when a move to them ended, ``beyond_at_end`` says whether a node is beyond an enter level then.
    """

    rounds: list[Round] = field(default_factory=list)
    moves: int = 0
    bytes_moved: int = 0
    lower_bound_bytes: int = 0
    plans: int = 0
    not_begun: int = 0
    flaps: int = 0
    returns: int = 0
    balanced_hours: float | None = None
    again: int = 0
    beyond_at_start: bool = False
    beyond_at_end: bool = False
    fullest: float = 0.0
    hottest: float = 0.0
    advice: list[str] = field(default_factory=list)


class Simulation:
    """One run; ``run`` gives its outcome. The same arguments give the same outcome."""

    def __init__(
        self, nodes: int, shards: int, seed: int = 0, noise: float = 0.05, settings: Settings = DEFAULT,
        mean_load: float = 0.5,
    ) -> None:  # fmt: skip
        """``noise`` is the standard deviation of each measure of CPU and memory, as a part of it."""
        self._draw = np.random.default_rng(seed)
        self._living = Living.made(nodes, shards, self._draw, mean_load)
        self._noise = noise
        self._settings = settings
        self._copies = np.zeros(nodes)
        self._queue: deque[PlannedMove] = deque()
        self._running: list[tuple[float, int, int, int, float]] = []
        self._busy: set[int] = set()
        self._left: dict[int, list[tuple[float, int]]] = {}
        self._rest: dict[int, float] = {}
        self._place = {name: at for at, name in enumerate(self._living.names)}
        self._watch = Watch()
        self._quiet_until = 0.0
        self.outcome = Outcome()

    def run(self, hours: float) -> Outcome:
        """Lets ``hours`` of the fleet's time pass."""
        living, settings = self._living, self._settings
        for step in range(int(hours * 3600 / ROUND) + 1):
            now = step * ROUND
            self._finish(now)
            noise = np.maximum(1 + self._noise * self._draw.standard_normal((2, len(living.power))), 0.0)
            measured, cpu, memory = living.measured(now, self._copies, settings, noise)
            readings = Readings(measured, living.names, range(len(living.holder)))
            self._watch, triggers = observe(self._watch, readings, now, settings)
            taken = self._taken()
            relievable = tuple(
                one for one in triggers if one.cause is not Cause.SHARD_SKEW and self._place[one.subject] not in taken
            )
            if relievable and now >= self._quiet_until:
                self._plan(now, living.fleet(measured, cpu, memory, self._fixed(now), taken), relievable)
            self._begin(now, measured)
            self._note(now)
        self._judge()
        return self.outcome

    def _taken(self) -> set[int]:
        """Nodes of moves that are under way or wait for their turn: they neither give nor take in a further plan."""
        return self._busy.union(*((self._place[one.source], self._place[one.target]) for one in self._queue))

    def _fixed(self, now: float) -> frozenset[int]:
        """Shards that are on their way, or rest."""
        self._rest = {shard: at for shard, at in self._rest.items() if at > now}
        return frozenset(self._rest) | {one[1] for one in self._running}

    def _plan(self, now: float, fleet: Fleet, triggers: tuple[Trigger, ...]) -> None:
        """One plan more."""
        made = plan(fleet, triggers, self._settings)
        self.outcome.plans += 1
        self.outcome.lower_bound_bytes += made.lower_bound_bytes
        self.outcome.advice = [one.text for one in made.advice]
        self._queue.extend(made.moves)
        if not made.moves:
            self._quiet_until = now + self._settings.cool_down

    def _finish(self, now: float) -> None:
        """Ends the moves whose time has come: the shard changes its place, the old copy goes."""
        living = self._living
        while self._running and self._running[0][0] <= now:
            at, shard, source, target, size = heapq.heappop(self._running)
            self._copies[target] -= size
            living.holder[shard] = target
            self._busy -= {source, target}
            self.outcome.fullest = max(self.outcome.fullest, self._fill(at, target))
            self.outcome.hottest = max(self.outcome.hottest, float(self._truth(at)[0][target]))
            self._rest[shard] = at + self._settings.cool_down
            self._watch = self._watch.after_move([living.names[source], living.names[target]], at, self._settings)
            left = self._left.setdefault(shard, [])
            back = [when for when, node in left if node == target]
            self.outcome.again += bool(left)
            self.outcome.returns += bool(back)
            self.outcome.flaps += bool(back) and at - max(back) < self._settings.cool_down
            left.append((at, source))

    def _begin(self, now: float, measured: Columns) -> None:
        """Begins what may begin: both nodes are free, and the target still has room by the newest measures."""
        living, settings, waiting = self._living, self._settings, deque[PlannedMove]()
        size, work = living.size(now), measured.work
        while self._queue:
            move = self._queue.popleft()
            source, target = self._place[move.source], self._place[move.target]
            if {source, target} & self._busy:
                waiting.append(move)
                continue
            bytes_ = float(size[move.shard])
            full = measured.fill[target] + bytes_ / living.capacity[target] > 1 - settings.free_enter + CLOSE
            hot = measured.load[target] + work[move.shard] / living.power[target] > settings.load_enter + CLOSE
            if full or hot:
                self.outcome.not_begun += 1
                continue
            self._busy |= {source, target}
            self._copies[target] += bytes_
            heapq.heappush(self._running, (now + SET_UP + bytes_ / SPEED, move.shard, source, target, bytes_))
            self.outcome.moves += 1
            self.outcome.bytes_moved += int(bytes_)
        self._queue = waiting

    def _truth(self, now: float) -> tuple[Floats, Columns]:
        quiet = np.ones((2, len(self._living.power)))
        measured, _, _ = self._living.measured(now, self._copies, self._settings, quiet)
        return measured.load, measured

    def _fill(self, now: float, node: int) -> float:
        return float(self._living.used(now, self._copies)[node] / self._living.capacity[node])

    def _note(self, now: float) -> None:
        load, measured = self._truth(now)
        self.outcome.rounds.append(
            Round(
                now / 3600,
                measured.mean_load,
                float(load.max()),
                float(measured.free.min()),
                measured.imbalance,
                len(self._running),
            )
        )

    def _judge(self) -> None:
        """When the fleet came to rest, by the truth."""
        settings, outcome = self._settings, self.outcome

        def beyond(one: Round) -> bool:
            skewed = one.busiest > settings.skew_floor and one.busiest > settings.skew_enter * one.mean_load + CLOSE
            full = one.least_free < settings.free_enter - CLOSE
            return skewed or full or one.busiest > settings.load_enter + CLOSE

        flags = [beyond(one) for one in outcome.rounds]
        need = int(3600 / ROUND)
        for at in range(len(flags) - need + 1):
            if not any(flags[at : at + need]):
                outcome.balanced_hours = outcome.rounds[at].hours
                break
        outcome.beyond_at_start, outcome.beyond_at_end = flags[0], flags[-1]
