"""Moves of shards between real servers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml

from mapscope.growth import trouble
from mapscope.growth.protocol import State
from mapscope.routing import nodes, router
from tests.services import growing
from tests.services.growing import Growing, fill, rows
from tests.services.postgres import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def pair(tmp_path: Path, servers: list[Cluster]) -> Iterator[Growing]:
    with growing.store(tmp_path, servers[:2], first=1) as made:
        yield made


def test_a_shard_moves_whole(pair: Growing):
    fill(pair)
    before = rows(pair)
    assert len(before) == 20 * 21
    outcome = pair.carry_out((0, "a", "b"), (1, "a", "b"), (3, "a", "b"))
    assert [move.state for move in outcome.ended] == [State.CLEANED] * 3, [m.reason for m in outcome.ended]
    assert not outcome.waiting
    assert rows(pair) == before
    assert [pair.place(shard) for shard in range(4)] == ["b", "b", "a", "b"]
    assert not pair.left()


def test_a_stale_router_is_refused_by_the_epoch(pair: Growing):
    """It remembers the first node through a move there and one back: a route of another epoch is no route."""
    fill(pair, services=4, entries=2)
    service = "svc-1"
    with pair.router() as client:
        shard = client.shard_of(service)
        schema = pair.store.shards.schema(shard)
        insert = f"insert into {schema}.entries values ('late', %s, 'x')"

        def write(number: int) -> None:
            client.write(service, lambda link, _: link.execute(insert.encode(), (number,)))

        write(1)
        assert client.refusals == 0
        pair.carry_out((shard, "a", "b"))
        write(2)
        assert client.refusals == 1
        write(3)
        assert client.refusals == 1
        pair.carry_out((shard, "b", "a"))
        stale = pair.router()
        with stale:
            stale._routes[shard] = router.Route("a", 1)  # as it was two moves ago
            stale.write(service, lambda link, _: link.execute(insert.encode(), (4,)))
            assert stale.refusals == 1
        with pair.node("a") as link, pytest.raises(psycopg.Error, match="has epoch 3 here, the route was of epoch 1"):
            link.execute("select mapscope_node.enter_write(%s, 1)", (shard,))
    assert sorted(row[1] for row in rows(pair) if row[0] == "late") == [1, 2, 3, 4]


def test_whoever_writes_at_the_old_node_is_refused(pair: Growing):
    """Even one that knows nothing of routes, at each isolation; readers of the old epoch too."""
    fill(pair, services=4, entries=2)
    held: list[str] = []

    def late(name: str) -> None:
        if name != "detached:recorded":
            return
        for isolation in ("read committed", "repeatable read", "serializable"):
            for statement in (
                "insert into shard_0000.entries values ('late', 1, 'x')", "update shard_0000.entries set word = 'y'",
                "delete from shard_0000.entries", "truncate shard_0000.entries",
                "copy (select 1) to stdout; insert into shard_0000.notes (service) values ('z')",
            ):  # fmt: skip
                with psycopg.connect(pair.dsns["a"]) as link:
                    link.execute(f"set transaction isolation level {isolation}".encode())
                    with pytest.raises(psycopg.Error) as found:
                        link.execute(statement.partition("; ")[2] or statement)
                    assert found.value.sqlstate == trouble.NOT_HERE
                    held.append(statement)
                    link.rollback()
        with pair.node("a") as link, pytest.raises(psycopg.Error) as found:
            link.execute("select mapscope_node.enter_read(0, 1)")
        assert found.value.sqlstate == trouble.NOT_HERE

    before = rows(pair)
    with growing.hooked(late):
        pair.carry_out((0, "a", "b"))
    assert len(held) == 15
    assert rows(pair) == before


def test_a_snapshot_older_than_the_fence_writes_nothing_behind_it(pair: Growing):
    """A repeatable-read transaction began before the fence, writes after the switch: it must not see its old row."""
    fill(pair, services=4, entries=2)
    before = rows(pair)
    with psycopg.connect(pair.dsns["a"]) as link:

        def begin(name: str) -> None:
            if name == "verified:recorded":
                link.execute("set transaction isolation level repeatable read")
                link.execute("select count(*) from mapscope_node.shard")
            elif name == "released:recorded":
                with pytest.raises(psycopg.errors.SerializationFailure):
                    link.execute("insert into shard_0000.entries values ('behind', 1, 'x')")
                link.rollback()

        with growing.hooked(begin):
            (move,) = pair.carry_out((0, "a", "b")).ended
    assert move.state is State.CLEANED
    assert rows(pair) == before


def test_clean_up_waits_for_the_last_reader_of_the_old_epoch(pair: Growing):
    fill(pair, services=4, entries=5)
    seen: list[object] = []
    with psycopg.connect(pair.dsns["a"]) as reader:
        reader.execute("select mapscope_node.enter_read(0, 1)")

        def end_later(name: str) -> None:
            if name == "detached:recorded":
                thread.start()

        def end() -> None:
            while not pair.ask("", "select 1 from mapscope_control.step where state = 'detached'"):
                time.sleep(0.01)
            time.sleep(0.3)  # long enough for a clean-up that would not wait
            seen.extend(reader.execute("select count(*) from shard_0000.entries").fetchall())
            reader.commit()

        thread = threading.Thread(target=end)
        with growing.hooked(end_later):
            pair.carry_out((0, "a", "b"))
        thread.join()
    assert seen == [(sum(1 for row in rows(pair) if len(row) == 3 and placed(pair, str(row[0])) == 0),)]
    assert not pair.left()


def placed(made: Growing, service: str) -> int:
    return made.store.shards.of_hash(router.hash_of(service))


def test_a_reader_that_stays_leaves_clean_up_to_resume(pair: Growing):
    pair.change(reader_seconds=0.2)
    with psycopg.connect(pair.dsns["a"]) as reader:
        reader.execute("select mapscope_node.enter_read(0, 1)")
        ((move, why),) = pair.carry_out((0, "a", "b")).waiting
        assert move.state is State.DETACHED
        assert "readers of the old epoch are left at node a" in why
        assert pair.place(0) == "b"
    (ended,) = pair.carry_out().ended
    assert ended.state is State.CLEANED
    assert not pair.left()


def test_a_target_that_dies_before_the_switch_costs_only_the_move(pair: Growing):
    fill(pair, services=4, entries=5)
    pair.change(patience_seconds=4.0)
    before = rows(pair)
    target = pair.clusters["b"]
    after: list[object] = []

    def die(name: str) -> None:
        if name == "fenced:recorded":
            target.crash()
            thread.start()

    def write() -> None:
        with pair.router() as client:
            client.write(
                "svc-0", lambda link, schema: link.execute(f"delete from {schema}.entries where number < 0".encode())
            )
        after.extend(pair.ask("", "select state from mapscope_control.move"))

    thread = threading.Thread(target=write)
    with growing.hooked(die):
        ((move, why),) = pair.carry_out((placed(pair, "svc-0"), "a", "b")).waiting
    thread.join()
    assert move.state is State.ABANDONING
    assert "a node did not answer for 4 s" in move.reason
    assert "abandoning" in why
    assert after == [("streaming",)]  # the fence did not wait for the dead
    assert not pair.ask("a", "select 1 from pg_replication_slots where database = current_database()")
    assert not pair.ask("a", "select 1 from pg_publication")
    target.start()
    (ended,) = pair.carry_out().ended
    assert ended.state is State.ABANDONED
    assert rows(pair) == before
    assert not pair.left()


def test_a_source_that_dies_after_the_switch_stops_nobody(pair: Growing):
    fill(pair, services=4, entries=5)
    pair.change(patience_seconds=1.0)
    # the control database must outlive it, so it moves from b to a
    shard = placed(pair, "svc-0")
    pair.carry_out((shard, "a", "b"))
    before = rows(pair)
    source = pair.clusters["b"]

    def die(name: str) -> None:
        if name == "switched:recorded":
            source.crash()

    with growing.hooked(die):
        ((move, why),) = pair.carry_out((shard, "b", "a")).waiting
    assert move.state is State.RELEASED
    assert "released" in why
    assert rows(pair) == before
    with pair.router(patience=5) as client:
        client.write(
            "svc-0",
            lambda link, schema: link.execute(f"insert into {schema}.entries values ('svc-0', 99, 'n')".encode()),
        )
    source.start()
    with pair.node("b") as link, pytest.raises(psycopg.Error) as found:  # it comes back with its fence
        link.execute(f"insert into {pair.store.shards.schema(shard)}.entries values ('svc-0', 98, 'n')".encode())
    assert found.value.sqlstate in (trouble.FENCED, trouble.NOT_HERE)
    (ended,) = pair.carry_out().ended
    assert ended.state is State.CLEANED
    assert len(rows(pair)) == len(before) + 1
    assert not pair.left()


def test_a_node_that_the_file_names_no_more_keeps_its_move_waiting(pair: Growing):
    fill(pair, services=4, entries=2)
    text = pair.file.read_text()
    with growing.dying("base_copied:recorded"), pytest.raises(growing.Died):
        pair.carry_out((0, "a", "b"))
    tree = yaml.safe_load(text)
    del tree["nodes"]["b"]
    pair.file.write_text(yaml.safe_dump(tree))
    ((move, why),) = pair.carry_out().waiting
    assert (move.state, why) == (State.BASE_COPIED, "no node is named 'b'")
    pair.file.write_text(text)
    (ended,) = pair.carry_out().ended
    assert ended.state is State.CLEANED
    assert not pair.left()


def test_commands(pair: Growing, tmp_path: Path):
    """setup, run with a plan, status: text and JSON, exit statuses."""
    fill(pair, services=8, entries=5)
    again = subprocess.run(pair.command("setup"), capture_output=True, text=True, timeout=60)
    assert (again.returncode, again.stdout) == (0, "0 shards made, 0 adopted, 4 had a route\n"), again.stderr
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"moves": [{"shard": 0, "source": "a", "target": "b", "reason": "x"}]}))
    done = subprocess.run(
        pair.command("run", "--plan", str(plan), "--move", "1:a:b", "--move", "2:b:a"),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(
        "2 moved, 0 given up, 0 wait\n  shard 2 (b to a) was refused: shard 2 is at node a, not b\n"
    )
    table = done.stdout
    for words in (
        "base copy",
        "WAL sync behind the fence",
        "120 ms",
        "0.3 ms",
        "850 ms",
        "a writer's wait, all in all",
    ):
        assert words in table
    assert "(shard 0, a to b): caught_up (" in done.stderr
    shown = subprocess.run(pair.command("status", "-f", "json"), capture_output=True, text=True, timeout=60)
    document = json.loads(shown.stdout)
    assert (shown.returncode, document["open"], document["left"]) == (0, [], [])
    assert document["ended"] == {"cleaned": 2}
    by_name = {row["phase"]: row for row in document["phases"]}
    assert by_name["switch of the route"]["moves"] == 2
    parts = ("fence: last writers", "WAL sync behind the fence", "comparison behind the fence")
    whole = by_name["a writer's wait, all in all"]
    assert sum(by_name[name]["median_seconds"] for name in parts) <= whole["longest_seconds"]


def test_bad_store_files(tmp_path: Path):
    file = tmp_path / "store.yaml"
    for text, said in (
        ("control: x\nnodes: {a: {dsn: y}\n", "line"),
        ("control: x\nnodes: {a: {dsn: y}}\n", "missing required field `shards`"),
        ("control: x\nnodes: {a: {dsn: y, port: 1}}\nshards: {count: 2}\n", "unknown field `port`"),
        ("control: x\nnodes: {a: {dsn: y}}\nshards: {count: 0}\n", "shards.count must be 1 to"),
        ("control: x\nnodes: {a: {dsn: y}}\nshards: {count: 2}\nmoving: {ranges: 3}\n", "power of two"),
        ("control: x\nnodes: {a: {dsn: y}}\nshards: {count: 2}\nmoving: {fence_seconds: -1}\n", "must be above 0"),
        ("control: x\nnodes: {a: {dsn: y}}\nshards: {count: 2, prefix: 'x; drop'}\n", "plain lower-case name"),
    ):
        file.write_text(text)
        with pytest.raises(trouble.GrowthError) as found:
            nodes.read(file)
        assert said in str(found.value)


def test_a_control_database_that_is_not_there(tmp_path: Path):
    file = tmp_path / "store.yaml"
    file.write_text(
        "control: host=127.0.0.1 port=1 dbname=x\nnodes: {a: {dsn: 'host=127.0.0.1 port=1'}}\nshards: {count: 2}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mapscope", "growth", "status", str(file)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("mapscope: error: control database: ")
    assert "hint: check control: in the store file" in done.stderr
