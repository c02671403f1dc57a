"""Whether two nodes hold the same rows of a shard: counts and checksums of ranges of key hashes.

A row is hashed by the server over its text, so rows themselves never leave it. Two sessions print values alike because
both have the same settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from mapscope.growth import tables
from mapscope.growth.tables import Shape
from mapscope.growth.trouble import Refused

T = TypeVar("T")
Range = tuple[str, int]
"""A table and the number of a range of key hashes."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one node: rows and checksum of each range that has rows. ``rows``: of each table, where only counted."""

    ranges: Mapping[Range, tuple[int, int]]
    rows: Mapping[str, int]

    def unequal(self, other: Sums, among: Collection[Range] | None = None) -> set[Range]:
        """The ranges that differ. ``among``: only these are compared."""
        either = set(self.ranges) | set(other.ranges) if among is None else among
        return {one for one in either if self.ranges.get(one) != other.ranges.get(one)}


async def sums(connection: AsyncConnection[TupleRow], shape: Shape, count: int) -> Sums:
    """All rows of a shard, as ``count`` ranges a table (a power of two)."""
    ranges: dict[Range, tuple[int, int]] = {}
    rows: dict[str, int] = {}
    for table in shape.tables:
        key = (
            sql.SQL("row({})::text").format(sql.SQL(", ").join(sql.Identifier("t", name) for name in table.key))
            if table.key
            else sql.SQL("t::text")
        )
        cursor = await connection.execute(
            sql.SQL(
                "select (hashtextextended({}, 0) & {})::int, count(*), sum(hashtextextended(t::text, 1)::numeric)::text"
                " from {} t group by 1"
            ).format(key, sql.Literal(count - 1), shape.identifier(table.name))
        )
        found = await cursor.fetchall()
        ranges.update({(table.name, row[0]): (row[1], int(row[2])) for row in found})
        rows[table.name] = sum(row[1] for row in found)
    return Sums(ranges, rows)


async def counts(connection: AsyncConnection[TupleRow], shape: Shape) -> Mapping[str, int]:
    """Rows of each table."""
    found: dict[str, int] = {}
    for table in shape.tables:
        cursor = await connection.execute(sql.SQL("select count(*) from {}").format(shape.identifier(table.name)))
        row = await cursor.fetchone()
        assert row is not None
        found[table.name] = row[0]
    return found


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
    source: AsyncConnection[TupleRow], target: AsyncConnection[TupleRow], shape: Shape, count: int
) -> tuple[Sums, Sums]:
    """The sums of both nodes, computed at the same time."""
    return await pair(sums(source, shape, count), sums(target, shape, count))


async def same_tables(source: AsyncConnection[TupleRow], target: AsyncConnection[TupleRow], schema: str) -> None:
    """The definitions are still the same: logical replication does not carry ALTER TABLE. Refused where not."""
    ours, theirs = await pair(tables.signature(source, schema), tables.signature(target, schema))
    if ours != theirs:
        raise Refused("a table of the shard was altered, made or dropped at the source during the move")


def said(unequal: Collection[Range]) -> str:
    """Some ranges in words."""
    names = sorted({table for table, _ in unequal})
    return f"{len(unequal)} {'range differs' if len(unequal) == 1 else 'ranges differ'} (of {', '.join(names)})"
