"""Whether a stream gets anywhere: what to make of the LSNs that two servers report, which may stand or fall back."""

from __future__ import annotations

from dataclasses import dataclass

from mapscope.growth.replication import Kept, Progress
from mapscope.routing.nodes import Moving
from mapscope.units import human_bytes

SHORT = 1 << 20
"""Bytes of lag that nobody needs to see shrink."""
MAX_ERRORS = 5
"""Errors of applying without progress between: the row will be refused again."""


@dataclass(slots=True)
class LagWatch:
    """Remembers the best that was seen. Times are seconds of one monotone clock, LSNs and lags bytes."""

    moving: Moving
    applied: int = 0
    lag: int = -1
    restarts: int = 0
    receiver: int | None = None
    errors: int = 0
    _errors_at_progress: int = -1
    _best: int = -1
    _best_at: float = 0.0

    def see(self, now: float, progress: Progress, kept: Kept) -> str:
        """One look at both servers. Gives the reason to abandon the move; empty while there is none.

        An applied LSN that is missing or lower than before is no news: the highest counts (citusdata/citus#7220).
        """
        if self._errors_at_progress < 0:
            self._errors_at_progress = progress.errors
        if progress.receiver is not None and progress.receiver != self.receiver:
            self.restarts += self.receiver is not None
            self.receiver = progress.receiver
        if progress.applied is not None and progress.applied > self.applied:
            self.applied = progress.applied
            self.restarts = 0
            self._errors_at_progress = progress.errors
        self.errors = progress.errors - self._errors_at_progress
        self.lag = max(kept.current - self.applied, 0) if self.applied else kept.retained
        if self._best < 0 or self.lag < self._best or self.lag <= SHORT:
            self._best, self._best_at = self.lag, now
        return self._reason(now, kept)

    def piled_up(self, kept: Kept) -> str:
        """The reason to abandon where the slot keeps too much; empty otherwise."""
        if kept.retained <= self.moving.retained_bytes:
            return ""
        return (
            f"the target cannot keep up: the source keeps {human_bytes(kept.retained)} of WAL for it, "
            f"more than {human_bytes(self.moving.retained_bytes)} (moving.retained_bytes)"
        )

    def _reason(self, now: float, kept: Kept) -> str:
        moving = self.moving
        if reason := self.piled_up(kept):
            return reason
        if self.errors >= MAX_ERRORS:
            return f"the target could not apply a change {self.errors} times without progress (its log says which)"
        if self.restarts > moving.receiver_restarts:
            return (
                f"the receiver was started {self.restarts} times without progress "
                "(raise wal_receiver_timeout at the target and wal_sender_timeout at the source)"
            )
        if now - self._best_at > moving.lag_seconds:
            return (
                f"the target cannot keep up: for {now - self._best_at:.0f} s its lag did not fall below "
                f"{human_bytes(self._best)}, it is {human_bytes(self.lag)} now"
            )
        return ""
