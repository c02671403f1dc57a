"""Whether two nodes hold the same rows of a shard: counts and checksums of ranges of key hashes.

A row is hashed by the server over its text, so rows themselves never leave it. Two sessions print values alike because
both have the same settings.

Hashing a large shard takes long, and writers wait behind the fence. So all is hashed before it, with writes going on,
and only what was written since that began is hashed behind it: a row that is as old as that was equal then. What was
deleted since shows in the number of rows of its range.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import sql

from mapscope.growth import tables
from mapscope.growth.links import Session
from mapscope.growth.tables import Shape, Table
from mapscope.growth.trouble import Refused

T = TypeVar("T")
Range = tuple[str, int]
"""A table and the number of a range of key hashes."""


Touched = Mapping[str, frozenset[int]]
"""By table: key hashes modulo ``_FINE`` of rows that were written to."""
_FINE = 1 << 30
Sums = Mapping[Range, tuple[int, int]]
"""Rows and checksum of each range that has rows."""


@dataclass(frozen=True, slots=True)
class Since:
    """Rows of each range now, and the rows that were written since a transaction number."""

    rows: Mapping[Range, int]
    touched: Touched

    def either(self, other: Since) -> Touched:
        """What was written on one node or the other."""
        return {table: self.touched[table] | other.touched[table] for table in self.touched}


def unequal(ours: Sums, theirs: Sums, among: Collection[Range] | None = None) -> set[Range]:
    """The ranges that differ. ``among``: only these are compared."""
    either = set(ours) | set(theirs) if among is None else among
    return {one for one in either if ours.get(one) != theirs.get(one)}


def _range(table: Table, count: int) -> sql.Composable:
    """The range of a row of table ``t``, as an expression."""
    key: sql.Composable = sql.SQL("t::text")
    if table.key:
        key = sql.SQL("row({})::text").format(sql.SQL(", ").join(sql.Identifier("t", name) for name in table.key))
    return sql.SQL("(hashtextextended({}, 0) & {})::int").format(key, sql.Literal(count - 1))


async def sums(connection: Session, shape: Shape, count: int, only: Touched | None = None) -> Sums:
    """All rows of a shard, as ``count`` ranges a table (a power of two). ``only``: rows with these key hashes alone."""
    found: dict[Range, tuple[int, int]] = {}
    for table in shape.tables:
        condition: sql.Composable = sql.SQL("")
        if only is not None:
            if not only[table.name]:
                continue
            hashes = sql.Literal(sorted(only[table.name]))
            condition = sql.SQL(" where {} = any({})").format(_range(table, _FINE), hashes)
        statement = sql.SQL(
            "select {}, count(*), sum(hashtextextended(t::text, 1)::numeric)::text from {} t{} group by 1"
        ).format(_range(table, count), shape.identifier(table.name), condition)
        cursor = await connection.execute(statement)
        found.update({(table.name, row[0]): (row[1], int(row[2])) for row in await cursor.fetchall()})
    return found


async def now(connection: Session) -> str:
    """A transaction number: all that is not yet visible has this or a higher one."""
    cursor = await connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::text")
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])


async def since(connection: Session, shape: Shape, count: int, number: str) -> Since:
    """What was written since ``now`` gave ``number``; rows are read, but not hashed."""
    rows: dict[Range, int] = {}
    touched: dict[str, frozenset[int]] = {}
    for table in shape.tables:
        statement = sql.SQL(
            "select hash & {}, count(*), array_agg(hash) filter (where age(x) <= age({}::xid8::xid)) "
            "from (select {} hash, t.xmin x from {} t) h group by 1"
        ).format(sql.Literal(count - 1), sql.Literal(number), _range(table, _FINE), shape.identifier(table.name))
        cursor = await connection.execute(statement)
        found = await cursor.fetchall()
        rows.update({(table.name, place): many for place, many, _ in found})
        touched[table.name] = frozenset(one for _, _, recent in found for one in recent or ())
    return Since(rows, touched)


async def pair(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, T]) -> tuple[T, T]:
    """Both at the same time; where one fails, the other is ended before the error goes on."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        return await tasks[0], await tasks[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def both(
    source: Session, target: Session, shape: Shape, count: int, only: Touched | None = None
) -> tuple[Sums, Sums]:
    """The sums of both nodes, computed at the same time."""
    return await pair(sums(source, shape, count, only), sums(target, shape, count, only))


async def same_tables(source: Session, target: Session, schema: str) -> None:
    """The definitions are still the same: logical replication does not carry ALTER TABLE. Refused where not."""
    ours, theirs = await pair(tables.signature(source, schema), tables.signature(target, schema))
    if ours != theirs:
        raise Refused("a table of the shard was altered, made or dropped at the source during the move")


def said(differ: Collection[Range]) -> str:
    """Some ranges in words."""
    names = sorted({table for table, _ in differ})
    return f"{len(differ)} {'range differs' if len(differ) == 1 else 'ranges differ'} (of {', '.join(names)})"
