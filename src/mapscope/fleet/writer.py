"""The thread that writes to the store. What cannot be written now waits in a bounded memory; the watch goes on.

Of a store over several servers one may be away: what belongs there waits, the rest is written.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from mapscope.errors import MapscopeError
from mapscope.fleet.config import Retention
from mapscope.fleet.logs import say
from mapscope.fleet.store.choosing import ProfileStore, open_store
from mapscope.fleet.store.opening import said
from mapscope.fleet.store.records import Record

_BATCH = 64
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 15.0
_JUMP = 3600.0
"""Seconds by which the clock may differ from the one that never jumps before nothing is dropped for its age by it."""


@dataclass(slots=True)
class Counts:
    """What /metrics tells of the store."""

    written: int = 0
    failures: int = 0
    dropped: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    by_age: int = 0
    by_size: int = 0
    rows: int = 0
    stored_bytes: int = 0
    working: bool = False


class Writer:
    """``put`` never blocks. The thread begins with ``start`` and ends with ``stop``, which flushes."""

    def __init__(self, place: str, password: str | None, buffer_size: int, retention: Retention) -> None:
        """``place``: see ``open_store``. A file is opened now: StoreError where that cannot be."""
        self.counts = Counts()
        self.retention = retention
        self.store: ProfileStore = open_store(place, password)
        self._room = buffer_size
        self.counts.working = self.store.prepared
        self._waiting: deque[Record] = deque()
        self._rests: dict[str, tuple[float, float]] = {}
        """Lanes of the store that failed: how many seconds they rest, and until when."""
        self._condition = threading.Condition()
        self._ending: float | None = None
        self._began = time.time(), time.monotonic()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it writes, or will when it is started. False: it was stopped, or a bug of ours ended it."""
        return self._thread.ident is None or self._thread.is_alive()

    def put(self, record: Record) -> None:
        """Takes a record; where too many wait, the oldest are dropped and counted."""
        with self._condition:
            self._waiting.append(record)
            self.counts.waiting_bytes += record.weight
            while self.counts.waiting_bytes > self._room and len(self._waiting) > 1:
                self.counts.waiting_bytes -= self._waiting.popleft().weight
                self.counts.dropped += 1
            self.counts.waiting = len(self._waiting)
            self._condition.notify()

    def stop(self, seconds: float) -> int:
        """Writes what waits, for at most so long, and ends; how many records were lost."""
        with self._condition:
            self._ending = time.monotonic() + seconds
            self._rests = {lane: (wait, 0.0) for lane, (wait, _) in self._rests.items()}
            self._condition.notify()
        self._thread.join(seconds + 1)
        left = len(self._waiting)
        if not self._thread.is_alive():
            self.store.close()
        return left

    def _run(self) -> None:
        next_sweep = time.monotonic()
        while True:
            with self._condition:
                now = time.monotonic()
                if not (batch := self._batch(now)):
                    self._idle(next_sweep)
                    now = time.monotonic()
                    batch = self._batch(now)
                ending = self._ending
                over = ending is not None and (not self._waiting or time.monotonic() > ending)
            if over:
                return
            if self.store.prepared or (not self._resting(now, "") and self._tried("", self.store.prepare)):
                self._write(now, batch)
                self._settle()
                if time.monotonic() >= next_sweep and ending is None:
                    next_sweep = time.monotonic() + self.retention.interval
                    self._tried("", self._sweep)
                    self._settle()

    def _idle(self, next_sweep: float) -> None:
        """Waits until there is something to do."""
        now = time.monotonic()
        ends = [until for _, until in self._rests.values() if until > now]
        if self._ending is None or ends:
            self._condition.wait(max(min([*ends, next_sweep] if self._ending is None else ends) - now, 0.0))

    def _resting(self, now: float, *lanes: str) -> bool:
        return any(lane in self._rests and self._rests[lane][1] > now for lane in lanes)

    def _lanes(self, record: Record) -> tuple[str, ...]:
        return self.store.lanes_of(self.store.part_of(record.service))

    def _batch(self, now: float) -> list[Record]:
        """The first that wait and may be tried; one moment for all, so that none passes an earlier one of its lanes."""
        if not self.store.prepared and self._resting(now, ""):
            return []
        found: list[Record] = []
        for record in self._waiting:
            if not self._resting(now, *self._lanes(record)):
                found.append(record)
                if len(found) == _BATCH:
                    break
        return found

    def _write(self, now: float, batch: Sequence[Record]) -> None:
        parts: dict[int, list[Record]] = {}
        for record in batch:
            parts.setdefault(self.store.part_of(record.service), []).append(record)
        for part, records in parts.items():
            if not self._resting(now, *self.store.lanes_of(part)):  # one that failed just now rests beyond ``now``
                self._write_part(part, records)

    def _write_part(self, part: int, records: Sequence[Record]) -> None:
        try:
            written = self._commit(part, records)
        except (SQLAlchemyError, MapscopeError, OSError) as error:
            self._failed(error, self.store.lane_of(part, error))
            return
        gone = {record.id for record in records}
        with self._condition:
            for lane in self.store.lanes_of(part):
                self._rests.pop(lane, None)
            left = [one for one in self._waiting if one.id not in gone]  # others were dropped meanwhile
            self.counts.waiting_bytes -= sum(one.weight for one in self._waiting if one.id in gone)
            self._waiting = deque(left)
            self.counts.waiting = len(left)
            self.counts.written += written  # behind ``waiting``: who sees all of them written sees none wait

    def _tried(self, lane: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except (SQLAlchemyError, MapscopeError, OSError) as error:
            self._failed(error, lane)
            return False
        return True

    def _settle(self) -> None:
        """What rested long enough and has nothing that waits is good again."""
        with self._condition:
            waiting = self._waiting if self._rests else ()
            wanted = {lane for one in waiting for lane in self._lanes(one)}
            now = time.monotonic()
            for lane in [one for one in self._rests if one not in wanted and not self._resting(now, one)]:
                del self._rests[lane]
            good = not self._rests
        if good and not self.counts.working:
            say("info", "the store can be written", store=self.store.name, waiting=len(self._waiting))
        self.counts.working = good

    def _commit(self, part: int, batch: Sequence[Record]) -> int:
        """All in one transaction, and how many those were.

        What the database can never hold is dropped, so that it stops nothing else.
        """
        try:
            self.store.write(part, batch)
        except (DataError, IntegrityError) as error:
            if len(batch) > 1:
                return sum(self._commit(part, [one]) for one in batch)
            self.counts.dropped += 1
            say("error", "a profile cannot be stored and is dropped", target=batch[0].instance, error=said(error))
            return 0
        return len(batch)

    def _failed(self, error: Exception, lane: str) -> None:
        self.counts.failures += 1
        if lane not in self._rests:
            where = {"where": lane} if lane else {}
            say(
                "error", "the store cannot be written; profiles wait in memory", store=self.store.name,
                error=said(error), waiting=len(self._waiting), **where,
            )  # fmt: skip
        self.counts.working = False
        with self._condition:
            wait = min(max(2 * self._rests.get(lane, (0.0, 0.0))[0], _FIRST_WAIT), _LONGEST_WAIT)
            rest = wait if self._ending is None else min(wait, 0.2)
            self._rests[lane] = wait, time.monotonic() + rest

    def _sweep(self) -> None:
        keep = self.retention
        found = self.store.sweep(int(self._now() * 1e6), keep.profiles, keep.indicators, keep.max_size)
        self.counts.by_age += found.by_age
        self.counts.by_size += found.by_size
        self.counts.rows += found.rows
        self.counts.stored_bytes = found.left_bytes
        if found.left_out:
            say("warning", "retention left out shards that cannot be reached", shards=found.left_out)
        if found.by_age or found.by_size:
            say("info", "profiles were dropped", by_age=found.by_age, by_size=found.by_size, left=found.left_bytes)

    def _now(self) -> float:
        """The time by which age is told: a clock that was set far ahead must not empty the store."""
        clock = time.time()
        expected = self._began[0] + time.monotonic() - self._began[1]
        if clock - expected > _JUMP:
            say("warning", "the clock jumped ahead; age is told without the jump", seconds=round(clock - expected))
            return expected
        return clock
