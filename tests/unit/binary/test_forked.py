"""Forked processes do what one would. Each case runs in an interpreter of its own: it must have one thread."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[3] / "src"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SOURCE), "OPENBLAS_NUM_THREADS": "1"}
START = """
import json, os, signal, sys, threading, time
from mapscope.binary import forked
parent = os.getpid()
def squares(items):
    return os.getpid(), [item * item for item in items]
"""


def said(script: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", START + script],
        capture_output=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr
    return json.loads(done.stdout)


def test_other_processes_do_it() -> None:
    parent, found = said("print(json.dumps([parent, forked.spread(squares, range(10), 3)]))")
    assert [part for _, part in found] == [[n * n for n in range(first, 10, 3)] for first in range(3)]
    assert parent not in {pid for pid, _ in found}


def test_one_process_is_this_one() -> None:
    parent, found = said("print(json.dumps([parent, forked.spread(squares, range(10), 1)]))")
    assert found == [[parent, [n * n for n in range(10)]]]


def test_what_is_killed_is_done_here() -> None:
    parent, found = said("""
def dies(items):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(items)
print(json.dumps([parent, forked.spread(dies, range(10), 2)]))
""")
    assert found == [[parent, [n * n for n in range(10)]]]


def test_no_more_processes_can_be_had() -> None:
    parent, found = said("""
def refuse():
    raise BlockingIOError("no more")
os.fork = refuse
print(json.dumps([parent, forked.spread(squares, range(10), 2)]))
""")
    assert found == [[parent, [n * n for n in range(10)]]]


def test_an_error_arrives_and_no_process_stays() -> None:
    names, left = said("""
def fails(items):
    raise ValueError("of the work")
try:
    forked.spread(fails, range(10), 2)
except ValueError as error:
    with open(f"/proc/{parent}/task/{parent}/children") as children:
        print(json.dumps([str(error), children.read()]))
""")
    assert (names, left) == ("of the work", "")


def test_a_process_with_threads_is_not_forked() -> None:
    alone, threaded = said("""
alone, done = forked.processes(), threading.Event()
thread = threading.Thread(target=done.wait)
thread.start()
print(json.dumps([alone, forked.processes()]))
done.set()
""")
    assert alone == min(len(os.sched_getaffinity(0)), 8)
    assert threaded == 1


def test_they_end_with_their_parent() -> None:
    script = """
def sleeps(items):
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(600)
forked.spread(sleeps, range(2), 2)
"""
    with subprocess.Popen([sys.executable, "-c", START + script], stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        children = [int(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGKILL)
        process.stdout.read()  # the last of them has closed it
    deadline = time.monotonic() + 30
    while any(_runs(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
