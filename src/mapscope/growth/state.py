"""What the control database knows: moves with their states, and who may change them.

Every change is one statement or one transaction that names the state it leaves and the controller's token, so a
controller that was taken for dead changes nothing. A change whose answer was lost is asked for again: it finds itself
done.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from mapscope.growth import links, points, schema
from mapscope.growth.protocol import TERMINAL, State, permitted
from mapscope.growth.trouble import GrowthError, Refused, Superseded, Unreachable, is_lost, words

T = TypeVar("T")
_RETRY_SECONDS = 0.2
_HOLD_SECONDS = 2.0
"""For so long a server may take the session of a controller that was killed for a living one."""
_IDLE = psycopg.pq.TransactionStatus.IDLE
_COLUMNS = "id, shard, source, target, epoch, state, reason, restarts, fences, fence_lsn::text"


@dataclass(frozen=True, slots=True)
class Move:
    """One move as it is recorded. ``epoch`` is the source's; the target's is one higher."""

    id: int
    shard: int
    source: str
    target: str
    epoch: int
    state: State
    reason: str
    restarts: int
    fences: int
    fence_lsn: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing remains to be done."""
        return self.state in TERMINAL

    def __str__(self) -> str:
        return f"move {self.id} (shard {self.shard}, {self.source} to {self.target})"


def _move(row: TupleRow) -> Move:
    return Move(row[0], row[1], row[2], row[3], row[4], State(row[5]), row[6], row[7], row[8], row[9])


