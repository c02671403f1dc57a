"""Records into the store, and what is old out of it.

A record is written in one transaction, and writing it again changes nothing: after a lost connection it is not known
whether a commit came through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from mapscope.fleet.store.records import Record, new_id
from mapscope.fleet.store.tables import FINDINGS, INDICATORS, PLACES, PROFILES, SITES

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep dropped: profiles for their age and for the size of all, and rows of indicators and the like."""

    by_age: int
    by_size: int
    rows: int
    left_bytes: int


def write(engine: Engine, records: Sequence[Record]) -> None:
    """All of ``records`` in one transaction. Raises SQLAlchemyError; then none of them is in it, or all are."""
    with engine.begin() as connection:
        _add(connection, PROFILES, [_profile(one) for one in records])
        _add(
            connection, INDICATORS,
            [_common(one) | {"name": v.name, "value": v.value, "low": v.low, "high": v.high}
             for one in records for v in one.values],
        )  # fmt: skip
        sites: dict[int, dict[str, Any]] = {}
        places = []
        for one in records:
            for place in one.places:
                number = place.site_id(one.service)
                sites[number] = {
                    "id": number, "service": one.service, "function": place.function, "file": place.file,
                    "line": place.line, "type": place.type, "part": place.part, "told": place.told,
                    "entry": place.entry,
                }  # fmt: skip
                places.append(
                    _common(one) | {
                        "site_id": number, "inuse_bytes": place.inuse_bytes, "inuse_objects": place.inuse_objects,
                        "alloc_bytes": place.alloc_bytes, "alloc_objects": place.alloc_objects,
                    }
                )  # fmt: skip
        _add(connection, SITES, [sites[number] for number in sorted(sites)])
        _add(connection, PLACES, places)
        for one in records:
            _findings(connection, one)


def sweep(engine: Engine, now_us: int, profiles_s: float, indicators_s: float, max_bytes: int) -> Swept:
    """Drops profiles that are too old or too many, and indicators that are too old. Raises SQLAlchemyError."""
    oldest = now_us - int(profiles_s * 1e6)
    by_age = _delete(engine, PROFILES, PROFILES.c.taken_us < oldest)
    by_size = 0
    with engine.connect() as connection, connection.begin():
        left = int(connection.scalar(sa.select(sa.func.sum(PROFILES.c.stored_size))) or 0)
    while left > max_bytes:
        with engine.begin() as connection:
            columns = (PROFILES.c.id, PROFILES.c.stored_size)
            rows = connection.execute(sa.select(*columns).order_by(PROFILES.c.taken_us).limit(_BATCH)).all()
            chosen = []
            for key, size in rows:
                if left > max_bytes:
                    chosen.append(key)
                    left -= size
            if not chosen:
                break
            connection.execute(sa.delete(PROFILES).where(PROFILES.c.id.in_(chosen)))
            by_size += len(chosen)
    oldest = now_us - int(indicators_s * 1e6)
    rows_gone = _delete(engine, INDICATORS, INDICATORS.c.taken_us < oldest)
    places = _delete(engine, PLACES, PLACES.c.taken_us < oldest)
    with engine.begin() as connection:
        done = connection.execute(sa.delete(FINDINGS).where(FINDINGS.c.ended_us < oldest))
        rows_gone += places + done.rowcount
        if places:
            connection.execute(sa.delete(SITES).where(~sa.exists().where(PLACES.c.site_id == SITES.c.id)))
    if engine.dialect.name == "sqlite" and (by_age or by_size or rows_gone):
        with engine.connect() as connection:
            raw = connection.connection.cursor()
            raw.execute("pragma incremental_vacuum")
            raw.fetchall()
            raw.close()
    return Swept(by_age, by_size, rows_gone, left)


def _delete(engine: Engine, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    """Deletes in steps, so that no transaction is long; how many rows."""
    count = 0
    key = list(table.primary_key.columns)
    while True:
        with engine.begin() as connection:
            rows = connection.execute(sa.select(*key).where(which).limit(_BATCH)).all()
            if not rows:
                return count
            firsts = {row[0] for row in rows}
            done = connection.execute(sa.delete(table).where(key[0].in_(firsts), which))
            count += done.rowcount


def _add(connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    made = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    connection.execute(made.on_conflict_do_nothing(), rows)


def _common(one: Record) -> dict[str, Any]:
    return {"profile_id": one.id, "service": one.service, "instance": one.instance, "taken_us": one.taken_us}


def _profile(one: Record) -> dict[str, Any]:
    return {
        "id": one.id, "service": one.service, "job": one.job, "instance": one.instance, "kind": one.kind,
        "taken_us": one.taken_us, "raw_size": one.raw_size, "stored_size": len(one.data), "digest": one.digest,
        "data": one.data,
    }  # fmt: skip


def _findings(connection: Connection, one: Record) -> None:
    """Findings that this profile shows for the first time begin, those that it no longer shows end."""
    if not one.judged:
        return
    open_ = connection.execute(
        sa.select(FINDINGS).where(
            FINDINGS.c.service == one.service, FINDINGS.c.instance == one.instance,
            FINDINGS.c.indicator.in_(one.judged), FINDINGS.c.ended_us.is_(None),
        )
    ).mappings()  # fmt: skip
    known = {(row["indicator"], row["function"], row["file"], row["line"], row["type"]): row for row in open_}
    for seen in one.findings:
        row = known.pop(seen.key, None)
        if row is None:
            new = {
                "id": new_id(one.taken_us), "service": one.service, "instance": one.instance,
                "indicator": seen.indicator, "function": seen.function, "file": seen.file, "line": seen.line,
                "type": seen.type, "told": seen.told, "bytes": seen.bytes, "goroutines": seen.goroutines,
                "began_us": one.taken_us, "last_us": one.taken_us, "ended_us": None,
            }  # fmt: skip
            connection.execute(sa.insert(FINDINGS), [new])
            continue
        values = {"last_us": max(row["last_us"], one.taken_us), "bytes": seen.bytes, "goroutines": seen.goroutines}
        connection.execute(sa.update(FINDINGS).where(FINDINGS.c.id == row["id"]).values(**values))
    for row in known.values():
        if one.taken_us >= row["last_us"]:  # not one that was late
            ended = {"ended_us": one.taken_us}
            connection.execute(sa.update(FINDINGS).where(FINDINGS.c.id == row["id"]).values(**ended))
