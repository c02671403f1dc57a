"""What moves left on a node that they no longer need: a forgotten slot keeps WAL until the disk is full.

Everything a move makes bears its number. What bears the number of a move that has ended, or that the control database
does not know, is left over. What an open move has is its own business.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from mapscope.growth import names, ownership, replication
from mapscope.growth.names import Names
from mapscope.routing.nodes import Shards

_NAMED = """
select 'subscription', subname::text from pg_subscription
    where subdbid = (select oid from pg_database where datname = current_database())
union all select 'slot', slot_name::text from pg_replication_slots
    where database = current_database() and not temporary
union all select 'publication', pubname::text from pg_publication
union all select 'mark', relname::text from pg_class
    where relnamespace = (select oid from pg_namespace where nspname = 'mapscope_node') and relkind = 'r'
union all select 'origin', roname from pg_replication_origin where roname not like 'pg\\_%'
"""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing on one node. ``kind``: subscription, slot, publication, mark, origin, or copy (of a shard's tables)."""

    node: str
    kind: str
    name: str
    move: int
    shard: int = -1


async def find(
    connection: AsyncConnection[TupleRow], node: str, store: str, open_moves: Collection[int]
) -> list[Leftover]:
    """What is left on a node, subscriptions first."""
    found: list[Leftover] = []
    cursor = await connection.execute(_NAMED)
    for kind, name in await cursor.fetchall():
        move = names.move_of(name, store)
        if move is not None and move not in open_moves:
            found.append(Leftover(node, kind, name, move))
    cursor = await connection.execute("select to_regclass('mapscope_node.shard') is not null")
    if (await cursor.fetchone()) == (True,):
        for shard, holding in (await ownership.holdings(connection)).items():
            move = names.move_of(holding.move, store)
            if holding.state == "incoming" and move is not None and move not in open_moves:
                found.append(Leftover(node, "copy", holding.move, move, shard))
    return found


async def drop(
    connection: AsyncConnection[TupleRow], left: Collection[Leftover], store: str, shards: Shards, token: int
) -> None:
    """Drops what was found on the node of this connection."""
    for move in sorted({one.move for one in left}):
        its = Names(store, move)
        await replication.unsubscribe(connection, its)
        await replication.drop_slot(connection, its)
        await replication.unpublish(connection, its)
        await replication.drop_origin(connection, its)
    for one in left:
        if one.kind == "copy":
            async with connection.transaction():
                found = await ownership.expect(connection, one.shard, token)
                if found.state == "incoming" and found.move == one.name:
                    schema = sql.Identifier(shards.schema(one.shard))
                    await connection.execute(sql.SQL("drop schema if exists {} cascade").format(schema))
                    await ownership.put(connection, one.shard, "gone", 0, "")
