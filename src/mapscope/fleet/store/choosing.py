"""Which kind of store a place names, and what each kind can do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Protocol

from mapscope.fleet.store.reading import Rows, Stored
from mapscope.fleet.store.records import Record
from mapscope.fleet.store.sweeping import Swept


class ProfileStore(Protocol):
    """What writer and readers ask of a store. Times in microseconds since 1970.

    Everything raises SQLAlchemyError or MapscopeError where the store cannot be read or written.
    """

    name: str
    """The place, without a password."""
    prepared: bool
    """Whether it is known to have its tables."""

    def prepare(self) -> None:
        """Sees to the tables."""

    def part_of(self, service: str) -> int:
        """The part of the store that holds a service; records of one part are written in one transaction."""

    def lanes_of(self, part: int) -> tuple[str, ...]:
        """What keeps a part from being written when it fails."""

    def lane_of(self, part: int, error: Exception) -> str:
        """Which of them an error says has failed."""

    def write(self, part: int, records: Sequence[Record]) -> None:
        """Records of one part in one transaction; written again they change nothing."""

    def sweep(self, now_us: int, profiles_s: float, indicators_s: float, max_bytes: int) -> Swept:
        """Drops profiles that are too old or too many, and indicators that are too old."""

    def services(self) -> list[str]:
        """Names of all services that have indicators or profiles."""

    def newest(self, service: str) -> int | None:
        """When the service was seen last; None: never."""

    def read(self, service: str, since_us: int, until_us: int, instance: str | None = None) -> Rows:
        """All rows of the service in this time."""

    def near(self, service: str, at_us: int, kind: str, instance: str | None) -> Stored | None:
        """The last profile of this kind that was taken at ``at_us`` or before; None: there is none."""

    def kept(self, service: str, since_us: int, until_us: int, kind: str, instance: str | None) -> list[Stored]:
        """Profiles of this kind in this time that are still there, the oldest first."""

    def raw(self, service: str, key: uuid.UUID) -> bytes:
        """The bytes of a raw profile, inflated."""

    def close(self) -> None:
        """Ends all connections."""


def is_store_file(place: str) -> bool:
    """Whether a place names the file of a store that is spread over several servers."""
    return place.endswith((".yaml", ".yml"))


def open_store(place: str, password: str | None = None, *, write: bool = True) -> ProfileStore:
    """The store at a file of SQLite, a URL of PostgreSQL, or a store file (``.yaml``) of ``mapscope growth``.

    With ``write`` a file of SQLite is made where it is missing; servers are asked when they are needed. Raises
    StoreError, UsageError.
    """
    if is_store_file(place):
        from mapscope.fleet.store.sharded import Sharded

        return Sharded(place)
    from mapscope.fleet.store.single import Single

    return Single(place, password, write=write)
