"""The measures of a store on real servers, as ``plan`` reads them."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapscope.cli.main import main
from mapscope.errors import MapscopeError, UsageError
from mapscope.growth import measures_file, measuring
from tests.services import growing
from tests.services.growing import Growing, fill
from tests.services.postgres import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
HOST = {"cpu": 0.9, "memory": 0.95, "capacity_bytes": 1 << 40}


@pytest.fixture
def pair(tmp_path: Path, servers: list[Cluster]) -> Iterator[Growing]:
    with growing.store(tmp_path, servers[:2], first=1) as made:
        yield made


def test_a_store_is_measured_planned_moved_and_rests(pair: Growing, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    fill(pair)
    counted = "select coalesce(sum(n_tup_ins), 0) from pg_stat_user_tables where relname = 'entries'"
    deadline = time.monotonic() + 30
    while pair.ask("a", counted) != [(400,)]:  # the statistics know what was filled in
        assert time.monotonic() < deadline
        time.sleep(0.05)
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps({"a": HOST, "b": {**HOST, "cpu": 0.1, "memory": 0.1, "used_bytes": 1 << 30}}))
    busy = pair.store.shards.schema(2)
    asked = threading.Event()
    done = threading.Event()

    def write() -> None:
        with pair.router() as client:
            service = next(name for name in map(str, range(1000)) if client.shard_of(name) == 2)
            insert = f"insert into {busy}.entries values (%s, %s, 'x')".encode()
            for number in itertools.count(1):
                if asked.is_set():
                    break
                client.write(service, lambda link, _, row=(service, number): link.execute(insert, row))  # type: ignore[misc]
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert main(["growth", "measure", str(pair.file), "--hosts", str(hosts), "--seconds", "2.5"]) == 0
    finally:
        asked.set()
        writer.join()
    assert done.is_set()
    file = tmp_path / "fleet.json"
    file.write_text(capfd.readouterr().out)
    fleet = measures_file.read(file)
    assert {shard.node for shard in fleet.shards} == {"a"}
    weights = {shard.id: shard.weight for shard in fleet.shards}
    assert weights[2] > 0
    assert [weights[shard] for shard in (0, 1, 3)] == [0.0] * 3
    for shard in fleet.shards:
        ((size,),) = pair.ask(
            "a", "select sum(pg_table_size(c.oid) + pg_indexes_size(c.oid))::bigint from pg_class c "
            "where relnamespace = %s::regnamespace and relkind = 'r'", pair.store.shards.schema(shard.id),
        )  # fmt: skip
        assert shard.size_bytes <= size <= shard.size_bytes + (1 << 20)
    used = {node.name: node.used_bytes for node in fleet.nodes}
    assert used["b"] == 1 << 30
    assert used["a"] > sum(shard.size_bytes for shard in fleet.shards)

    pair.carry_out((2, "a", "b"))
    made = measuring.measure(pair.store, measuring.hosts(hosts, pair.store), 0.1, 1800.0)
    moved = made.shards[2]
    assert (moved.node, moved.movable, moved.why_not) == ("b", False, "it rests after a move")
    assert [node.rests for node in made.nodes] == [True, True]
    file.write_bytes(measures_file.written(made))
    assert measures_file.read(file) == made
    assert main(["growth", "plan", "--measures", str(file)]) == 0, "node a is beyond a threshold, and rests"
    later = measuring.measure(pair.store, measuring.hosts(hosts, pair.store), 0.1, 0.0)
    assert [node.rests for node in later.nodes] == [False, False]
    assert later.shards[2].movable


def test_what_cannot_be_measured_is_said(pair: Growing, tmp_path: Path):
    hosts = tmp_path / "hosts.json"
    for text, said in (
        ("{", "hosts.json: "),
        ('{"a": {"cpu": 2}}', "hosts.json: "),
        (json.dumps({"a": HOST}), "'b' is missing"),
        (json.dumps({"a": HOST, "b": HOST, "c": HOST}), "'c' is no node of the store"),
    ):
        hosts.write_text(text)
        with pytest.raises(UsageError) as caught:
            measuring.hosts(hosts, pair.store)
        assert said in str(caught.value)
    hosts.write_text(json.dumps({"a": HOST, "b": HOST}))
    text = pair.file.read_text()
    pair.file.write_text(text.replace(pair.dsns["b"], "host=127.0.0.1 port=1 dbname=none"))
    with pytest.raises(MapscopeError, match="node b"):
        measuring.measure(pair.store, measuring.hosts(hosts, pair.store), 0.1, 0.0)
