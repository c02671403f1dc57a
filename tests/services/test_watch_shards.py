"""The store of the watch over two servers: its tables, its retention, and servers that are away."""

from __future__ import annotations

import dataclasses
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import yaml

from mapscope.errors import MapscopeError
from mapscope.fleet.store import reading, sweeping, writing
from mapscope.fleet.store.opening import StoreError, open_engine
from mapscope.fleet.store.sharded import Sharded
from mapscope.fleet.store.tables import INDICATORS, METADATA, PROFILES
from mapscope.fleet.writer import Writer
from tests.services import growing, postgres
from tests.services.growing import Growing
from tests.services.postgres import Cluster
from tests.services.shards import KEEP, SERVICES, SHARDS, everything, shard_of
from tests.services.watching import wait_for
from tests.unit.fleet.records import NOW, record, sighting
from tests.unit.fleet.test_store import url_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Cluster]]:
    with postgres.clusters(2, growing.SETTINGS) as made:
        yield made


@pytest.fixture
def pair(tmp_path: Path, servers: list[Cluster]) -> Iterator[Growing]:
    with growing.store(tmp_path, servers, shards=SHARDS, watch=True) as made:
        yield made


def test_shards_have_the_tables_of_a_store_in_one_database(pair: Growing, servers: list[Cluster]):
    """Made by the migrations, with keys that a move can carry and nothing that counts; a second set-up does nothing."""
    described = """select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
        from pg_class c join pg_attribute a on a.attrelid = c.oid where a.attnum > 0 and c.relkind in ('r', 'i')
        and c.relnamespace = %s::regnamespace order by 1, a.attnum"""
    one = servers[0].database()
    engine = open_engine(url_of(one))
    engine.dispose()
    with psycopg.connect(one, autocommit=True) as connection:
        wanted = connection.execute(described.encode(), ("public",)).fetchall()
    assert {row[0] for row in wanted} >= {*METADATA.tables, "alembic_version"}
    keyless = """select relname from pg_class c where relkind in ('r', 'S') and relnamespace = %s::regnamespace
        and not exists (select from pg_index where indrelid = c.oid and indisprimary)"""
    for shard in range(SHARDS):
        node, schema = pair.place(shard), pair.store.shards.schema(shard)
        assert pair.ask(node, described, schema) == wanted
        assert pair.ask(node, keyless, schema) == []
    assert {pair.place(shard) for shard in range(SHARDS)} == {"a", "b"}
    done = subprocess.run(pair.command("setup", "--watch"), capture_output=True, text=True, timeout=60)
    assert done.stdout == "0 shards got new tables, 0 got a route, 4 had a route\n", done.stderr


def test_tables_of_another_version_are_refused(pair: Growing):
    shard = shard_of(pair, "shop")
    schema = pair.store.shards.schema(shard)
    pair.ask(pair.place(shard), f"update {schema}.alembic_version set version_num = 'other'")
    store = Sharded(str(pair.file))
    with pytest.raises(StoreError, match=f"{schema} has tables of version other, this mapscope writes 0001") as found:
        store.write(shard, [record(1)])
    assert found.value.hint is not None
    assert "growth setup" in found.value.hint
    store.close()


