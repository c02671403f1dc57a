"""The store over several servers of PostgreSQL: each service lies in the shard of its name, wherever that is now.

The way to a shard is ``mapscope.routing``'s: it goes on to the next node when the shard moves, and a step that the
move interrupted is done again. ``mapscope growth`` makes the shards and moves them; the watch only uses them.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import psycopg
import sqlalchemy as sa
from psycopg.rows import TupleRow
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from mapscope.fleet.store import migrating, reading, writing
from mapscope.fleet.store.opening import StoreError
from mapscope.fleet.store.reading import Rows, Stored
from mapscope.fleet.store.records import Record
from mapscope.fleet.store.sweeping import Part, Swept, size_of, sweep_parts
from mapscope.routing import nodes, router
from mapscope.routing.trouble import GrowthError, Unreachable, words

T = TypeVar("T")
_AWAY = 10.0
_PATIENCE = 3.0
"""Seconds for one read or write: longer than a fence by far; what takes longer waits and lets others pass."""


class Sharded:
    """See ``choosing.ProfileStore``. The writer's thread and those that read each have their own connections."""

    def __init__(self, place: str) -> None:
        """Reads the file; the servers are asked when they are needed. GrowthError where the file is wrong."""
        self.name = place
        self._file = _read(place)
        self._writing = _Way(place, self._file)
        self._reading = _Way(place, self._file)
        self._one_reader = threading.Lock()
        self._away: dict[str, float] = {}
        self.prepared = False

    def prepare(self) -> None:
        """StoreError where a shard has no route. What version its tables have is seen when it is written first."""
        if self.prepared:
            return
        with _in_words():
            routed = self._writing.routed()
        if routed < self._file.shards.count:
            raise StoreError(
                f"{routed} of the {self._file.shards.count} shards have a route",
                f"mapscope growth setup {self.name} --watch makes them",
            )
        self.prepared = True

    def part_of(self, service: str) -> int:
        """Its shard."""
        return self._writing.router.shard_of(service)

    def lanes_of(self, part: int) -> tuple[str, ...]:
        """The node at which the shard was last, and the shard."""
        return self._writing.router.node_of(part), f"shard {part}"

    def lane_of(self, part: int, error: Exception) -> str:
        """The node where it did not answer; a fence, or tables of another version, are the shard's own trouble."""
        away = isinstance(error, router.OutcomeUnknown) or (isinstance(error, Unreachable) and not error.fenced)
        return self.lanes_of(part)[0 if away else 1]

    def write(self, part: int, records: Sequence[Record]) -> None:
        """In one transaction, at the node that has the shard. After OutcomeUnknown the same again finds itself."""
        with _in_words():
            self._writing.write(part, lambda connection: writing.add(connection, records))

    def sweep(self, now_us: int, profiles_s: float, indicators_s: float, max_bytes: int) -> Swept:
        """Shard by shard; those that cannot be reached are left out and counted. StoreError where none can be."""
        parts: list[Part] = []
        away: set[str] = set()
        trouble: Exception | None = None
        for shard in range(self._file.shards.count):
            part = self._writing.part(shard)
            if away & {*self.lanes_of(shard)}:
                continue
            try:
                part(size_of)
            except (GrowthError, StoreError) as error:
                trouble = error
                away.add(self.lane_of(shard, error))
            else:
                parts.append(part)
        if not parts:
            raise trouble or StoreError("no shard can be reached")
        with _in_words():
            done = sweep_parts(parts, now_us, profiles_s, indicators_s, max_bytes)
        return replace(done, left_out=self._file.shards.count - len(parts))

    def services(self) -> list[str]:
        """Those of all shards."""
        shards = range(self._file.shards.count)
        return sorted({name for shard in shards for name in self._read(shard, reading.services)})

    def newest(self, service: str) -> int | None:
        """When the service was seen last."""
        return self._read(self.part_of(service), lambda source: reading.newest(source, service))

    def read(self, service: str, since_us: int, until_us: int, instance: str | None = None) -> Rows:
        """All rows of the service in this time."""
        return self._read(
            self.part_of(service), lambda source: reading.read(source, service, since_us, until_us, instance)
        )

    def near(self, service: str, at_us: int, kind: str, instance: str | None) -> Stored | None:
        """The last profile of this kind up to a time."""
        return self._read(
            self.part_of(service), lambda source: reading.near(source, service, at_us, kind, instance)
        )  # fmt: skip

    def kept(self, service: str, since_us: int, until_us: int, kind: str, instance: str | None) -> list[Stored]:
        """Profiles of this kind in a time."""
        return self._read(
            self.part_of(service), lambda source: reading.kept(source, service, since_us, until_us, kind, instance)
        )

    def raw(self, service: str, key: uuid.UUID) -> bytes:
        """The bytes of a raw profile."""
        return self._read(self.part_of(service), lambda source: reading.raw(source, key))

    def close(self) -> None:
        """Ends all connections."""
        self._writing.close()
        with self._one_reader:
            self._reading.close()

    def _read(self, shard: int, action: Callable[[reading.Source], T]) -> T:
        """A node that did not answer is not asked again for a while: at its start a watch reads for each target."""
        with self._one_reader, _in_words():
            node = self._reading.locate(shard)
            if self._away.get(node, 0.0) > time.monotonic():
                raise StoreError(f"node {node or 'control'} did not answer a moment ago", "is it up?")
            try:
                return self._reading.read(shard, lambda connection: action(reading.Given(connection)))
            except Unreachable as error:
                if not error.fenced:
                    self._away[node] = time.monotonic() + _AWAY
                raise


