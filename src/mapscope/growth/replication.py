"""The engine's own logical replication, asked for what a move needs: publication, slot, subscription, progress.

What each step may find is what an earlier try of it left: everything is made only where it is missing, and what only
one session could use (a slot's exported snapshot) is made anew.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from psycopg import AsyncConnection, errors, sql
from psycopg.rows import TupleRow

from mapscope.growth import links
from mapscope.growth.names import Names
from mapscope.growth.tables import Shape
from mapscope.growth.trouble import Refused

ORIGIN_NONE = 160000
"""First server that knows ``origin = none``: a subscription that leaves out what came by replication itself."""
_ENDING = 0.02
_DROP_SECONDS = 30.0


@dataclass(slots=True)
class Exported:
    """A new slot, and the session that exported its snapshot: the snapshot lives as long as it does."""

    connection: AsyncConnection[TupleRow]
    snapshot: str
    consistent: str

    async def close(self) -> None:
        """Lets the snapshot go."""
        await links.close(self.connection)


async def publish(connection: AsyncConnection[TupleRow], names: Names, shape: Shape) -> None:
    """Inside a transaction at the source: the mark, and a publication of it and of the shard's tables alone.

    The publication comes before the slot: the decoder looks it up as of the WAL that it reads.
    """
    await _mark(connection, names)
    cursor = await connection.execute("select 1 from pg_publication where pubname = %s", (names.stream,))
    if await cursor.fetchone() is None:
        listed = [shape.identifier(table.name) for table in shape.tables]
        await connection.execute(
            sql.SQL("create publication {} for table {}").format(
                sql.Identifier(names.stream), sql.SQL(", ").join([_mark_table(names), *listed])
            )
        )


def _mark_table(names: Names) -> sql.Identifier:
    return sql.Identifier("mapscope_node", names.mark)


async def _mark(connection: AsyncConnection[TupleRow], names: Names) -> None:
    """The table with its row, on both nodes.

    A change that finds no row at the target writes nothing there, so the LSN that was applied would not be recorded.
    """
    await connection.execute(
        sql.SQL(
            "create table if not exists {} (only_one boolean primary key, beat bigint not null)"
        ).format(_mark_table(names))
    )  # fmt: skip
    await connection.execute(
        sql.SQL("insert into {} (only_one, beat) values (true, 0) on conflict do nothing").format(_mark_table(names))
    )


async def create_slot(dsn: str, application: str, names: Names, seconds: float) -> Exported:
    """A slot at the source and its snapshot. Refused where it does not come within ``seconds``.

    It waits for every transaction that was open before it.
    """
    connection = await links.connect(dsn, application, replication=True)
    made = False
    try:
        statement = f"CREATE_REPLICATION_SLOT \"{names.stream}\" LOGICAL pgoutput (SNAPSHOT 'export')"
        cursor = await asyncio.wait_for(connection.execute(statement.encode()), seconds)
        row = await cursor.fetchone()
        assert row is not None
        made = True
        return Exported(connection, row[2], row[1])
    except TimeoutError:
        raise Refused(
            f"the slot waited more than {seconds:g} s for transactions that were open at the source before it"
        ) from None
    except errors.ConfigurationLimitExceeded:
        raise Refused("the source has no replication slot left (max_replication_slots)") from None
    finally:
        if not made:
            await links.close(connection)


async def drop_slot(connection: AsyncConnection[TupleRow], names: Names) -> None:
    """Ends who uses the slot, and drops it. TimeoutError where its user does not end."""
    deadline = time.monotonic() + _DROP_SECONDS
    while time.monotonic() < deadline:
        cursor = await connection.execute(
            "select active_pid from pg_replication_slots where slot_name = %s", (names.stream,)
        )
        row = await cursor.fetchone()
        if row is None:
            return
        if row[0] is not None:
            await connection.execute("select pg_terminate_backend(%s)", (row[0],))
        try:
            await connection.execute("select pg_drop_replication_slot(%s)", (names.stream,))
        except errors.ObjectInUse:
            await asyncio.sleep(_ENDING)
        except errors.UndefinedObject:
            return
    raise TimeoutError(f"slot {names.stream} is still in use after {_DROP_SECONDS:g} s")


async def unpublish(connection: AsyncConnection[TupleRow], names: Names) -> None:
    """Drops publication and mark of a node."""
    async with connection.transaction():
        await connection.execute(sql.SQL("drop publication if exists {}").format(sql.Identifier(names.stream)))
        await connection.execute(sql.SQL("drop table if exists {}").format(_mark_table(names)))


async def subscribe(connection: AsyncConnection[TupleRow], names: Names, source_dsn: str) -> None:
    """Inside a transaction at the target: the subscription, which streams from the slot's LSN and copies nothing."""
    await _mark(connection, names)
    cursor = await connection.execute("select 1 from pg_subscription where subname = %s", (names.stream,))
    if await cursor.fetchone() is not None:
        return
    options = ["copy_data = false", "create_slot = false", f"slot_name = '{names.stream}'", "synchronous_commit = off"]
    if connection.info.server_version >= ORIGIN_NONE:
        options.append("origin = none")
    cursor = await connection.execute("select format('%%L', %s::text)", (source_dsn,))
    literal = await cursor.fetchone()
    assert literal is not None
    await connection.execute(
        f'create subscription "{names.stream}" connection {literal[0]} publication "{names.stream}" '
        f"with ({', '.join(options)})".encode()
    )


