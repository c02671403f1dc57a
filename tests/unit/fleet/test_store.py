"""The store, the same tests on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Engine

from mapscope.errors import EvidenceError, UsageError
from mapscope.fleet.store import reading
from mapscope.fleet.store.opening import StoreError, migrate, open_engine, shown
from mapscope.fleet.store.records import new_id
from mapscope.fleet.store.sweeping import sweep
from mapscope.fleet.store.tables import METADATA
from mapscope.fleet.store.writing import write
from tests.services.postgres import empty_database
from tests.unit.fleet.records import NOW, record, sighting

DAY = 86400


def url_of(dsn: str) -> str:
    """libpq's words as a URL."""
    from psycopg.conninfo import conninfo_to_dict

    of = conninfo_to_dict(dsn)
    return f"postgresql://{of.get('user', '')}@{of.get('host', '')}:{of.get('port', 5432)}/{of['dbname']}"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with empty_database() as dsn:
        yield url_of(dsn)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty store."""
    if request.param == "sqlite":
        made = open_engine(str(tmp_path / "store.db"))
    else:
        made = open_engine(request.getfixturevalue("server"))
        with made.begin() as connection:
            for table in METADATA.tables:
                connection.exec_driver_sql(f"truncate {table}")
    yield made
    made.dispose()


def test_what_is_written_is_read(engine: Engine):
    records = [record(n, findings=(sighting(),)) for n in range(5)] + [record(9, instance="two:1")]
    write(engine, records)
    rows = reading.read(engine, "shop", NOW, NOW + 10**7)
    assert [one.id for one in rows.profiles] == [one.id for one in records]
    assert len(rows.indicators) == 12
    assert {(row["name"], row["low"], row["high"]) for row in rows.indicators} == {("P1", None, None), ("P2", 1.0, 9.0)}
    assert {(row["function"], row["line"], row["inuse_bytes"]) for row in rows.places} == {("main.fill", 7, 10)}
    assert len(reading.read(engine, "shop", NOW, NOW + 10**7, "two:1").profiles) == 1
    assert not reading.read(engine, "shop", NOW + 1, NOW + 2).profiles
    assert reading.services(engine) == ["shop"]
    assert reading.newest(engine, "shop") == NOW + 9_000_000
    found = reading.near(engine, "shop", NOW + 2_500_000, "heap", None)
    assert found is not None
    assert found.taken_us == NOW + 2_000_000
    assert reading.near(engine, "shop", NOW - 1, "heap", None) is None
    assert reading.raw(engine, found.id) == random.Random(2).randbytes(3000)


def test_written_again_nothing_changes(engine: Engine):
    """As after a lost connection, when it is not known whether the commit came through."""
    records = [record(n, findings=(sighting(),) if n < 2 else ()) for n in range(3)]
    write(engine, records)
    before = reading.read(engine, "shop", NOW, NOW + 10**8)
    write(engine, records[2:])
    after = reading.read(engine, "shop", NOW, NOW + 10**8)
    assert [dict(row) for row in after.findings] == [dict(row) for row in before.findings]
    assert after.profiles == before.profiles
    assert len(after.indicators) == len(before.indicators)
    assert len(after.places) == len(before.places)


def test_a_transaction_is_all_or_nothing(engine: Engine):
    """One record that cannot be written takes the whole batch with it, and leaves nothing of it."""
    bad = dataclasses.replace(record(1), service=None)  # type: ignore[arg-type]
    with pytest.raises(sa.exc.IntegrityError):
        write(engine, [record(0), bad])
    assert not reading.services(engine)


def test_findings_begin_and_end(engine: Engine):
    a, b = sighting("a"), sighting("b")
    for number, seen in enumerate([(), (a,), (a, b), (b,), (b,), (), (a,)]):
        write(engine, [record(number, findings=seen)])
    write(engine, [record(7, kind="goroutine"), record(8, instance="two:1")])  # neither ends what one:6060 shows
    rows = reading.read(engine, "shop", NOW, NOW + 10**8).findings
    spans = [(row["function"], row["began_us"], row["last_us"], row["ended_us"]) for row in rows]
    second = 10**6
    assert spans == [
        ("a", NOW + second, NOW + 2 * second, NOW + 3 * second),
        ("b", NOW + 2 * second, NOW + 4 * second, NOW + 5 * second),
        ("a", NOW + 6 * second, NOW + 6 * second, None),
    ]
    lasting = reading.read(engine, "shop", NOW + 10 * second, NOW + 20 * second).findings
    assert [row["began_us"] for row in lasting] == [NOW + 6 * second]


def test_a_late_record_ends_nothing(engine: Engine):
    """A clock that was set back: an older profile without the finding does not end it."""
    write(engine, [record(5, findings=(sighting(),))])
    write(engine, [record(3)])
    assert [row["ended_us"] for row in reading.read(engine, "shop", NOW, NOW + 10**8).findings] == [None]


def test_what_was_not_judged_ends_nothing(engine: Engine):
    """A profile without its executable does not say that a place no longer rises."""
    write(engine, [record(1, findings=(sighting(),)), dataclasses.replace(record(2), judged=("P3",))])
    assert [row["ended_us"] for row in reading.read(engine, "shop", NOW, NOW + 10**8).findings] == [None]
    write(engine, [record(3)])
    assert [row["ended_us"] for row in reading.read(engine, "shop", NOW, NOW + 10**8).findings] == [NOW + 3_000_000]


def test_retention_by_age(engine: Engine):
    old = [record(n, taken_us=NOW - n * DAY * 10**6) for n in range(1, 6)]
    write(engine, old)
    found = sweep(engine, NOW, 2.5 * DAY, 4.5 * DAY, 10**9)
    assert (found.by_age, found.by_size) == (3, 0)
    rows = reading.read(engine, "shop", 0, NOW)
    assert [one.id for one in rows.profiles] == [old[1].id, old[0].id]
    assert len({row["profile_id"] for row in rows.indicators}) == 4
    assert found.left_bytes == sum(len(one.data) for one in old[:2])


def test_retention_by_size_drops_the_oldest(engine: Engine):
    records = [record(n) for n in range(1200)]
    write(engine, records)
    room = sum(len(one.data) for one in records[-100:])
    found = sweep(engine, NOW, DAY, DAY, room)
    assert (found.by_age, found.by_size, found.left_bytes) == (0, 1100, room)
    kept = {one.id for one in reading.read(engine, "shop", NOW, NOW + 10**10).profiles}
    assert kept == {one.id for one in records[-100:]}
    assert len(reading.read(engine, "shop", NOW, NOW + 10**10).indicators) == 2400  # they outlive their profiles


def test_a_spoiled_profile_is_told(engine: Engine):
    one = record(1)
    write(engine, [one])
    with engine.begin() as connection:
        connection.execute(sa.text("update profiles set digest = :d"), {"d": b"x" * 32})
    with pytest.raises(EvidenceError, match="its hash is another"):
        reading.raw(engine, one.id)
    with engine.begin() as connection:
        connection.execute(sa.text("update profiles set data = :d"), {"d": b"(\xb5/\xfd no"})
    with pytest.raises(EvidenceError, match="spoiled"):
        reading.raw(engine, one.id)
    with pytest.raises(EvidenceError, match="not in the store"):
        reading.raw(engine, uuid.uuid4())


def test_migrations_make_the_tables_that_we_use(engine: Engine):
    """What the migrations made is what ``tables.py`` says, by Alembic's own comparison."""
    migrate(engine)  # again: nothing to do
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_a_file_is_ours_alone(tmp_path: Path):
    before = os.umask(0)
    try:
        engine = open_engine(str(tmp_path / "deep" / "store.db"))
        write(engine, [record(1)])
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "deep").iterdir()}
        engine.dispose()
    finally:
        os.umask(before)
    assert modes["store.db"] == 0o600
    assert set(modes.values()) == {0o600}
    assert len(modes) >= 2  # the log of SQLite beside it
    with engine.connect() as connection:
        assert connection.exec_driver_sql("pragma auto_vacuum").scalar() == 2  # space that is given back
        assert connection.exec_driver_sql("pragma synchronous").scalar() == 2
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
    engine.dispose()


