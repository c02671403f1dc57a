"""Opening a store: SQLite with a file of its own, or PostgreSQL; its tables are brought up to date first."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import event
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.pool import QueuePool

from mapscope.errors import EvidenceError, MapscopeError, UsageError

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6D617073636F7065
"""Key of the advisory lock under which tables are changed: ``mapscope``."""
_CONNECT_SECONDS = 5
READING = "mapscope_reading"
"""Option of connections that only read: they wait for no writer."""


class StoreError(MapscopeError):
    """The store cannot be opened, read or written."""


def is_url(place: str) -> bool:
    """Whether a store is named by a URL, not by the name of a file."""
    return place.startswith(("postgresql://", "postgres://"))


def open_engine(place: str, *, password: str | None = None, write: bool = True) -> Engine:
    """Connections to the store at a file or a URL of PostgreSQL.

    With ``write`` it is made where it is missing and its tables are brought up to date; without, nothing is changed.
    Raises StoreError, UsageError.
    """
    engine = _postgres(place, password) if is_url(place) else _sqlite(place, write)
    try:
        if write:
            migrate(engine)
    except sa.exc.SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(f"cannot open the store {shown(place)}: {said(error)}", _hint(place)) from error
    return engine


def shown(place: str) -> str:
    """The place without a password."""
    return _url(place).render_as_string(hide_password=True) if is_url(place) else place


def _url(place: str) -> URL:
    try:
        return make_url(place)
    except (sa.exc.ArgumentError, ValueError):
        raise UsageError("the store's URL cannot be read", "write postgresql://USER@HOST/DATABASE") from None


def said(error: BaseException) -> str:
    """What a driver said, on one line, without statement and parameters."""
    inner = getattr(error, "orig", None) or error
    return (str(inner).strip().splitlines() or [type(inner).__name__])[0][:300]


def migrate(engine: Engine) -> None:
    """Brings the tables up to date, in one transaction, one process at a time."""
    with engine.connect() as connection, connection.begin():
        upgrade(connection)


def upgrade(connection: sa.Connection) -> None:
    """Inside a transaction: brings the tables up to date, those of the first schema of the search path."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    settings = alembic_config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def alembic_config() -> AlembicConfig:
    """Where Alembic finds the migrations."""
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings


def _hint(place: str) -> str:
    return "is the server up, and may this user in?" if is_url(place) else "is it a store of mapscope, and writable?"


def _postgres(place: str, password: str | None) -> Engine:
    url = _url(place).set(drivername="postgresql+psycopg")
    if password is not None:
        url = url.set(password=password)
    options = {"connect_timeout": _CONNECT_SECONDS, "options": "-c timezone=UTC", "application_name": "mapscope"}
    # what a dead server does not answer is given up: the watch waits in no state for ever
    options |= {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
    return sa.create_engine(url, pool_size=2, max_overflow=2, pool_pre_ping=True, connect_args=options)


def _sqlite(place: str, write: bool) -> Engine:
    path = os.path.abspath(place)
    try:
        if write:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        else:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        kind = StoreError if write else EvidenceError
        raise kind(f"cannot open the store {place}: {error.strerror}", "give --store FILE, or its settings") from error
    engine = sa.create_engine(
        URL.create("sqlite", database=path), poolclass=QueuePool, pool_size=2, connect_args={"timeout": 10}
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # BEGIN is ours: a change of tables is one transaction too
        try:
            with contextlib.closing(connection.cursor()) as cursor:
                _prepare(cursor, write)
        except BaseException:
            connection.close()  # the pool does not know it yet
            raise

    @event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        reads = not write or connection.get_execution_options().get(READING, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")  # one that writes waits for its turn now

    return engine


def _prepare(cursor: Any, write: bool) -> None:
    """What a new connection to an SQLite file is told."""
    if not write:
        cursor.execute("pragma query_only = on")
        return
    (pages,) = cursor.execute("pragma page_count").fetchone()
    if not pages:  # of an old one it would want the lock, for nothing
        cursor.execute("pragma auto_vacuum = incremental")
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = full")  # a commit is on the disk before it is acknowledged
