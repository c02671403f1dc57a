"""Live Go processes: ``analyze --pid`` and ``capture`` against the program's own words, and what is left afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from mapscope.errors import EvidenceError
from mapscope.evidence import procfs
from mapscope.evidence.check import check_go
from tests.groundtruth import harness
from tests.groundtruth.live import Ticker, ticking
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(300)]

VARIANTS = [Variant("1.23"), Variant("1.26", "stripped"), Variant("1.26", "pie")]
SWISS = Variant("1.26")


def mapscope(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """One run of the command line."""
    command = [sys.executable, "-m", "mapscope", *map(str, arguments)]
    full = {**os.environ, "PYTHONPATH": str(harness.SOURCE), "NO_COLOR": "1", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=full, check=False)


def failed(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """The one line that says what is wrong, and the hint."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    return error.removeprefix("mapscope: error: "), hint.removeprefix("  hint: ")


@pytest.fixture
def ticker(tmp_path: Path) -> Iterator[Ticker]:
    folder = tmp_path / "program"
    folder.mkdir()
    with ticking(SWISS, folder) as started:
        yield started


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_live_process_is_reported_as_its_core_is(variant: Variant, tmp_path: Path):
    spare = tmp_path / "spare"
    spare.mkdir()
    with ticking(variant, tmp_path) as ticker:
        done = mapscope("analyze", "--pid", ticker.pid, "-f", "json", TMPDIR=str(spare))
        ticker.assert_goes_on()
        ticker.assert_alone()
        taken = mapscope("capture", ticker.pid, "-o", tmp_path / "core")
        truth = ticker.program.truth
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    evidence = document["evidence"]
    assert evidence["kind"] == "live process"
    assert 0 < evidence["pause_seconds"] < 30
    assert document["process"]["pid"] == ticker.pid
    assert evidence["executable"] == str(ticker.executable)
    assert evidence["missing"] == []
    assert list(spare.iterdir()) == []
    assert taken.returncode == 0, taken.stderr
    of_core = json.loads(mapscope("analyze", tmp_path / "core", ticker.executable, "-f", "json").stdout)
    assert of_core["evidence"]["pause_seconds"] is None
    for each in (document, of_core):
        found = {int(row["address"], 16): row["count"] for row in each["maps"]}
        assert {one["address"]: found.get(one["address"]) for one in truth.values()} == {
            one["address"]: one["entries"] for one in truth.values()
        }


def test_every_command_reads_a_live_process(ticker: Ticker):
    told = ticker.program.truth["byNumber"]
    address = hex(told["address"])
    for words in (
        ("maps", "--pid", ticker.pid),
        (f"--pid={ticker.pid}", address),
        ("chain", address, "--pid", ticker.pid),
        ("goroutines", "--pid", ticker.pid),
        ("iterators", "--pid", ticker.pid),
        ("dominators", "--pid", ticker.pid),
        ("query", "--pid", ticker.pid, f"select count from maps where address = {told['address']}"),
    ):
        done = mapscope(*(words if words[0] != f"--pid={ticker.pid}" else ("map", *words)))
        assert done.returncode == 0, (words, done.stderr)
        if words[0] not in ("goroutines", "iterators", "dominators"):
            assert re.search(r"\b3,?000\b", done.stdout) or words[0] == "chain", (words, done.stdout)
    text = mapscope("analyze", "--pid", ticker.pid).stdout
    assert f"live process {ticker.pid} (" in text
    assert re.search(r"^  stood still for \d+\.\d{3} s$", text, re.MULTILINE)
    assert f"mapscope maps --pid {ticker.pid} --sort waste" in text
    ticker.assert_goes_on()


def test_capture_says_the_pause_and_writes_a_private_file(ticker: Ticker, tmp_path: Path):
    core = tmp_path / "svc.core"
    done = mapscope("capture", ticker.pid, "-o", core)
    assert done.returncode == 0
    assert done.stdout == ""
    found = re.fullmatch(
        rf"mapscope: wrote {core}: [\d.]+ MB of process {ticker.pid}, (\d+) threads; it stood still for \d\.\d+ s\n",
        done.stderr,
    )
    assert found, done.stderr
    assert int(found[1]) >= 3
    assert stat.S_IMODE(core.stat().st_mode) == 0o600
    before = core.stat().st_ino
    assert failed(mapscope("capture", ticker.pid, "-o", core)) == (
        f"{core} exists already", "give another -o, or --force to replace it",
    )  # fmt: skip
    assert core.stat().st_ino == before
    assert mapscope("capture", ticker.pid, "-o", core, "--force").returncode == 0
    assert core.stat().st_ino != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["program", "svc.core"]
    ticker.assert_goes_on()