def test_retention_drops_what_that_of_one_database_drops(
    pair: Growing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    """The oldest first, wherever they lie; SQLite is the judge."""
    monkeypatch.setattr(sweeping, "_BATCH", 30)
    records = [record(n, service=f"svc-{n * 7 % 5}", size=500 + n * 37 % 900) for n in range(300)]
    many, one = Sharded(str(pair.file)), open_engine(str(tmp_path / "one.db"))
    writing.write(one, records)
    for service in sorted({r.service for r in records}):
        many.write(many.part_of(service), [r for r in records if r.service == service])
    assert {many.part_of(r.service) for r in records} > {0}
    now, age = NOW + 300 * 1_000_000, 300.0 - 40.5
    size = sum(len(r.data) for r in records) // 4
    for indicators in (age, 10.0):
        done = many.sweep(now, age, indicators, size)
        assert done == sweeping.sweep(one, now, age, indicators, size)
        with one.connect() as connection:
            kept = {row[0] for row in connection.execute(sa.select(PROFILES.c.id))}
            values = connection.scalar(sa.select(sa.func.count()).select_from(INDICATORS))
        assert {key for keys in everything(pair).values() for key in keys} == kept
        assert values == sum(
            int(
                str(
                    pair.ask(pair.place(shard), f"select count(*) from {pair.store.shards.schema(shard)}.indicators")[
                        0
                    ][0]
                )
            )
            for shard in range(SHARDS)
        )
    assert done.rows > 0
    assert 0 < len(kept) < 150
    assert many.services() == sorted({r.service for r in records if r.id in kept} | set(reading.services(one)))
    one.dispose()
    many.close()


def test_a_server_that_came_later(pair: Growing):
    """The file names it only when the store is in use; a shard that goes there is found."""
    whole = pair.file.read_text()
    shard = shard_of(pair, "shop")
    if pair.place(shard) == "b":
        pair.carry_out((shard, "b", "a"))
    tree = yaml.safe_load(whole)
    del tree["nodes"]["b"]
    pair.file.write_text(yaml.safe_dump(tree))
    store = Sharded(str(pair.file))
    store.write(shard, [record(1)])
    pair.file.write_text(whole)
    pair.carry_out((shard, "a", "b"))
    store.write(shard, [record(2)])
    assert [one.taken_us - NOW for one in store.read("shop", 0, 10**17).profiles] == [1_000_000, 2_000_000]
    assert store.newest("shop") == NOW + 2_000_000
    store.close()


def test_an_answer_to_a_commit_that_is_lost(pair: Growing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every third commit comes through and nobody hears of it: profiles are there once, findings begin once."""
    shown = [sighting()]
    records = [
        dataclasses.replace(record(n, service="shop", findings=tuple(shown) if n % 4 < 2 else ()), judged=("P5",))
        for n in range(48)
    ]
    real, lost = psycopg.Connection.commit, []

    def commit(connection: psycopg.Connection[Any]) -> None:
        real(connection)
        if threading.current_thread().name == "store" and connection.info.dbname in written:
            lost.append(len(lost) % 3 == 1)
            if lost[-1]:
                connection.close()
                raise psycopg.OperationalError("server closed the connection unexpectedly")

    written = {psycopg.conninfo.conninfo_to_dict(dsn)["dbname"] for dsn in pair.dsns.values()}
    monkeypatch.setattr(psycopg.Connection, "commit", commit)
    writer = Writer(str(pair.file), None, 10**8, KEEP)
    writer.start()
    for number in range(0, len(records), 4):  # in one transaction a finding begins, is seen again, and ends
        with writer._condition:
            for one in records[number : number + 4]:
                writer.put(one)
        wait_for(lambda number=number: writer.counts.written == number + 4)
    assert writer.stop(20) == 0
    assert sum(lost) >= writer.counts.failures >= 3  # a sweep may have met with one as well
    assert everything(pair) == {"shop": [one.id for one in records]}
    single = open_engine(str(tmp_path / "one.db"))
    for one in records:
        writing.write(single, [one])
    rows = reading.read(single, "shop", NOW, NOW + 10**9)
    single.dispose()
    store = Sharded(str(pair.file))
    same = store.read("shop", NOW, NOW + 10**9)
    store.close()
    assert len(rows.findings) == 12
    assert [{**one, "id": 0} for one in same.findings] == [{**one, "id": 0} for one in rows.findings]
    assert (same.profiles, same.indicators, same.places) == (rows.profiles, rows.indicators, rows.places)


def test_a_server_that_is_away_keeps_only_its_own_waiting(pair: Growing, servers: list[Cluster]):
    records = [record(n, service=SERVICES[n % 8]) for n in range(400)]
    at = {service: pair.place(shard_of(pair, service)) for service in SERVICES}
    assert set(at.values()) == {"a", "b"}
    near = [one for one in records if at[one.service] == "a"]
    writer = Writer(str(pair.file), None, 10**8, KEEP)
    writer.start()
    for one in records[:100]:
        writer.put(one)
    wait_for(lambda: writer.counts.written == 100)
    servers[1].crash()
    try:
        for one in records[100:]:
            writer.put(one)
        wait_for(lambda: writer.counts.written >= 100 + len([one for one in records[100:] if at[one.service] == "a"]))
        wait_for(lambda: not writer.counts.working)
        assert writer.counts.waiting == len(records) - writer.counts.written > 0
        with pair.router() as client:
            shard = shard_of(pair, near[0].service)
            count = client.read_shard(
                shard, lambda link, schema: link.execute(f"select count(*) from {schema}.profiles".encode()).fetchone()
            )
        assert count == (len([one for one in records if shard_of(pair, one.service) == shard]),)
    finally:
        servers[1].start()
    wait_for(lambda: writer.counts.working and not writer.counts.waiting)
    assert writer.stop(20) == 0
    assert everything(pair) == {service: [one.id for one in records if one.service == service] for service in SERVICES}
    assert writer.counts.dropped == 0


def test_a_server_that_is_away_is_asked_once_by_those_who_read(pair: Growing, servers: list[Cluster]):
    shard = next(one for one in range(SHARDS) if pair.place(one) == "b")
    services = [name for name in (f"shop-{n}" for n in range(100)) if shard_of(pair, name) == shard][:5]
    store = Sharded(str(pair.file))
    servers[1].crash()
    said = []
    try:
        for service in services:
            with pytest.raises(MapscopeError) as found:
                store.newest(service)
            said.append(str(found.value))
    finally:
        servers[1].start()
        store.close()
    assert said[0].startswith(f"shard {shard} could not be reached for 3 s")
    assert said[1:] == ["node b did not answer a moment ago"] * 4
