"""The base copy: every row of the slot's snapshot, one binary COPY a table, in one transaction of the target.

The session of the target sets a replication origin first, so its rows are known as replicated ones: a subscriber of
the target that asks for ``origin = none`` does not get them again.
"""

from __future__ import annotations

from psycopg import AsyncConnection, errors, sql
from psycopg.rows import TupleRow

from mapscope.growth import tables
from mapscope.growth.names import Names
from mapscope.growth.replication import Exported
from mapscope.growth.tables import Shape
from mapscope.growth.trouble import Refused


async def copy(
    source: AsyncConnection[TupleRow], target: AsyncConnection[TupleRow], shape: Shape, exported: Exported, names: Names
) -> int:
    """Inside a transaction of the target: makes the tables and fills them. Gives the bytes that went over."""
    await tables.make_empty(target, shape)
    await _mark_rows(target, names)
    copied = 0
    async with source.transaction():
        await source.execute("set transaction isolation level repeatable read, read only")
        await source.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(exported.snapshot)))
        for table in shape.tables:
            columns = sql.SQL(", ").join(map(sql.Identifier, table.stored))
            if not table.stored:
                continue
            name = shape.identifier(table.name)
            out = sql.SQL("copy {} ({}) to stdout (format binary)").format(name, columns)
            into = sql.SQL("copy {} ({}) from stdin (format binary, freeze true)").format(name, columns)
            async with (
                source.cursor() as reading, target.cursor() as writing,
                reading.copy(out) as rows, writing.copy(into) as sink,
            ):  # fmt: skip
                async for chunk in rows:
                    copied += len(chunk)
                    await sink.write(chunk)
    return copied


async def _mark_rows(target: AsyncConnection[TupleRow], names: Names) -> None:
    try:
        cursor = await target.execute("select 1 from pg_replication_origin where roname = %s", (names.copy_origin,))
        if await cursor.fetchone() is None:
            await target.execute("select pg_replication_origin_create(%s)", (names.copy_origin,))
        await target.execute("select pg_replication_origin_session_setup(%s)", (names.copy_origin,))
    except errors.InsufficientPrivilege:
        raise Refused(
            "the target's user may not set a replication origin (grant execute on the pg_replication_origin functions)"
        ) from None


async def unmark(target: AsyncConnection[TupleRow]) -> None:
    """The session's further rows are its own."""
    cursor = await target.execute("select pg_replication_origin_session_is_setup()")
    if (await cursor.fetchone()) == (True,):
        await target.execute("select pg_replication_origin_session_reset()")
