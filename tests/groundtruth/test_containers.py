"""Processes in other namespaces, as in containers: another PID there than here, a program that is not to be seen here.

The namespaces are made with unshare(1), which makes mounts private to them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapscope.evidence import procfs
from mapscope.evidence.capture import Limits, capture
from tests.groundtruth import harness
from tests.groundtruth.harness import Running
from tests.groundtruth.live import Ticker, children
from tests.groundtruth.test_live import failed, mapscope
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(300)]

NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_SECONDS = 60.0

# The program is copied to a file system that only this mount namespace has; it is the first process, or the second.
FIRST = 'mount -t tmpfs none "$1" && cp "$0" "$1/svc" && exec "$1/svc" 1'
SECOND = 'mount -t tmpfs none "$1" && cp "$0" "$1/svc" && exec 3<&0 && { "$1/svc" 1 <&3 & wait; }'


@contextlib.contextmanager
def contained(script: str, folder: Path) -> Iterator[Ticker]:
    """The program in namespaces of its own; its PID is that of this side."""
    if os.geteuid() or shutil.which("unshare") is None:
        harness.absent("needs root and unshare(1), to make namespaces", required=False)
    place = folder / "app"
    place.mkdir()
    executable = harness.build("ticker", Variant("1.26"))
    command = [*NAMESPACES, "sh", "-c", script, str(executable), str(place)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=harness.ENVIRONMENT)
    try:
        assert process.stdout is not None
        truth = json.loads(process.stdout.readline())
        assert process.stdout.readline() == b"READY\n"
        (pid,) = children(process.pid)
        if script is SECOND:
            (pid,) = children(pid)
        yield Inside(Running(process, truth), executable, pid)
    finally:
        process.kill()
        process.communicate()


class Inside(Ticker):
    """A ticker whose process is not the one that was started here."""

    def __init__(self, program: Running, executable: Path, inner: int) -> None:
        super().__init__(program, executable)
        object.__setattr__(self, "_inner", inner)

    @property
    def pid(self) -> int:
        return self._inner  # type: ignore[attr-defined,no-any-return]


def test_the_program_of_another_mount_namespace_is_found(tmp_path: Path):
    with contained(FIRST, tmp_path) as ticker:
        assert procfs.status_fields(ticker.pid)["NSpid"].split()[-1] == "1"
        done = mapscope("analyze", "--pid", ticker.pid, "-f", "json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        svc = tmp_path / "app" / "svc"
        assert document["evidence"]["executable"] == str(svc)
        assert not svc.exists()
        found = {int(row["address"], 16): row["count"] for row in document["maps"]}
        truth = ticker.program.truth
        assert [found.get(one["address"]) for one in truth.values()] == [one["entries"] for one in truth.values()]
        core, copy = tmp_path / "core", tmp_path / "kept"
        said = mapscope("capture", ticker.pid, "-o", core).stderr
        assert f"its program, {svc}, is not to be seen from here: keep it with cp /proc/{ticker.pid}/exe svc" in said
        shutil.copy(f"/proc/{ticker.pid}/exe", copy)
        ticker.assert_goes_on()
    assert str(svc) in failed(mapscope("analyze", core))[0]
    assert mapscope("analyze", core, copy).returncode == 0


def test_it_is_read_from_inside_its_pid_namespace(tmp_path: Path):
    """As a debug container does that shares the PID namespace."""
    with contained(FIRST, tmp_path) as ticker:
        inside = ["nsenter", "-t", str(ticker.pid), "-p", "unshare", "--fork", "--mount-proc"]
        command = [*inside, sys.executable, "-m", "mapscope", "analyze", "--pid", "1", "-f", "json"]
        environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["process"]["pid"] == 1
        assert document["evidence"]["kind"] == "live process"
        ticker.assert_goes_on()


def test_the_first_process_of_a_namespace_is_not_forked(tmp_path: Path):
    with contained(FIRST, tmp_path) as ticker:
        message, _ = failed(mapscope("capture", ticker.pid, "-o", tmp_path / "core", "--pause", "fork"))
        assert "it is the first process of its PID namespace" in message
        ticker.assert_goes_on()
        ticker.assert_alone()


def test_a_copy_in_another_pid_namespace_is_reaped_there(tmp_path: Path):
    """The thread waits for its helper by the number that it has there."""
    with contained(SECOND, tmp_path) as ticker:
        assert procfs.status_fields(ticker.pid)["NSpid"].split()[-1] != "1"
        first = procfs.status(ticker.pid).ppid
        for _ in range(5):
            taken = capture(ticker.pid, tmp_path / "core", overwrite=True, limits=Limits(pause="fork"))
            assert taken.missing == ()
        assert ticker.assert_goes_on().children == 0
        ticker.assert_alone()
        deadline = time.monotonic() + _SECONDS
        while children(first) != [ticker.pid]:
            assert time.monotonic() < deadline, children(first)
            os.sched_yield()


def test_root_of_a_user_namespace_is_told_which_capability_it_lacks(tmp_path: Path):
    with contained(SECOND, tmp_path) as ticker:
        command = ["unshare", "--user", "--map-root-user", sys.executable, "-m", "mapscope", "analyze", "--pid"]
        environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE)}
        done = subprocess.run([*command, str(ticker.pid)], capture_output=True, text=True, timeout=60, env=environment)
        message, hint = failed(done)
        assert message == f"not permitted to read the memory of process {ticker.pid}"
        assert "--cap-add=SYS_PTRACE" in hint
        assert "securityContext" in hint
        ticker.assert_goes_on()
