"""A look at the store from outside: who is at work, what is open and how far, what is left behind."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from mapscope.growth import controller, links, replication, schema
from mapscope.growth.figures import Step
from mapscope.growth.leftovers import Leftover
from mapscope.growth.names import Names
from mapscope.growth.protocol import Resource, may_exist
from mapscope.growth.state import Control, Move
from mapscope.growth.trouble import Refused
from mapscope.routing.nodes import Store

_LAST = 1000
"""Moves whose figures are summed up."""


@dataclass(frozen=True, slots=True)
class At:
    """The controller: the one at work, or the last one."""

    at_work: bool
    holder: str
    token: int


@dataclass(frozen=True, slots=True)
class Open:
    """An open move. ``lag`` and ``retained`` are bytes; None where there is no stream, or its node is away."""

    move: Move
    lag: int | None
    retained: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """What ``status`` prints. ``ended``: number of ended moves by state."""

    controller: At
    open: tuple[Open, ...]
    ended: dict[str, int]
    left: tuple[Leftover, ...]
    away: tuple[str, ...]
    steps: tuple[Step, ...]


async def look(store: Store) -> Found:
    """Reads only. GrowthError where the control database has no store."""
    async with Control(store.control, store.moving.patience_seconds) as control:
        await control.look()
        at = await control.run(_at)
        moves = await control.moves()
        opened = tuple([await _open(store, control, move) for move in moves if not move.ended])
        ended: dict[str, int] = {}
        for move in moves:
            if move.ended:
                ended[move.state] = ended.get(move.state, 0) + 1
        steps = await control.steps([move.id for move in moves[-_LAST:]])
    left, away = await controller.look(store)
    return Found(at, opened, ended, tuple(left), tuple(away), tuple(steps))


async def _at(connection: AsyncConnection[TupleRow]) -> At:
    cursor = await connection.execute(
        "select exists (select from pg_locks where locktype = 'advisory' and classid = %s::bigint::oid and objid = 0 "
        "and database = (select oid from pg_database where datname = current_database()) and granted), holder, token "
        "from mapscope_control.controller",
        (schema.CONTROLLER,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return At(*row)


async def _open(store: Store, control: Control, move: Move) -> Open:
    lag = retained = None
    its = Names(control.store, move.id)
    if Resource.SLOT in may_exist(move.state) and move.source in store.nodes and move.target in store.nodes:
        name = "mapscope_status"
        async with (
            links.Link(move.source, store.nodes[move.source].dsn, name) as source,
            links.Link(move.target, store.nodes[move.target].dsn, name) as target,
        ):
            try:
                kept = await replication.kept(await source.get(), its)
                retained = kept.retained
                progress = await replication.progress(await target.get(), its)
                lag = None if progress.applied is None else max(kept.current - progress.applied, 0)
            except (Refused, psycopg.OperationalError):
                return Open(move, lag, retained)
    return Open(move, lag, retained)
