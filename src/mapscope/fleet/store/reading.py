"""What the store knows of a service over a time."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import sqlalchemy as sa
import zstandard
from sqlalchemy.engine import Connection, Engine, RowMapping

from mapscope.errors import EvidenceError
from mapscope.fleet.store.opening import READING
from mapscope.fleet.store.tables import FINDINGS, INDICATORS, PLACES, PROFILES, SITES

MAX_ROWS = 2_000_000


@dataclass(frozen=True, slots=True)
class Given:
    """A connection in the middle of a transaction: that of one shard of a store over several servers."""

    connection: Connection


Source = Engine | Given
"""What is read."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One raw profile that is kept; times in microseconds since 1970, sizes in bytes."""

    id: uuid.UUID
    instance: str
    kind: str
    taken_us: int
    raw_size: int
    stored_size: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Everything of one service from one time to another, the oldest first."""

    indicators: list[RowMapping]
    places: list[RowMapping]
    findings: list[RowMapping]
    profiles: list[Stored]


def _reading(source: Source) -> AbstractContextManager[Connection]:
    if isinstance(source, Given):
        return nullcontext(source.connection)
    return source.execution_options(**{READING: True}).connect()


def services(engine: Source) -> list[str]:
    """Names of all services that have indicators or profiles."""
    both = sa.union(sa.select(INDICATORS.c.service), sa.select(PROFILES.c.service)).subquery()
    with _reading(engine) as connection:
        return sorted(connection.scalars(sa.select(both.c.service).distinct()))


def newest(engine: Source, service: str) -> int | None:
    """When the service was seen last, microseconds since 1970; None: never."""
    with _reading(engine) as connection:
        found = connection.scalar(sa.select(sa.func.max(INDICATORS.c.taken_us)).where(INDICATORS.c.service == service))
        return None if found is None else int(found)


def read(engine: Source, service: str, since_us: int, until_us: int, instance: str | None = None) -> Rows:
    """All rows of ``service`` in this time. EvidenceError where they are too many."""

    def within(table: sa.Table) -> sa.ColumnElement[bool]:
        found = sa.and_(table.c.service == service, table.c.taken_us.between(since_us, until_us))
        return found if instance is None else sa.and_(found, table.c.instance == instance)

    with _reading(engine) as connection:

        def rows(statement: sa.Select[tuple[object, ...]]) -> list[RowMapping]:
            found = list(connection.execute(statement.limit(MAX_ROWS + 1)).mappings())
            if len(found) > MAX_ROWS:
                raise EvidenceError(f"more than {MAX_ROWS:,} rows", "give a later --since, or --instance")
            return found

        columns = [column for column in PLACES.c if column.name != "service"]
        sited = sa.select(*columns, *(column for column in SITES.c if column.name not in ("id", "service")))
        lasting = sa.and_(
            FINDINGS.c.service == service, FINDINGS.c.began_us <= until_us,
            sa.or_(FINDINGS.c.ended_us.is_(None), FINDINGS.c.ended_us >= since_us),
            sa.true() if instance is None else FINDINGS.c.instance == instance,
        )  # fmt: skip
        kept = sa.select(*(c for c in PROFILES.c if c.name in Stored.__dataclass_fields__)).where(within(PROFILES))
        return Rows(
            rows(sa.select(INDICATORS).where(within(INDICATORS)).order_by(INDICATORS.c.taken_us, INDICATORS.c.name)),
            rows(sited.join_from(PLACES, SITES, PLACES.c.site_id == SITES.c.id).where(within(PLACES))
                 .order_by(PLACES.c.taken_us, PLACES.c.inuse_bytes.desc())),
            rows(sa.select(FINDINGS).where(lasting).order_by(FINDINGS.c.began_us)),
            [Stored(**row) for row in rows(kept.order_by(PROFILES.c.taken_us))],
        )  # fmt: skip


def near(engine: Source, service: str, at_us: int, kind: str, instance: str | None) -> Stored | None:
    """The last profile of this kind that was taken at ``at_us`` or before; None: there is none."""
    which = [PROFILES.c.service == service, PROFILES.c.kind == kind, PROFILES.c.taken_us <= at_us]
    if instance is not None:
        which.append(PROFILES.c.instance == instance)
    columns = [column for column in PROFILES.c if column.name in Stored.__dataclass_fields__]
    statement = sa.select(*columns).where(*which).order_by(PROFILES.c.taken_us.desc()).limit(1)
    with _reading(engine) as connection:
        row = connection.execute(statement).mappings().first()
    return None if row is None else Stored(**row)


def kept(engine: Source, service: str, since_us: int, until_us: int, kind: str, instance: str | None) -> list[Stored]:
    """Profiles of this kind that are still there, the oldest first."""
    which = [PROFILES.c.service == service, PROFILES.c.kind == kind, PROFILES.c.taken_us.between(since_us, until_us)]
    if instance is not None:
        which.append(PROFILES.c.instance == instance)
    columns = [column for column in PROFILES.c if column.name in Stored.__dataclass_fields__]
    statement = sa.select(*columns).where(*which).order_by(PROFILES.c.taken_us).limit(MAX_ROWS)
    with _reading(engine) as connection:
        return [Stored(**row) for row in connection.execute(statement).mappings()]


def raw(engine: Source, key: uuid.UUID) -> bytes:
    """The bytes of a raw profile, inflated. EvidenceError where it is gone or spoiled."""
    statement = sa.select(PROFILES.c.data, PROFILES.c.raw_size, PROFILES.c.digest).where(PROFILES.c.id == key)
    with _reading(engine) as connection:
        row = connection.execute(statement).first()
    if row is None:
        raise EvidenceError(f"profile {key} is not in the store", "retention dropped it; give another time")
    try:
        data = zstandard.ZstdDecompressor().decompress(row.data, max_output_size=row.raw_size + 1)
    except zstandard.ZstdError as error:
        raise EvidenceError(f"profile {key} is spoiled: {error}", "give another time") from error
    if hashlib.sha256(data).digest() != row.digest:
        raise EvidenceError(f"profile {key} is spoiled: its hash is another", "give another time")
    return data
