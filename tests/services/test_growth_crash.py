"""The controller dies: at each point of the protocol, and at random ones while clients write and read."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from mapscope.growth import points
from mapscope.growth.protocol import FORWARD, State
from mapscope.growth.schema import CONTROLLER
from tests.services import growing
from tests.services.growing import Died, Growing, fill, rows
from tests.services.postgres import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SEED = 20261125
MOVES = 50
LEAST_KILLS = 15
COUNTED = growing.TABLES + "create table template.totals (service text primary key, writes bigint not null);"


def writable(made: Growing, shard: int) -> list[str]:
    """The nodes that would take a write to a shard."""
    return [
        name
        for name in made.names
        if made.ask(name, "select 1 from mapscope_node.shard where shard = %s and state = 'owner'", shard)
    ]


def test_killed_at_each_point(tmp_path: Path, servers: list[Cluster]):
    with growing.store(tmp_path, servers[:2], shards=2, first=1) as made:
        fill(made, services=6, entries=5)
        before = rows(made)
        seen: list[str] = []
        with growing.hooked(seen.append):
            made.carry_out((0, "a", "b"))
        recorded = [f"{step.after}:recorded" for step in FORWARD.values() if step.after is not State.ABANDONED]
        assert set(recorded) <= set(seen)
        for at in dict.fromkeys(seen):
            source = made.place(0)
            target = "b" if source == "a" else "a"
            with growing.dying(at), pytest.raises(Died):
                made.carry_out((0, source, target))
            assert len(writable(made, 0)) <= 1, at
            outcome = made.carry_out()
            assert not outcome.waiting, at
            assert made.place(0) == target, (at, outcome.ended)
            assert writable(made, 0) == [target], at
            assert not made.left(), at
            assert rows(made) == before, at


def test_killed_while_it_gives_up(tmp_path: Path, servers: list[Cluster]):
    """A row that only the target has is found behind the fence; then each point of the way back."""
    with growing.store(tmp_path, servers[:2], shards=1, first=1) as made:
        fill(made, services=3, entries=3)
        before = rows(made)

        def spoil(name: str) -> None:
            if name == "streaming:recorded":
                made.ask("b", "set session_replication_role = replica; delete from shard_0000.entries where number = 1")

        seen: list[str] = []
        with growing.hooked(lambda name: (seen.append(name), spoil(name))[0]):
            outcome = made.carry_out((0, "a", "b"))
        (move,) = outcome.ended
        assert move.state is State.ABANDONED
        assert "differ behind the fence" in move.reason
        assert "entries" in move.reason
        assert not made.left()
        way_back = seen[seen.index("abandoning:recorded") :]
        assert "abandoned:recorded" in way_back
        for at in dict.fromkeys(way_back):
            with growing.dying(at) as _:
                die = points.hook
                assert die is not None
                points.hook = lambda name, die=die: (spoil(name), die(name))[0]
                with pytest.raises(Died):
                    made.carry_out((0, "a", "b"))
            made.carry_out()
            assert made.place(0) == "a"
            assert writable(made, 0) == ["a"], at
            assert not made.left(), at
            assert rows(made) == before


@dataclass
class Client(threading.Thread):
    """Writes to its services in turn until it is told to end, and knows what was acknowledged."""

    made: Growing
    services: tuple[str, ...]
    end: threading.Event
    acknowledged: dict[str, int] = field(default_factory=dict)
    longest: float = 0.0
    refusals: int = 0
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.acknowledged = dict.fromkeys(self.services, 0)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        try:
            with self.made.router(patience=60) as client:
                while not self.end.is_set():
                    for service in self.services:
                        began = time.monotonic()
                        number = client.write(service, lambda link, schema, of=service: self.add(link, schema, of))
                        self.longest = max(self.longest, time.monotonic() - began)
                        assert number == self.acknowledged[service] + 1, f"{service}: {number}, a write is gone"
                        self.acknowledged[service] = number
                        self.end.wait(0.01)
                self.refusals = client.refusals
        except BaseException as error:
            self.failure = error

    @staticmethod
    def add(link: psycopg.Connection[tuple[object, ...]], schema: str, service: str) -> int:
        """The next number of a service, as the node counts: a node that lacks a write would give one twice."""
        row = link.execute(
            (f"insert into {schema}.entries select %(s)s, coalesce(max(number), 0) + 1, 'x' from {schema}.entries "
             "where service = %(s)s returning number").encode(),
            {"s": service},
        ).fetchone()  # fmt: skip
        assert row is not None
        link.execute(
            (f"insert into {schema}.totals values (%s, 1) on conflict (service) "
             "do update set writes = totals.writes + 1").encode(),
            (service,),
        )  # fmt: skip
        return int(str(row[0]))


class Reader(threading.Thread):
    """Reads what the clients write: never less than what was acknowledged before it asked."""

    def __init__(self, made: Growing, clients: list[Client], end: threading.Event) -> None:
        super().__init__(daemon=True)
        self.made, self.clients, self.end = made, clients, end
        self.reads = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with self.made.router(patience=60) as client:
                while not self.end.is_set():
                    for one in self.clients:
                        service = random.choice(one.services)
                        least = one.acknowledged[service]
                        statement = "select coalesce(max(number), 0), count(*) from {}.entries where service = %s"
                        row = client.read(
                            service,
                            lambda link, schema, of=service, statement=statement: link.execute(
                                statement.format(schema).encode(), (of,)
                            ).fetchone(),
                        )
                        assert row is not None
                        assert row[0] == row[1] >= least, f"{service}: {row} read after {least} was acknowledged"
                        self.reads += 1
                    self.end.wait(0.05)
        except BaseException as error:
            self.failure = error


def run_and_kill(made: Growing, choice: random.Random, arguments: list[str]) -> bool:
    """A controller in a process of its own, killed at a random point. Gives whether it was."""
    at = ""
    after = None
    if choice.random() < 0.2:
        pass  # it may come to its end
    elif choice.random() < 0.5:
        at = choice.choice([f"{state}:recorded" for state in State if state not in (State.PLANNED, State.ABANDONED)])
    else:
        after = choice.uniform(0.0, 1.0)
    environment = growing.environment(**({points.VARIABLE: at} if at else {}))
    with subprocess.Popen(
        made.command(*arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        if after is not None:
            process.stderr.readline()  # it is at work
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
            process.kill()
        _, said = process.communicate(timeout=120)
    assert process.returncode in (-9, 0, 1), said  # 1: it was asked for a move that was open already
    return process.returncode == -9


def test_fifty_moves_with_a_controller_that_is_killed_while_clients_write(
    tmp_path: Path, servers: list[Cluster], capsys: pytest.CaptureFixture[str]
):
    choice = random.Random(SEED)
    kills = 0
    with growing.store(tmp_path, servers, shards=6, first=1, template=COUNTED) as made:
        made.change(parallel=3)
        end = threading.Event()
        clients = [
            Client(made, tuple(f"svc-{who}-{number}" for number in range(6)), end) for who in range(2)
        ]  # fmt: skip
        reader = Reader(made, clients, end)
        for thread in (*clients, reader):
            thread.start()
        try:
            while True:
                ((cleaned,),) = made.ask("", "select count(*) from mapscope_control.move where state = 'cleaned'")
                assert not any(one.failure for one in (*clients, reader)), [one.failure for one in (*clients, reader)]
                if int(str(cleaned)) >= MOVES and kills >= LEAST_KILLS:
                    break
                moves = []
                for shard in choice.sample(range(6), 4):
                    source = made.place(shard)
                    target = choice.choice([name for name in made.names if name != source])
                    moves += ["--move", f"{shard}:{source}:{target}"]
                kills += run_and_kill(made, choice, choice.choice([["resume"], *([["run", *moves]] * 3)]))
            assert not made.carry_out().waiting
        finally:
            end.set()
            for thread in (*clients, reader):
                thread.join()
        assert not any(one.failure for one in (*clients, reader)), [one.failure for one in (*clients, reader)]
        assert not made.left()
        given_up = made.ask("", "select shard, reason from mapscope_control.move where state = 'abandoned'")
        assert not given_up
        for client in clients:
            for service, last in client.acknowledged.items():
                schema = made.store.shards.schema(shard := made.router().shard_of(service))
                found = made.ask(
                    made.place(shard),
                    f"select number from {schema}.entries where service = %s order by number",
                    service,
                )
                assert [row[0] for row in found] == list(range(1, last + 1)), service
                ((writes,),) = made.ask(
                    made.place(shard), f"select writes from {schema}.totals where service = %s", service
                )
                assert writes == last, service
        written = sum(sum(one.acknowledged.values()) for one in clients)
        assert written > 500
        assert reader.reads > 50
        with capsys.disabled():
            print(
                f"\n{cleaned} moves, seed {SEED}: {kills} kills, {written} writes, {reader.reads} reads, "
                f"longest wait of a write {max(one.longest for one in clients) * 1000:.0f} ms"
            )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_controller_that_is_told_to_stop_leaves_nobody_waiting(
    tmp_path: Path, servers: list[Cluster], number: signal.Signals
):
    """It stands at the fence, since the last comparison cannot read a table of the target."""
    with growing.store(tmp_path, servers[:2], shards=1, first=1) as made:
        fill(made, services=2, entries=2)
        made.change(fence_seconds=100.0, lock_attempts=100)
        with psycopg.connect(made.dsns["b"]) as reading, psycopg.connect(made.dsns["a"]) as writing:
            writing.execute("select mapscope_node.enter_write(0, 1)")  # so the fence waits for us
            with subprocess.Popen(made.command("run", "--move", "0:a:b"), stderr=subprocess.PIPE, text=True) as process:
                assert process.stderr is not None
                while "verified" not in process.stderr.readline():
                    assert process.poll() is None
                reading.execute("lock table shard_0000.entries")
                writing.rollback()
                while not made.ask("", "select 1 from mapscope_control.move where state = 'fenced'"):
                    time.sleep(0.005)
                process.send_signal(number)
                _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert writable(made, 0) == ["a"]
        (ended,) = made.carry_out().ended
        assert ended.state is State.CLEANED
        assert not made.left()


def test_only_one_controller_works(tmp_path: Path, servers: list[Cluster]):
    with growing.store(tmp_path, servers[:2], shards=1, first=1) as made:
        fill(made, services=2, entries=2)
        said: list[str] = []

        def second(name: str) -> None:
            if name == "base_copied:recorded":
                done = subprocess.run(made.command("resume"), capture_output=True, text=True, timeout=60)
                said.append(f"{done.returncode} {done.stderr}")

        with growing.hooked(second):
            (move,) = made.carry_out((0, "a", "b")).ended
        assert move.state is State.CLEANED
        assert said[0].startswith("2 ")
        assert "another controller is at work: process " in said[0]


def test_the_session_of_a_killed_controller_may_live_on_for_a_moment(tmp_path: Path, servers: list[Cluster]):
    """Its lock is let go only when the next controller has asked for it once and was told no."""
    with growing.store(tmp_path, servers[:2], shards=1, first=1) as made:
        fill(made, services=2, entries=2)
        asked = (
            "select 1 from pg_stat_activity where query like %s and pid <> pg_backend_pid() and state = 'idle' "
            "and datname = current_database()"
        )

        def end() -> None:
            deadline = time.monotonic() + 60
            while not made.ask("", asked, "%pg_try_advisory_lock%") and time.monotonic() < deadline:
                time.sleep(0.002)
            old.close()

        with psycopg.connect(made.control, autocommit=True) as old:
            assert old.execute("select pg_try_advisory_lock(%s, 0)", (CONTROLLER,)).fetchone() == (True,)
            old.execute("select 1")
            ending = threading.Thread(target=end)
            ending.start()
            (move,) = made.carry_out((0, "a", "b")).ended
            ending.join()
        assert move.state is State.CLEANED
        assert not made.left()


def test_a_controller_that_was_taken_for_dead_changes_nothing(tmp_path: Path, servers: list[Cluster]):
    """Its session with the control database is cut at the fence, and another controller ends the move meanwhile."""
    with growing.store(tmp_path, servers[:2], shards=1, first=1) as made:
        fill(made, services=2, entries=2)
        before = rows(made)

        def overtaken(name: str) -> None:
            if name == "fence:done":
                made.ask("", "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = 0 "
                         "and database = (select oid from pg_database where datname = current_database())")  # fmt: skip
                done = subprocess.run(made.command("resume"), capture_output=True, text=True, timeout=60)
                assert done.returncode == 0, done.stderr

        with growing.hooked(overtaken), pytest.raises(Exception, match="another controller has taken over"):
            made.carry_out((0, "a", "b"))
        assert made.place(0) == "b"
        assert writable(made, 0) == ["b"]
        assert rows(made) == before
        assert not made.left()


def test_a_lost_connection_to_the_control_database_is_made_again(tmp_path: Path, servers: list[Cluster]):
    with growing.store(tmp_path, servers[:2], shards=1, first=1) as made:
        fill(made, services=2, entries=2)

        def cut(name: str) -> None:
            if name in ("base_copied:recorded", "fenced:recorded", "caught_up:recorded"):
                made.ask("", "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = 0 "
                         "and database = (select oid from pg_database where datname = current_database())")  # fmt: skip

        with growing.hooked(cut):
            (move,) = made.carry_out((0, "a", "b")).ended
        assert move.state is State.CLEANED
        assert not made.left()
