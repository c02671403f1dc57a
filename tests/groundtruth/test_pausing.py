"""A process runs on whatever becomes of mapscope: killed at every step, killed at random, both ways to pause."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mapscope.errors import EvidenceError
from mapscope.evidence import forksafe, procfs
from mapscope.evidence.capture import Limits, capture
from tests.groundtruth import harness
from tests.groundtruth.live import Ticker, children, ticking
from tests.groundtruth.test_live import failed, mapscope
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

SWISS = Variant("1.26")
WAYS = ["stop", "fork"]
KILLS = 100
MOST_STEPS = 400
_SECONDS = 60.0

# For each line "way request where": a child captures and kills itself before or behind the request of ptrace(2) with
# that number (0: it does not); its exit status and the number of requests follow.
STEPPING = """
import os, signal, sys
from mapscope.evidence import ptrace
from mapscope.evidence.capture import Limits, capture
real = ptrace.ptrace
def run(way, last, where):
    seen = 0
    def counted(*arguments):
        nonlocal seen
        seen += 1
        if seen == last and where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*arguments)
        finally:
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)
    ptrace.ptrace = counted
    capture(int(sys.argv[1]), sys.argv[2], overwrite=True, limits=Limits(pause=way))
    print(seen, flush=True)
for line in sys.stdin:
    way, last, where = line.split()
    child = os.fork()
    if child == 0:
        run(way, int(last), where)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

# For each line a child captures; "begins" and its PID come before, its exit status comes behind.
AGAIN = """
import os, sys
from mapscope.evidence.capture import Limits, capture
for way in sys.stdin:
    child = os.fork()
    if child == 0:
        capture(int(sys.argv[1]), sys.argv[2], overwrite=True, limits=Limits(pause=way.strip()))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def ticker(tmp_path: Path) -> Iterator[Ticker]:
    folder = tmp_path / "program"
    folder.mkdir()
    with ticking(SWISS, folder) as started:
        yield started


def copies_of(ticker: Ticker) -> list[int]:
    """Processes other than the program that were made from it, dead ones too."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != ticker.pid:
            try:
                same = procfs.status(int(entry.name)).name == "ticker" and is_newer(int(entry.name), ticker.pid)
            except OSError:
                continue
            if same:
                found.append(int(entry.name))
    return found


def is_newer(pid: int, than: int) -> bool:
    """Whether it belongs to the session of ``than`` (those of other tests' programs do not matter)."""
    return procfs.status(pid).session == procfs.status(than).session and pid > than


def assert_unharmed(ticker: Ticker, folder: Path, allowed: tuple[str, ...] = ()) -> None:
    """It works, right; no copy, no zombie, no half file is left; no SIGCHLD came."""
    assert ticker.assert_goes_on().children == 0
    ticker.assert_alone()
    deadline = time.monotonic() + _SECONDS
    while left := [pid for pid in copies_of(ticker) if pid not in children(os.getpid())]:
        assert time.monotonic() < deadline, [procfs.status(pid) for pid in left]
        os.sched_yield()
    assert sorted(path.name for path in folder.iterdir()) == sorted(allowed)


@contextlib.contextmanager
def capturers(code: str, ticker: Ticker, target: Path) -> Iterator[Callable[..., list[int]]]:
    """A process that starts capturers on demand. Called with a line for it, and how many numbers it answers."""
    command = [sys.executable, "-c", code, str(ticker.pid), str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:

        def ask(line: str = "", answers: int = 1) -> list[int]:
            assert server.stdin is not None
            assert server.stdout is not None
            if line:
                server.stdin.write(line + "\n")
                server.stdin.flush()
            return [int(server.stdout.readline()) for _ in range(answers)]

        try:
            yield ask
        finally:
            server.kill()


@pytest.mark.parametrize("way", WAYS)
def test_killed_at_every_request_of_ptrace(ticker: Ticker, tmp_path: Path, way: str):
    """Before and behind each: also between the steps in which a thread of the process is sent elsewhere."""
    out = tmp_path / "out"
    out.mkdir()
    died = 0
    with capturers(STEPPING, ticker, out / "core") as ask:
        steps, status = ask(f"{way} 0 before", 2)
        assert status == 0
        (out / "core").unlink()
        assert (30 if way == "fork" else 12) < steps < MOST_STEPS
        for last in range(1, steps + 1):
            for where in ("before", "behind"):
                (status,) = ask(f"{way} {last} {where}")
                if status == -signal.SIGKILL:
                    died += 1
                    assert_unharmed(ticker, out)
                else:  # a thread less this time, so fewer requests: what came was their number
                    assert ask() == [0]
                    assert status < last
                    (out / "core").unlink()
    assert died > steps


def capture_seconds(ask: Callable[..., list[int]], way: str) -> float:
    """How long one capture takes that nobody kills."""
    began = time.monotonic()
    assert ask(way, 2)[1] == 0
    return time.monotonic() - began


@pytest.mark.parametrize("way", WAYS)
def test_killed_at_random(ticker: Ticker, tmp_path: Path, way: str):
    out = tmp_path / "out"
    out.mkdir()
    chosen = random.Random(7)
    killed = attempts = 0
    with capturers(AGAIN, ticker, out / "core") as ask:
        seconds = min(capture_seconds(ask, way) for _ in range(4))  # the first of them imports all that it needs
        while killed < KILLS:
            attempts += 1
            assert attempts < 5 * KILLS
            (capturer,) = ask(way)
            until = time.monotonic() + chosen.random() * seconds
            while time.monotonic() < until:  # the moment is the point here
                os.sched_yield()
            with contextlib.suppress(ProcessLookupError):  # it was faster
                os.kill(capturer, signal.SIGKILL)
            killed += ask() == [-signal.SIGKILL]
            (out / "core").unlink(missing_ok=True)
            assert_unharmed(ticker, out)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP], ids=lambda n: n.name)
