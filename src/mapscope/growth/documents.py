"""Plans and simulations as documents."""

from __future__ import annotations

from dataclasses import asdict, fields

from mapscope.growth.fleet import Fleet
from mapscope.growth.measures import columns
from mapscope.growth.planner import Plan
from mapscope.growth.settings import Settings
from mapscope.growth.simulation import Outcome
from mapscope.report import growth_document as doc
from mapscope.report.escape import valid
from mapscope.report.writing import SCHEMA, tool


def plan_document(fleet: Fleet, plan: Plan, settings: Settings) -> doc.GrowthPlanDocument:
    """The document of ``plan``."""
    return doc.GrowthPlanDocument(
        schema=SCHEMA,
        tool=tool(),
        fleet=fleet_row(fleet, settings),
        triggers=[
            doc.TriggerRow(cause=str(one.cause), subject=valid(one.subject), value=one.value, threshold=one.threshold)
            for one in plan.triggers
        ],
        moves=[doc.GrowthMove(**asdict(one)) for one in plan.moves],
        advice=[doc.AdviceRow(subject=one.subject, text=one.text) for one in plan.advice],
        nodes=[doc.NodeChangeRow(**asdict(one)) for one in plan.nodes],
        bytes_moved=plan.bytes_moved,
        lower_bound_bytes=plan.lower_bound_bytes,
        skew_before=plan.skew_before,
        skew_after=plan.skew_after,
        settings=settings_row(settings),
    )


def fleet_row(fleet: Fleet, settings: Settings) -> doc.FleetRow:
    """The measures of the whole fleet; zeros and ones for an empty one."""
    if not fleet.nodes:
        return doc.FleetRow(nodes=0, shards=0, mean_load=0.0, node_skew=1.0, skew_ratio=1.0)
    measured = columns(fleet, settings)
    return doc.FleetRow(
        nodes=len(fleet.nodes),
        shards=len(fleet.shards),
        mean_load=measured.mean_load,
        node_skew=measured.node_skew,
        skew_ratio=measured.shard_skew,
    )


def settings_row(settings: Settings) -> dict[str, float]:
    """The settings by name."""
    return {field.name: float(getattr(settings, field.name)) for field in fields(settings)}


def simulation_document(
    outcome: Outcome, nodes: int, shards: int, seed: int, noise: float, hours: float, settings: Settings
) -> doc.GrowthSimulationDocument:
    """The document of a simulation."""
    return doc.GrowthSimulationDocument(
        schema=SCHEMA,
        tool=tool(),
        nodes=nodes,
        shards=shards,
        seed=seed,
        noise=noise,
        hours=hours,
        moves=outcome.moves,
        bytes_moved=outcome.bytes_moved,
        lower_bound_bytes=outcome.lower_bound_bytes,
        plans=outcome.plans,
        not_begun=outcome.not_begun,
        flaps=outcome.flaps,
        returns=outcome.returns,
        again=outcome.again,
        balanced_hours=outcome.balanced_hours,
        beyond_at_start=outcome.beyond_at_start,
        beyond_at_end=outcome.beyond_at_end,
        fullest_target=outcome.fullest,
        hottest_target=outcome.hottest,
        advice=list(outcome.advice),
        rounds=[doc.SimulatedRound(**asdict(one)) for one in outcome.rounds],
        settings=settings_row(settings),
    )
