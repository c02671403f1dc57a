"""The controller: one process at a time that carries moves out, a task a shard, a few at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from mapscope.growth import leftovers, links, replication
from mapscope.growth.leftovers import Leftover
from mapscope.growth.links import Link
from mapscope.growth.moving import Mover, Report
from mapscope.growth.state import Control, Move
from mapscope.growth.trouble import GrowthError, Refused, Superseded, words
from mapscope.routing.nodes import Store

Wanted = tuple[int, str, str]
"""A move that is asked for: shard, source, target."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the moves. ``refused`` were not begun.

    ``waiting``: those that cannot end for now, with the reason.
    """

    ended: tuple[Move, ...]
    waiting: tuple[tuple[Move, str], ...]
    refused: tuple[tuple[Wanted, str], ...]
    dropped: tuple[Leftover, ...]
    away: tuple[str, ...]
    """Nodes that did not answer when they were looked at for leftovers."""


async def carry_out(store: Store, wanted: Sequence[Wanted], report: Report) -> Outcome:
    """First what is open from before, then the moves that are asked for. GrowthError while another controller works."""
    for _, source, target in wanted:
        store.node(source)
        store.node(target)
    async with Control(store.control, store.moving.patience_seconds) as control:
        await control.command()
        dropped, away = await sweep(store, control)
        before = await _all(store, control, await control.moves(open_only=True), report)
        planned: list[Move] = []
        refused: list[tuple[Wanted, str]] = []
        for one in wanted:
            try:
                planned.append(await control.plan(*one))
            except Refused as error:
                refused.append((one, str(error)))
        after = await _all(store, control, planned, report)
        done = [*before, *after]
        return Outcome(
            tuple(move for move, why in done if not why), tuple((move, why) for move, why in done if why),
            tuple(refused), tuple(dropped), tuple(away),
        )  # fmt: skip


async def _all(store: Store, control: Control, moves: Sequence[Move], report: Report) -> list[tuple[Move, str]]:
    """Each move with why it waits; empty where it ended."""
    places = asyncio.Semaphore(store.moving.parallel)

    async def one(move: Move) -> tuple[Move, str]:
        async with places:
            try:
                mover = Mover(store, control, move, report)
            except GrowthError as error:  # the store file does not name its node any more
                return move, str(error)
            try:
                return await mover.run(), ""
            except Superseded:
                raise
            except GrowthError as error:
                return mover.move, str(error)

    tasks = [asyncio.ensure_future(one(move)) for move in moves]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def sweep(store: Store, control: Control) -> tuple[list[Leftover], list[str]]:
    """Ends sessions of replaced controllers on all nodes, and drops what ended moves left.

    Gives what was dropped, and the nodes that are away.
    """
    open_moves = {move.id for move in await control.moves(open_only=True)}
    dropped: list[Leftover] = []
    away: list[str] = []
    for name, node in sorted(store.nodes.items()):
        async with Link(name, node.dsn, links.application(control.store, control.token)) as link:
            try:
                connection = await link.get()
                await replication.end_sessions(connection, control.store, control.token)
                found = await leftovers.find(connection, name, control.store, open_moves)
                await leftovers.drop(connection, found, control.store, store.shards, control.token)
                dropped += found
            except psycopg.OperationalError as error:
                away.append(f"{name}: {words(error)}")
    return dropped, away


async def look(store: Store) -> tuple[list[Leftover], list[str]]:
    """What ``sweep`` would drop, while a controller may be at work."""
    found: list[Leftover] = []
    away: list[str] = []
    async with Control(store.control, store.moving.patience_seconds) as control:
        await control.look()
        for name, node in sorted(store.nodes.items()):
            open_moves = {move.id for move in await control.moves(open_only=True)}
            async with Link(name, node.dsn, "mapscope_status") as link:
                try:
                    found += await leftovers.find(await link.get(), name, control.store, open_moves)
                except psycopg.OperationalError as error:
                    away.append(f"{name}: {words(error)}")
    return found, away
