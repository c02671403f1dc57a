"""Cores that we take ourselves, judged by gdb, by pyelftools and by /proc/PID/mem."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import resource
import select
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from mapscope.errors import EvidenceError
from mapscope.evidence import copier, procfs
from mapscope.evidence.capture import capture

# A process with several threads that hold locks, a megabyte of known bytes, untouched memory, and an answer to each
# line.
TARGET = """
import ctypes, mmap, sys, threading
pattern = bytearray(b"mapscope" * 131072)
untouched = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
shared = mmap.mmap(-1, 1 << 20)
shared[5000:5006] = b"shared"
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
address = ctypes.addressof(ctypes.c_char.from_buffer(pattern))
print(address, ctypes.addressof(ctypes.c_char.from_buffer(shared)), flush=True)
for line in sys.stdin:
    print("answer", line.strip(), flush=True)
"""

# Two threads that count queued signals in their handlers, which no signal may skip, and print the sum when asked.
COUNTER = """
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
static atomic_int seen;
static void handle(int number) { (void)number; seen++; }
static void *spin(void *unused) { for (volatile long i = 0;; i++); return unused; }
int main(void) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigaction(SIGRTMIN, &action, 0);
    pthread_t thread;
    pthread_create(&thread, 0, spin, 0);
    puts("ready"); fflush(stdout);
    for (int c; (c = getchar()) != EOF;) { printf("%d\\n", (int)seen); fflush(stdout); }
}
"""

# Maps three pages of a file of one page, so that two of them cannot be read.
BEHIND_THE_END = """
import mmap, os, sys
with open(sys.argv[1], "w+b") as file:
    os.ftruncate(file.fileno(), 3 * mmap.PAGESIZE)
    area = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    area[:4] = b"kept"
    os.ftruncate(file.fileno(), mmap.PAGESIZE)
print("ready", flush=True)
sys.stdin.read()
"""

# Takes a core and stops for ever in the middle of it.
HANGING = """
import signal, sys, threading
from mapscope.evidence.capture import capture
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
def progress(step, done, total):
    print("copying", flush=True)
    threading.Event().wait()
capture(int(sys.argv[1]), sys.argv[2], progress=progress)
"""

# Takes a core as another user, after everything is imported, with a limit on the size of files.
LIMITED = """
import os, resource, sys
from mapscope.errors import EvidenceError
from mapscope.evidence.capture import capture
uid, limit = int(sys.argv[3]), int(sys.argv[4])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if uid:
    os.setresuid(uid, uid, uid)
try:
    capture(int(sys.argv[1]), sys.argv[2])
except EvidenceError as error:
    print(f"{error}\\n{error.hint}")
