"""The measures of a fleet, as columns: load ratio, free capacity, and three kinds of skew.

The article names ``skew_ratio``, the heaviest shard over the mean shard. No move changes it, since a move changes no
shard's weight: only a split does. So it is measured and reported, and beside it stand ``node_skew``, the busiest
node over the fleet's mean, which moves can lower, and ``imbalance``, the one number that every planned move must lower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapscope.growth.fleet import Fleet, Node
from mapscope.growth.settings import DEFAULT, Settings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def load_ratio(node: Node, settings: Settings = DEFAULT) -> float:
    """Weighted mean of the parts of CPU and memory in use."""
    total = settings.cpu_weight + settings.memory_weight
    return (settings.cpu_weight * node.cpu + settings.memory_weight * node.memory) / total


@dataclass(frozen=True, slots=True)
class Columns:
    """A fleet as columns, nodes by their place in ``Fleet.nodes`` and shards by theirs in ``Fleet.shards``.

    ``load`` is each node's load ratio, ``fill`` and ``free`` the parts of its disk in use and not, ``power`` and
    ``capacity`` (bytes) its size. ``holder`` is the node of each shard, ``size`` its bytes; ``work`` is its part of the
    holder's load times the holder's power, so that on a node of power p it adds ``work / p`` to the load ratio.
    """

    load: Floats
    fill: Floats
    free: Floats
    power: Floats
    capacity: Floats
    holder: Integers
    size: Floats
    weight: Floats
    work: Floats

    @property
    def mean_load(self) -> float:
        """Load of the whole fleet over its power; no move changes it."""
        return float(np.average(self.load, weights=self.power))

    @property
    def mean_fill(self) -> float:
        """Bytes in use over capacity of the whole fleet."""
        return float(np.average(self.fill, weights=self.capacity))

    @property
    def node_skew(self) -> float:
        """Load ratio of the busiest node over the mean; 1 where the fleet is idle."""
        mean = self.mean_load
        return float(self.load.max()) / mean if mean > 0 else 1.0

    @property
    def shard_skew(self) -> float:
        """The article's ``skew_ratio``: weight of the heaviest shard over the mean; 1 where there is no weight."""
        mean = float(self.weight.mean()) if len(self.weight) else 0.0
        return float(self.weight.max()) / mean if mean > 0 else 1.0

    @property
    def imbalance(self) -> float:
        """Variance of load over the fleet's power plus variance of fill over its capacity; 0 where all are alike.

        A move leaves both means as they are, so this falls exactly when load and bytes come nearer to them together.
        """
        load = np.average((self.load - self.mean_load) ** 2, weights=self.power)
        fill = np.average((self.fill - self.mean_fill) ** 2, weights=self.capacity)
        return float(load + fill)


def shared(
    load: Floats, used: Floats, power: Floats, capacity: Floats, holder: Integers, size: Floats, weight: Floats
) -> Columns:
    """The columns, where a node's load is shared out among its shards by their weights; ``used`` is bytes."""
    of_holder = np.bincount(holder, weights=weight, minlength=len(load))[holder]
    part = np.divide(weight, of_holder, out=np.zeros_like(weight), where=of_holder > 0)
    free = (capacity - used) / capacity
    return Columns(load, used / capacity, free, power, capacity, holder, size, weight, part * (load * power)[holder])


def columns(fleet: Fleet, settings: Settings = DEFAULT) -> Columns:
    """The columns of ``fleet``."""
    place = {node.name: index for index, node in enumerate(fleet.nodes)}
    load = np.array([load_ratio(node, settings) for node in fleet.nodes])
    power = np.array([node.power for node in fleet.nodes])
    capacity = np.array([float(node.capacity_bytes) for node in fleet.nodes])
    used = np.array([float(node.used_bytes) for node in fleet.nodes])
    count = len(fleet.shards)
    holder = np.fromiter((place[shard.node] for shard in fleet.shards), np.int64, count)
    weight = np.fromiter((shard.weight for shard in fleet.shards), np.float64, count)
    size = np.fromiter((float(shard.size_bytes) for shard in fleet.shards), np.float64, count)
    return shared(load, used, power, capacity, holder, size, weight)