def test_a_compressed_core_is_read_as_it_is(ticker: Ticker, tmp_path: Path):
    """The zstd library unpacks it to the very core that is analysed."""
    spare = tmp_path / "spare"
    spare.mkdir()
    small, large = tmp_path / "svc.core.zst", tmp_path / "svc.core"
    assert mapscope("capture", ticker.pid, "-o", small).returncode == 0
    assert stat.S_IMODE(small.stat().st_mode) == 0o600
    reader = zstandard.ZstdDecompressor().stream_reader(small.read_bytes(), read_across_frames=True)
    with large.open("wb") as plain:
        while data := reader.read(1 << 20):
            plain.seek(len(data), os.SEEK_CUR) if not any(data) else plain.write(data)
        plain.truncate()
    assert small.stat().st_size < large.stat().st_blocks * 512 // 2
    documents = [
        json.loads(mapscope("analyze", core, "-f", "json", TMPDIR=str(spare)).stdout) for core in (small, large)
    ]
    assert list(spare.iterdir()) == []
    for document in documents:
        document["evidence"].pop("path")
        document["heap"].pop("reconciliation")  # resident zeros are holes in the copy
        document.pop("next")
    assert documents[0] == documents[1]
    found = {int(row["address"], 16): row["count"] for row in documents[0]["maps"]}
    truth = ticker.program.truth
    assert [found.get(one["address"]) for one in truth.values()] == [one["entries"] for one in truth.values()]
    spoiled = bytearray(small.read_bytes())
    spoiled[len(spoiled) // 2] ^= 0xFF
    small.write_bytes(spoiled)
    assert re.search(r"frame \d+ of \d+ is broken", failed(mapscope("analyze", small))[0])


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--pause", "fork", "--precopy"), "--precopy is for --pause stop"),
        (("--max-pause", "0.000001"), "gave up after 1e-06 s, the longest pause that was allowed; the process runs on"),
        (("--max-bytes", "1M"), "of memory, more than the 1.0 MB that were allowed"),
    ],
)
def test_limits_leave_the_process_and_the_folder_alone(ticker: Ticker, tmp_path: Path, option, words: str):
    out = tmp_path / "out"
    out.mkdir()
    message, hint = failed(mapscope("capture", ticker.pid, "-o", out / "core", *option))
    assert message.endswith(words)
    assert option[0] in hint
    assert list(out.iterdir()) == []
    ticker.assert_goes_on()
    ticker.assert_alone()


def test_sizes_and_process_ids_are_checked(ticker: Ticker, tmp_path: Path):
    assert failed(mapscope("capture", ticker.pid, "-o", tmp_path / "c", "--max-bytes", "2X"))[0] == "'2X' is no size"
    assert failed(mapscope("analyze", "--pid", "0"))[0] == "--pid 0: that is no process id"
    assert failed(mapscope("analyze", "--pid"))[0] == "Option '--pid' requires an argument."
    free = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
    assert failed(mapscope("analyze", "--pid", free))[0] == f"no process {free}"
    assert failed(mapscope("capture", ticker.pid, "-o", "/dev/null", "--force"))[0] == "/dev/null is no regular file"


def test_processes_that_are_no_go_programs_are_refused_unstopped(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        try:
            for words in (("analyze", "--pid", other.pid), ("capture", other.pid, "-o", tmp_path / "core")):
                message, hint = failed(mapscope(*words))
                program = os.path.realpath(sys.executable)
                assert message == f"process {other.pid} cannot be read: {program} is not a Go program"
                assert f"pgrep -P {other.pid}" in hint
            assert list(tmp_path.iterdir()) == []
            assert mapscope("capture", other.pid, "-o", tmp_path / "core", "--any").returncode == 0
        finally:
            other.kill()


def test_threads_of_the_kernel_and_zombies_are_refused(tmp_path: Path):
    kernel = next(
        (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and is_of_kernel(entry)), None
    )
    if kernel is not None:  # containers show none
        assert "is a thread of the kernel" in failed(mapscope("analyze", "--pid", kernel))[0]
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        for words in (("analyze", "--pid", ended.pid), ("capture", ended.pid, "-o", tmp_path / "core")):
            assert "it is a zombie" in failed(mapscope(*words))[0]


def is_of_kernel(entry: Path) -> bool:
    """Whether it is a thread of the kernel: it has no program."""
    with contextlib.suppress(OSError):
        return bool(procfs.status(int(entry.name)).flags & 0x200000)
    return False


def test_a_process_that_is_traced_is_refused(ticker: Ticker, tmp_path: Path):
    code = (
        "import sys; from mapscope.evidence import ptrace\n"
        "with ptrace.stopped(int(sys.argv[1])): print('stopped', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(ticker.pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "stopped\n"
        message, _ = failed(mapscope("capture", ticker.pid, "-o", tmp_path / "core"))
        assert message.endswith(f"is traced already by process {tracer.pid}")
        tracer.communicate("")
    ticker.assert_goes_on()


def test_a_process_that_is_killed_meanwhile(ticker: Ticker, tmp_path: Path):
    """It is killed while it stands still: by the time the first bytes have been copied it is gone."""
    code = (
        "import os, signal, sys\n"
        "from mapscope.errors import EvidenceError\n"
        "from mapscope.evidence.capture import capture\n"
        "pid = int(sys.argv[1])\n"
        "try:\n"
        "    capture(pid, sys.argv[2], progress=lambda step, done, total: os.kill(pid, signal.SIGKILL))\n"
        "except EvidenceError as error:\n"
        "    print(error)\n"
    )
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run([sys.executable, "-c", code, str(ticker.pid), str(out / "core")], capture_output=True, text=True, timeout=60, check=True)  # fmt: skip  # noqa: E501
    assert done.stdout == f"process {ticker.pid} ended while it was captured\n", done.stderr
    assert list(out.iterdir()) == []
    assert ticker.program.process.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("arch", "words"), [("386", "a 32-bit ELF file"), ("riscv64", "is for riscv64")], ids=["386", "riscv64"]
)
def test_programs_of_other_architectures_are_refused(monkeypatch, tmp_path: Path, arch: str, words: str):
    """No kernel need run them: what is looked at is the file behind /proc/PID/exe."""
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {}\n")
    (tmp_path / "go.mod").write_text("module small\n\ngo 1.19\n")
    harness.toolchain("1.26").build(tmp_path, tmp_path / "small", goarch=arch)
    (tmp_path / "exe").symlink_to(tmp_path / "small")
    monkeypatch.setattr(procfs, "task_folder", lambda pid, tid=None: tmp_path)
    with pytest.raises(EvidenceError, match=f"process 7 cannot be read: {tmp_path / 'small'}:? {words}"):
        check_go(7)
