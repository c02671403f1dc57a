"""What the phases of moves took, beside the figures of the article's table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mapscope.growth.protocol import State

Step = tuple[int, State, float, Mapping[str, float]]
"""A recorded step: move, the state it came to, seconds, what was measured in it."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One row: what is summed up, who waits meanwhile, what the article says (seconds)."""

    name: str
    reads_wait: bool
    writes_wait: bool
    article: float | None = None


PHASES = (
    Phase("slot and publication", reads_wait=False, writes_wait=False),
    Phase("base copy", reads_wait=False, writes_wait=False),
    Phase("indexes", reads_wait=False, writes_wait=False),
    Phase("stream and first comparison", reads_wait=False, writes_wait=False),
    Phase("fence: last writers", reads_wait=False, writes_wait=True),
    Phase("WAL sync behind the fence", reads_wait=False, writes_wait=True, article=0.120),
    Phase("comparison behind the fence", reads_wait=False, writes_wait=True),
    Phase("switch of the route", reads_wait=False, writes_wait=True, article=0.0003),
    Phase("a writer's wait, all in all", reads_wait=False, writes_wait=True),
    Phase("clean-up", reads_wait=False, writes_wait=False, article=0.850),
)
_WHOLE = {
    State.SLOT_CREATED: "slot and publication", State.BASE_COPIED: "base copy", State.INDEXES_MADE: "indexes",
    State.STREAMING: "stream and first comparison", State.VERIFIED: "stream and first comparison",
    State.DETACHED: "clean-up", State.CLEANED: "clean-up",
}  # fmt: skip
_PARTS = {
    (State.FENCED, "lock"): "fence: last writers", (State.CAUGHT_UP, "sync"): "WAL sync behind the fence",
    (State.CAUGHT_UP, "verify"): "comparison behind the fence", (State.RELEASED, "switch"): "switch of the route",
    (State.RELEASED, "waited"): "a writer's wait, all in all",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds of one phase over some moves."""

    phase: Phase
    moves: int
    median: float
    longest: float


def taken(steps: Iterable[Step]) -> list[Taken]:
    """Of each phase that was measured: median and longest over the moves. A phase done twice in one move is summed."""
    seconds: dict[str, dict[int, float]] = {}
    for move, state, whole, figures in steps:
        found = [(_WHOLE[state], whole)] if state in _WHOLE else []
        found += [(name, figures[part]) for (at, part), name in _PARTS.items() if at is state and part in figures]
        for name, value in found:
            seconds.setdefault(name, {}).setdefault(move, 0.0)
            seconds[name][move] += value
    return [
        Taken(phase, len(of), statistics.median(of.values()), max(of.values()))
        for phase in PHASES
        if (of := seconds.get(phase.name))
    ]


def table(rows: Iterable[Taken]) -> list[str]:
    """The rows as lines of text."""
    lines = [f"{'phase':30} {'median':>10} {'longest':>10}  {'writes':7} {'the article':>11}"]
    for row in rows:
        article = f"{row.phase.article * 1000:g} ms" if row.phase.article is not None else ""
        lines.append(
            f"{row.phase.name:30} {row.median * 1000:7.1f} ms {row.longest * 1000:7.1f} ms  "
            f"{'wait' if row.phase.writes_wait else 'go on':7} {article:>11}"
        )
    return lines
