"""The command line as a process of its own: start-up, pipes, terminals, full disks."""

from __future__ import annotations

import json
import os
import pty
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mapscope.cli import main

ROOT = Path(__file__).resolve().parents[3]

STUB = textwrap.dedent(
    """
    import sys, types
    sys.path.insert(0, {root!r})
    from tests.unit.report import fakes
    snapshot = types.ModuleType("mapscope.opening")
    def open_snapshot(path, executable=None, *, progress=None, holding=False, keep=False, needed=()):
        if progress is not None:
            for done in range(3):
                progress("reading spans", done, 3)
        {body}
        return fakes.sample(path)
    snapshot.open_snapshot = open_snapshot
    sys.modules["mapscope.opening"] = snapshot
    from mapscope.cli.main import run
    run()
    """
)

BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}


def command(*arguments: str, body: str = "pass") -> list[str]:
    return [sys.executable, "-c", STUB.format(root=str(ROOT), body=body), *arguments]


def start(*arguments: str, body: str = "pass", **more):
    return subprocess.run(command(*arguments, body=body), capture_output=True, timeout=60, **more)


def test_help_loads_nothing_heavy():
    check = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from mapscope.cli.main import main\n"
        "status = main()\n"
        "heavy = {'numpy', 'rich', 'msgspec', 'elftools', 'zstandard'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "analyze" in done.stdout


def cpu_seconds(*arguments: str) -> float:
    """CPU time of a Python process, the least of five: unlike the wall's, other work on the machine hardly moves it."""
    took = []
    for _ in range(5):
        child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        took.append(usage.ru_utime + usage.ru_stime)
    return min(took)


def test_help_takes_no_time():
    assert cpu_seconds("-m", "mapscope", "--help") < 0.2
    assert cpu_seconds("-c", "import mapscope") < 0.2


def test_plain_text_on_a_pipe_has_no_colour_no_progress_and_no_rich():
    body = "import atexit; atexit.register(lambda: print('rich' in sys.modules, file=sys.stderr))"
    done = start("analyze", "core", body=body)
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout
    assert done.stderr == b"False\n"


def test_other_handlers_of_the_end_run_and_what_is_buffered_comes_out():
    body = "import atexit; atexit.register(lambda: sys.stdout.write('buffered'))"
    done = start("analyze", "core", "-f", "json", body=body, env=BUFFERED)
    assert done.returncode == 1
    assert done.stdout.endswith(b"}\nbuffered")
    assert done.stderr == b""


def test_a_last_flush_that_fails_is_said():
    body = "import atexit, os; atexit.register(lambda: (os.close(1), sys.stdout.write('buffered')))"
    done = start("analyze", "core", "-f", "json", body=body, env=BUFFERED)
    assert done.returncode == 120, "Python's own status for it (Py_FinalizeEx)"
    assert b"Bad file descriptor" in done.stderr


def test_a_closed_stdout_is_no_crash(tmp_path):
    out = tmp_path / "report.json"
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command("analyze", "core", "-o", str(out))]
    assert subprocess.run(closed, timeout=60, check=False).returncode == 1
    assert json.loads(out.read_bytes())["schema"] == 1


def test_data_of_json_on_a_pipe_is_only_the_document():
    done = start("analyze", "core", "-f", "json")
    assert json.loads(done.stdout)["schema"] == 1
    assert done.stderr == b""


def test_reader_that_goes_away_is_no_error():
    body = "fakes.sample = lambda path: fakes.FakeSnapshot(fakes.table(*[fakes.classic(3, 0)] * 20_000))"
    with subprocess.Popen(
        command("maps", "core", "--top", "0", body=body), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_disk_is_said(tmp_path):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command("analyze", "core"), stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 2
    assert b"cannot write stdout: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_full_disk_leaves_no_part_of_a_file(tmp_path):
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))"
    )
    done = start("analyze", "core", "-o", str(tmp_path / "report.txt"), body=limit)
    assert done.returncode == 2
    assert b"cannot write" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ascii_terminals_get_escapes_not_errors():
    body = (
        "fakes.sample = lambda path: fakes.FakeSnapshot("
        "fakes.table(fakes.classic(5, 0), types=(fakes.map_type('map[int]main.Größe'),)))"
    )
    done = start("maps", "core", body=body, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert rb"main.Gr\xf6\xdfe" in done.stdout


def test_paths_that_are_no_utf_8_are_no_error(tmp_path):
    arguments = [os.fsencode(part) for part in command("analyze")]
    done = subprocess.run([*arguments, b"/tmp/core\xff"], capture_output=True, timeout=60)
    assert done.returncode == 1
    assert rb"core\udcff" in done.stdout


def on_a_terminal(*arguments: str, **environment: str) -> bytes:
    """What a terminal of 80 columns shows of stdout and stderr."""
    main, terminal = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    child = subprocess.Popen(
        command(*arguments), stdin=terminal, stdout=terminal, stderr=terminal, env=env | {"TERM": "xterm"} | environment
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # Linux answers EIO once the last writer is gone
            break
        if not piece:
            break
        shown += piece
    os.close(main)
    child.wait(60)
    return shown


def test_terminal_gets_colour_and_progress():
    shown = on_a_terminal("analyze", "core")
    assert b"\x1b[1mVERDICT" in shown
    assert b"reading spans" in shown


def test_no_color_is_respected():
    shown = on_a_terminal("analyze", "core", NO_COLOR="1")
    report = shown[shown.index(b"mapscope 0") :]
    assert b"VERDICT" in report
    assert b"\x1b[1m" not in report


def test_dumb_terminal_gets_neither():
    assert b"\x1b" not in on_a_terminal("analyze", "core", TERM="dumb")


def faults_across_borders(depths: int, calls: int) -> int:
    """Page faults of the depth at which ``calls`` calls of a function cost most of them."""
    most = 0

    def leaf() -> None:
        pass

    leaf.__code__ = leaf.__code__.replace(co_stacksize=100)  # larger than a frame of ``down``: one depth meets it

    def down(depth: int) -> None:
        nonlocal most
        if depth:
            down(depth - 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(calls):
            leaf()
        most = max(most, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

    down(depths)
    return most


def test_calls_cross_no_border_of_the_frames_chunks():
    # 300 frames of 100 bytes and more cross a chunk of 16 kB at least once; calling across that border faults each time
    assert faults_across_borders(300, 1000) >= 500
    assert main._with_room(lambda: faults_across_borders(300, 1000)) < 50