class _Way:
    """A router, and SQLAlchemy's view of each of its connections. Transactions are the router's alone."""

    def __init__(self, place: str, file: nodes.Store) -> None:
        self._place, self._control = place, file.control
        self._links = dict[psycopg.Connection[TupleRow], Connection]()
        self._known: set[int] = set()
        self.router = router.Router(file.control, _dsns(file), file.shards, _PATIENCE, self._connect)

    def routed(self) -> int:
        """How many shards have a route."""
        with router.connect(self._control) as connection:
            row = connection.execute("select count(*) from mapscope_control.route").fetchone()
            assert row is not None
            return int(row[0])

    def write(self, shard: int, step: Callable[[Connection], T]) -> T:
        return self._with_new_nodes(
            lambda: self.router.write_shard(shard, lambda raw, schema: self._step(raw, schema, shard, step))
        )

    def read(self, shard: int, step: Callable[[Connection], T]) -> T:
        return self._with_new_nodes(
            lambda: self.router.read_shard(shard, lambda raw, schema: self._step(raw, schema, shard, step))
        )

    def _with_new_nodes(self, action: Callable[[], T]) -> T:
        """A shard may go to a server that the file names only since this process began."""
        try:
            return action()
        except router.UnknownNode:
            self.router.learn(_dsns(_read(self._place)))
            return action()

    def locate(self, shard: int) -> str:
        """The node of a shard; empty where the control database does not say."""
        try:
            return self.router.locate(shard)
        except (psycopg.Error, GrowthError):
            return ""

    def part(self, shard: int) -> Part:
        def part(step: Callable[[Connection], T], /) -> T:
            with _in_words():
                return self.write(shard, step)

        return part

    def close(self) -> None:
        self.router.close()
        self._forget()

    def _connect(self, dsn: str) -> psycopg.Connection[TupleRow]:
        self._forget()
        engine = sa.create_engine(
            "postgresql+psycopg://", creator=lambda: router.connect(dsn), poolclass=NullPool,
            pool_reset_on_return=None, use_native_hstore=False,
        )  # fmt: skip
        with _as_the_driver_says():
            link = engine.connect()
        raw = link.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        self._links[raw] = link
        return raw

    def _forget(self) -> None:
        """Those that the router has closed."""
        for raw in [one for one in self._links if one.closed]:
            link = self._links.pop(raw)
            link.invalidate()
            link.close()

    def _step(
        self, raw: psycopg.Connection[TupleRow], schema: str, shard: int, step: Callable[[Connection], T]
    ) -> T:  # fmt: skip
        link = self._links[raw].execution_options(schema_translate_map={None: schema})
        with _as_the_driver_says():
            if shard not in self._known:
                migrating.check(link, schema)
                self._known.add(shard)
            return step(link)


@contextmanager
def _as_the_driver_says() -> Iterator[None]:
    """SQLAlchemy's errors as psycopg's: the router tells by them what to do."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from error
        raise


@contextmanager
def _in_words() -> Iterator[None]:
    """What a server said becomes an error of ours, or of SQLAlchemy where the rows are to blame."""
    try:
        yield
    except psycopg.Error as error:
        if isinstance(error.__cause__, (sa.exc.DataError, sa.exc.IntegrityError)):
            raise error.__cause__ from None
        raise StoreError(words(error), "are all servers of the store file up, and may this user in?") from error


def _read(place: str) -> nodes.Store:
    try:
        return nodes.read(Path(place))
    except OSError as error:
        raise StoreError(f"cannot read {place}: {error.strerror or error}", "give the store file") from error


def _dsns(file: nodes.Store) -> dict[str, str]:
    return {name: node.dsn for name, node in file.nodes.items()}