def test_a_reader_changes_nothing(tmp_path: Path):
    path = str(tmp_path / "store.db")
    with pytest.raises(EvidenceError, match="No such file"):
        open_engine(path, write=False)
    writer = open_engine(path)
    write(writer, [record(1)])
    reader = open_engine(path, write=False)
    with pytest.raises(sa.exc.OperationalError, match="readonly"), reader.begin() as connection:
        connection.exec_driver_sql("delete from profiles")
    assert len(reading.read(reader, "shop", NOW, NOW + 10**8).profiles) == 1
    reader.dispose()
    writer.dispose()


def test_reading_waits_for_no_writer(tmp_path: Path):
    """A long transaction that writes is no reason to wait, also where the same process writes and reads."""
    engine = open_engine(str(tmp_path / "store.db"))
    write(engine, [record(1)])
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("delete from profiles")
        assert len(reading.read(engine, "shop", NOW, NOW + 10**8).profiles) == 1
        reader = open_engine(str(tmp_path / "store.db"), write=False)
        with reader.connect() as other:
            assert other.exec_driver_sql("select count(*) from profiles").scalar() == 1
        reader.dispose()
    assert not reading.read(engine, "shop", NOW, NOW + 10**8).profiles
    engine.dispose()


def test_what_is_no_store(tmp_path: Path):
    (tmp_path / "text").write_text("hello, this is no database at all, is it?" * 100)
    with pytest.raises(StoreError, match="not a database"):
        open_engine(str(tmp_path / "text"))
    with pytest.raises(StoreError, match="Is a directory"):
        open_engine(str(tmp_path))
    with pytest.raises(UsageError, match="cannot be read"):
        open_engine("postgresql://h:port/x")
    with pytest.raises(StoreError, match="cannot open the store") as caught:
        open_engine("postgresql://me:geheim@127.0.0.1:1/x")
    assert "geheim" not in str(caught.value)
    assert shown("postgresql://me:geheim@h/x") == "postgresql://me:***@h/x"


