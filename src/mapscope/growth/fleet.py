"""What is known of a fleet at one instant: its nodes, its shards, and who holds which."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One node as measured.

    ``cpu`` and ``memory`` are the parts in use (0 to 1, above 1 where a queue stands); ``power`` is how much it can do
    against the others (1 is a common node; 2 carries twice the load at the same ``cpu``). ``capacity_bytes`` and
    ``used_bytes`` are of the disk that holds the shards. ``accepts`` is False for a node that may not be a target;
    ``rests`` is True after a move: what is measured then is no reason to move.
    """

    name: str
    cpu: float
    memory: float
    capacity_bytes: int
    used_bytes: int
    power: float = 1.0
    accepts: bool = True
    rests: bool = False


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard: who holds it, what it occupies, and how much work it is (any unit, the same for all).

    ``movable`` is False while it is being moved or cools down; ``why_not`` says which in words.
    """

    id: int
    node: str
    size_bytes: int
    weight: float
    movable: bool = True
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Nodes and shards. Every shard's node is one of the nodes; names and ids are each used once."""

    nodes: tuple[Node, ...]
    shards: tuple[Shard, ...]


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """One move of a plan.

    ``load`` is what the shard adds to the target's load ratio; ``skew_before`` and ``skew_after`` are the fleet's
    measure of skew around this move (``measures.imbalance``), the latter always the smaller; ``reason`` is in words.
    """

    shard: int
    source: str
    target: str
    size_bytes: int
    load: float
    skew_before: float
    skew_after: float
    reason: str