async def unsubscribe(connection: AsyncConnection[TupleRow], names: Names) -> None:
    """Drops the subscription alone, in one transaction: its slot may be on a node that is gone."""
    name = sql.Identifier(names.stream)
    async with connection.transaction():
        cursor = await connection.execute(
            "select 1 from pg_subscription where subname = %s and subdbid = "
            "(select oid from pg_database where datname = current_database())",
            (names.stream,),
        )
        if await cursor.fetchone() is None:
            return
        await connection.execute(sql.SQL("alter subscription {} disable").format(name))
        await connection.execute(sql.SQL("alter subscription {} set (slot_name = none)").format(name))
        await connection.execute(sql.SQL("drop subscription {}").format(name))


async def drop_origin(connection: AsyncConnection[TupleRow], names: Names) -> None:
    """Drops the origin of the base copy, where it is left; waits for a session that is about to end."""
    deadline = time.monotonic() + _DROP_SECONDS
    while time.monotonic() < deadline:
        cursor = await connection.execute(
            "select 1 from pg_replication_origin where roname = %s", (names.copy_origin,)
        )  # fmt: skip
        if await cursor.fetchone() is None:
            return
        try:
            await connection.execute("select pg_replication_origin_drop(%s)", (names.copy_origin,))
        except errors.ObjectInUse:
            await asyncio.sleep(_ENDING)
        except errors.UndefinedObject:
            return
    raise TimeoutError(f"origin {names.copy_origin} is still in use after {_DROP_SECONDS:g} s")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the stream is. LSNs are integers; ``applied`` is None where nothing was applied yet.

    ``applied`` is the target's own record of the last commit that it applied, which outlives a restart of the receiver;
    what ``pg_stat_subscription`` reports starts from nothing each time (citusdata/citus#7220).
    """

    applied: int | None
    receiver: int | None
    """Process number of the receiver."""
    errors: int
    """Of applying, since the subscription was made."""


async def progress(connection: AsyncConnection[TupleRow], names: Names) -> Progress:
    """At the target. Refused where the subscription is not there."""
    cursor = await connection.execute(
        "select (pg_replication_origin_progress('pg_' || s.oid, true) - '0/0'::pg_lsn)::bigint, "
        "(select pid from pg_stat_subscription where subid = s.oid and pid is not null limit 1), "
        "coalesce((select apply_error_count from pg_stat_subscription_stats where subid = s.oid), 0), s.subenabled "
        "from pg_subscription s where s.subname = %s",
        (names.stream,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Refused("the subscription is gone from the target")
    if not row[3]:
        raise Refused("the subscription was disabled at the target")
    return Progress(row[0], row[1], row[2])


@dataclass(frozen=True, slots=True)
class Kept:
    """WAL at the source: the current LSN, and how many bytes the slot keeps."""

    current: int
    retained: int


async def kept(connection: AsyncConnection[TupleRow], names: Names) -> Kept:
    """At the source. Refused where the slot is gone, or has lost WAL that it needs."""
    cursor = await connection.execute(
        "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, "
        "coalesce((pg_current_wal_lsn() - restart_lsn)::bigint, 0), wal_status from pg_replication_slots "
        "where slot_name = %s",
        (names.stream,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Refused("the slot is gone from the source")
    if row[2] == "lost":
        raise Refused("the source removed WAL that the slot needs (max_slot_wal_keep_size)")
    return Kept(row[0], row[1])


async def beat(connection: AsyncConnection[TupleRow], names: Names) -> int:
    """Sends one row through the stream and gives an LSN before its commit: what has come that far has come wholly.

    It also keeps an idle stream from looking dead to ``wal_receiver_timeout``, and the slot from keeping other's WAL.
    """
    async with connection.transaction():
        cursor = await connection.execute("select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
        row = await cursor.fetchone()
        assert row is not None
        cursor = await connection.execute(sql.SQL("update {} set beat = beat + 1").format(_mark_table(names)))
        if cursor.rowcount != 1:
            raise Refused("the mark of the stream is gone from the source")
    return int(row[0])


async def end_sessions(connection: AsyncConnection[TupleRow], store: str, token: int) -> int:
    """Ends what controllers with a lower token still do on a node. Gives their number."""
    cursor = await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where substring(application_name from %s)::bigint < %s and pid <> pg_backend_pid()",
        (f"^mapscope_growth_{store}_t([0-9]{{1,18}})$", token),
    )
    return len(await cursor.fetchall())
