"""The thread that writes: a full disk, a lost database, a clock that jumps. Nothing is lost without a word."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from mapscope.fleet.config import Retention
from mapscope.fleet.logs import LOG, set_up
from mapscope.fleet.marks import Duration
from mapscope.fleet.store import reading
from mapscope.fleet.store.opening import open_engine
from mapscope.fleet.store.records import Record
from mapscope.fleet.store.sweeping import Swept
from mapscope.fleet.writer import Writer
from tests.services.postgres import Cluster, clusters
from tests.unit.fleet.records import NOW, record
from tests.unit.fleet.test_store import url_of

KEEP = Retention(profiles=Duration(10**9), indicators=Duration(10**9), interval=Duration(10**6))


def wait_for(wanted: Callable[[], object], seconds: float = 60.0) -> None:
    """Until it is true."""
    deadline = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def writing(place: str, room: int = 10**8, keep: Retention = KEEP) -> Iterator[Writer]:
    """A writer that runs."""
    writer = Writer(place, None, room, keep)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop(10)


def kept(place: str) -> set[str]:
    """Identities of the profiles in a store."""
    engine = open_engine(place, write=False)
    with engine.connect() as connection:
        found = {str(row) for row in connection.scalars(sa.text("select id from profiles"))}
    engine.dispose()
    return {one.replace("-", "") for one in found}


def test_stop_writes_what_waits(tmp_path: Path):
    records = [record(n) for n in range(300)]
    path = str(tmp_path / "store.db")
    writer = Writer(path, None, 10**9, KEEP)
    for one in records:
        writer.put(one)
    assert writer.counts.waiting == 300
    writer.start()
    assert writer.stop(30) == 0
    assert kept(path) == {one.id.hex for one in records}
    assert (writer.counts.written, writer.counts.waiting, writer.counts.waiting_bytes) == (300, 0, 0)


FULL = """
import resource, sys, threading
sys.path.insert(0, ".")
from tests.unit.fleet.test_writer import KEEP, wait_for
from tests.unit.fleet.records import record
from mapscope.fleet.logs import set_up
from mapscope.fleet.store.records import Record
from mapscope.fleet.store.sweeping import Swept
from mapscope.fleet.writer import Writer
set_up("info")
path = sys.argv[1]
writer = Writer(path, None, 10**8, KEEP)
writer.start()
for number in range(10):
    writer.put(record(number, size=20_000))
wait_for(lambda: writer.counts.written == 10)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))  # no file may become larger: writes fail as on a full disk
for number in range(10, 60):
    writer.put(record(number, size=20_000))
wait_for(lambda: writer.counts.failures >= 3 and not writer.counts.working)
assert writer.counts.waiting > 0
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
wait_for(lambda: writer.counts.written == 60 and writer.counts.working)
assert (writer.counts.waiting, writer.counts.dropped) == (0, 0)
assert writer.stop(10) == 0
"""


def test_a_full_disk_is_waited_for(tmp_path: Path):
    """In a process of its own: the limit would hold for everything that this one writes."""
    path = tmp_path / "store.db"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["message"] for line in lines if line["level"] == "error"] == [
        "the store cannot be written; profiles wait in memory"
    ]
    assert lines[-1]["message"] == "the store can be written"
    engine = open_engine(str(path))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("pragma integrity_check").scalar() == "ok"
        digests = set(connection.scalars(sa.text("select digest from profiles")))
    engine.dispose()
    assert digests == {record(n, size=20_000).digest for n in range(60)}


def test_memory_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """What cannot be written waits, the newest of it."""
    writer = Writer(str(tmp_path / "store.db"), None, 50_000, KEEP)
    records = [record(n, size=4000) for n in range(100)]
    for one in records:
        writer.put(one)
    assert writer.counts.waiting_bytes <= 50_000
    assert writer.counts.dropped == 100 - writer.counts.waiting > 50
    left = writer.counts.waiting
    writer.start()
    assert writer.stop(30) == 0
    assert kept(str(tmp_path / "store.db")) == {one.id.hex for one in records[-left:]}


def test_one_record_that_cannot_be_stored_stops_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, logger=LOG.name)
    records = [record(n) for n in range(20)]
    bad = dataclasses.replace(record(99), service=None)  # type: ignore[arg-type]
    writer = Writer(str(tmp_path / "store.db"), None, 10**8, KEEP)
    for one in [*records[:10], bad, *records[10:]]:
        writer.put(one)
    writer.start()
    assert writer.stop(30) == 0
    assert kept(str(tmp_path / "store.db")) == {one.id.hex for one in records}
    assert (writer.counts.written, writer.counts.dropped) == (20, 1)


def test_a_clock_that_jumps_ahead_empties_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Age is told by a clock that goes on evenly; set back it drops less, set ahead no more."""
    real = time.time
    keep = Retention(profiles=Duration(3600.0), indicators=Duration(7200.0), interval=Duration(0.05))
    path = str(tmp_path / "store.db")
    now = int(real() * 1e6)
    young, old = record(1, taken_us=now - 10**6), record(2, taken_us=now - 4000 * 10**6)
    with writing(path, keep=keep) as writer:
        monkeypatch.setattr("mapscope.fleet.writer.time.time", lambda: real() + 10 * 365 * 86400)
        writer.put(young)
        writer.put(old)
        wait_for(lambda: writer.counts.by_age == 1)
        wait_for(lambda: writer.counts.written == 2)
    assert kept(path) == {young.id.hex}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_that_ends_it_can_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError("none of those that a store may raise")

    writer = Writer(str(tmp_path / "store.db"), None, 10**8, KEEP)
    assert writer.alive
    monkeypatch.setattr(writer.store, "write", broken)
    writer.start()
    writer.put(record(1))
    wait_for(lambda: not writer.alive)
    assert writer.stop(1) == 1


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with clusters(1) as (one,):
        yield one


