"""What a move does on the nodes, effect by effect. Each can be done twice; ``moving`` says in what order.

An effect on a node is a transaction that begins with the shard's row (``ownership.take``), so it is refused when it
comes from a controller that was replaced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
from psycopg import errors, sql

from mapscope.growth import copying, fence, links, ownership, points, preflight, replication, schema, tables, verify
from mapscope.growth.fence import Fenced
from mapscope.growth.lag import LagWatch
from mapscope.growth.links import Link, Session
from mapscope.growth.names import Names
from mapscope.growth.replication import Exported
from mapscope.growth.state import Move
from mapscope.growth.tables import Shape
from mapscope.growth.trouble import GrowthError, Refused, is_lost
from mapscope.routing.nodes import Store

T = TypeVar("T")
BEAT_SECONDS = 1.0
_POLL = (0.002, 0.05)
"""Shortest and longest pause between two looks at the stream."""
_EARLY_TRIES = 5
_LOCK_PAUSE = 0.2


class FenceTooLong(GrowthError):  # noqa: N818
    """Clients have waited as long as they may."""


@dataclass
class Phases:
    """The two nodes of one move, and what this process knows of it beside the record."""

    store: Store
    move: Move
    names: Names
    token: int
    exported: Exported | None = None
    fenced: Fenced | None = None
    proven: tuple[str, str] | None = None
    """Every range was equal once, with writes going on: the transaction numbers of both nodes before that."""
    seen: Shape | None = None
    watch: LagWatch = field(init=False)
    source: Link = field(init=False)
    target: Link = field(init=False)
    fencing: Link = field(init=False)
    eyes: tuple[Link, Link] = field(init=False)
    """To look at source and target while their other sessions are at work."""

    def __post_init__(self) -> None:
        application = links.application(self.names.store, self.token)
        from_node, to_node = self.store.node(self.move.source), self.store.node(self.move.target)
        self.source = Link(self.move.source, from_node.dsn, application)
        self.target = Link(self.move.target, to_node.dsn, application)
        self.fencing = Link(self.move.source, from_node.dsn, application)
        self.eyes = (
            Link(self.move.source, from_node.dsn, application), Link(self.move.target, to_node.dsn, application),
        )  # fmt: skip
        self.watch = LagWatch(self.store.moving)

    @property
    def schema(self) -> str:
        """The shard's, on both nodes."""
        return self.store.shards.schema(self.move.shard)

    async def close(self) -> None:
        """Ends all sessions: a fence's lock, an exported snapshot."""
        if self.exported is not None:
            await self.exported.close()
            self.exported = None
        for link in (self.source, self.target, self.fencing, *self.eyes):
            await link.close()

    async def shape(self) -> Shape:
        """The shard's tables as the source has them, as of the last look (``verify.same_tables`` looks again)."""
        if self.seen is None:
            self.seen = await tables.read(await self.source.get(), self.schema)
        return self.seen

    async def show_source(self) -> None:
        """The source knows this controller's token: what an older one still does there is refused."""
        source = await self.source.get()
        async with source.transaction():
            await ownership.take(source, self.move.shard, self.token)

    async def show_target(self) -> None:
        """The target knows it, and has a row to remember it in."""
        target = await self.target.get()
        await schema.ensure_node(target)
        async with target.transaction():
            await ownership.take_or_make(target, self.move.shard, self.token)

    # before the switch

    async def create_slot(self) -> dict[str, float]:
        """Looks whether the move can be done, then makes publication and slot. What is left of an earlier try goes."""
        source, target, moving = await self.source.get(), await self.target.get(), self.store.moving
        self.seen = None
        shape = await self.shape()
        await preflight.source(source, shape)
        await preflight.target(target, republish=moving.republish)
        await replication.drop_slot(source, self.names)
        async with source.transaction():
            found = await ownership.expect(source, self.move.shard, self.token)
            if found.state != "owner" or found.epoch != self.move.epoch:
                raise Refused(
                    f"the source has shard {self.move.shard} as {found.state} at epoch {found.epoch}, "
                    f"not as owner at epoch {self.move.epoch}"
                )
            await replication.publish(source, self.names, shape)
        dsn = self.store.node(self.move.source).dsn
        application = links.application(self.names.store, self.token)
        self.exported = await replication.create_slot(dsn, application, self.names, moving.slot_seconds)
        return {}

    async def copy_base(self) -> dict[str, float]:
        """Tables and rows of the snapshot, in one transaction of the target."""
        assert self.exported is not None
        source, target, shape = await self.source.get(), await self.target.get(), await self.shape()
        epoch = self.move.epoch + 1
        try:
            async with target.transaction():
                await ownership.prepare_target(target, self.move.shard, self.token, epoch, self.names.stream)
                await target.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(self.schema)))
                copied = await self._watched(
                    copying.copy(source, target, shape, self.exported, self.names), streaming=False
                )
            await copying.unmark(target)
        except BaseException:
            await self.target.close()  # its replication origin with it
            raise
        await self.exported.close()
        self.exported = None
        await replication.drop_origin(target, self.names)
        return {"bytes": float(copied)}

    async def make_indexes(self) -> dict[str, float]:
        """Constraints, indexes, rights and the guard at the target, in one transaction."""
        target, shape = await self.target.get(), await self.shape()
        await replication.drop_origin(target, self.names)
        made = await tables.read(target, self.schema)
        if all(table.guarded for table in made.tables):
            return {}
        async with target.transaction():
            await self._incoming(target)
            await self._watched(tables.finish(target, shape, self.move.shard), streaming=False)
        return {}

    async def subscribe(self) -> dict[str, float]:
        """The subscription at the target."""
        target = await self.target.get()
        async with target.transaction():
            await self._incoming(target)
            await replication.subscribe(target, self.names, self.store.node(self.move.source).source_dsn)
        return {}

    async def _incoming(self, target: Session) -> None:
        found = await ownership.expect(target, self.move.shard, self.token)
        if found.state != "incoming" or found.move != self.names.stream:
            raise Refused(f"the target has shard {self.move.shard} as {found.state}, not as incoming by this move")

    async def flow(self) -> float:
        """Waits until a row comes through the stream quickly. Gives the seconds of that row."""
        limit = self.store.moving.fence_lag_seconds
        while True:
            began = time.monotonic()
            await self._await(await replication.beat(await self.source.get(), self.names), None)
            took = time.monotonic() - began
            if took <= limit:
                return took

    async def _await(self, lsn: int, deadline: float | None) -> None:
        """Until the target has applied ``lsn``. Refused where that will not come; FenceTooLong after ``deadline``."""
        source, target = await self.source.get(), await self.target.get()
        pause, beaten = _POLL[0], time.monotonic()
        while True:
            progress = await replication.progress(target, self.names)
            now = time.monotonic()
            if reason := self.watch.see(now, progress, await replication.kept(source, self.names)):
                raise Refused(reason)
            if self.watch.applied >= lsn:
                return
            if deadline is not None and now > deadline:
                raise FenceTooLong("the target did not apply the fenced LSN in time")
            if now - beaten > BEAT_SECONDS:
                await replication.beat(source, self.names)
                beaten = now
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _POLL[1])

    async def _watched(self, work: Coroutine[Any, Any, T], *, streaming: bool) -> T:
        """Does something long, and gives the move up meanwhile where the stream falls behind, or WAL piles up."""
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait((task,), timeout=BEAT_SECONDS))[0]:
                kept = await replication.kept(await self.eyes[0].get(), self.names)
                if streaming:
                    progress = await replication.progress(await self.eyes[1].get(), self.names)
                    reason = self.watch.see(time.monotonic(), progress, kept)
                else:
                    reason = self.watch.piled_up(kept)
                if reason:
                    raise Refused(reason)
            return await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def verify(self) -> dict[str, float]:
        """Waits for the stream, then compares with writes going on: a range that was equal once is proven for now."""
        flow = await self.flow()
        source, target, shape = await self.source.get(), await self.target.get(), await self.shape()
        await verify.same_tables(source, target, self.schema)
        began = time.monotonic()
        before = await verify.pair(verify.now(source), verify.now(target))
        open_ranges: set[verify.Range] | None = None
        for _ in range(_EARLY_TRIES):
            both = verify.both(source, target, shape, self.store.moving.ranges)
            ours, theirs = await self._watched(both, streaming=True)
            open_ranges = verify.unequal(ours, theirs, open_ranges)
            if not open_ranges:
                break
        self.proven = None if open_ranges else before
        return {"flow": flow, "early": time.monotonic() - began, "open_ranges": float(len(open_ranges or ()))}

    async def put_up_fence(self) -> dict[str, float]:
        """A last look at the lag, then the fence."""
        flow = await self.flow()
        self.fenced = await fence.put_up(self.fencing, self.move, self.names, self.token, self.store.moving)
        return {"flow": flow, "lock": time.monotonic() - self.fenced.since, "tries": float(self.fenced.tries)}

    async def catch_up(self) -> dict[str, float]:
        """The target applies the last write; then both are compared while nothing changes."""
        if self.fenced is None:  # found so after a crash: the row says fenced, the lock went with the old session
            self.fenced = await fence.put_up(self.fencing, self.move, self.names, self.token, self.store.moving)
        moving = self.store.moving
        deadline = self.fenced.since + moving.fence_seconds
        began = time.monotonic()
        await self._await(self.fenced.lsn, deadline)
        synced = time.monotonic()
        source, target, shape = await self.source.get(), await self.target.get(), await self.shape()
        await verify.same_tables(source, target, self.schema)
        left = deadline - time.monotonic()
        try:
            compared = await asyncio.wait_for(self._compare(source, target, shape), max(left, 0.0))
        except TimeoutError:
            raise FenceTooLong("the comparison behind the fence took too long") from None
        await tables.set_sequences(source, target, shape)
        return {"sync": synced - began, "verify": time.monotonic() - synced, "ranges": float(compared)}

    async def _compare(self, source: Session, target: Session, shape: Shape) -> int:
        """The number of ranges that were hashed; Refused where something differs.

        Where every range was equal before the fence, those that were written to since are hashed, and all are counted.
        """
        count, only = self.store.moving.ranges, None
        if self.proven is not None:
            ours, theirs = await verify.pair(
                verify.since(source, shape, count, self.proven[0]), verify.since(target, shape, count, self.proven[1])
            )
            if ours.rows != theirs.rows:
                lost = {one for one in {*ours.rows, *theirs.rows} if ours.rows.get(one) != theirs.rows.get(one)}
                raise Refused(f"source and target differ behind the fence: {verify.said(lost)}")
            only = ours.either(theirs)
        mine, other = await verify.both(source, target, shape, count, only)
        if differ := verify.unequal(mine, other):
            raise Refused(f"source and target differ behind the fence: {verify.said(differ)}")
        return len(mine)

    async def lift_fence(self) -> None:
        """The source takes writes again."""
        await self.fencing.close()
        self.fenced = None
        source = await self.source.get()
        await ownership.lift(source, self.move.shard, self.token, self.move.epoch, self.names.stream)
        points.reach("lift_fence:done")

    # after the switch

    async def release(self) -> dict[str, float]:
        """Closes the source, opens the target, lets the writers that wait go there.

        A source that does not answer is closed later: its fence stands, so it takes no write whatever happens.
        """
        epoch, began = self.move.epoch + 1, time.monotonic()
        try:
            source = await self.source.get()
            await ownership.close_source(source, self.move.shard, self.token, epoch - 1, self.names.stream)
        except (psycopg.Error, OSError) as error:
            if not is_lost(error):
                raise
        points.reach("close_source:done")
        await ownership.open_target(await self.target.get(), self.move.shard, self.token, epoch, self.names.stream)
        await self.fencing.close()
        waited = time.monotonic() - (self.fenced.since if self.fenced else began)
        return {"waited": waited} if self.fenced else {}

    async def detach(self) -> dict[str, float]:
        """Takes the stream down before anything of the source is deleted."""
        await replication.unsubscribe(await self.target.get(), self.names)
        points.reach("unsubscribe:done")
        await replication.drop_slot(await self.source.get(), self.names)
        await self.remove_marks()
        return {}

    async def remove_marks(self) -> None:
        """Publication, mark and origin, on both nodes."""
        await replication.unpublish(await self.source.get(), self.names)
        await replication.unpublish(await self.target.get(), self.names)
        await replication.drop_origin(await self.target.get(), self.names)

    async def drop_source_copy(self) -> dict[str, float]:
        """Deletes the source's rows when nobody reads them any more."""
        source = await self.source.get()
        await ownership.close_source(source, self.move.shard, self.token, self.move.epoch, self.names.stream)
        began = time.monotonic()
        while not await self._try_drop(source):
            if time.monotonic() - began > self.store.moving.reader_seconds:
                raise GrowthError(
                    f"readers of the old epoch are left at node {self.move.source} after "
                    f"{self.store.moving.reader_seconds:g} s",
                    "mapscope growth resume cleans up when they have gone",
                )
            await asyncio.sleep(_LOCK_PAUSE)
        return {"readers": time.monotonic() - began}

    async def _try_drop(self, source: Session) -> bool:
        try:
            async with source.transaction():
                await source.execute("set local lock_timeout = '1s'")
                found = await ownership.expect(source, self.move.shard, self.token)
                if found.state == "gone" and found.move == self.names.stream:
                    keys = ownership.lock_keys(self.move.shard, readers=True)
                    cursor = await source.execute("select pg_try_advisory_xact_lock(%s, %s)", keys)
                    if (await cursor.fetchone()) != (True,):
                        return False
                    await source.execute(
                        sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(self.schema))
                    )
                    await ownership.put(source, self.move.shard, "gone", self.move.epoch, "")
                elif found.state != "gone":
                    raise Refused(f"the source has shard {self.move.shard} as {found.state} again: it is left alone")
        except errors.LockNotAvailable:
            return False
        return True

    # the way back

    async def drop_target_copy(self) -> None:
        """Deletes what was copied; never a shard that the target owns."""
        target = await self.target.get()
        await schema.ensure_node(target)
        async with target.transaction():
            await target.execute("set local lock_timeout = '10s'")
            found = await ownership.take(target, self.move.shard, self.token)
            if found is not None and found.state == "incoming" and found.move == self.names.stream:
                await target.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(self.schema)))
                await ownership.put(target, self.move.shard, "gone", 0, "")

    async def undo(self) -> None:
        """Takes away all that a move before its switch has made; what one node refuses does not keep the other."""
        lost: Exception | None = None
        if self.exported is not None:
            await self.exported.close()
            self.exported = None
        for action in (self._undo_source, self._undo_target):
            try:
                await action()
            except (psycopg.Error, OSError) as error:
                if not is_lost(error):
                    raise
                lost = error
        if lost is not None:
            raise lost

    async def _undo_source(self) -> None:
        source = await self.source.get()
        await replication.drop_slot(source, self.names)
        await replication.unpublish(source, self.names)

    async def _undo_target(self) -> None:
        target = await self.target.get()
        await replication.unsubscribe(target, self.names)
        await self.drop_target_copy()
        await replication.unpublish(target, self.names)
        await replication.drop_origin(target, self.names)