def test_signals_take_effect_when_it_runs_again(ticker: Ticker, tmp_path: Path, way: str, number: signal.Signals):
    out = tmp_path / "out"
    out.mkdir()
    code = (
        "import os, signal, sys\n"
        "from mapscope.evidence import ptrace\n"
        "from mapscope.evidence.capture import Limits, capture\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "real = ptrace.Stopped.registers\n"
        "def registers(self, *rest):\n"
        "    if number: os.kill(os.getpid(), number.pop())\n"
        "    return real(self, *rest)\n"
        "ptrace.Stopped.registers = registers\n"
        "number = [int(sys.argv[4])]\n"
        "capture(int(sys.argv[1]), sys.argv[2], limits=Limits(pause=sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", code, str(ticker.pid), str(out / "core"), way, str(int(number))]
    # a group of its own: the kernel stops no process of a group that nobody in its session could wake (orphaned)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0) as capturer:
        try:
            if number == signal.SIGTSTP:
                _, status = os.waitpid(capturer.pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status)
                ticker.assert_goes_on()  # mapscope sleeps, the process does not
                capturer.send_signal(signal.SIGCONT)
                assert capturer.wait(_SECONDS) == 0
            else:
                assert capturer.wait(_SECONDS) in (-number, 1)
        finally:
            capturer.kill()
    if way == "stop" or number == signal.SIGTSTP:
        assert (out / "core").exists() == (number == signal.SIGTSTP)
    (out / "core").unlink(missing_ok=True)
    assert_unharmed(ticker, out)


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk(ticker: Ticker, tmp_path: Path, way: str):
    out = tmp_path / "out"
    out.mkdir()
    code = (
        "import resource, sys\n"
        "from mapscope.errors import EvidenceError\n"
        "from mapscope.evidence.capture import Limits, capture\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n"
        "    capture(int(sys.argv[1]), sys.argv[2], limits=Limits(pause=sys.argv[3]))\n"
        "except EvidenceError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(ticker.pid), str(out / "core"), way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    assert "the limit on the size of files is reached" in done.stdout
    assert_unharmed(ticker, out)


@pytest.mark.parametrize("variant", [Variant("1.19"), Variant("1.23", "stripped"), Variant("1.26", "pie"), Variant("1.27")], ids=str)  # fmt: skip  # noqa: E501
def test_a_copy_is_the_process(variant: Variant, tmp_path: Path):
    """Fifty copies of a process whose threads are anywhere: each is whole, and no register is lost."""
    with ticking(variant, tmp_path) as ticker:
        for _ in range(50):
            taken = capture(ticker.pid, tmp_path / "core", overwrite=True, limits=Limits(pause="fork"))
            assert taken.missing == ()
            assert taken.pause_seconds > 0
        assert ticker.assert_goes_on().children == 0
        ticker.assert_alone()
        document = harness.analyze(tmp_path / "core", ticker.executable, tmp_path)["document"]
        truth = ticker.program.truth
    found = {int(row["address"], 16): row["count"] for row in document["maps"]}
    assert [found.get(one["address"]) for one in truth.values()] == [one["entries"] for one in truth.values()]
    assert document["process"]["pid"] == ticker.pid


@pytest.mark.parametrize("way", WAYS)
def test_gdb_reads_the_core(ticker: Ticker, tmp_path: Path, way: str):
    if shutil.which("gdb") is None:
        harness.absent("no gdb")
    taken = capture(ticker.pid, tmp_path / "core", limits=Limits(pause=way))
    told = ticker.program.truth["byNumber"]
    commands = ["-ex", "info threads", "-ex", "thread apply all backtrace 2", "-ex", f"x/gd {told['address']}"]
    command = ["gdb", "-batch", "-nx", *commands, str(ticker.executable), str(tmp_path / "core")]
    environment = {**os.environ, "DEBUGINFOD_URLS": ""}
    said = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, env=environment).stdout
    threads = re.findall(r"^\*?\s+\d+\s+.*LWP (\d+)", said, re.MULTILINE)
    assert len(threads) == taken.threads
    assert set(map(int, threads)) >= {ticker.pid}
    assert len(re.findall(r"^#1 ", said, re.MULTILINE)) >= 3, "no backtrace goes up the stack"
    assert re.search(rf"{told['address']:#x}.*:\s+{told['entries']}$", said, re.MULTILINE)  # `used` of maps.Map


