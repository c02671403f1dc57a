"""The tables in the shards of a store over several servers: made, brought up to date, and compared with ours.

``mapscope growth setup --watch`` calls ``bring_up``; rooms of one floor know each other by name only. Each shard has a
version of its own, in a table that moves with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import psycopg
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from mapscope.fleet.store.opening import StoreError, alembic_config, upgrade

_VERSION = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.Text))
"""Alembic's own; a Table, since the schema of nothing else is translated."""


@cache
def newest() -> str:
    """The version of the tables that this program knows."""
    found = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert found is not None
    return found


def check(connection: Connection, schema: str) -> None:
    """StoreError where the tables of a shard are not of this version."""
    found = connection.scalar(sa.select(_VERSION.c.version_num))
    if found != newest():
        raise StoreError(
            f"{schema} has tables of version {found}, this mapscope writes {newest()}",
            "mapscope growth setup STORE --watch brings them up to date; or use the mapscope that did",
        )


def bring_up(dsn: str, schemas: Sequence[str]) -> int:
    """Makes what is missing in the schemas of one database, each in one transaction: how many were changed.

    No move may be under way. Raises StoreError.
    """
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn, connect_timeout=5), poolclass=NullPool
    )
    changed = 0
    with engine.connect() as connection:
        for schema in schemas:
            with connection.begin():
                if _version(connection, schema) == newest():
                    continue
                name = sql.Identifier(schema).as_string(None)
                connection.exec_driver_sql(f"create schema if not exists {name}")
                # the only schema on the path: no table of another one is taken for its own
                connection.execute(sa.text("select set_config('search_path', :name, true)"), {"name": name})
                upgrade(connection)
                changed += 1
    engine.dispose()
    return changed


def _version(connection: Connection, schema: str) -> str | None:
    there = connection.scalar(
        sa.text("select to_regclass(format('%I.alembic_version', cast(:s as text)))"), {"s": schema}
    )
    if there is None:
        return None
    table = sa.table("alembic_version", sa.column("version_num", sa.Text), schema=schema)
    found: str | None = connection.scalar(sa.select(table.c.version_num))
    return found
