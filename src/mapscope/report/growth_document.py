"""The documents of ``mapscope growth plan`` and ``simulate``. Records only; the application fills them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from mapscope.report.scalars import Bytes, Count
from mapscope.report.writing import Tool

Imbalance = Annotated[
    float, Meta(ge=0, description="Variance of load over power plus variance of fill over capacity; 0: all alike.")
]


class TriggerRow(Struct, frozen=True, kw_only=True):
    """One measure that is strictly beyond its threshold."""

    cause: Annotated[str, Meta(description="load_ratio, free_capacity, node_skew or skew_ratio.")]
    subject: Annotated[str, Meta(description="A node's name, or `shard N`.")]
    value: float
    threshold: float


class GrowthMove(Struct, frozen=True, kw_only=True):
    """One move of a shard, in the order in which moves are begun."""

    shard: Count
    source: str
    target: str
    size_bytes: Bytes
    load: Annotated[float, Meta(ge=0, description="What the shard adds to the target's load ratio.")]
    skew_before: Imbalance
    skew_after: Imbalance
    reason: str


class AdviceRow(Struct, frozen=True, kw_only=True):
    """What moves alone do not mend."""

    subject: str
    text: str


class NodeChangeRow(Struct, frozen=True, kw_only=True):
    """A node before and after all moves; ratios are parts of 1."""

    name: str
    load_before: float
    load_after: float
    free_before: float
    free_after: float
    shards_before: Count
    shards_after: Count


class FleetRow(Struct, frozen=True, kw_only=True):
    """The fleet as measured."""

    nodes: Count
    shards: Count
    mean_load: float
    node_skew: Annotated[float, Meta(description="Load ratio of the busiest node over the mean.")]
    skew_ratio: Annotated[float, Meta(description="Weight of the heaviest shard over the mean shard.")]


class GrowthPlanDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="growth plan"):
    """What ``mapscope growth plan -f json`` writes, and ``mapscope growth run --plan`` reads."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    fleet: FleetRow
    triggers: list[TriggerRow]
    moves: list[GrowthMove]
    advice: list[AdviceRow]
    nodes: list[NodeChangeRow]
    bytes_moved: Bytes
    lower_bound_bytes: Annotated[
        Bytes, Meta(description="No plan that relieves the same nodes as far within the limits moves less.")
    ]
    skew_before: Imbalance
    skew_after: Imbalance
    settings: dict[str, float]


class SimulatedRound(Struct, frozen=True, kw_only=True):
    """The fleet in one round: the truth, without the noise of measures. Ratios are parts of 1."""

    hours: float
    mean_load: float
    busiest: Annotated[float, Meta(description="Highest load ratio of a node.")]
    least_free: Annotated[float, Meta(description="Lowest free capacity of a node.")]
    imbalance: Imbalance
    moving: Annotated[int, Meta(ge=0, description="Moves under way.")]


class GrowthSimulationDocument(Struct, frozen=True, kw_only=True, tag_field="kind", tag="growth simulate"):
    """What ``mapscope growth simulate -f json`` writes."""

    schema: Annotated[int, Meta(ge=1)]
    tool: Tool
    nodes: Count
    shards: Count
    seed: int
    noise: Annotated[float, Meta(description="Standard deviation of a measure, as a part of it.")]
    hours: float
    moves: Count
    bytes_moved: Bytes
    lower_bound_bytes: Annotated[Bytes, Meta(description="Sum over the plans.")]
    plans: Count
    not_begun: Annotated[int, Meta(ge=0, description="Planned moves whose target had no room any more.")]
    flaps: Annotated[int, Meta(ge=0, description="Moves back to a node that the shard had left within the cool-down.")]
    returns: Annotated[int, Meta(ge=0, description="Moves back to a node that the shard had ever left.")]
    again: Annotated[int, Meta(ge=0, description="Moves of a shard that had moved before.")]
    balanced_hours: Annotated[
        float | None, Meta(description="From when on no node was beyond a threshold for an hour; null: never.")
    ]
    beyond_at_start: bool
    beyond_at_end: bool
    fullest_target: Annotated[float, Meta(description="Highest part of a target's disk in use when a move ended.")]
    hottest_target: Annotated[float, Meta(description="Highest load ratio of a target when a move ended.")]
    advice: Annotated[list[str], Meta(description="Of the last plan.")]
    rounds: list[SimulatedRound]
    settings: dict[str, float]
