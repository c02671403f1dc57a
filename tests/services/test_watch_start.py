"""How a watch begins and ends where something is wrong: words, exit status, no process left."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.postgres import empty_database
from tests.services.watching import SOURCE, fakes, wait_for, watching
from tests.unit.fleet.test_judging import heap
from tests.unit.fleet.test_store import url_of

FAST = "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
JOB = "scrape_configs:\n- job_name: a\n  goroutine_path: null\n  static_configs: [{targets: ['127.0.0.1:1']}]\n"
FREE = "web: {listen: '127.0.0.1:0'}\n"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A watch that ends by itself."""
    command = [sys.executable, "-W", "error", "-m", "mapscope", "watch", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def test_check(tmp_path: Path):
    path = tmp_path / "fleet.yml"
    path.write_text(JOB)
    done = run(path, "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 jobs, 1 targets written down" in done.stdout
    assert not (tmp_path / "mapscope.db").exists()
    path.write_text(JOB + "  scrap_interval: 5s\n")
    done = run(path, "--check")
    assert done.returncode == 2
    assert f"{path}:5:3: unknown key scrap_interval" in done.stderr
    assert "do you mean scrape_interval?" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["watch", "fleet.yml"], ["history", "shop"]])
def test_without_the_extra(command: list[str], tmp_path: Path):
    """What is missing is named, and how to get it."""
    (tmp_path / "sqlalchemy.py").write_text("raise ModuleNotFoundError('No module', name='sqlalchemy')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{SOURCE}"}
    whole = [sys.executable, "-m", "mapscope", *command]
    done = subprocess.run(whole, capture_output=True, text=True, timeout=60, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "sqlalchemy is not installed" in done.stderr
    assert "pip install 'mapscope[fleet]'" in done.stderr


def test_a_port_or_a_store_that_cannot_be_had(tmp_path: Path):
    path = tmp_path / "fleet.yml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path.write_text(f"{JOB}web: {{listen: '127.0.0.1:{taken.getsockname()[1]}'}}\n")
        done = run(path)
    assert done.returncode == 2
    assert "cannot listen at" in done.stderr
    (tmp_path / "text").write_text("no database " * 1000)
    path.write_text(f"{JOB}{FREE}store: {{path: text}}\n")
    done = run(path)
    assert done.returncode == 2
    assert "file is not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_begins_without_its_database(tmp_path: Path):
    """Metrics are there, readiness is not, and the end comes in time all the same."""
    path = tmp_path / "fleet.yml"
    (tmp_path / "heap").write_bytes(heap(10**6))
    with fakes(tmp_path / "heap", ["replay"]) as (address,):
        text = JOB.replace("127.0.0.1:1", address)
        path.write_text(f"{FAST}{text}{FREE}store: {{url: 'postgresql://me@127.0.0.1:1/x', password_file: pw}}\n")
        (tmp_path / "pw").write_text("geheim")
        with watching(path) as watch:
            watch.until(lambda: watch.value("mapscope_target_up", target=address) == 1)
            watch.until(lambda: watch.value("mapscope_store_waiting_profiles"))
            assert watch.value("mapscope_store_up") == 0
            assert watch.get("/healthz")[0] == 200
            assert watch.get("/readyz") == (503, "the store cannot be written\n")
            assert watch.value("mapscope_map_inuse_bytes", target=address) == 10**6
            status, seconds = watch.terminate()
        assert status == 0
        assert seconds < 20
        assert watch.log()[-1]["lost"] > 0
        assert "geheim" not in watch.log_path.read_text()


def test_a_store_in_postgresql(tmp_path: Path):
    """The whole way: made at the start, written, and read by ``mapscope history`` through the same settings."""
    path = tmp_path / "fleet.yml"
    (tmp_path / "heap").write_bytes(heap(10**6))
    (tmp_path / "pw").write_text("geheim")
    with empty_database() as dsn, fakes(tmp_path / "heap", ["replay"]) as (address,):
        text = JOB.replace("127.0.0.1:1", address)
        path.write_text(f"{FAST}{text}{FREE}store: {{url: '{url_of(dsn)}', password_file: pw}}\n")
        with watching(path) as watch:
            watch.until(lambda: (watch.value("mapscope_store_profiles_total") or 0) >= 4)
            assert watch.get("/readyz")[0] == 200
            assert watch.terminate()[0] == 0
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"}
        command = [sys.executable, "-W", "error", "-m", "mapscope", "history", "a", "--config", str(path), "-f"]
        found = subprocess.run([*command, "json"], capture_output=True, timeout=60, check=True, env=environment)
        document = json.loads(found.stdout)
        assert [one["instance"] for one in document["instances"]] == [address]
        assert document["instances"][0]["profiles"] >= 4
        assert "geheim" not in found.stdout.decode() + watch.log_path.read_text()
        raw = subprocess.run(
            [*command, "pprof", "-o", "-"], capture_output=True, timeout=60, check=True, env=environment
        )
        assert gzip.decompress(raw.stdout) == gzip.decompress(heap(10**6))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_behind(how: signal.Signals, tmp_path: Path):
    """Even a kill -9 leaves no process that judges."""
    path = tmp_path / "fleet.yml"
    (tmp_path / "heap").write_bytes(heap(10**6))
    with fakes(tmp_path / "heap", ["replay"]) as (address,):
        path.write_text(f"{FAST}{JOB.replace('127.0.0.1:1', address)}{FREE}")
        with watching(path) as watch:
            watch.until(lambda: watch.value("mapscope_store_profiles_total"))
            pid = watch.process.pid
            children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            assert children
            watch.process.send_signal(how)
            assert watch.process.wait(30) == (0 if how == signal.SIGINT else -how)
            wait_for(lambda: not any(os.path.exists(f"/proc/{one}") for one in children))
