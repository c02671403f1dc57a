"""What goes wrong with moves by logical replication elsewhere, each made to happen here.

citusdata/citus#6119, #7220, #8828 and #3770 tell of most of them.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mapscope.growth.names import Names
from mapscope.growth.protocol import State
from mapscope.growth.schema import WRITERS
from mapscope.growth.state import Move
from tests.services import growing, postgres
from tests.services.growing import Growing, fill, rows
from tests.services.postgres import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def pair(tmp_path: Path, servers: list[Cluster]) -> Iterator[Growing]:
    with growing.store(tmp_path, servers[:2], shards=1, first=1) as made:
        fill(made, services=4, entries=10)
        yield made


def move(made: Growing) -> Move:
    """Moves the only shard from a to b and gives what became of it."""
    outcome = made.carry_out((0, "a", "b"))
    assert not outcome.waiting
    (found,) = outcome.ended
    return found


def abandoned(made: Growing) -> str:
    """The reason why the only shard did not move; it is where it was, and nothing is left."""
    before = rows(made)
    found = move(made)
    assert found.state is State.ABANDONED
    assert made.place(0) == "a"
    assert rows(made) == before
    assert not made.left()
    return found.reason


def made_nothing(made: Growing) -> bool:
    """Whether the last move was given up before anything was made."""
    return [state for _, state in made.steps] == [State.ABANDONING, State.ABANDONED]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("alter table shard_0000.entries drop constraint entries_pkey", "shard_0000.entries has no replica identity"),
        ("alter table shard_0000.notes replica identity nothing", "shard_0000.notes has no replica identity"),
        ("create unlogged table shard_0000.extra (id int primary key)", "shard_0000.extra is unlogged"),
        ("drop trigger mapscope_guard on shard_0000.notes", "shard_0000.notes has no guard"),
        ("create table shard_0000.parts (id int) partition by range (id)", "shard_0000.parts is partitioned"),
        ("alter table shard_0000.entries enable row level security", "shard_0000.entries has row security"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_moved_is_refused_before_anything_is_made(pair: Growing, change: str, said: str):
    pair.ask("a", change)
    assert said in abandoned(pair)
    assert made_nothing(pair)
    # a publication of a table without identity would make this fail
    pair.ask("a", "update shard_0000.entries set word = 'changed' where number = 1")


def test_other_identities_than_a_primary_key_are_moved(pair: Growing):
    pair.ask("a", "alter table shard_0000.entries drop constraint entries_pkey")
    pair.ask("a", "create unique index chosen on shard_0000.entries (number, service)")
    pair.ask("a", "alter table shard_0000.entries replica identity using index chosen")
    pair.ask("a", "alter table shard_0000.notes drop constraint notes_pkey")
    pair.ask("a", "alter table shard_0000.notes replica identity full")
    before = rows(pair)
    found = move(pair)
    assert found.state is State.CLEANED, found.reason
    assert rows(pair) == before
    identities = pair.ask("b", "select relname, relreplident from pg_class "
        "where relnamespace = 'shard_0000'::regnamespace "
                          "and relkind = 'r' order by 1")  # fmt: skip
    assert [row[1] for row in identities] == ["i", "f"]


ACTIVE = "select active_pid from pg_replication_slots where active and database = current_database()"
RECEIVER = "select pid from pg_stat_subscription where pid is not null"
CATALOGS = (
    """select table_name, column_name, data_type, column_default, is_nullable, identity_generation,
    generation_expression from information_schema.columns where table_schema = 'shard_0000'
    order by table_name, ordinal_position""",
    "select indexdef from pg_indexes where schemaname = 'shard_0000' order by 1",
    """select conname, pg_get_constraintdef(oid) from pg_constraint
    where connamespace = 'shard_0000'::regnamespace order by 1""",
    """select sequencename, last_value, increment_by from pg_sequences
    where schemaname = 'shard_0000' order by 1""",
    """select tgrelid::regclass::text, pg_get_triggerdef(oid) from pg_trigger
    where tgname = 'mapscope_guard' and tgrelid::regclass::text like 'shard_0000.%' order by 1""",
    """select nspacl::text, relname, relacl::text from pg_class c join pg_namespace n on n.oid = relnamespace
    where nspname = 'shard_0000' and relkind in ('r', 'S') order by 2""",
)


def test_the_target_is_the_source_in_all_that_the_catalog_says(pair: Growing):
    pair.ask("a", "create role app; grant usage on schema shard_0000 to app; grant insert on shard_0000.notes to app")
    pair.ask("b", "create role app")
    pair.ask("a", "create sequence shard_0000.own start 7; alter table shard_0000.entries add column extra int "
             "default nextval('shard_0000.own'), add check (number >= 0), drop column word")  # fmt: skip
    shapes = {}
    for name in ("a", "b"):
        if name == "b":
            assert move(pair).state is State.CLEANED
        shapes[name] = [pair.ask(name, statement) for statement in CATALOGS]
    assert shapes["a"] == shapes["b"]
    assert all(shapes["a"])
    with pair.router() as client:  # the identity goes on where it was
        insert = "insert into {}.notes (service) values ('x')"
        client.write("svc-1", lambda link, schema: link.execute(insert.format(schema).encode()))


def test_the_receiver_may_start_again_and_report_nothing(pair: Growing):
    """Its LSN in pg_stat_subscription falls back to nothing each time (citusdata/citus#7220)."""
    killed: list[int] = []

    def kill(name: str) -> None:
        if name in ("streaming:recorded", "verify:done", "fence:done"):
            ended = pair.ask("b", f"{RECEIVER} and pg_terminate_backend(pid)")
            killed.extend(int(str(row[0])) for row in ended)

    before = rows(pair)
    with growing.hooked(kill):
        found = move(pair)
    assert found.state is State.CLEANED, found.reason
    assert len(set(killed)) >= 2
    assert rows(pair) == before
    assert not pair.left()


def test_a_sender_that_sends_nothing_is_waited_for(pair: Growing, servers: list[Cluster]):
    """It stands longer than wal_receiver_timeout: the receiver gives up and comes again, more than once."""
    receivers: set[int] = set()

    def stand(name: str) -> None:
        if name != "streaming:recorded":
            return
        while not (
            found := pair.ask(
                "a",
                "select active_pid from pg_replication_slots join pg_stat_replication on pid = active_pid "
                "where database = current_database() and state = 'streaming'",
            )
        ):  # a sender that stands before it has answered is waited for without any timeout
            time.sleep(0.01)
        sender = int(str(found[0][0]))
        os.kill(sender, signal.SIGSTOP)

        def wake() -> None:
            for _ in range(2000):
                receivers.update(int(str(row[0])) for row in pair.ask(
                    "b", "select pid from pg_stat_subscription where pid is not null"))  # fmt: skip
                if len(receivers) >= 3:
                    break
                time.sleep(0.01)
            os.kill(sender, signal.SIGCONT)

        thread.append(threading.Thread(target=wake))
        thread[0].start()

    thread: list[threading.Thread] = []
    before = rows(pair)
    with growing.hooked(stand):
        found = move(pair)
    thread[0].join()
    assert found.state is State.CLEANED, found.reason
    assert len(receivers) >= 3
    assert rows(pair) == before
    assert not pair.left()


def test_the_fence_gives_way_to_a_long_writer_and_comes_again(pair: Growing):
    pair.change(lock_seconds=0.05, lock_attempts=8)
    waits: list[float] = []
    with psycopg.connect(pair.dsns["a"]) as long, pair.router() as other:

        def hold(name: str) -> None:
            if name == "verify:done":
                long.execute("insert into shard_0000.entries values ('long', 1, 'x')")
                threads[0].start()

        def waits_for_writers() -> bool:
            asked = ("select exists (select from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' "
                     f"and not granted and classid = {WRITERS} and objid = 0 and database = "
                     "(select oid from pg_database where datname = current_database()))")  # fmt: skip
            return pair.ask("a", asked) == [(True,)]

        def release() -> None:
            deadline = time.monotonic() + 60
            while not waits_for_writers() and time.monotonic() < deadline:
                time.sleep(0.001)
            for number in range(6):  # others write on while the fence tries
                began = time.monotonic()
                other.write("svc-1", lambda link, schema, n=number: link.execute(
                    f"insert into {schema}.entries values ('other', %s, 'x')".encode(), (n,)))  # fmt: skip
                waits.append(time.monotonic() - began)
                time.sleep(0.05)
            long.commit()

        threads = [threading.Thread(target=release)]
        with growing.hooked(hold):
            found = move(pair)
        threads[0].join()
    assert found.state is State.CLEANED, found.reason
    assert found.fences == 1
    assert sorted(str(row[0]) for row in rows(pair)).count("other") == 6
    assert sum(row[0] == "long" for row in rows(pair)) == 1
    tries = pair.ask("", "select (figures->>'tries')::float from mapscope_control.step where state = 'fenced'")
    assert tries[0][0] > 1


def test_a_writer_that_never_ends_is_named(pair: Growing):
    pair.change(lock_seconds=0.02, lock_attempts=3)
    with psycopg.connect(pair.dsns["a"]) as long:
        long.execute("insert into shard_0000.entries values ('long', 1, 'x')")
        # the slot would wait for it too: so it begins after that
        long.rollback()

        def hold(name: str) -> None:
            if name == "verify:done":
                long.execute("insert into shard_0000.entries values ('long', 1, 'x')")

        with growing.hooked(hold):
            reason = abandoned(pair)
        assert re.search(rf"all 3 tries of the fence \(process {long.info.backend_pid}, in a transaction", reason)


def test_a_transaction_that_the_slot_waits_for_is_no_reason_to_wait_for_ever(pair: Growing):
    pair.change(slot_seconds=0.3)
    with psycopg.connect(pair.dsns["a"]) as long:
        long.execute("insert into shard_0000.entries values ('long', 1, 'x')")
        assert "waited more than 0.3 s for transactions that were open" in abandoned(pair)


def test_a_target_that_would_publish_the_shard_again_is_refused(pair: Growing):
    pair.ask("b", "create publication everything for all tables")
    found = move(pair)
    pair.ask("b", "drop publication everything")
    assert found.state is State.ABANDONED
    assert "publication everything of the target has all tables" in found.reason
    assert made_nothing(pair)
    assert not pair.left()


def test_every_row_that_a_move_writes_bears_an_origin(pair: Growing):
    """So a subscriber of the target that asks for origin = none gets none of them: those copied, those streamed."""

    def write(name: str) -> None:
        if name == "streaming:recorded":
            pair.ask("a", "insert into shard_0000.entries values ('streamed', 1, 'x')")

    found: list[list[tuple[object, ...]]] = []

    def look(name: str) -> None:
        write(name)
        if name == "caught_up:recorded":
            found.append(pair.ask("b", "select service, (pg_xact_commit_timestamp_origin(xmin)).roident::bigint > 0 "
                                  "from shard_0000.entries"))  # fmt: skip

    with growing.hooked(look):
        assert move(pair).state is State.CLEANED
    assert len(found[0]) == 41
    assert all(row[1] for row in found[0])
    pair.ask("b", "insert into shard_0000.entries values ('own', 1, 'x')")
    assert pair.ask("b", "select (pg_xact_commit_timestamp_origin(xmin)).roident::bigint from shard_0000.entries "
                    "where service = 'own'") == [(0,)]  # fmt: skip


def test_servers_without_room_are_refused_in_words(pair: Growing):
    ((free,),) = pair.ask(
        "a", "select current_setting('max_replication_slots')::int - count(*) from pg_replication_slots"
    )
    for number in range(int(str(free))):
        pair.ask("a", f"select pg_create_physical_replication_slot('full_{number}')")
    try:
        assert "the source has no replication slot left (max_replication_slots)" in abandoned(pair)
        assert made_nothing(pair)
    finally:
        pair.ask(
            "a", "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'full%'"
        )


def test_a_server_without_logical_wal_is_refused_in_words(tmp_path: Path, servers: list[Cluster]):
    with (
        postgres.clusters(1, {**growing.SETTINGS, "wal_level": "replica"}) as (one,),
        growing.store(tmp_path, [one, servers[1]], shards=1, first=1) as made,
    ):
        assert "wal_level of the source is replica; logical replication needs logical" in abandoned(made)
        assert made_nothing(made)


def test_a_target_that_cannot_keep_up_is_given_up(pair: Growing):
    pair.change(retained_bytes=2_000_000, fence_lag_seconds=0.05)
    locked = psycopg.connect(pair.dsns["b"])

    def stand(name: str) -> None:
        if name == "streaming:recorded":
            locked.execute("lock table shard_0000.entries in access exclusive mode")
            thread.start()
        elif name == "abandoning:recorded":
            locked.rollback()

    def write() -> None:
        with pair.router() as client:
            insert = "insert into {}.entries select 'much', %s + generate_series(1, 200), repeat('x', 300)"
            for number in range(0, 100_000, 1000):
                client.write("svc-1", lambda link, schema, n=number: link.execute(insert.format(schema).encode(), (n,)))

    thread = threading.Thread(target=write)
    with locked, growing.hooked(stand):
        found = move(pair)
    thread.join()
    assert found.state is State.ABANDONED
    assert "the target cannot keep up: the source keeps " in found.reason
    assert "more than 2.0 MB (moving.retained_bytes)" in found.reason
    assert sum(row[0] == "much" for row in rows(pair)) == 20_000
    assert not pair.left()


def test_a_change_that_the_target_cannot_apply_is_given_up(pair: Growing):
    def spoil(name: str) -> None:
        if name == "streaming:recorded":
            pair.ask(
                "b",
                "set session_replication_role = replica; insert into shard_0000.entries values ('twice', 1, 'b')",
            )
            pair.ask("a", "insert into shard_0000.entries values ('twice', 1, 'a')")

    with growing.hooked(spoil):
        found = move(pair)
    assert found.state is State.ABANDONED
    assert re.search(r"the target could not apply a change \d+ times without progress", found.reason)
    assert not pair.left()


def test_what_ended_moves_left_is_found_and_dropped_and_nothing_else(pair: Growing):
    ((word,),) = pair.ask("", "select store from mapscope_control.meta")
    ours, other = Names(str(word), 77), Names("00000000", 77)
    for names in (ours, other):
        pair.ask("a", f"create publication {names.stream}; create table mapscope_node.{names.mark} (id int)")
        pair.ask("a", "select pg_create_logical_replication_slot(%s, 'pgoutput')", names.stream)
        pair.ask("b", f"create subscription {names.stream} connection '{pair.dsns['a']}' publication {names.stream} "
                 f"with (create_slot = false, connect = false, slot_name = '{names.stream}')")  # fmt: skip
        pair.ask("b", "select pg_replication_origin_create(%s)", names.copy_origin)

    shown = subprocess.run(pair.command("status"), capture_output=True, text=True, timeout=60)
    assert shown.returncode == 1, shown.stderr
    assert shown.stdout.count("left behind: ") == 5
    assert other.stream not in shown.stdout
    cleaned = subprocess.run(pair.command("status", "--clean"), capture_output=True, text=True, timeout=60)
    assert cleaned.returncode == 0, cleaned.stderr + cleaned.stdout
    assert cleaned.stdout.count("dropped ") == 5
    assert all(other.stream in one for one in pair.left())
    assert len(pair.left()) == 4
    pair.ask("b", f"alter subscription {other.stream} set (slot_name = none)")
    pair.ask("b", f"drop subscription {other.stream}")
    pair.ask("b", "select pg_replication_origin_drop(%s)", other.copy_origin)


def test_an_open_move_is_no_leftover(pair: Growing):
    shown: list[str] = []

    def look(name: str) -> None:
        if name == "verified:recorded":
            done = subprocess.run(pair.command("status"), capture_output=True, text=True, timeout=60)
            shown.append(done.stdout + done.stderr)

    with growing.hooked(look):
        assert move(pair).state is State.CLEANED
    assert "left behind" not in shown[0]
    assert re.search(r"controller: at work: process \d+", shown[0])
    assert re.search(r"move \d+ \(shard 0, a to b\) is verified, lag \d", shown[0])


@pytest.mark.parametrize(
    "change",
    [
        "delete from shard_0000.entries where service = 'svc-1' and number = 3",
        "update shard_0000.entries set word = word || 'x' where service = 'svc-1' and number = 3",
        "insert into shard_0000.entries values ('svc-1', 1000, 'x')",
        "update shard_0000.notes set body = '' where service = 'svc-2'",
    ],
)
@pytest.mark.parametrize("at", ["streaming:recorded", "verified:recorded"])
def test_one_row_that_differs_is_found_before_the_switch(pair: Growing, change: str, at: str):
    """Before the first comparison and after it: what is equal then is hashed again only where it was written to."""

    def spoil(name: str) -> None:
        if name == at:
            pair.ask("b", f"set session_replication_role = replica; {change}")

    with growing.hooked(spoil):
        reason = abandoned(pair)
    table = "notes" if "notes" in change else "entries"
    assert reason == f"source and target differ behind the fence: 1 range differs (of {table})"


def test_behind_the_fence_only_what_was_written_to_is_hashed(pair: Growing):
    pair.change(ranges=1024)

    def write(name: str) -> None:
        if name == "verified:recorded":
            pair.ask("a", "update shard_0000.entries set word = 'new' where service = 'svc-1' and number < 3")
            pair.ask("a", "delete from shard_0000.entries where service = 'svc-2' and number < 3")

    with growing.hooked(write):
        assert move(pair).state is State.CLEANED
    figures = pair.ask("", "select (figures->>'ranges')::float from mapscope_control.step where state = 'caught_up'")
    assert 1 <= float(str(figures[0][0])) <= 3
    assert sum(row[2] == "new" for row in rows(pair)) == 3
    assert len(rows(pair)) == 4 * 11 - 3


def test_alter_table_during_a_move_is_noticed(pair: Growing):
    def alter(name: str) -> None:
        if name == "verified:recorded":
            pair.ask("a", "alter table shard_0000.notes add column late int")

    with growing.hooked(alter):
        found = move(pair)
    assert found.state is State.ABANDONED
    assert "a table of the shard was altered, made or dropped at the source" in found.reason
    assert not pair.left()
