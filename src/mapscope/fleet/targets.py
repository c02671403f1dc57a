"""What is watched: one address of one service, and when its turn is."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One process of a service. ``instance`` is HOST:PORT."""

    job: str
    service: str
    instance: str

    @property
    def phase(self) -> float:
        """Where in an interval its turn is, 0 to 1: always the same, and spread evenly over targets."""
        digest = hashlib.sha256(f"{self.job}\0{self.service}\0{self.instance}".encode("utf-8", "replace")).digest()
        return int.from_bytes(digest[:8], "big") / (1 << 64)


def next_turn(now: float, interval: float, phase: float) -> float:
    """The first turn after ``now``; both are seconds of a clock that never jumps."""
    offset = phase * interval
    return math.floor((now - offset) / interval + 1) * interval + offset


def backed_off(failures: int, interval: float, longest: float, chance: float) -> float:
    """Seconds until a target that failed ``failures`` times in a row is tried again.

    Doubled with each failure from one interval on, up to ``longest`` (but no less than the interval), and spread by
    ``chance`` (0 to 1) over the upper half, so that targets that failed together do not come back together.
    """
    most = min(interval * 2.0 ** min(failures - 1, 30), max(longest, interval))
    return most * (0.5 + 0.5 * chance)
