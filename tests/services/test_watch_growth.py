"""The store of the watch over two servers: what it writes and reads while shards move, and while a server is away."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import yaml

from mapscope.errors import MapscopeError
from mapscope.fleet.config import Retention
from mapscope.fleet.marks import Duration
from mapscope.fleet.store import reading, sweeping, writing
from mapscope.fleet.store.opening import StoreError, open_engine
from mapscope.fleet.store.records import Record
from mapscope.fleet.store.sharded import Sharded
from mapscope.fleet.store.tables import INDICATORS, METADATA, PROFILES
from mapscope.fleet.writer import Writer
from mapscope.growth import points
from mapscope.routing import router
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant
from tests.services import growing, postgres
from tests.services.growing import Growing
from tests.services.postgres import Cluster
from tests.services.watching import fakes, wait_for, watching
from tests.unit.fleet.records import NOW, record, sighting
from tests.unit.fleet.test_store import url_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

KEEP = Retention(profiles=Duration(10**9), indicators=Duration(10**9), interval=Duration(10**6))
SHARDS = 4
SERVICES = tuple(f"svc-{number}" for number in range(8))
SETTINGS = """\
global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
window: 10m
web: {{listen: "127.0.0.1:0"}}
store: {{growth: store.yaml}}
scrape_configs:
- job_name: go
  executables: ["{program}"]
  static_configs: [{{targets: ["{real}"], labels: {{service: real}}}}]
- job_name: fakes
  goroutine_path: null
  file_sd_configs: [{{files: [targets.json]}}]
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Cluster]]:
    with postgres.clusters(2, growing.SETTINGS) as made:
        yield made


@pytest.fixture
def pair(tmp_path: Path, servers: list[Cluster]) -> Iterator[Growing]:
    with growing.store(tmp_path, servers, shards=SHARDS, watch=True) as made:
        yield made


def shard_of(made: Growing, service: str) -> int:
    return made.store.shards.of_hash(router.hash_of(service))


def everything(made: Growing) -> dict[str, list[uuid.UUID]]:
    """The profiles of each service by their identity, from all schemas of all nodes: no route is asked."""
    found: dict[str, list[uuid.UUID]] = {}
    for name in made.names:
        for (schema,) in made.ask(name, "select nspname from pg_namespace where nspname ~ '^shard_'"):
            for service, key in made.ask(name, f"select service, id from {schema}.profiles order by taken_us"):
                assert isinstance(key, uuid.UUID)
                found.setdefault(str(service), []).append(key)
    return found


