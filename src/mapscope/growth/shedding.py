"""Which shards one node gives away: a cover of what is too much, with few bytes.

It is the knapsack problem turned round (the least bytes whose work is enough). Greedy by work a byte among the shards
that do not end it, and at every prefix the smallest single shard that does (Gens and Levner 1979): the best of these
ends is at most twice the optimum for one measure, and mostly within a few per cent of it (tests try every choice).
"""

from __future__ import annotations

import numpy as np

from mapscope.growth.measures import Floats, Integers

_ENOUGH = 1e-12
_SMALL = 1e-9


def selected(work: Floats, size: Floats, need_work: float, need_bytes: float) -> Integers:
    """Places of the shards to give away, the heaviest first; all that help where all are not enough.

    ``work`` and ``size`` (bytes) are those of the shards, ``need_work`` and ``need_bytes`` what must go.
    """
    left_work, left_bytes = need_work, need_bytes
    open_to = np.ones(len(work), dtype=np.bool_)
    taken: list[int] = []
    best: list[int] | None = None
    best_bytes, taken_bytes = np.inf, 0.0
    while open_to.any() and taken_bytes < best_bytes:
        ends = open_to & _covers(work, need_work, left_work) & _covers(size, need_bytes, left_bytes)
        if ends.any():
            last = int(np.where(ends, size, np.inf).argmin())
            if taken_bytes + size[last] < best_bytes:
                best, best_bytes = [*taken, last], taken_bytes + float(size[last])
            open_to &= ~ends  # one that ends it is never needed beside others
        gain = _part(work, left_work) + _part(size, left_bytes)
        rate = np.where(open_to & (gain > 0), gain / np.maximum(size, _SMALL), -1.0)
        next_ = int(rate.argmax())
        if rate[next_] <= 0:
            break
        taken.append(next_)
        open_to[next_] = False
        taken_bytes += float(size[next_])
        left_work, left_bytes = left_work - float(work[next_]), left_bytes - float(size[next_])
    chosen = _without_idle(best if best is not None else taken, work, size, need_work, need_bytes)
    return np.array(sorted(chosen, key=lambda at: (-work[at], -size[at], at)), dtype=np.int64)


def _covers(amounts: Floats, need: float, left: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(amounts >= left - need * _ENOUGH)


def _part(amounts: Floats, left: float) -> Floats:
    """Which part of what is left each amount covers; nothing where nothing is left."""
    return np.minimum(amounts, left) / left if left > 0 else np.zeros_like(amounts)


def _without_idle(chosen: list[int], work: Floats, size: Floats, need_work: float, need_bytes: float) -> list[int]:
    """``chosen`` without those that the others make needless, the largest first."""
    kept = list(chosen)
    over_work = float(work[kept].sum()) - need_work
    over_bytes = float(size[kept].sum()) - need_bytes
    for at in sorted(chosen, key=lambda one: (-size[one], one)):
        if work[at] <= over_work and size[at] <= over_bytes:
            kept.remove(at)
            over_work -= float(work[at])
            over_bytes -= float(size[at])
    return kept


def least_bytes(work: Floats, size: Floats, need_work: float, need_bytes: float) -> int:
    """A lower bound of the bytes of any choice that covers both needs: shards are cut as wanted, needs apart."""
    with np.errstate(divide="ignore"):
        order = np.argsort(-np.where(size > 0, work / np.maximum(size, _SMALL), np.inf), kind="stable")
    total = np.cumsum(work[order])
    least = 0.0
    if need_work > 0 and len(total):
        whole = int(np.searchsorted(total, need_work))
        least = float(size[order[:whole]].sum())
        if whole < len(total):
            before = float(total[whole - 1]) if whole else 0.0
            least += float(size[order[whole]]) * (need_work - before) / float(work[order[whole]])
    return int(max(least, need_bytes))
