"""The store of the watch over two servers: what it writes and reads while its shards move."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mapscope.fleet.store import migrating, opening
from mapscope.fleet.store.records import Record
from mapscope.fleet.store.sharded import Sharded
from mapscope.fleet.writer import Writer
from mapscope.growth import points, watched
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant
from tests.services import growing, postgres
from tests.services.growing import Growing
from tests.services.postgres import Cluster
from tests.services.shards import KEEP, SERVICES, SHARDS, everything, moved, shard_of
from tests.services.watching import fakes, wait_for, watching
from tests.unit.fleet.records import NOW, record, sighting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

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


def history(made: Growing, service: str, at: float) -> dict[str, Any]:
    """What a user is told of the six hours before ``at``."""
    command = [sys.executable, "-m", "mapscope", "history", service, "--store", str(made.file), "--at", f"{at:.6f}"]
    done = subprocess.run([*command, "-f", "json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


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


LATER = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "later", "0001", None, None


def upgrade():
    op.add_column("profiles", sa.Column("note", sa.Text, server_default="none"))
    op.execute("update profiles set note = 'older'")
    op.drop_index("profiles_by_service", "profiles")
    op.create_table("more", sa.Column("id", sa.Uuid, primary_key=True))
"""


def test_a_later_migration_reaches_all_shards(pair: Growing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also one that moved before; the new table has a guard, and shards with it can move."""
    store = Sharded(str(pair.file))
    for service in SERVICES:
        store.write(store.part_of(service), [record(1, service=service)])
    moved(pair, 0, 1)
    folder = tmp_path / "migrations"
    shutil.copytree(opening._MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "later.py").write_text(LATER)
    monkeypatch.setattr(opening, "_MIGRATIONS", folder)
    migrating.newest.cache_clear()
    try:
        assert asyncio.run(watched.set_up(pair.store)) == watched.Watched(SHARDS, 0, SHARDS)
        assert asyncio.run(watched.set_up(pair.store)) == watched.Watched(0, 0, SHARDS)
        fresh = Sharded(str(pair.file))
        for service in SERVICES:
            fresh.write(fresh.part_of(service), [record(2, service=service)])
        fresh.close()
    finally:
        migrating.newest.cache_clear()
    moved(pair, *range(SHARDS))
    notes: list[tuple[object, ...]] = []
    for shard in range(SHARDS):
        node, schema = pair.place(shard), pair.store.shards.schema(shard)
        notes += pair.ask(node, f"select service, note from {schema}.profiles")
        assert pair.ask(node, "select tgname::text from pg_trigger where tgrelid = %s::regclass", f"{schema}.more") == [
            ("mapscope_guard",)
        ]
    assert sorted(notes) == sorted((service, note) for service in SERVICES for note in ("older", "none"))
    store.close()
    assert not pair.left()


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


class Feeding(threading.Thread):
    """Puts records of four services until it is told to end; knows what was put and what was acknowledged."""

    def __init__(self, file: str) -> None:
        super().__init__(daemon=True)
        self.services = SERVICES[:4]
        self.put: dict[str, list[uuid.UUID]] = {service: [] for service in self.services}
        self.acknowledged: Counter[str] = Counter()
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
                watch.until(lambda: len(everything(pair).get("real", [])) > 1)
                feeding = Feeding(str(pair.file))
                feeding.watch_writes(monkeypatch)
                feeding.writer.start()
                feeding.start()
                feeding.writer.put(record(5, service="quiet", findings=(sighting(),)))
                wait_for(lambda: "quiet" in everything(pair))
                at = last(pair, "real")  # nothing older comes any more
                real_before, quiet_before = history(pair, "real", at), history(pair, "quiet", NOW / 1e6 + 9)
                assert len(real_before["profiles"]) > 1
                assert (len(quiet_before["profiles"]), len(quiet_before["findings"])) == (1, 1)
                moved(pair, shard_of(pair, "quiet"))
                moved(pair, shard_of(pair, "real"))
                moved(pair, *range(SHARDS))
                killed(pair, shard_of(pair, "svc-0"))
                done = watch.value("mapscope_store_profiles_total") or 0
                enough = max(done + 5, 50)  # a fast machine has moved all of them before so many came in
                watch.until(lambda: (watch.value("mapscope_store_profiles_total") or 0) > enough)
                watch.until(lambda: feeding.looks > 20)
                assert {**history(pair, "real", at), "findings": 0} == {**real_before, "findings": 0}
                assert history(pair, "quiet", NOW / 1e6 + 9) == quiet_before
                counted = watch.value("mapscope_store_profiles_total")
                assert watch.value("mapscope_store_buffer_dropped_total") == 0
                assert watch.terminate()[0] == 0
                assert watch.log()[-1]["lost"] == 0
    lost = feeding.stop()
    assert not failures
    assert lost == 0
    assert feeding.looks > 20
    there = everything(pair)
    assert {service: there[service] for service in feeding.services} == feeding.put
    assert {len(keys) == len(set(keys)) for keys in there.values()} == {True}
    seen = [name for name in there if name not in (*feeding.services, "quiet")]
    assert sorted(seen) == ["fake-0", "fake-1", "fake-2", "fake-3", "real"]
    assert counted is not None
    assert sum(len(there[name]) for name in seen) >= counted > 50
    assert not pair.left()


def last(made: Growing, service: str) -> float:
    """When the newest profile of a service was taken, seconds since 1970."""
    shard = shard_of(made, service)
    statement = f"select max(taken_us) from {made.store.shards.schema(shard)}.profiles where service = %s"
    ((taken,),) = made.ask(made.place(shard), statement, service)
    return int(str(taken)) / 1e6


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
