"""Copying before the stop. The kernel of a test may not track what is written, so here memory is compared instead.

``tests/services/test_softdirty.py`` does it with a kernel that does.
"""

from __future__ import annotations

import itertools
import mmap
import os
import re
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from elftools.elf.elffile import ELFFile

from mapscope.cli.main import cli
from mapscope.errors import EvidenceError
from mapscope.evidence import capture as capturing
from mapscope.evidence import copier, plan, precopy, procfs, ranges, softdirty
from mapscope.evidence.capture import CaptureResult, Limits, capture
from mapscope.evidence.procfs import PAGE, Mapping

CHANGER = Path(__file__).with_name("changer.py")
EVERYTHING = "scatter write drop zero end move guard new"


class Target:
    """The process. It changes nothing but on command."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, CHANGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.pid = self.process.pid
        self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        assert ready, "the process does not answer: it was left stopped"
        line = self.process.stdout.readline()
        deadline = time.monotonic() + 60
        while procfs.status(self.pid).state != "S":  # it waits for the next line, and changes nothing any more
            assert time.monotonic() < deadline, procfs.status(self.pid).state
            os.sched_yield()
        return line

    def does(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        assert self._line() == "done\n"

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


class Tracker:
    """Says what is unchanged by looking: it keeps the memory of when it was told to clear."""

    def __init__(self) -> None:
        self.cleared = 0
        self._then: dict[int, bytes] = {}

    def clear(self, pid: int) -> None:
        self.cleared += 1
        self._then = {}
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for each in plan.make(pid, [each for each in procfs.mappings(pid) if precopy.eligible(each)]):
                for start, end in each.ranges:
                    data = os.pread(memory.fileno(), end - start, start)
                    self._then |= {start + at: data[at : at + PAGE] for at in range(0, len(data), PAGE)}

    def unchanged(self, pid: int, asked: ranges.Ranges) -> ranges.Ranges:
        found = []
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for start, end in asked.tolist():
                for at in range(start, end, PAGE):
                    try:
                        same = os.pread(memory.fileno(), PAGE, at) == self._then.get(at)
                    except OSError:
                        same = False  # it is gone
                    if same:
                        found.append((at, at + PAGE))
        return ranges.ranges_of(found)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Tracker:
    made = Tracker()
    monkeypatch.setattr(softdirty, "tracked", lambda: True)
    monkeypatch.setattr(softdirty, "in_use", lambda pid, maps: False)
    monkeypatch.setattr(softdirty, "clear", made.clear)
    monkeypatch.setattr(softdirty, "unchanged", made.unchanged)
    return made


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """What it is called with happens between the first copy and the stop."""

    def plant(action: Callable[[], None]) -> None:
        hold = copier.Copier.hold

        def held(self: copier.Copier, plans: list[plan.Plan]) -> list[copier.Held]:
            found = hold(self, plans)
            action()
            return found

        monkeypatch.setattr(copier.Copier, "hold", held)

    return plant


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """What the process has in memory within the stop: behind it, the kernel alone may write (``struct rseq``)."""
    copy = copier.Copier.copy
    found: list[tuple[int, bytes]] = []

    def watched(self: copier.Copier, plans: list[plan.Plan]) -> None:
        copy(self, plans)
        found.clear()
        with open(f"/proc/{self._pid}/mem", "rb", buffering=0) as memory:
            for segment in (each.segment for each in plans if each.segment.file_bytes):
                start = segment.mapping.start
                found.append((start, os.pread(memory.fileno(), segment.file_bytes, start)))

    monkeypatch.setattr(copier.Copier, "copy", watched)
    return found


def taken(target: Target, core: Path) -> CaptureResult:
    return capture(target.pid, core, limits=Limits(precopy=True))


def differing(stopped: list[tuple[int, bytes]], core: Path) -> list[int]:
    """The mappings that the core has otherwise than the process had them in the stop."""
    with core.open("rb") as stream:
        heads = [part.header for part in ELFFile(stream).iter_segments() if part.header.p_type == "PT_LOAD"]
        kept = {head.p_vaddr: os.pread(stream.fileno(), head.p_filesz, head.p_offset) for head in heads}
    assert sum(map(len, kept.values())) > 40 << 20
    assert sorted(start for start, _ in stopped) == [start for start, data in kept.items() if data]
    return [start for start, data in stopped if kept[start] != data]


@pytest.mark.parametrize("words", [*EVERYTHING.split(), EVERYTHING, ""])
def test_the_core_is_the_memory_at_the_stop(
    target: Target, stopped, tracker: Tracker, between, tmp_path: Path, words: str
):
    between(lambda: target.does(words))
    result = taken(target, tmp_path / "core")
    assert differing(stopped, tmp_path / "core") == []
    assert tracker.cleared == 1
    assert 0 < result.stopped_bytes < result.bytes_written / 2
    assert result.missing == ()
    target.does("")


def test_the_writer_may_have_to_go_on_in_the_stop(
    target: Target, stopped, tracker, between, tmp_path: Path, monkeypatch
):
    """Buffers hold what was copied before, and next to nothing else."""
    monkeypatch.setattr(copier, "CHUNK", 1 << 16)
    monkeypatch.setattr(capturing, "_SLACK", 0)
    monkeypatch.setattr(capturing, "_CHANGED", 1 << 40)
    monkeypatch.setattr(precopy, "_pays", lambda *_: True)
    between(lambda: target.does(f"all {EVERYTHING}"))
    result = taken(target, tmp_path / "core")
    assert differing(stopped, tmp_path / "core") == []
    assert 32 << 20 < result.stopped_bytes < result.bytes_written


def test_whoever_is_not_told_of_changes_takes_a_stale_core(
    target: Target, stopped, tracker, between, tmp_path, monkeypatch
):
    monkeypatch.setattr(softdirty, "unchanged", lambda _, asked: asked)
    between(lambda: target.does("write"))
    taken(target, tmp_path / "core")
    assert differing(stopped, tmp_path / "core") != []


def test_once_more_when_too_much_has_changed(target: Target, stopped, tracker: Tracker, between, tmp_path: Path):
    words = iter(["all", "write"])
    between(lambda: target.does(next(words)))
    result = taken(target, tmp_path / "core")
    assert differing(stopped, tmp_path / "core") == []
    assert tracker.cleared == 2
    assert 0 < result.stopped_bytes < result.bytes_written / 2


def test_a_plain_stop_when_that_is_no_better(target: Target, stopped, tracker: Tracker, between, tmp_path: Path):
    number = itertools.count()
    between(lambda: target.does(f"all {next(number)}"))
    result = taken(target, tmp_path / "core")
    assert differing(stopped, tmp_path / "core") == []
    assert tracker.cleared == 2
    assert result.stopped_bytes == result.bytes_written


def test_a_plain_stop_where_there_is_little_memory(
    target: Target, stopped, tracker: Tracker, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(copier, "available_bytes", lambda: 32 << 20)
    monkeypatch.setattr(copier, "CHUNK", 1 << 16)
    result = taken(target, tmp_path / "core")
    assert differing(stopped, tmp_path / "core") == []
    assert tracker.cleared == 0
    assert result.stopped_bytes == result.bytes_written


def refuse(_: int) -> None:
    raise PermissionError(1, "not permitted")


def test_a_kernel_that_refuses(target: Target, stopped, tracker: Tracker, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(softdirty, "clear", refuse)
    monkeypatch.setattr(precopy, "LEAST", 0)
    result = capture(target.pid, tmp_path / "core")
    assert differing(stopped, tmp_path / "core") == []
    assert result.stopped_bytes == result.bytes_written
    with pytest.raises(EvidenceError, match="not permitted"):
        taken(target, tmp_path / "second")
    target.does("")


def test_it_is_done_where_it_pays(target: Target, tracker: Tracker, tmp_path: Path, monkeypatch):
    def copied(wish: bool | None) -> tuple[bool, bool]:
        result = capture(target.pid, tmp_path / "core", overwrite=True, limits=Limits(precopy=wish))
        return result.stopped_bytes < result.bytes_written, result.bits_in_use

    assert copied(None) == (False, False)  # too small
    monkeypatch.setattr(precopy, "LEAST", 16 << 20)
    assert copied(None) == (True, False)
    assert copied(False) == (False, False)
    monkeypatch.setattr(softdirty, "in_use", lambda pid, maps: True)
    assert copied(None) == (False, True)
    assert copied(True) == (True, False)
    monkeypatch.setattr(softdirty, "tracked", lambda: False)
    assert copied(None) == (False, False)
    with pytest.raises(EvidenceError, match="does not track") as caught:
        taken(target, tmp_path / "second")
    assert "--precopy" in caught.value.hint
    assert not (tmp_path / "second").exists()


def mapping(path: str = "", perms: str = "rw-p", inode: int = 0, start: int = 0x1000) -> Mapping:
    return Mapping(start, start + 0x1000, perms, 0, "00:00", inode, path)


@pytest.mark.parametrize("path", ["", "[heap]", "[stack]", "[anon: Go: heap]"])
def test_private_anonymous_memory_is_copied_ahead(path: str):
    assert precopy.eligible(mapping(path))
    assert not precopy.eligible(mapping(path, perms="rw-s"))


@pytest.mark.parametrize(
    ("path", "inode"),
    [("/bin/service", 5), ("/memfd:x (deleted)", 7), ("/anon_hugepage (deleted)", 9), ("[vdso]", 0), ("[vvar]", 0)],
)
def test_what_may_change_otherwise_is_not(path: str, inode: int):
    assert not precopy.eligible(mapping(path, inode=inode))


SOFT_DIRTY, EXCLUSIVE, FILE, SWAPPED, PRESENT = (1 << bit for bit in (55, 56, 61, 62, 63))


@pytest.fixture
def pagemap(tmp_path: Path, monkeypatch) -> Callable[[dict[int, int]], None]:
    """Writes the file: page number → entry."""
    monkeypatch.setattr(softdirty, "task_folder", lambda pid: tmp_path)

    def write(entries: dict[int, int]) -> None:
        raw = bytearray(8 * (max(entries) + 1))
        for page, entry in entries.items():
            struct.pack_into("<Q", raw, page * 8, entry)
        (tmp_path / "pagemap").write_bytes(raw)

    return write


def test_only_what_is_certain_is_unchanged(pagemap, monkeypatch):
    monkeypatch.setattr(softdirty, "_CHUNK", 3)
    bits = [0, *(sum(some) for n in range(1, 6) for some in itertools.combinations(
        (SOFT_DIRTY, EXCLUSIVE, FILE, SWAPPED, PRESENT), n))]  # fmt: skip
    entries = {page: bits[page % len(bits)] | page for page in range(3 * len(bits))}  # the low bits are a frame number
    pagemap(entries)
    good = {page for page in entries if bits[page % len(bits)] == PRESENT | EXCLUSIVE}
    assert len(good) == 3
    asked = {page for page in entries if page % 7}
    found = softdirty.unchanged(1, ranges.ranges_of((page * PAGE, (page + 1) * PAGE) for page in sorted(asked)))
    assert {at // PAGE for start, end in found.tolist() for at in range(start, end, PAGE)} == good & asked


def test_bits_are_in_use_when_the_text_is_not_marked(pagemap):
    text, stack, shared = mapping("/bin/service", "r-xp", 5), mapping("[stack]"), mapping("/bin/x", "rw-s", 6)
    pagemap({1: SOFT_DIRTY})
    assert not softdirty.in_use(1, [text])
    pagemap({1: PRESENT | EXCLUSIVE})
    assert softdirty.in_use(1, [text])
    assert not softdirty.in_use(1, [stack, shared])


def test_the_kernel_is_asked_whether_it_tracks():
    """It marks a mapping that was just made with ``sd`` where it does (proc_pid_smaps(5))."""
    with mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area[0] = 1
        address = int(np.frombuffer(area, dtype=np.uint8).ctypes.data)
        flags: list[str] = []
        inside = False
        for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
            first = line.split()[0]
            if not first.endswith(":"):
                start, end = (int(part, 16) for part in first.split("-"))
                inside = start <= address < end
            elif inside and first == "VmFlags:":
                flags = line.split()[1:]
    assert flags
    assert softdirty.tracked() == ("sd" in flags)


@pytest.mark.parametrize(
    ("options", "in_use", "said"),
    [
        (
            ["--precopy"],
            True,
            r"mapscope: wrote .*\n  \d.* of that were copied while it stood still, the rest before\n",
        ),
        ([], False, r"mapscope: wrote .*\n  \d.* of that were copied while it stood still, the rest before\n"),
        ([], True, r"mapscope: wrote .*\n  nothing was copied before the stop: .*; --precopy takes them\n"),
        (["--no-precopy"], True, r"mapscope: wrote .*\n"),
        (["--pause", "fork"], True, r"mapscope: wrote .*\n"),
    ],
)
def test_the_command_says_what_was_done(target, tracker, tmp_path: Path, monkeypatch, options, in_use, said):
    monkeypatch.setattr(precopy, "LEAST", 0)
    monkeypatch.setattr(softdirty, "in_use", lambda pid, maps: in_use)
    if "fork" in options:
        monkeypatch.setattr(capturing._Capture, "_from_copy", lambda self, machine, looked: whole(self._target))
    words = ["capture", str(target.pid), "-o", str(tmp_path / "core"), "--any", *options]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert re.fullmatch(said, done.stderr), done.stderr


def whole(path: Path) -> CaptureResult:
    return CaptureResult(path, 0.0, 1, 1, (), sys.executable)
