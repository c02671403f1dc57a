"""What is too old or too much goes out of the store, in steps, so that no transaction is long.

A store may have several parts: age is seen to in each, size in all together, the oldest first wherever they lie.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from mapscope.fleet.store.tables import FINDINGS, INDICATORS, PLACES, PROFILES, SITES

T = TypeVar("T")
_BATCH = 500


class Part(Protocol):
    """One part of a store: calls a step with a connection, in a transaction of its own."""

    def __call__(self, step: Callable[[Connection], T], /) -> T:
        """What the step gives."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep dropped: profiles for their age and for the size of all, and rows of indicators and the like.

    ``left_out``: parts that could not be reached.
    """

    by_age: int
    by_size: int
    rows: int
    left_bytes: int
    left_out: int = 0


def sweep(engine: Engine, now_us: int, profiles_s: float, indicators_s: float, max_bytes: int) -> Swept:
    """That of a store in one database. Raises SQLAlchemyError."""

    def part(step: Callable[[Connection], T], /) -> T:
        with engine.begin() as connection:
            return step(connection)

    done = sweep_parts([part], now_us, profiles_s, indicators_s, max_bytes)
    if engine.dialect.name == "sqlite" and (done.by_age or done.by_size or done.rows):
        with engine.connect() as connection:
            raw = connection.connection.cursor()
            raw.execute("pragma incremental_vacuum")
            raw.fetchall()
            raw.close()
    return done


def sweep_parts(
    parts: Sequence[Part], now_us: int, profiles_s: float, indicators_s: float, max_bytes: int
) -> Swept:  # fmt: skip
    """Drops profiles that are too old or too many, and indicators that are too old. Raises what a part raises."""
    oldest = now_us - int(profiles_s * 1e6)
    by_age = sum(_delete(part, PROFILES, PROFILES.c.taken_us < oldest) for part in parts)
    by_size, left = _shrink(parts, max_bytes)
    oldest = now_us - int(indicators_s * 1e6)
    rows = sum(_indicators(part, oldest) for part in parts)
    return Swept(by_age, by_size, rows, left)


def size_of(connection: Connection) -> int:
    """Bytes of all raw profiles, compressed."""
    return int(connection.scalar(sa.select(sa.func.sum(PROFILES.c.stored_size))) or 0)


def _shrink(parts: Sequence[Part], max_bytes: int) -> tuple[int, int]:
    """Drops the oldest of all parts until they have no more than so many bytes: how many, and the bytes left."""
    left, count = sum(part(size_of) for part in parts), 0
    while left > max_bytes:
        found = [part(_oldest) for part in parts]
        # of a part that showed no more than its first rows, later ones are not known yet
        known = min((rows[-1][0] for rows in found if len(rows) == _BATCH), default=None)
        chosen: dict[int, list[uuid.UUID]] = {}
        for taken, _, size, number in sorted(
            (taken, str(key), size, (number, key))
            for number, rows in enumerate(found) for taken, key, size in rows
        ):  # fmt: skip
            if left <= max_bytes or (known is not None and taken > known):
                break
            chosen.setdefault(number[0], []).append(number[1])
            left -= size
        if not chosen:
            break
        for place, keys in chosen.items():
            parts[place](_dropping(keys))
            count += len(keys)
    return count, left


def _oldest(connection: Connection) -> list[tuple[int, uuid.UUID, int]]:
    columns = (PROFILES.c.taken_us, PROFILES.c.id, PROFILES.c.stored_size)
    rows = connection.execute(sa.select(*columns).order_by(PROFILES.c.taken_us).limit(_BATCH))
    return [(row[0], row[1], row[2]) for row in rows]


def _dropping(keys: Sequence[uuid.UUID]) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(sa.delete(PROFILES).where(PROFILES.c.id.in_(keys)))


def _indicators(part: Part, oldest: int) -> int:
    rows = _delete(part, INDICATORS, INDICATORS.c.taken_us < oldest)
    places = _delete(part, PLACES, PLACES.c.taken_us < oldest)

    def rest(connection: Connection) -> int:
        done = connection.execute(sa.delete(FINDINGS).where(FINDINGS.c.ended_us < oldest))
        if places:
            connection.execute(sa.delete(SITES).where(~sa.exists().where(PLACES.c.site_id == SITES.c.id)))
        return int(done.rowcount)

    return rows + places + part(rest)


def _delete(part: Part, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    """How many rows."""
    key: list[sa.Column[Any]] = list(table.primary_key.columns)

    def some(connection: Connection) -> tuple[bool, int]:
        rows = connection.execute(sa.select(*key).where(which).limit(_BATCH)).all()
        if not rows:
            return False, 0
        firsts = {row[0] for row in rows}
        return True, int(connection.execute(sa.delete(table).where(key[0].in_(firsts), which)).rowcount)

    count, more = 0, True
    while more:
        more, gone = part(some)
        count += gone
    return count