class Control:
    """The control database, and the right of this process to change it. One at a time holds it."""

    def __init__(self, dsn: str, patience: float) -> None:
        self._dsn = dsn
        self._patience = patience
        self._lock = asyncio.Lock()
        self._connection: AsyncConnection[TupleRow] | None = None
        self.store = ""
        self.token = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await links.close(self._connection)
            self._connection = None

    async def look(self) -> None:
        """Opens it for reading only."""
        self._connection = await self._connect()
        self.store = await schema.store_name(self._connection)

    async def command(self) -> None:
        """Becomes the controller. GrowthError while another one is."""
        self._connection = await self._connect()
        self.store = await schema.install_control(self._connection)
        await self._hold(self._connection)
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        cursor = await self._connection.execute(
            "update mapscope_control.controller set token = token + 1, holder = %s, since = clock_timestamp() "
            "returning token",
            (holder,),
        )
        found = await cursor.fetchone()
        assert found is not None
        self.token = found[0]

    async def _connect(self) -> AsyncConnection[TupleRow]:
        try:
            return await links.connect(self._dsn, "mapscope_growth_control")
        except psycopg.OperationalError as error:
            raise Unreachable(f"control database: {words(error)}", "check control: in the store file") from None

    async def _hold(self, connection: AsyncConnection[TupleRow]) -> None:
        deadline = time.monotonic() + _HOLD_SECONDS
        while True:
            cursor = await connection.execute("select pg_try_advisory_lock(%s, 0)", (schema.CONTROLLER,))
            if (await cursor.fetchone()) == (True,):
                return
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_RETRY_SECONDS)
        cursor = await connection.execute("select holder, since from mapscope_control.controller")
        holder, since = await cursor.fetchone() or ("?", None)
        raise GrowthError(
            f"another controller is at work: {holder}, since {since:%Y-%m-%d %H:%M:%S}",
            "wait for it, or end it; then mapscope growth resume",
        )

    async def run(self, action: Callable[[AsyncConnection[TupleRow]], Awaitable[T]]) -> T:
        """Does something in one transaction, again where the connection was lost. Unreachable after the patience."""
        deadline = time.monotonic() + self._patience
        async with self._lock:
            while True:
                try:
                    if self._connection is not None and self._connection.info.transaction_status != _IDLE:
                        await links.close(self._connection)  # a task that was ended left it in the middle
                        self._connection = None
                    if self._connection is None:
                        self._connection = await links.connect(self._dsn, "mapscope_growth_control")
                        if self.token:
                            await self._again(self._connection)
                    async with self._connection.transaction():
                        return await action(self._connection)
                except (psycopg.Error, OSError) as error:
                    if not is_lost(error):
                        raise
                    if self._connection is not None:
                        await links.close(self._connection)
                        self._connection = None
                    if time.monotonic() > deadline:
                        raise Unreachable(
                            f"control database: {words(error)}", "mapscope growth resume goes on when it is back"
                        ) from None
                await asyncio.sleep(_RETRY_SECONDS)

    async def _again(self, connection: AsyncConnection[TupleRow]) -> None:
        """After a lost connection: the lock again, and only if nobody else had it between."""
        cursor = await connection.execute("select pg_try_advisory_lock(%s, 0)", (schema.CONTROLLER,))
        held = (await cursor.fetchone()) == (True,)
        cursor = await connection.execute("select token from mapscope_control.controller")
        if (await cursor.fetchone()) != (self.token,):
            raise Superseded("its token is higher")
        if not held:  # our own old session may live on for a moment: the server has not seen its end
            raise psycopg.OperationalError("the controller's lock is still held")

    async def check(self, connection: AsyncConnection[TupleRow]) -> None:
        """Inside a transaction: this controller is the one, until the end of it. Superseded otherwise."""
        cursor = await connection.execute(
            "select 1 from mapscope_control.controller where token = %s for share", (self.token,)
        )
        if await cursor.fetchone() is None:
            raise Superseded("its token is higher")

    async def plan(self, shard: int, source: str, target: str) -> Move:
        """Writes a new move down. Refused where the shard is not at ``source``, or is being moved."""

        async def action(connection: AsyncConnection[TupleRow]) -> Move:
            await self.check(connection)
            cursor = await connection.execute(
                "select node, epoch from mapscope_control.route where shard = %s", (shard,)
            )
            route = await cursor.fetchone()
            if route is None:
                raise Refused(f"shard {shard} has no route")
            cursor = await connection.execute(
                f"select {_COLUMNS} from mapscope_control.move where shard = %s "
                "and state not in ('cleaned', 'abandoned')",
                (shard,),
            )
            if (other := await cursor.fetchone()) is not None:
                under_way = _move(other)
                if (under_way.source, under_way.target) == (source, target) and under_way.state is State.PLANNED:
                    return under_way
                raise Refused(f"shard {shard} is being moved already: {under_way}, {under_way.state}")
            if route[0] != source:
                raise Refused(f"shard {shard} is at node {route[0]}, not {source}")
            cursor = await connection.execute(
                "insert into mapscope_control.move (shard, source, target, epoch, state) "
                f"values (%s, %s, %s, %s, 'planned') returning {_COLUMNS}",
                (shard, source, target, route[1]),
            )
            made = await cursor.fetchone()
            assert made is not None
            return _move(made)

        return await self.run(action)

    async def record(
        self, move: Move, after: State, *, seconds: float = 0.0, figures: Mapping[str, float] | None = None,
        reason: str | None = None, fence_lsn: str | None = None,
    ) -> Move:  # fmt: skip
        """Records that a move has come from its state to ``after``. Superseded where it is not ours to do so.

        The record of SWITCHED changes the route in the same transaction.
        """
        assert permitted(move.state, after), f"{move.state} to {after}"

        async def action(connection: AsyncConnection[TupleRow]) -> Move:
            await self.check(connection)
            cursor = await connection.execute(
                "update mapscope_control.move set state = %s, changed = clock_timestamp(), "
                "reason = coalesce(%s, reason), "
                "fence_lsn = coalesce(%s::pg_lsn, fence_lsn), restarts = restarts + %s, fences = fences + %s "
                f"where id = %s and state = %s returning {_COLUMNS}",
                (
                    after, reason, fence_lsn, int(after is State.PLANNED), int(after is State.FENCED),
                    move.id, move.state,
                ),
            )  # fmt: skip
            if (row := await cursor.fetchone()) is None:
                now = await _find(connection, move.id)
                if now.state is after:
                    return now  # the answer to the first try was lost
                raise Superseded(f"{move} is {now.state}, not {move.state}")
            if after is State.SWITCHED:
                cursor = await connection.execute(
                    "update mapscope_control.route set node = %s, epoch = epoch + 1, changed = clock_timestamp() "
                    "where shard = %s and node = %s and epoch = %s",
                    (move.target, move.shard, move.source, move.epoch),
                )
                if cursor.rowcount != 1:
                    raise Superseded(f"the route of shard {move.shard} is not what {move} started from")
            await connection.execute(
                "insert into mapscope_control.step (move, state, seconds, figures) values (%s, %s, %s, %s)",
                (move.id, after, seconds, json.dumps(dict(figures or {}))),
            )
            return _move(row)

        recorded = await self.run(action)
        points.reach(f"{after}:recorded")
        return recorded

    async def find(self, number: int) -> Move:
        """A move as it is now."""

        async def action(connection: AsyncConnection[TupleRow]) -> Move:
            return await _find(connection, number)

        return await self.run(action)

    async def moves(self, *, open_only: bool = False) -> list[Move]:
        """All moves in the order of their planning."""
        condition = " where state not in ('cleaned', 'abandoned')" if open_only else ""

        async def action(connection: AsyncConnection[TupleRow]) -> list[Move]:
            cursor = await connection.execute(f"select {_COLUMNS} from mapscope_control.move{condition} order by id")
            return [_move(row) for row in await cursor.fetchall()]

        return await self.run(action)

    async def steps(self, moves: list[int]) -> list[tuple[int, State, float, dict[str, Any]]]:
        """The recorded steps of some moves: move, state, seconds, figures."""

        async def action(connection: AsyncConnection[TupleRow]) -> list[tuple[int, State, float, dict[str, Any]]]:
            cursor = await connection.execute(
                "select move, state, seconds, figures from mapscope_control.step where move = any(%s) order by id",
                (moves,),
            )
            return [(row[0], State(row[1]), row[2], row[3]) for row in await cursor.fetchall()]

        return await self.run(action)


async def _find(connection: AsyncConnection[TupleRow], number: int) -> Move:
    cursor = await connection.execute(f"select {_COLUMNS} from mapscope_control.move where id = %s", (number,))
    row = await cursor.fetchone()
    if row is None:
        raise GrowthError(f"there is no move {number}")
    return _move(row)
