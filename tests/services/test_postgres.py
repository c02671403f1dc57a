"""The servers that tests start do what the tests rely on: logical replication, crashes, and no process left behind."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.services.postgres import clusters


def test_two_clusters_that_crash_and_come_back():
    with clusters(2, {"max_connections": "40"}) as (one, two):
        assert one.port != two.port
        dsn = one.database()
        with psycopg.connect(dsn) as connection:
            assert connection.execute("show wal_level").fetchone() == ("logical",)
            assert connection.execute("show max_connections").fetchone() == ("40",)
            connection.execute("create table kept (n int)")
            connection.execute("insert into kept values (42)")
        one.crash()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn, connect_timeout=5)
        one.start()
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select n from kept").fetchone() == (42,)
        with two.connect() as other:
            identifiers = {c.execute("select pg_backend_pid()").fetchone() for c in [other]}
            assert identifiers
        two.restart()
        with psycopg.connect(two.socket_dsn()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert one.process is not None
        assert two.process is not None
        pids = [one.process.pid, two.process.pid]
    assert not [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists()]
