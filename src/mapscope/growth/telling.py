"""What ``run``, ``resume`` and ``status`` print."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import click
import psycopg

from mapscope.growth import controller, figures, looking
from mapscope.growth.controller import Outcome, Wanted
from mapscope.growth.leftovers import Leftover
from mapscope.growth.protocol import State
from mapscope.growth.state import Control, Move
from mapscope.growth.trouble import Unreachable, words
from mapscope.routing.nodes import Store
from mapscope.units import human_bytes

T = TypeVar("T")


def reaching(action: Callable[[], T]) -> T:
    """What ``action`` gives; Unreachable where a database did not answer."""
    try:
        return action()
    except psycopg.OperationalError as error:
        raise Unreachable(words(error), "check the addresses in the store file") from None


def carry_out(store: Store, wanted: Sequence[Wanted], form: str) -> int:
    """Does it, progress on stderr, result on stdout. Gives the exit status."""
    steps: list[figures.Step] = []

    def report(move: Move, state: State, seconds: float, measured: dict[str, float]) -> None:
        steps.append((move.id, state, seconds, measured))
        why = f": {move.reason}" if state in (State.ABANDONING, State.ABANDONED) else ""
        click.echo(f"{move}: {state} ({seconds * 1000:.1f} ms){why}", err=True)
        sys.stderr.flush()

    outcome = reaching(lambda: asyncio.run(_stoppable(controller.carry_out(store, wanted, report))))
    rows = figures.taken(steps)
    if form == "json":
        click.echo(json.dumps(_document(outcome, rows), indent=2))
    else:
        for line in _said(outcome, rows):
            click.echo(line)
    given_up = any(move.state is State.ABANDONED for move in outcome.ended)
    return int(given_up or bool(outcome.waiting or outcome.refused or outcome.away))


async def _stoppable(work: Coroutine[Any, Any, T]) -> T:
    """SIGTERM ends it as Ctrl-C does: fences are lifted, and what is open is left to ``resume``."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _said(outcome: Outcome, rows: list[figures.Taken]) -> list[str]:
    moved = [move for move in outcome.ended if move.state is State.CLEANED]
    lines = [f"{len(moved)} moved, {len(outcome.ended) - len(moved)} given up, {len(outcome.waiting)} wait"]
    lines += [f"  {move} was given up: {move.reason}" for move in outcome.ended if move.state is State.ABANDONED]
    lines += [f"  {move} waits in {move.state}: {why}" for move, why in outcome.waiting]
    lines += [f"  shard {one[0]} ({one[1]} to {one[2]}) was refused: {why}" for one, why in outcome.refused]
    lines += [f"  dropped {left.kind} {left.name} at node {left.node}" for left in outcome.dropped]
    lines += [f"  node {said}" for said in outcome.away]
    return [*lines, *(["", *figures.table(rows)] if rows else [])]


def _document(outcome: Outcome, rows: list[figures.Taken]) -> dict[str, Any]:
    return {
        "ended": [asdict(move) for move in outcome.ended],
        "waiting": [{**asdict(move), "why": why} for move, why in outcome.waiting],
        "refused": [{"shard": one[0], "source": one[1], "target": one[2], "why": why} for one, why in outcome.refused],
        "dropped": [asdict(left) for left in outcome.dropped],
        "away": list(outcome.away),
        "phases": _phases(rows),
    }


def _phases(rows: list[figures.Taken]) -> list[dict[str, Any]]:
    return [
        {
            "phase": row.phase.name, "moves": row.moves, "median_seconds": row.median, "longest_seconds": row.longest,
            "reads_wait": row.phase.reads_wait, "writes_wait": row.phase.writes_wait,
            "article_seconds": row.phase.article,
        }
        for row in rows
    ]  # fmt: skip


def status(store: Store, *, clean: bool, form: str) -> int:
    """Prints what is open and left behind; ``clean`` drops the latter first. Gives the exit status."""
    dropped = reaching(lambda: asyncio.run(_clean(store))) if clean else []
    found = reaching(lambda: asyncio.run(looking.look(store)))
    rows = figures.taken(found.steps)
    if form == "json":
        document = {
            "controller": asdict(found.controller), "open": [asdict(one) for one in found.open],
            "left": [asdict(one) for one in found.left], "dropped": [asdict(one) for one in dropped],
            "away": list(found.away), "ended": found.ended, "phases": _phases(rows),
        }  # fmt: skip
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo("\n".join(_status(found, rows, dropped)))
    return int(bool(found.open or found.left or found.away))


def _status(found: looking.Found, rows: list[figures.Taken], dropped: list[Leftover]) -> list[str]:
    at_work = f"at work: {found.controller.holder}" if found.controller.at_work else "none at work"
    lines = [f"controller: {at_work} (token {found.controller.token})"]
    lines.append("moves: " + (", ".join(f"{count} {state}" for state, count in found.ended.items()) or "none ended"))
    for one in found.open:
        lag = "" if one.lag is None else f", lag {human_bytes(one.lag)}"
        kept = "" if one.retained is None else f", the source keeps {human_bytes(one.retained)} of WAL"
        lines.append(f"  {one.move} is {one.move.state}{lag}{kept}")
    lines += [f"dropped {left.kind} {left.name} at node {left.node}" for left in dropped]
    lines += [f"left behind: {left.kind} {left.name} at node {left.node} (--clean drops it)" for left in found.left]
    lines += [f"node {said}" for said in found.away]
    return [*lines, *(["", *figures.table(rows)] if rows else [])]


async def _clean(store: Store) -> list[Leftover]:
    async with Control(store.control, store.moving.patience_seconds) as control:
        await control.command()
        return (await controller.sweep(store, control))[0]