@pytest.mark.parametrize("way", WAYS)
def test_drgn_reads_the_core(ticker: Ticker, tmp_path: Path, way: str):
    drgn = pytest.importorskip("drgn")
    taken = capture(ticker.pid, tmp_path / "core", limits=Limits(pause=way))
    program = drgn.Program()
    program.set_core_dump(str(tmp_path / "core"))
    assert len(list(program.threads())) == taken.threads
    assert program.main_thread().tid == ticker.pid
    for told in ticker.program.truth.values():
        assert program.read_u64(told["address"]) == told["entries"]


def test_the_command_line_forks(ticker: Ticker, tmp_path: Path):
    done = mapscope("capture", ticker.pid, "-o", tmp_path / "core", "--pause", "fork")
    assert done.returncode == 0, done.stderr
    assert f"of process {ticker.pid}, " in done.stderr
    report = mapscope("analyze", "--pid", ticker.pid, "--pause", "fork")
    assert report.returncode == 0, report.stderr
    assert f"live process {ticker.pid} (" in report.stdout
    (tmp_path / "core").unlink()
    assert_unharmed(ticker, tmp_path, ("program",))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"Seccomp": "2"}, "a seccomp filter judges its system calls"),
        ({"State": "T (stopped)"}, "it stands still anyway"),
        ({"NSpid": "4242 1"}, "it is the first process of its PID namespace"),
        ({"x86_Thread_features": "shstk wrss"}, "it has a shadow stack"),
    ],
)
def test_copies_that_are_unsafe_are_refused(monkeypatch, ticker: Ticker, tmp_path: Path, fields, words: str):
    real = procfs.status_fields
    forksafe.check_fork(ticker.pid)
    monkeypatch.setattr(procfs, "status_fields", lambda pid: real(pid) | fields)
    with pytest.raises(EvidenceError, match=f"no copy of process {ticker.pid} is made: {words}"):
        capture(ticker.pid, tmp_path / "core", limits=Limits(pause="fork"))
    assert not (tmp_path / "core").exists()
    ticker.assert_goes_on()


def test_memory_that_a_copy_could_need_must_be_there(monkeypatch, ticker: Ticker):
    need = procfs.status(ticker.pid).anonymous_bytes
    for left, refused in ((need * 2, False), (need // 2, True)):
        monkeypatch.setattr(procfs, "cgroup_memory_left", lambda pid, left=left: left if pid == ticker.pid else None)
        if refused:
            with pytest.raises(EvidenceError, match="left below its memory limit"):
                forksafe.check_fork(ticker.pid)
        else:
            forksafe.check_fork(ticker.pid)
    monkeypatch.setattr(procfs, "cgroup_memory_left", lambda pid: None)
    monkeypatch.setattr(forksafe, "available_bytes", lambda: need // 2)
    with pytest.raises(EvidenceError, match="of memory are free"):
        forksafe.check_fork(ticker.pid)


def test_a_process_under_a_real_seccomp_filter_is_refused(tmp_path: Path):
    """A filter that allows everything: it is its presence that counts."""
    code = (
        "import ctypes, os, struct, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "allow = ctypes.create_string_buffer(struct.pack('<HBBI', 6, 0, 0, 0x7fff0000))\n"
        "program = struct.pack('<H6xQ', 1, ctypes.addressof(allow))\n"
        "assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    executable = harness.build("ticker", SWISS)
    command = [sys.executable, "-c", code, str(executable), "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline() != b"READY\n":
                assert process.poll() is None
            message, hint = failed(mapscope("capture", process.pid, "-o", tmp_path / "core", "--pause", "fork"))
            assert message.startswith(f"no copy of process {process.pid} is made: a seccomp filter")
            assert "leave out --pause fork" in hint
            assert mapscope("capture", process.pid, "-o", tmp_path / "core").returncode == 0
        finally:
            process.kill()