def test_identities_sort_by_time():
    keys = [new_id(NOW + n * 1000) for n in range(100)]
    assert keys == sorted(keys)
    assert {(one.version, one.variant) for one in keys} == {(7, uuid.RFC_4122)}


WRITER = """
import os, sys
from mapscope.fleet.store.opening import open_engine
from mapscope.fleet.store.writing import write
from tests.unit.fleet.records import record, sighting
for line in sys.stdin:  # one process a line, of this one, so that none has to import everything
    pid = os.fork()
    if not pid:
        engine = open_engine(sys.argv[1])
        for number in range(int(line), 10**9):
            one = record(number, findings=(sighting(str(number)),), size=20000)
            write(engine, [one])
            os.write(1, f"{one.id} {one.digest.hex()}\\n".encode())
    os.write(1, f"begun {pid}\\n".encode())
    os.write(1, f"ended {os.waitpid(pid, 0)[1]}\\n".encode())
"""


@pytest.mark.timeout(120)
def test_a_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path: Path):
    """kill -9 at random points of a process that writes without pause; the first kills hit the making of the tables."""
    chance, pause = random.Random(8), threading.Event()
    path = str(tmp_path / "store.db")
    acknowledged: dict[str, str] = {}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    for kill in range(100):
        print(kill * 100_000, file=writer.stdin, flush=True)
        wanted = 0 if kill < 15 else chance.randrange(1, 6)
        pid, seen = 0, 0
        while not pid or seen < wanted:
            word, value = writer.stdout.readline().split()
            if word == "begun":
                pid = int(value)
            else:
                acknowledged[word], seen = value, seen + 1
        pause.wait(chance.uniform(0, 0.25 if kill < 15 else 0.004))  # the very point is left to chance
        os.kill(pid, signal.SIGKILL)
        while (line := writer.stdout.readline().split())[0] != "ended":
            acknowledged[line[0]] = line[1]
        assert line[1] == str(signal.SIGKILL.value)
    writer.communicate()
    assert writer.returncode == 0
    assert len(acknowledged) > 200
    engine = open_engine(path)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("pragma integrity_check").scalar() == "ok"
        kept = {str(row.id): row.digest.hex() for row in connection.execute(sa.select(METADATA.tables["profiles"]))}
        for table, each in (("indicators", 2), ("places", 1)):  # a profile is there whole, or not
            assert connection.execute(sa.text(f"select count(*) from {table}")).scalar() == each * len(kept)
    assert acknowledged.items() <= kept.items()
    assert len(kept) - len(acknowledged) <= 100  # committed, but killed before it could say so
    for key in acknowledged:
        reading.raw(engine, uuid.UUID(key))
    engine.dispose()
