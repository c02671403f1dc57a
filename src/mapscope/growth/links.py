"""Connections to nodes that are opened when they are needed, and again when they were lost."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import psycopg
from psycopg import AsyncConnection, conninfo
from psycopg.rows import TupleRow

CONNECT_SECONDS = 5
_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "search_path": "pg_catalog",  # what the catalog prints is then qualified, and nobody's function is called
        "statement_timeout": 0,
        "lock_timeout": 0,
        "idle_in_transaction_session_timeout": 0,  # a snapshot is held as long as the base copy takes
        "timezone": "UTC",
        "datestyle": "ISO",
        "intervalstyle": "postgres",
        "extra_float_digits": 1,
        "bytea_output": "hex",
        "synchronous_commit": "on",
    }.items()
)
_KEEPALIVE = {
    "keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000,
}  # fmt: skip
Session = AsyncConnection[TupleRow]
_OPEN: set[Session] = set()
"""Connections of this process, for a test that cuts all of them at once."""


def application(store: str, token: int) -> str:
    """The name that the sessions of one controller bear on every node."""
    return f"mapscope_growth_{store}_t{token}"


async def connect(dsn: str, name: str, *, replication: bool = False) -> AsyncConnection[TupleRow]:
    """A connection that commits each statement. ``replication``: one that understands replication commands."""
    extra: dict[str, str | int] = {**_KEEPALIVE, "connect_timeout": CONNECT_SECONDS, "application_name": name}
    extra["replication" if replication else "options"] = "database" if replication else _OPTIONS
    extra["client_encoding"] = "UTF8"
    made = await AsyncConnection.connect(conninfo.make_conninfo(dsn, **extra), autocommit=True)
    _OPEN.add(made)
    return made


async def close(connection: AsyncConnection[TupleRow]) -> None:
    """Closes it, lost or not."""
    _OPEN.discard(connection)
    await connection.close()


def cut_all() -> None:
    """Ends every connection of this process without a word to the server, as a kill would."""
    for one in list(_OPEN):
        one.pgconn.finish()
    _OPEN.clear()


class Link:
    """One session on one node. Not shared between tasks."""

    def __init__(self, node: str, dsn: str, name: str) -> None:
        self.node = node
        self._dsn = dsn
        self._name = name
        self._connection: AsyncConnection[TupleRow] | None = None

    async def get(self) -> AsyncConnection[TupleRow]:
        """The session, opened if it is not, or no longer, open."""
        if self._connection is not None and (self._connection.closed or self._connection.broken):
            await self.close()
        if self._connection is None:
            self._connection = await connect(self._dsn, self._name)
        elif self._connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            await self.close()  # a cancelled task left it in the middle of something
            self._connection = await connect(self._dsn, self._name)
        return self._connection

    async def close(self) -> None:
        """Ends the session; what it held (locks, snapshots) goes with it."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await close(connection)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
