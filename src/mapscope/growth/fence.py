"""The fence: from here no write to the shard is committed at the source, and none is under way.

Two things make it. A row in ``mapscope_node.shard`` says ``fenced``: it outlives the controller. An advisory lock that
writers share lets the fence wait for those under way, and lets later ones wait instead of asking again and again.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from psycopg import errors, sql

from mapscope.growth import ownership, replication
from mapscope.growth.links import Link
from mapscope.growth.names import Names
from mapscope.growth.state import Move
from mapscope.growth.trouble import Refused
from mapscope.routing.nodes import Moving

_JITTER = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Fenced:
    """A fence that is up. ``lsn``: all of the shard that was committed lies below.

    ``since``: when writers began to wait, by the monotone clock.
    """

    lsn: int
    since: float
    tries: int


async def put_up(link: Link, move: Move, names: Names, token: int, moving: Moving) -> Fenced:
    """Locks writers out. ``link``'s session holds the lock until it is closed. Can be repeated."""
    since, tries = await _lock(link, move.shard, moving)
    connection = await link.get()
    async with connection.transaction():
        found = await ownership.expect(connection, move.shard, token)
        if found.epoch != move.epoch or not (
            found.state == "owner" or (found.state == "fenced" and found.move == names.stream)
        ):
            raise Refused(
                f"the source has shard {move.shard} as {found.state} at epoch {found.epoch}, not {move.epoch}"
            )
        await ownership.put(connection, move.shard, "fenced", move.epoch, names.stream)
        lsn = await replication.beat(connection, names)
    return Fenced(lsn, since, tries)


async def _lock(link: Link, shard: int, moving: Moving) -> tuple[float, int]:
    """The exclusive lock, with a few tries: while one waits, later writers queue behind it, so none may wait long."""
    connection = await link.get()
    keys = ownership.lock_keys(shard)
    for tries in range(1, moving.lock_attempts + 1):
        wait = min(moving.lock_seconds * 2 ** (tries - 1), moving.fence_seconds) * _JITTER.uniform(0.75, 1.25)
        since = time.monotonic()
        await connection.execute(sql.SQL("set lock_timeout = {}").format(max(int(wait * 1000), 1)))
        try:
            await connection.execute("select pg_advisory_lock(%s, %s)", keys)
        except errors.LockNotAvailable:
            await asyncio.sleep(wait * _JITTER.uniform(0.5, 1.0))
            continue
        await connection.execute("set lock_timeout = 0")
        return since, tries
    cursor = await connection.execute(
        "select a.pid, round(extract(epoch from clock_timestamp() - a.xact_start))::int from pg_locks l "
        "join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.classid = %s::bigint::oid "
        "and l.objid = %s::bigint::oid and l.granted order by a.xact_start limit 1",
        keys,
    )
    row = await cursor.fetchone()
    who = f" (process {row[0]}, in a transaction for {row[1]} s)" if row else ""
    raise Refused(
        f"a writer of the source held shard {shard} through all {moving.lock_attempts} tries of the fence{who}"
    )
