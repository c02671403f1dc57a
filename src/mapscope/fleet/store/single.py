"""The store in one database: a file of SQLite, or a database of PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from mapscope.fleet.store import reading, sweeping, writing
from mapscope.fleet.store.opening import is_url, migrate, open_engine, shown
from mapscope.fleet.store.reading import Rows, Stored
from mapscope.fleet.store.records import Record
from mapscope.fleet.store.sweeping import Swept


class Single:
    """See ``choosing.ProfileStore``."""

    def __init__(self, place: str, password: str | None, *, write: bool) -> None:
        """With ``write`` a file is made and brought up to date now, a database when ``prepare`` is called."""
        self.name = shown(place)
        self._engine = open_engine(place, password=password, write=write and not is_url(place))
        self.prepared = not is_url(place)

    def prepare(self) -> None:
        """Brings the tables up to date."""
        if not self.prepared:
            migrate(self._engine)
            self.prepared = True

    def part_of(self, service: str) -> int:
        """All is one part."""
        return 0

    def lanes_of(self, part: int) -> tuple[str, ...]:
        """All fails together."""
        return ("",)

    def lane_of(self, part: int, error: Exception) -> str:
        """All fails together."""
        return ""

    def write(self, part: int, records: Sequence[Record]) -> None:
        """All of ``records`` in one transaction."""
        writing.write(self._engine, records)

    def sweep(self, now_us: int, profiles_s: float, indicators_s: float, max_bytes: int) -> Swept:
        """Drops what is too old or too much."""
        return sweeping.sweep(self._engine, now_us, profiles_s, indicators_s, max_bytes)

    def services(self) -> list[str]:
        """Names of all services."""
        return reading.services(self._engine)

    def newest(self, service: str) -> int | None:
        """When the service was seen last."""
        return reading.newest(self._engine, service)

    def read(self, service: str, since_us: int, until_us: int, instance: str | None = None) -> Rows:
        """All rows of the service in this time."""
        return reading.read(self._engine, service, since_us, until_us, instance)

    def near(self, service: str, at_us: int, kind: str, instance: str | None) -> Stored | None:
        """The last profile of this kind up to a time."""
        return reading.near(self._engine, service, at_us, kind, instance)

    def kept(self, service: str, since_us: int, until_us: int, kind: str, instance: str | None) -> list[Stored]:
        """Profiles of this kind in a time."""
        return reading.kept(self._engine, service, since_us, until_us, kind, instance)

    def raw(self, service: str, key: uuid.UUID) -> bytes:
        """The bytes of a raw profile."""
        return reading.raw(self._engine, key)

    def close(self) -> None:
        """Ends all connections."""
        self._engine.dispose()
