"""Records into the store.

A record is written in one transaction, and writing it again changes nothing: after a lost connection it is not known
whether a commit came through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from mapscope.fleet.store.records import Record, new_id
from mapscope.fleet.store.tables import FINDINGS, INDICATORS, PLACES, PROFILES, SITES


def write(engine: Engine, records: Sequence[Record]) -> None:
    """All of ``records`` in one transaction. Raises SQLAlchemyError; then none of them is in it, or all are."""
    with engine.begin() as connection:
        add(connection, records)


def add(connection: Connection, records: Sequence[Record]) -> None:
    """Inside a transaction: those of ``records`` that are not there yet, with all that belongs to them."""
    records = _missing(connection, records)
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


def _missing(connection: Connection, records: Sequence[Record]) -> Sequence[Record]:
    """A profile that is there came with all that belongs to it: findings that ended since must not begin again."""
    keys = [one.id for one in records]
    there = set(connection.scalars(sa.select(PROFILES.c.id).where(PROFILES.c.id.in_(keys)))) if keys else set()
    return [one for one in records if one.id not in there]


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