"""


class Target:
    """A running process that can be asked whether it still runs."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", TARGET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.pid = self.process.pid
        self.pattern, self.shared = (int(word) for word in self._line().split())

    def _line(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        assert ready, "the process does not answer: it was left stopped"
        return self.process.stdout.readline()

    def answers(self) -> bool:
        assert self.process.stdin is not None
        self.process.stdin.write("ping\n")
        return self._line() == "answer ping\n"

    def wait_for_state(self, states: str) -> None:
        deadline = time.monotonic() + 30
        while procfs.status(self.pid).state not in states:
            assert time.monotonic() < deadline, procfs.status(self.pid).state
            os.sched_yield()

    def end(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait()


@pytest.fixture
def target() -> Iterator[Target]:
    started = Target()
    yield started
    started.end()


def segments(core: Path) -> list[tuple[int, int, int, int]]:
    """(address, bytes of memory, offset, bytes in the file) by pyelftools."""
    with core.open("rb") as stream:
        found = [part.header for part in ELFFile(stream).iter_segments() if part.header.p_type == "PT_LOAD"]
    return [(head.p_vaddr, head.p_memsz, head.p_offset, head.p_filesz) for head in found]


def notes(core: Path) -> list[tuple[str, bytes]]:
    with core.open("rb") as stream:
        parts = [part for part in ELFFile(stream).iter_segments() if part.header.p_type == "PT_NOTE"]
        return [(str(each["n_type"]), each["n_descdata"]) for part in parts for each in part.iter_notes()]


def core_bytes(core: Path, address: int, size: int) -> bytes:
    for start, _, offset, kept in segments(core):
        if start <= address and address + size <= start + kept:
            with core.open("rb") as stream:
                stream.seek(offset + address - start)
                return stream.read(size)
    raise AssertionError(f"{address:#x} is not in the core")


def compare(core: Path, pid: int) -> int:
    """Asserts that the core has the memory of a process that stands still; returns the bytes that were compared."""
    compared = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory, core.open("rb") as file:
        for start, _, offset, kept in segments(core):
            for at in range(0, kept, 1 << 20):
                for first, size in readable(memory.fileno(), pid, start + at, min(1 << 20, kept - at)):
                    here = os.pread(file.fileno(), size, offset + first - start)
                    assert here == os.pread(memory.fileno(), size, first)
                    compared += size
    return compared


def readable(memory: int, pid: int, start: int, size: int) -> list[tuple[int, int]]:
    """(address, bytes) of what can be read: all of it, or all but guarded pages (bit 58 of pagemap, Linux 6.15)."""
    with contextlib.suppress(OSError):  # the first page is guarded
        if len(os.pread(memory, size, start)) == size:
            return [(start, size)]
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        entries = [
            (page, int.from_bytes(os.pread(pagemap.fileno(), 8, page // mmap.PAGESIZE * 8), "little"))
            for page in range(start, start + size, mmap.PAGESIZE)
        ]
    assert any(entry >> 58 & 1 for _, entry in entries)
    return [(page, mmap.PAGESIZE) for page, entry in entries if not entry >> 58 & 1]


def test_memory_is_that_of_the_process(target: Target, tmp_path: Path):
    os.kill(target.pid, signal.SIGSTOP)
    target.wait_for_state("T")
    core = tmp_path / "core"
    result = capture(target.pid, core)
    target.wait_for_state("T")  # it was stopped before, so it stays stopped
    compared = compare(core, target.pid)
    os.kill(target.pid, signal.SIGCONT)
    assert compared > 64 << 20
    assert result.missing == ()
    assert target.answers()


def test_with_little_memory_it_is_written_during_the_pause(target: Target, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(copier, "CHUNK", 1 << 16)
    monkeypatch.setattr(copier, "available_bytes", lambda: 1 << 20)
    sizes = []
    real = copier.Buffers

    def watched(wanted: int) -> copier.Buffers:
        made = real(wanted)
        sizes.append((wanted, made.size))
        return made

    monkeypatch.setattr("mapscope.evidence.capture.Buffers", watched)
    os.kill(target.pid, signal.SIGSTOP)
    target.wait_for_state("T")
    core = tmp_path / "core"
    result = capture(target.pid, core)
    ((wanted, size),) = sizes
    assert size == 1 << 19  # half of what is available
    assert result.bytes_written > 4 * size
    assert wanted > result.bytes_written
    compare(core, target.pid)
    os.kill(target.pid, signal.SIGCONT)
    assert target.answers()


def test_it_goes_on_and_the_core_is_private_and_sparse(target: Target, tmp_path: Path):
    core = tmp_path / "core"
    seen: list[tuple[int, int]] = []
    result = capture(target.pid, core, progress=lambda _, done, total: seen.append((done, total)))
    assert target.answers()
    assert procfs.status(target.pid).tracer == 0
    assert seen[-1] == (result.bytes_written, result.bytes_written)
    assert core_bytes(core, target.pattern, 1 << 20) == b"mapscope" * 131072
    assert core_bytes(core, target.shared + 5000, 6) == b"shared"
    status = core.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size > 64 << 20
    assert status.st_blocks * 512 < result.bytes_written + (1 << 20), "untouched memory takes room on the disk"
    assert [path.name for path in tmp_path.iterdir()] == ["core"]
    assert 0 < result.pause_seconds < 30


def test_segments_are_the_mappings(target: Target, tmp_path: Path):
    capture(target.pid, tmp_path / "core")
    expected = [
        (each.start, each.size) for each in procfs.mappings(target.pid) if each.path not in ("[vvar]", "[vsyscall]")
    ]
    assert [(start, size) for start, size, _, _ in segments(tmp_path / "core")] == expected


def test_notes_name_threads_files_and_process(target: Target, tmp_path: Path):
    result = capture(target.pid, tmp_path / "core")
    found = notes(tmp_path / "core")
    threads = [bytes(data)[32:36] for kind, data in found if kind == "NT_PRSTATUS"]
    assert [int.from_bytes(each, "little") for each in threads] == procfs.threads(target.pid)
    assert result.threads == len(threads) >= 4
    with (tmp_path / "core").open("rb") as stream:
        part = next(part for part in ELFFile(stream).iter_segments() if part.header.p_type == "PT_NOTE")
        files = next(each["n_desc"] for each in part.iter_notes() if each["n_type"] == "NT_FILE")
        process = next(each["n_desc"] for each in part.iter_notes() if each["n_type"] == "NT_PRPSINFO")
    expected = [each for each in procfs.mappings(target.pid) if each.has_file]
    assert [(e.vm_start, e.vm_end) for e in files.Elf_Nt_File_Entry] == [(m.start, m.end) for m in expected]
    assert [os.fsdecode(name) for name in files.filename] == [m.path for m in expected]
    assert process.pr_pid == target.pid
    auxv = next(bytes(data) for kind, data in found if kind == "NT_AUXV")
    assert auxv == procfs.auxiliary_vector(target.pid)


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
def test_no_signal_is_lost(tmp_path: Path):
    (tmp_path / "counter.c").write_text(COUNTER)
    program = tmp_path / "counter"
    subprocess.run(["gcc", "-O1", "-pthread", "-o", program, tmp_path / "counter.c"], check=True, timeout=60)
    sent = 0
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        ended = threading.Event()
        allowed = threading.Semaphore(0)

        def send() -> None:
            nonlocal sent
            while not ended.is_set():
                if allowed.acquire(timeout=0.01):
                    os.kill(process.pid, signal.SIGRTMIN)  # queued one by one, unlike ordinary signals
                    sent += 1

        sender = threading.Thread(target=send)
        sender.start()
        try:
            for _ in range(60):
                allowed.release(100)  # all of them fit the queue of the kernel (RLIMIT_SIGPENDING)
                capture(process.pid, tmp_path / "core", overwrite=True)
        finally:
            ended.set()
            sender.join()
        deadline = time.monotonic() + 30
        seen = -1
        while seen != sent and time.monotonic() < deadline:
            process.stdin.write("\n")
            seen = int(process.stdout.readline())
        process.kill()
    assert seen == sent > 60


def test_what_cannot_be_read_is_missing_and_not_zero(tmp_path: Path):
    file = tmp_path / "file"
    command = [sys.executable, "-c", BEHIND_THE_END, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        area = next(each for each in procfs.mappings(process.pid) if each.path == str(file))
        result = capture(process.pid, tmp_path / "core")
        process.kill()
    assert [(each.start, each.end) for each in result.missing] == [(area.start + procfs.PAGE, area.end)]
    inside = [each for each in segments(tmp_path / "core") if area.start <= each[0] < area.end]
    assert [(start, size, kept) for start, size, _, kept in inside] == [(area.start, area.size, procfs.PAGE)]
    assert core_bytes(tmp_path / "core", area.start, 4) == b"kept"


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_opens_it(target: Target, tmp_path: Path):
    core = tmp_path / "core"
    result = capture(target.pid, core)
    commands = ["-ex", "info threads", "-ex", "thread apply all backtrace", "-ex", f"x/s {target.pattern}"]
    environment = {**os.environ, "DEBUGINFOD_URLS": ""}
    done = subprocess.run(
        ["gdb", "-batch", "-nx", *commands, os.path.realpath(f"/proc/{target.pid}/exe"), str(core)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert len(re.findall(r"^\*?\s+\d+\s+.*LWP \d+", done.stdout, re.MULTILINE)) == result.threads
    assert len(re.findall(r"^#0 ", done.stdout, re.MULTILINE)) >= result.threads
    assert re.search(r"^#3 ", done.stdout, re.MULTILINE), "no backtrace goes up the stack"
    assert "mapscopemapscope" in done.stdout


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killing_the_capturer_leaves_the_process_running(target: Target, tmp_path: Path, end: signal.Signals):
    command = [sys.executable, "-c", HANGING, str(target.pid), str(tmp_path / "core")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as capturer:
        try:
            assert capturer.stdout is not None
            assert capturer.stdout.readline() == "copying\n"
            assert procfs.status(target.pid).state == "t"
            with pytest.raises(EvidenceError, match="traced already"):
                capture(target.pid, tmp_path / "second")
            capturer.send_signal(end)
            capturer.wait(30)
        finally:
            capturer.kill()
    assert target.answers()
    target.wait_for_state("SR")
    assert not (tmp_path / "core").exists()
    assert not (tmp_path / "second").exists()


def limited(target: Target, core: Path, uid: int = 0, limit: int = 0) -> tuple[str, str]:
    command = [sys.executable, "-c", LIMITED, str(target.pid), str(core), str(uid), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    message, hint = done.stdout.splitlines()
    return message, hint


def test_a_full_disk_leaves_nothing_behind(target: Target, tmp_path: Path):
    message, hint = limited(target, tmp_path / "core", limit=1 << 20)
    assert str(tmp_path / "core") in message
    assert "limit on the size of files" in message
    assert "more room" in hint
    assert list(tmp_path.iterdir()) == []
    assert target.answers()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1 << 20


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not read the process")
def test_without_permission_the_hint_says_what_helps(target: Target, tmp_path: Path):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:  # the other user must reach the folder, or it is the folder that is refused
        if parent.stat().st_uid == os.geteuid() and parent != Path("/") and "pytest-of" in str(parent):
            parent.chmod(0o755)
    message, hint = limited(target, tmp_path / "core", uid=65534)
    assert message == f"not permitted to read the memory of process {target.pid}"
    assert "sudo -u '#0'" in hint
    assert list(tmp_path.iterdir()) == []
    assert target.answers()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not enter the folder")
def test_a_folder_that_may_not_be_entered(target: Target, tmp_path: Path):
    tmp_path.chmod(0o700)
    message, hint = limited(target, tmp_path / "core", uid=65534)
    assert message == f"cannot write in {tmp_path}: Permission denied"
    assert "a folder that exists and that you may write" in hint


def test_no_such_process(tmp_path: Path):
    free = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
    with pytest.raises(EvidenceError, match=f"no process {free}"):
        capture(free, tmp_path / "core")


def test_a_zombie(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(EvidenceError, match="zombie"):
            capture(ended.pid, tmp_path / "core")


def test_itself(tmp_path: Path):
    with pytest.raises(EvidenceError, match="its own core"):
        capture(os.getpid(), tmp_path / "core")


def test_no_file_is_overwritten_unasked(target: Target, tmp_path: Path):
    core = tmp_path / "core"
    core.write_text("precious")
    with pytest.raises(EvidenceError, match="exists already"):
        capture(target.pid, core)
    assert core.read_text() == "precious"
    capture(target.pid, core, overwrite=True)
    assert core.read_bytes()[:4] == b"\x7fELF"


def test_a_folder_that_is_not_there(target: Target, tmp_path: Path):
    with pytest.raises(EvidenceError, match="cannot write in"):
        capture(target.pid, tmp_path / "none" / "core")
    assert target.answers()
