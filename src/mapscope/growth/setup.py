"""The first set-up of a store: control tables, guards, and shards that are made after a template or adopted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from psycopg import sql

from mapscope.growth import links, ownership, schema, tables
from mapscope.growth.trouble import GrowthError, Refused
from mapscope.routing.nodes import Store


@dataclass(frozen=True, slots=True)
class SetUp:
    """What was done: shards that were made, and those that were there and got a route."""

    made: int
    adopted: int
    routed: int
    """Shards that had a route before."""


async def set_up(store: Store, template: str = "") -> SetUp:
    """Makes what is missing; can be repeated.

    Shards that no node has are made after the schema ``template``, which each node has, by turns on all nodes.
    GrowthError where two nodes have tables of one shard that has no route.
    """
    control = await links.connect(store.control, "mapscope_growth_control")
    try:
        await schema.install_control(control)
        cursor = await control.execute("select shard, node, epoch from mapscope_control.route")
        routed = {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}
        opened = {}
        try:
            for name, node in store.nodes.items():
                opened[name] = await links.connect(node.dsn, "mapscope_growth_setup")
                await schema.install_node(opened[name])
            lie: dict[int, str] = {}
            for name, connection in opened.items():
                cursor = await connection.execute("select nspname from pg_namespace")
                present = {row[0] for row in await cursor.fetchall()}
                for shard in range(store.shards.count):
                    if store.shards.schema(shard) in present and shard not in routed:
                        if shard in lie:
                            raise GrowthError(f"shard {shard} lies on {lie[shard]} and {name}, and has no route")
                        lie[shard] = name
            names = list(store.nodes)
            made = 0
            for shard in range(store.shards.count):
                if shard in routed:
                    continue
                name = lie.get(shard) or names[shard % len(names)]
                connection = opened[name]
                async with connection.transaction():
                    if shard not in lie:
                        if not template:
                            raise GrowthError(
                                f"no node has schema {store.shards.schema(shard)}",
                                "--template SCHEMA says what to make",
                            )
                        await _make(connection, store, shard, await tables.read(opened[names[0]], template))
                        made += 1
                    await guard(connection, store, shard)
                    await ownership.adopt(connection, shard, 1)
                await control.execute(
                    "insert into mapscope_control.route (shard, node, epoch) values (%s, %s, 1) on conflict do nothing",
                    (shard, name),
                )
            return SetUp(made, len(lie), len(routed))
        finally:
            for connection in opened.values():
                await links.close(connection)
    finally:
        await links.close(control)


async def _make(connection: links.Session, store: Store, shard: int, shape: tables.Shape) -> None:
    """A shard with the tables of a template."""
    if not shape.tables or any(statement for _, statement in shape.sequences):
        raise Refused(f"schema {shape.schema} is no template: it has no tables, or sequences of their own")
    name = store.shards.schema(shard)
    await connection.execute(sql.SQL("create schema {}").format(sql.Identifier(name)))
    for table in shape.tables:
        await connection.execute(
            sql.SQL("create table {} (like {} including all)").format(
                sql.Identifier(name, table.name), shape.identifier(table.name)
            )
        )


async def guard(connection: links.Session, store: Store, shard: int) -> None:
    """Puts the guard on each table of a shard at the node that has it. Can be repeated."""
    shape = await tables.read(connection, store.shards.schema(shard))
    await tables.guard(connection, replace(shape, problems=()), shard)
