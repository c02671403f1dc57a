"""What must hold before a move makes anything: settings of both servers, and tables that replication can carry."""

from __future__ import annotations

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from mapscope.growth.tables import Shape
from mapscope.growth.trouble import Refused

OLDEST = 150000
"""First server with publications of several kinds, statistics of subscriptions, and this syntax of a slot."""
_MAX_SAID = 5
_SOURCE = """
select current_setting('wal_level'),
    current_setting('max_replication_slots')::int - (select count(*) from pg_replication_slots),
    current_setting('max_wal_senders')::int - (select count(*) from pg_stat_replication),
    (select rolsuper or rolreplication from pg_roles where rolname = current_user)
"""
_TARGET = """
select coalesce(current_setting('max_active_replication_origins', true), current_setting('max_replication_slots'))::int
        - (select count(*) from pg_replication_origin_status where external_id is not null),
    current_setting('max_logical_replication_workers')::int
        - (select count(*) from pg_stat_subscription where pid is not null),
    (select rolsuper from pg_roles where rolname = current_user)
        or exists (select from pg_roles where rolname = 'pg_create_subscription'
            and pg_has_role(current_user, oid, 'member'))
"""
_FEEDS = """
select distinct s.subname from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid
    join pg_class c on c.oid = r.srrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname = %s
"""


async def source(connection: AsyncConnection[TupleRow], shape: Shape) -> None:
    """Refused with all that is wrong at the source."""
    wrong = _version(connection, "source")
    cursor = await connection.execute(_SOURCE)
    row = await cursor.fetchone()
    assert row is not None
    level, slots, senders, may = row
    if level != "logical":
        wrong.append(f"wal_level of the source is {level}; logical replication needs logical (and a restart)")
    if slots < 1:
        wrong.append("the source has no replication slot left (max_replication_slots)")
    if senders < 1:
        wrong.append("the source has no WAL sender left (max_wal_senders)")
    if not may:
        wrong.append("the source's user may not replicate (ALTER ROLE … REPLICATION)")
    cursor = await connection.execute(_FEEDS, (shape.schema,))
    if feeding := [row[0] for row in await cursor.fetchall()]:
        wrong.append(
            f"the shard is fed by a subscription at the source ({', '.join(feeding)}), whose rows would not go on"
        )
    _refuse([*wrong, *shape.problems])


async def target(connection: AsyncConnection[TupleRow], *, republish: bool) -> None:
    """Refused with all that is wrong at the target."""
    wrong = _version(connection, "target")
    cursor = await connection.execute(_TARGET)
    row = await cursor.fetchone()
    assert row is not None
    origins, workers, may = row
    if origins < 1:
        wrong.append("the target can follow no further origin (max_replication_slots)")
    if workers < 1:
        wrong.append("the target has no worker left (max_logical_replication_workers)")
    if not may:
        wrong.append("the target's user may not make a subscription (GRANT pg_create_subscription, or a superuser)")
    if not republish:
        cursor = await connection.execute("select pubname from pg_publication where puballtables order by 1")
        if found := [row[0] for row in await cursor.fetchall()]:
            wrong.append(
                f"publication {', '.join(found)} of the target has all tables: the move would be published again "
                "(moving.republish: true where its subscribers ask for origin = none)"
            )
    _refuse(wrong)


def _version(connection: AsyncConnection[TupleRow], which: str) -> list[str]:
    version = connection.info.server_version
    return [] if version >= OLDEST else [f"the {which} runs PostgreSQL {version // 10000}; 15 or newer is needed"]


def _refuse(wrong: list[str]) -> None:
    if wrong:
        more = f"; and {len(wrong) - _MAX_SAID} more" if len(wrong) > _MAX_SAID else ""
        raise Refused("; ".join(wrong[:_MAX_SAID]) + more)
