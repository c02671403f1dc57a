"""What a node knows of a shard: whether it is its own, at which epoch, and the highest token of a controller it saw.

Every effect on a node is a transaction that begins with ``take``: it locks the row and refuses an old token. So an
effect of a controller that was taken for dead does nothing, however late it comes.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from mapscope.growth import schema
from mapscope.growth.trouble import Refused, Superseded


@dataclass(frozen=True, slots=True)
class Holding:
    """The row of one shard on one node."""

    epoch: int
    state: str
    move: str


async def take(connection: AsyncConnection[TupleRow], shard: int, token: int) -> Holding | None:
    """Inside a transaction: the row, locked and with our token; None where this node has none. Superseded if late."""
    cursor = await connection.execute(
        "update mapscope_node.shard set token = greatest(token, %s) where shard = %s "
        "returning token, epoch, state, move",
        (token, shard),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    if row[0] != token:
        raise Superseded(f"node saw token {row[0]} for shard {shard}, ours is {token}")
    return Holding(row[1], row[2], row[3])


async def expect(connection: AsyncConnection[TupleRow], shard: int, token: int) -> Holding:
    """As ``take``, where the row must be there."""
    found = await take(connection, shard, token)
    if found is None:
        raise Refused(f"the node has no row for shard {shard} in mapscope_node.shard")
    return found


async def take_or_make(connection: AsyncConnection[TupleRow], shard: int, token: int) -> Holding:
    """As ``expect``; a node that never had the shard gets a row that says so."""
    await connection.execute(
        "insert into mapscope_node.shard (shard, epoch, state) values (%s, 0, 'gone') on conflict do nothing", (shard,)
    )
    return await expect(connection, shard, token)


async def put(connection: AsyncConnection[TupleRow], shard: int, state: str, epoch: int, move: str) -> None:
    """Inside a transaction, after ``take``: the new state."""
    await connection.execute(
        "update mapscope_node.shard set state = %s, epoch = %s, move = %s where shard = %s", (state, epoch, move, shard)
    )


async def prepare_target(connection: AsyncConnection[TupleRow], shard: int, token: int, epoch: int, move: str) -> None:
    """Inside a transaction: the shard is incoming here. Refused where it is the node's own, or another move's."""
    found = await take_or_make(connection, shard, token)
    if found.state == "incoming" and found.move == move:
        return
    if found.state != "gone":
        raise Refused(f"the target has shard {shard} already ({found.state}, {found.move or 'no move'})")
    await put(connection, shard, "incoming", epoch, move)


async def close_source(connection: AsyncConnection[TupleRow], shard: int, token: int, epoch: int, move: str) -> None:
    """The source refuses readers and writers of the old epoch from now on. Can be repeated."""
    async with connection.transaction():
        found = await expect(connection, shard, token)
        if found.state == "fenced" and found.move == move and found.epoch == epoch:
            await put(connection, shard, "gone", epoch, move)
        elif found.state == "owner" and found.epoch <= epoch:
            raise Refused(f"the source owns shard {shard} at epoch {found.epoch} without a fence")


async def open_target(connection: AsyncConnection[TupleRow], shard: int, token: int, epoch: int, move: str) -> None:
    """The target accepts writers of the new epoch. The commit is synchronous: what was applied before is on disk."""
    async with connection.transaction():
        found = await expect(connection, shard, token)
        if found.state == "incoming" and found.move == move:
            await put(connection, shard, "owner", epoch, "")
        elif not (found.state == "owner" and found.epoch == epoch):
            raise Refused(f"the target has shard {shard} as {found.state} at epoch {found.epoch}, not incoming")


async def lift(connection: AsyncConnection[TupleRow], shard: int, token: int, epoch: int, move: str) -> None:
    """Takes a fence of this move away, where there is one. Can be repeated."""
    async with connection.transaction():
        found = await take(connection, shard, token)
        if found is not None and found.state == "fenced" and found.move == move and found.epoch == epoch:
            await put(connection, shard, "owner", epoch, "")


async def adopt(connection: AsyncConnection[TupleRow], shard: int, epoch: int) -> None:
    """Inside a transaction: a shard that nobody had gets its first owner."""
    await connection.execute(
        "insert into mapscope_node.shard (shard, epoch, state) values (%s, %s, 'owner') on conflict do nothing",
        (shard, epoch),
    )


async def holdings(connection: AsyncConnection[TupleRow]) -> dict[int, Holding]:
    """All rows of a node."""
    cursor = await connection.execute("select shard, epoch, state, move from mapscope_node.shard")
    return {row[0]: Holding(row[1], row[2], row[3]) for row in await cursor.fetchall()}


def lock_keys(shard: int, *, readers: bool = False) -> tuple[int, int]:
    """The advisory lock that clients of a shard share."""
    return (schema.READERS if readers else schema.WRITERS), shard