def history(made: Growing, service: str, at: float) -> dict[str, Any]:
    """What a user is told of the six hours before ``at``."""
    command = [sys.executable, "-m", "mapscope", "history", service, "--store", str(made.file), "--at", f"{at:.3f}"]
    done = subprocess.run([*command, "-f", "json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


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


def test_tables_do_not_change_while_a_shard_moves(pair: Growing):
    source, target = (pair.place(0), "b" if pair.place(0) == "a" else "a")
    with growing.dying("slot_created:recorded"), pytest.raises(growing.Died):
        pair.carry_out((0, source, target))
    done = subprocess.run(pair.command("setup", "--watch"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"(shard 0, {source} to {target}) is slot_created" in done.stderr
    assert "mapscope growth resume STORE" in done.stderr
    pair.carry_out()
    assert not pair.left()


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


def test_a_fence_that_stays_keeps_only_its_shard_waiting(pair: Growing):
    """A controller died behind its fence and nobody resumes: other shards of the node are written, that one later."""
    with pair.router() as client:
        shards = {service: client.shard_of(service) for service in SERVICES}
    fenced = shards[SERVICES[0]]
    source = pair.place(fenced)
    beside = [service for service in SERVICES if shards[service] != fenced and pair.place(shards[service]) == source]
    assert beside
    with growing.dying("fenced:recorded"), pytest.raises(growing.Died):
        pair.carry_out((fenced, source, "b" if source == "a" else "a"))
    records = [record(n, service=SERVICES[n % 8]) for n in range(160)]
    free = [one for one in records if shards[one.service] != fenced]
    writer = Writer(str(pair.file), None, 10**8, KEEP)
    writer.start()
    for one in records:
        writer.put(one)
    wait_for(lambda: writer.counts.written == len(free))
    wait_for(lambda: not writer.counts.working)
    assert writer.counts.waiting == len(records) - len(free) > 0
    pair.carry_out()
    wait_for(lambda: writer.counts.working and not writer.counts.waiting)
    assert writer.stop(20) == 0
    assert everything(pair) == {service: [r.id for r in records if r.service == service] for service in SERVICES}
    assert not pair.left()


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


class Feeding(threading.Thread):
    """Puts records of four services until it is told to end; knows what was put and what was acknowledged."""

    def __init__(self, file: str) -> None:
        super().__init__(daemon=True)
        self.services = SERVICES[:4]
        self.put: dict[str, list[uuid.UUID]] = {service: [] for service in self.services}
        self.acknowledged = dict.fromkeys(self.services, 0)
        self.writer = Writer(file, None, 10**8, KEEP)
        self.end = threading.Event()
        self.looks = 0
        self._store = Sharded(file)

    def watch_writes(self, patch: pytest.MonkeyPatch) -> None:
        """Counts what a write that came back has written."""
        write = self.writer.store.write

        def counted(part: int, records: Sequence[Record]) -> None:
            write(part, records)
            for one in records:
                self.acknowledged[one.service] += 1

        patch.setattr(self.writer.store, "write", counted)

    def run(self) -> None:
        """One record of each service, and a look at one of them, again and again."""
        number = 0
        while not self.end.wait(0.1):
            for service in self.services:
                one = record(number, service=service, size=600)
                self.put[service].append(one.id)
                self.writer.put(one)
                number += 1
            self.look(self.services[number // 4 % 4])

    def look(self, service: str) -> None:
        """What is there is all that was acknowledged, and the first that were put, without a gap."""
        least = self.acknowledged[service]
        found = [one.id for one in self._store.read(service, 0, 10**17).profiles]
        assert found == self.put[service][: len(found)], service
        assert len(found) >= least, service
        self.looks += 1

    def stop(self) -> int:
        """How many were lost."""
        self.end.set()
        self.join()
        self._store.close()
        return self.writer.stop(20)


def test_profiles_come_in_and_are_told_while_shards_move(
    pair: Growing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    """A watch over services, a writer whose every record is known, and shards that go to and fro under both."""
    program = harness.build("served", Variant("1.23"))
    failures: list[BaseException] = []
    monkeypatch.setattr(threading, "excepthook", lambda of: failures.append(of.exc_value))
    with harness.running(program, folder=tmp_path) as real:
        heap = tmp_path / "heap.pb.gz"
        with urllib.request.urlopen(f"http://{real.truth['address']}/debug/pprof/heap", timeout=10) as found:
            heap.write_bytes(found.read())
        with fakes(heap, ["replay"] * 4) as addresses:
            listed = [{"targets": [at], "labels": {"service": f"fake-{n}"}} for n, at in enumerate(addresses)]
            (tmp_path / "targets.json").write_text(json.dumps(listed))
            (tmp_path / "fleet.yml").write_text(SETTINGS.format(program=program, real=real.truth["address"]))
            with watching(tmp_path / "fleet.yml") as watch:
                written = watch.until(lambda: watch.value("mapscope_store_profiles_total"))
                feeding = Feeding(str(pair.file))
                feeding.watch_writes(monkeypatch)
                feeding.writer.start()
                feeding.start()
                at = time.time()
                watch.until(lambda: (watch.value("mapscope_store_profiles_total") or 0) > written + 20)
                before = history(pair, "real", at)
                assert len(before["profiles"]) >= 1
                moved(pair, shard_of(pair, "real"))
                moved(pair, *range(SHARDS))
                killed(pair, shard_of(pair, "svc-0"))
                done = watch.value("mapscope_store_profiles_total")
                watch.until(lambda: (watch.value("mapscope_store_profiles_total") or 0) > (done or 0) + 5)
                assert history(pair, "real", at) == before
                counted = watch.value("mapscope_store_profiles_total")
                assert watch.value("mapscope_store_buffer_dropped_total") == 0
                assert watch.terminate()[0] == 0
                assert watch.log()[-1]["lost"] == 0
    assert feeding.stop() == 0
    assert not failures
    assert feeding.looks > 20
    there = everything(pair)
    assert {service: there[service] for service in feeding.services} == feeding.put
    assert {len(keys) == len(set(keys)) for keys in there.values()} == {True}
    seen = [name for name in there if name not in feeding.services]
    assert sorted(seen) == ["fake-0", "fake-1", "fake-2", "fake-3", "real"]
    assert counted is not None
    assert sum(len(there[name]) for name in seen) >= counted > 50
    assert not pair.left()


def moved(made: Growing, *shards: int) -> None:
    """Moves shards to the other server, two at a time."""
    sources = [made.place(shard) for shard in shards]
    wanted = [(shard, at, "b" if at == "a" else "a") for shard, at in zip(shards, sources, strict=True)]
    outcome = made.carry_out(*wanted)
    assert [move.reason for move in outcome.ended] == [""] * len(shards)
    assert [made.place(shard) for shard in shards] == [target for _, _, target in wanted]


def killed(made: Growing, shard: int) -> None:
    """The same by a process that is killed while the fence is up, and another one that goes on."""
    source = made.place(shard)
    target = "b" if source == "a" else "a"
    command = made.command("run", "--move", f"{shard}:{source}:{target}")
    fenced = {points.VARIABLE: "fenced:recorded"}
    died = subprocess.run(command, env=growing.environment(**fenced), capture_output=True, timeout=60)
    assert died.returncode == -9, died.stderr
    assert made.ask(source, "select state from mapscope_node.shard where shard = %s", shard) == [("fenced",)]
    again = subprocess.run(made.command("resume"), capture_output=True, text=True, timeout=60)
    assert again.returncode == 0, again.stderr
    assert made.place(shard) == target
