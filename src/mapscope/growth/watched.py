"""Shards for ``mapscope watch``: its tables in every shard, made and brought up to date while nothing moves."""

from __future__ import annotations

import asyncio
import importlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from mapscope.growth import links, setup
from mapscope.growth.state import Control
from mapscope.growth.trouble import GrowthError
from mapscope.routing.nodes import Store

_ROOM = "mapscope.fleet.store.migrating"
"""What knows the tables: imported when it is called. Rooms of one floor know each other by name only."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What was done: shards whose tables were made or changed, that got a route, and that had one before."""

    changed: int
    adopted: int
    routed: int


async def set_up(store: Store) -> Watched:
    """Makes what is missing; can be repeated. New shards go to all nodes by turns.

    This process is the controller meanwhile: tables of a shard must not change while it moves. GrowthError where
    another one is at work, or a move is open.
    """
    room: Any = importlib.import_module(_ROOM)
    async with Control(store.control, store.moving.patience_seconds) as control:
        await control.command()
        if moves := await control.moves(open_only=True):
            raise GrowthError(f"{moves[0]} is {moves[0].state}", "mapscope growth resume STORE, then set up again")
        changed = 0
        for name, shards in (await _places(store)).items():
            schemas = [store.shards.schema(shard) for shard in shards]
            changed += await asyncio.to_thread(room.bring_up, store.node(name).dsn, schemas)
        done = await setup.set_up(store)
        for name, shards in (await _places(store)).items():
            connection = await links.connect(store.node(name).dsn, "mapscope_growth_setup")
            try:
                for shard in shards if changed else ():  # a later migration may have made a table
                    await setup.guard(connection, store, shard)
            finally:
                await links.close(connection)
    return Watched(changed, done.adopted, done.routed)


async def _places(store: Store) -> dict[str, list[int]]:
    """The shards of each node: by their routes, else where they lie, else by turns."""
    connection = await links.connect(store.control, "mapscope_growth_setup")
    try:
        cursor = await connection.execute("select shard, node from mapscope_control.route")
        at = {row[0]: row[1] for row in await cursor.fetchall()}
    finally:
        await links.close(connection)
    for name, node in store.nodes.items() if len(at) < store.shards.count else ():
        connection = await links.connect(node.dsn, "mapscope_growth_setup")
        try:
            cursor = await connection.execute("select nspname from pg_namespace")
            present = {row[0] for row in await cursor.fetchall()}
        finally:
            await links.close(connection)
        for shard in range(store.shards.count):
            if store.shards.schema(shard) in present:
                at.setdefault(shard, name)
    names = list(store.nodes)
    found: dict[str, list[int]] = defaultdict(list)
    for shard in range(store.shards.count):
        found[at.get(shard) or names[shard % len(names)]].append(shard)
    return found