def test_a_database_that_is_lost_and_comes_back(cluster: Cluster, caplog: pytest.LogCaptureFixture):
    """Stopped, crashed and not there at the start: every record is in it at the end, once."""
    caplog.set_level(logging.INFO, logger=LOG.name)
    url = url_of(cluster.database())
    cluster.stop()
    records = [record(n) for n in range(120)]
    with writing(url) as writer:
        assert not writer.counts.working  # it starts without the database
        writer.put(records[0])
        wait_for(lambda: writer.counts.failures >= 1)
        cluster.start()
        wait_for(lambda: writer.counts.written == 1 and writer.counts.working)
        for number, one in enumerate(records[1:], 1):
            if number == 40:
                cluster.crash()
            writer.put(one)
            if number == 40:  # what was put before may all have been written
                wait_for(lambda: writer.counts.failures >= 2 and not writer.counts.working)
            if number == 60:
                cluster.start()
                wait_for(lambda: writer.counts.working)
            if number == 90:
                cluster.restart("immediate")
        wait_for(lambda: writer.counts.written >= 120 and writer.counts.working)
        assert writer.counts.dropped == 0
        assert writer.counts.waiting == 0
    assert kept(url) == {one.id.hex for one in records}
    rows = reading.read(engine := open_engine(url, write=False), "shop", NOW, NOW + 10**9)
    engine.dispose()
    assert len(rows.indicators) == 240
    said = [one.getMessage() for one in caplog.records]
    assert said.count("the store cannot be written; profiles wait in memory") >= 2
    assert said.count("the store can be written") >= 2


class Steps:
    """A clock that is later each time it is asked."""

    def __init__(self, step: float) -> None:
        self.at, self._step = 0.0, step

    def monotonic(self) -> float:
        self.at += self._step
        return self.at

    def time(self) -> float:
        return NOW / 1e6


class Awkward:
    """A store of one lane that fails the first time; ``order`` is how records came."""

    prepared, name = True, "awkward"

    def __init__(self) -> None:
        self.order: list[str] = []
        self.failed = False

    def part_of(self, _: str) -> int:
        return 0

    def lanes_of(self, _: int) -> tuple[str, ...]:
        return ("one",)

    def lane_of(self, *_: object) -> str:
        return "one"

    def write(self, _: int, records: Sequence[Record]) -> None:
        if not self.failed:
            self.failed = True
            raise OSError("not now")
        self.order.extend(one.id.hex for one in records)

    def sweep(self, *_: object) -> Swept:
        return Swept(0, 0, 0, 0)

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("step", [0.01, 0.02, 0.03])
def test_none_passes_an_earlier_one_when_a_rest_ends(step: float, monkeypatch: pytest.MonkeyPatch):
    """The rest of a lane, a quarter of a second at first, ends by this clock while those that wait are walked."""
    store = Awkward()
    monkeypatch.setattr("mapscope.fleet.writer.open_store", lambda *_: store)
    monkeypatch.setattr("mapscope.fleet.writer.time", Steps(step))
    records = [record(n) for n in range(40)]
    writer = Writer("nowhere", None, 10**8, KEEP)
    for one in records:
        writer.put(one)
    writer.start()
    wait_for(lambda: writer.counts.written == len(records))
    assert writer.counts.waiting == 0
    writer.stop(10)
    assert store.failed
    assert store.order == [one.id.hex for one in records]


def test_ending_without_the_database_takes_no_longer_than_it_may(cluster: Cluster):
    if cluster.process is None:
        cluster.start()
    url = url_of(cluster.database())
    writer = Writer(url, None, 10**8, KEEP)
    writer.start()
    writer.put(record(1))
    wait_for(lambda: writer.counts.written == 1)
    cluster.stop()
    try:
        for number in range(5):
            writer.put(record(number + 10))
        begin = time.monotonic()
        assert writer.stop(1.0) == 5
        assert time.monotonic() - begin < 5
    finally:
        cluster.start()


def test_log_lines_are_json_and_bounded(capsys: pytest.CaptureFixture[str]):
    before = LOG.handlers[:], LOG.propagate, LOG.level, logging.raiseExceptions
    try:
        set_up("info")
        try:
            raise ValueError("contents of a profile")
        except ValueError:
            LOG.exception("a bug", extra={"fields": {"target": "x\n" * 5000}})
        LOG.debug("not asked for")
    finally:
        LOG.handlers[:], LOG.propagate, logging.raiseExceptions = before[0], before[1], before[3]
        LOG.setLevel(before[2])
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["message"], found["level"], found["error"]) == ("a bug", "error", "ValueError")
    assert len(found["target"]) == 2000
    assert "contents" not in line
