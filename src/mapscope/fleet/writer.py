"""The thread that writes to the store. What cannot be written now waits in a bounded memory; the watch goes on."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from mapscope.errors import MapscopeError
from mapscope.fleet.config import Retention
from mapscope.fleet.logs import say
from mapscope.fleet.store.opening import is_url, migrate, open_engine, said, shown
from mapscope.fleet.store.records import Record
from mapscope.fleet.store.writing import Swept, sweep, write

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
        """``place``: a file or a URL of PostgreSQL. A file is opened now: StoreError where that cannot be."""
        self.counts = Counts()
        self.retention = retention
        self._place, self._room = place, buffer_size
        self._engine: Engine = open_engine(place, password=password, write=not is_url(place))
        self._migrated = not is_url(place)
        self.counts.working = self._migrated
        self._waiting: deque[Record] = deque()
        self._condition = threading.Condition()
        self._ending: float | None = None
        self._began = time.time(), time.monotonic()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    @property
    def engine(self) -> Engine:
        """Connections to the store, for those who read."""
        return self._engine

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

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
            self._condition.notify()
        self._thread.join(seconds + 1)
        left = len(self._waiting)
        if not self._thread.is_alive():
            self._engine.dispose()
        return left

    def _run(self) -> None:
        wait, next_sweep = 0.0, time.monotonic()
        while True:
            with self._condition:
                due = max(next_sweep - time.monotonic(), 0.0)
                if wait:
                    self._condition.wait_for(lambda: self._ending is not None, wait)
                elif not self._waiting and self._ending is None and due:
                    self._condition.wait(due)
                batch = [self._waiting[i] for i in range(min(len(self._waiting), _BATCH))]
                ending = self._ending
            if ending is not None and (not batch or time.monotonic() > ending):
                return
            try:
                self._write(batch)
                if time.monotonic() >= next_sweep and ending is None:
                    next_sweep = time.monotonic() + self.retention.interval
                    self._sweep()
                wait = 0.0
            except (SQLAlchemyError, MapscopeError, OSError) as error:
                wait = self._failed(error, wait)
                if ending is not None:
                    wait = min(wait, 0.2)

    def _write(self, batch: Sequence[Record]) -> None:
        if not self._migrated:
            migrate(self._engine)
            self._migrated = True
        if batch:
            self._commit(batch)
        if not self.counts.working:
            say("info", "the store can be written", store=shown(self._place), waiting=len(self._waiting))
        self.counts.working = True
        with self._condition:
            gone = {record.id for record in batch}
            while self._waiting and self._waiting[0].id in gone:  # others were dropped meanwhile
                self.counts.waiting_bytes -= self._waiting.popleft().weight
            self.counts.waiting = len(self._waiting)

    def _commit(self, batch: Sequence[Record]) -> None:
        """All in one transaction. What the database can never hold is dropped, so that it stops nothing else."""
        try:
            write(self._engine, batch)
            self.counts.written += len(batch)
        except (DataError, IntegrityError) as error:
            if len(batch) > 1:
                for one in batch:
                    self._commit([one])
                return
            self.counts.dropped += 1
            say("error", "a profile cannot be stored and is dropped", target=batch[0].instance, error=said(error))

    def _failed(self, error: Exception, wait: float) -> float:
        self.counts.failures += 1
        if self.counts.working or not wait:
            say(
                "error", "the store cannot be written; profiles wait in memory", store=shown(self._place),
                error=said(error), waiting=len(self._waiting),
            )  # fmt: skip
        self.counts.working = False
        return min(max(2 * wait, _FIRST_WAIT), _LONGEST_WAIT)

    def _sweep(self) -> None:
        keep = self.retention
        found: Swept = sweep(
            self._engine, int(self._now() * 1e6), keep.profiles, keep.indicators, keep.max_size
        )  # fmt: skip
        self.counts.by_age += found.by_age
        self.counts.by_size += found.by_size
        self.counts.rows += found.rows
        self.counts.stored_bytes = found.left_bytes
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
