"""A synthetic fleet that lives: few shards do most of the work, all of it swings with the day and grows.

Work of shards is Zipf's (rank to the power of -0.8), capped so that none is too heavy for a node; sizes are lognormal
and larger for busy shards. Shards were put on nodes at random, and a tenth of the nodes are new and empty, as after
every purchase. Each shard's clients sleep at their own hour (three regions). Measures carry noise, the truth does not.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from mapscope.growth.fleet import Fleet, Node, Shard
from mapscope.growth.measures import Columns, Floats, Integers, shared
from mapscope.growth.settings import Settings

_DAY = 86400.0
_MEAN_FILL = 0.55
_FULLEST = 0.95
_HEAVIEST = 0.25
_SWING = 0.20
_GROWTH_A_DAY = 0.02
_MEMORY_OF_LOAD, _MEMORY_OF_FILL = 0.6, 0.35


@dataclass(slots=True)
class Living:
    """The fleet; ``holder`` changes with moves, all else with time only. Bytes, seconds, parts of 1."""

    power: Floats
    capacity: Floats
    holder: Integers
    size_at_start: Floats
    work_at_start: Floats
    phase: Floats
    growth: Floats
    names: list[str]

    @classmethod
    def made(cls, nodes: int, shards: int, draw: np.random.Generator, mean_load: float) -> Living:
        """A new one; ``mean_load`` is the CPU of the whole fleet at its start, as a part of 1."""
        power = draw.choice([1.0, 1.0, 1.0, 2.0], nodes)
        old = max(nodes - nodes // 10, 1)
        work = draw.permutation(np.arange(1, shards + 1, dtype=np.float64) ** -0.8)
        for _ in range(20):  # what the cap takes from the heaviest goes to the others
            work = np.minimum(work * (mean_load * power.sum() / work.sum()), _HEAVIEST)
        size = draw.lognormal(0, 0.8, shards) * (1 + 4 * work / work.max())
        size *= 40e9 / size.mean()
        capacity = power * (size.sum() / _MEAN_FILL / power.sum())
        holder = _placed(draw.choice(old, shards, p=power[:old] / power[:old].sum()), size, capacity)
        phase = draw.choice([0.0, _DAY / 3, 2 * _DAY / 3], shards, p=[0.5, 0.3, 0.2])
        growth = draw.gamma(2.0, _GROWTH_A_DAY / 2, shards)
        width = len(str(nodes - 1))
        return cls(power, capacity, holder, size, work, phase, growth, [f"node-{at:0{width}}" for at in range(nodes)])

    def size(self, now: float) -> Floats:
        """Bytes of each shard."""
        return np.asarray(self.size_at_start * (1 + self.growth * now / _DAY))

    def work(self, now: float) -> Floats:
        """Work of each shard; on a node of power p it adds work / p to CPU."""
        swing = 1 + _SWING * np.sin(2 * np.pi * (now + self.phase) / _DAY)
        return np.asarray(self.work_at_start * (1 + self.growth * now / _DAY) * swing)

    def used(self, now: float, copies: Floats) -> Floats:
        """Bytes in use on each node; ``copies`` are those of moves under way."""
        return np.asarray(np.bincount(self.holder, self.size(now), len(self.power)) + copies)

    def cpu(self, now: float) -> Floats:
        """The truth of each node's CPU."""
        return np.asarray(np.bincount(self.holder, self.work(now), len(self.power)) / self.power)

    def measured(self, now: float, copies: Floats, settings: Settings, noise: Floats) -> tuple[Columns, Floats, Floats]:
        """What is seen at ``now``: columns, CPU and memory; ``noise`` are factors around 1, two for each node."""
        used = self.used(now, copies)
        cpu = self.cpu(now)
        memory = (_MEMORY_OF_LOAD * cpu + _MEMORY_OF_FILL * used / self.capacity) * noise[1]
        cpu = cpu * noise[0]
        load = (settings.cpu_weight * cpu + settings.memory_weight * memory) / (
            settings.cpu_weight + settings.memory_weight
        )
        size, work = self.size(now), self.work(now)
        return shared(load, used, self.power, self.capacity, self.holder, size, work), cpu, memory

    def fleet(self, measured: Columns, cpu: Floats, memory: Floats, resting: frozenset[int], closed: Set[int]) -> Fleet:
        """The same as records, for the planner; ``resting`` shards may not move, ``closed`` nodes take nothing."""
        used = measured.fill * measured.capacity
        nodes = tuple(
            Node(
                name,
                float(cpu[at]),
                float(memory[at]),
                int(self.capacity[at]),
                int(used[at]),
                float(self.power[at]),
                at not in closed,
            )
            for at, name in enumerate(self.names)
        )
        rows = zip(measured.holder.tolist(), measured.size.tolist(), measured.weight.tolist(), strict=True)
        shards = tuple(
            Shard(at, self.names[holder], int(size), weight, at not in resting)
            for at, (holder, size, weight) in enumerate(rows)
        )
        return Fleet(nodes, shards)


def _placed(wanted: Integers, size: Floats, capacity: Floats) -> Integers:
    """Each shard on the node that it drew, or, where that one is full by then, on the one with the most room."""
    free = _FULLEST * capacity
    holder = np.zeros(len(wanted), dtype=np.int64)
    for shard, node in enumerate(wanted.tolist()):
        if size[shard] > free[node]:
            node = int(free.argmax())
        free[node] -= size[shard]
        holder[shard] = node
    return holder
