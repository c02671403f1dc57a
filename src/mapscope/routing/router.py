"""A client of the store: finds the node that holds a service, and goes on to the next one when a shard moves.

Routes are remembered and read again only when a node refuses one: the node compares the epoch of the route with its
own row in the transaction of the write itself, so a router that missed a move cannot write to the old node.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import psycopg
from psycopg import Connection, conninfo
from psycopg.rows import TupleRow

from mapscope.routing.nodes import Shards
from mapscope.routing.trouble import FENCED, NOT_HERE, GrowthError, Unreachable, is_lost, words

T = TypeVar("T")
_PAUSE = (0.001, 0.05)
_CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Route:
    """Where a shard is: the node and the epoch at which it took it."""

    node: str
    epoch: int


def connect(dsn: str) -> Connection[TupleRow]:
    """A connection to a node or the control database; a server that does not answer any more is given up."""
    keep = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
    options: dict[str, str | int] = {**keep, "connect_timeout": _CONNECT_SECONDS, "application_name": "mapscope_router"}
    return psycopg.connect(conninfo.make_conninfo(dsn, **options))


class OutcomeUnknown(GrowthError):  # noqa: N818
    """The connection was lost while a write was being committed: it may be there or not.

    Ask, or write again in a way that finds it (a unique key).
    """


class UnknownNode(GrowthError):  # noqa: N818
    """A shard went to a node that this client was not told of: the store file has it by now."""


def hash_of(service: str) -> int:
    """The hash of a service, 32 bits, the same for ever: BLAKE2b of its name in UTF-8."""
    return int.from_bytes(hashlib.blake2b(service.encode("utf-8", "surrogatepass"), digest_size=4).digest())


class Router:
    """Reads and writes of one thread. ``patience``: seconds for one read or write, moves and all."""

    def __init__(
        self, control: str, nodes: Mapping[str, str], shards: Shards, patience: float = 30.0,
        connect: Callable[[str], Connection[TupleRow]] = connect,
    ) -> None:  # fmt: skip
        """``connect`` opens a connection to a DSN."""
        self._connect = connect
        self._control_dsn = control
        self._nodes = dict(nodes)
        self._shards = shards
        self._patience = patience
        self._routes: dict[int, Route] = {}
        self._last: dict[int, str] = {}
        self._open: dict[str, Connection[TupleRow]] = {}
        self.refusals = 0
        """How often a node refused a route, or asked to wait."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all connections."""
        for one in self._open.values():
            one.close()
        self._open.clear()

    def learn(self, nodes: Mapping[str, str]) -> None:
        """Takes nodes that are new, with their DSNs."""
        self._nodes.update(nodes)

    def shard_of(self, service: str) -> int:
        """The shard that holds a service."""
        return self._shards.of_hash(hash_of(service))

    def node_of(self, shard: int) -> str:
        """The node at which the shard was, as far as is known without asking; empty: it was never asked."""
        return self._last.get(shard, "")

    def locate(self, shard: int) -> str:
        """The node of a shard; the control database is asked only where the route is not known. psycopg.Error."""
        return (self._routes.get(shard) or self._ask(shard)).node

    def write(self, service: str, action: Callable[[Connection[TupleRow], str], T]) -> T:
        """Calls ``action`` with a connection in a transaction and the shard's schema, and commits.

        ``action`` is called again where the shard moved before the commit. OutcomeUnknown, Unreachable.
        """
        return self.write_shard(self.shard_of(service), action)

    def read(self, service: str, action: Callable[[Connection[TupleRow], str], T]) -> T:
        """As ``write``, for reading: the node keeps the shard until the transaction has ended."""
        return self.read_shard(self.shard_of(service), action)

    def write_shard(self, shard: int, action: Callable[[Connection[TupleRow], str], T]) -> T:
        """As ``write``, of a whole shard."""
        return self._do(shard, action, "enter_write")

    def read_shard(self, shard: int, action: Callable[[Connection[TupleRow], str], T]) -> T:
        """As ``read``, of a whole shard."""
        return self._do(shard, action, "enter_read")

    def _do(self, shard: int, action: Callable[[Connection[TupleRow], str], T], entry: str) -> T:
        deadline = time.monotonic() + self._patience
        pause = _PAUSE[0]
        while True:
            try:
                return self._once(shard, action, entry)
            except psycopg.Error as error:
                if error.sqlstate in (NOT_HERE, FENCED):
                    self.refusals += 1
                elif not (is_lost(error) or isinstance(error, psycopg.errors.UndefinedTable)):
                    raise
                if error.sqlstate != FENCED:
                    self._routes.pop(shard, None)
                if time.monotonic() > deadline:
                    raise Unreachable(
                        f"shard {shard} could not be reached for {self._patience:g} s: {words(error)}",
                        fenced=error.sqlstate == FENCED,
                    ) from None
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(pause * 2, _PAUSE[1])

    def _once(self, shard: int, action: Callable[[Connection[TupleRow], str], T], entry: str) -> T:
        route = self._routes.get(shard) or self._ask(shard)
        connection = self._connection(route.node)
        try:
            connection.execute(
                f"select mapscope_node.{entry}(%s, %s), set_config(%s, %s, true)".encode(),
                (shard, route.epoch, f"mapscope.epoch_{shard}", str(route.epoch)),
            )
            result = action(connection, self._shards.schema(shard))
        except BaseException as error:
            self._end(route.node, connection, error)
            raise
        try:
            connection.commit()
        except psycopg.Error as error:
            self._end(route.node, connection, error)
            if is_lost(error):
                raise OutcomeUnknown(f"node {route.node} went away during a commit: {words(error)}") from None
            raise
        return result

    def _end(self, node: str, connection: Connection[TupleRow], error: BaseException) -> None:
        """After an error: the transaction is undone, or the connection given up."""
        if not is_lost(error) and not connection.broken:
            try:
                connection.rollback()
            except psycopg.Error:
                connection.close()
        else:
            connection.close()
        if connection.closed:
            self._open.pop(node, None)

    def _ask(self, shard: int) -> Route:
        connection = self._connection("")
        try:
            row = connection.execute(
                "select node, epoch from mapscope_control.route where shard = %s", (shard,)
            ).fetchone()
            connection.commit()
        except psycopg.Error as error:
            self._end("", connection, error)
            raise
        if row is None:
            raise GrowthError(f"shard {shard} has no route", "mapscope growth setup makes routes")
        if row[0] not in self._nodes:
            raise UnknownNode(f"shard {shard} is at node {row[0]}, which this client does not know")
        self._routes[shard], self._last[shard] = Route(row[0], row[1]), row[0]
        return self._routes[shard]

    def _connection(self, node: str) -> Connection[TupleRow]:
        """That of a node; "" is the control database."""
        found = self._open.get(node)
        if found is None or found.closed:
            dsn = self._nodes[node] if node else self._control_dsn
            found = self._connect(dsn)
            found.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            self._open[node] = found
        return found
