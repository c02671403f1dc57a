"""Memory in huge pages before a copy: the process does not notice and does not grow; the kernel is the oracle."""

from __future__ import annotations

import mmap
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapscope.errors import EvidenceError
from mapscope.evidence import capture as capturing
from mapscope.evidence import collapsing, procfs
from mapscope.evidence.capture import Limits, capture
from mapscope.evidence.corewriter import Segment
from mapscope.evidence.plan import Plan
from mapscope.evidence.procfs import Mapping
from mapscope.opening import open_snapshot
from tests.groundtruth.live import Ticker, ticking
from tests.groundtruth.test_live import failed, mapscope
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

MEGABYTES = 320
"""More than LEAST."""
HUGE = 2 << 20
GATHERED = 200 << 20
"""Of the heap of that size; what is not whole huge pages stays as it is."""
_CAP_SYS_NICE = 23
COLLAPSE = Limits(pause="fork", collapse=True)
ENDS = """
import os, signal, sys
from mapscope.evidence import collapsing
from mapscope.evidence.capture import Limits, capture
real, steps = collapsing._advise, 0
def advise(*arguments):
    global steps
    steps += 1
    done = real(*arguments)
    if steps == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return done
collapsing._advise = advise
capture(int(sys.argv[1]), sys.argv[2], limits=Limits(pause="fork", collapse=True))
"""


def kernel_can() -> bool:
    """Whether this kernel gathers memory of our own when it is asked by madvise(2), and we may ask for others'."""
    if not int(procfs.status_fields(os.getpid())["CapEff"], 16) >> _CAP_SYS_NICE & 1:
        return False
    area = mmap.mmap(-1, 3 * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.write(b"x" * len(area))
    try:
        area.madvise(25)
    except OSError:
        return False
    return own_field("AnonHugePages", os.getpid()) > 0


def own_field(name: str, pid: int) -> int:
    """Bytes of a line of smaps, over all mappings."""
    total = 0
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith(f"{name}:"):
                total += int(line.split()[1]) * 1024
    return total


@pytest.fixture
def ticker(tmp_path: Path) -> Iterator[Ticker]:
    folder = tmp_path / "program"
    folder.mkdir()
    with ticking(Variant("1.26"), folder, MEGABYTES) as started:
        yield started


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Ticker]:
    """One with little memory: enough where nothing is gathered."""
    folder = tmp_path / "program"
    folder.mkdir()
    with ticking(Variant("1.26"), folder) as started:
        yield started


@pytest.fixture
def able(ticker: Ticker, tmp_path: Path) -> Ticker:
    """Where the kernel cannot, one line says so, and that is all that there is to test."""
    if not kernel_can():
        with pytest.raises(EvidenceError, match="cannot gather memory in huge pages"):
            capture(ticker.pid, tmp_path / "core", limits=COLLAPSE)
        pytest.skip("the kernel of this machine gathers no memory in huge pages")
    return ticker


def test_the_process_has_the_same_memory_in_fewer_pages(able: Ticker, tmp_path: Path):
    before = own_field("AnonHugePages", able.pid)
    resident = own_field("Rss", able.pid)
    seen: list[tuple[str, int, int]] = []
    taken = capture(able.pid, tmp_path / "core", limits=COLLAPSE, progress=lambda *step: seen.append(step))
    gathered = own_field("AnonHugePages", able.pid) - before
    assert gathered > GATHERED
    assert taken.gathered_bytes == pytest.approx(gathered, abs=16 * HUGE)  # what it writes meanwhile is split again
    assert own_field("Rss", able.pid) < resident + 32 * HUGE  # it works and allocates all the time
    assert able.assert_goes_on().children == 0
    able.assert_alone()
    assert {step for step, _, _ in seen} == {"gathering memory in huge pages", "copying memory"}
    found = {int(one.address): one.count for one in open_snapshot(tmp_path / "core", able.executable).maps}
    truth = able.program.truth
    assert [found.get(one["address"]) for one in truth.values()] == [one["entries"] for one in truth.values()]


def test_what_is_copied_in_the_stop_is_less(able: Ticker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Not a matter of time but of pages: the copy's own, counted by the kernel."""
    monkeypatch.setattr(capturing, "_PROGRESS_SECONDS", 0)

    def small_pages(limits: Limits) -> int:
        """Bytes of the copy's anonymous memory in small pages."""
        found: list[int] = []

        def look(step: str, done: int, total: int) -> None:
            if step == "copying memory" and not found:
                for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
                    if is_copy(pid, able.pid):
                        found.append(own_field("Anonymous", pid) - own_field("AnonHugePages", pid))

        capture(able.pid, tmp_path / "core", overwrite=True, limits=limits, progress=look)
        (only,) = found
        return only

    before = small_pages(Limits(pause="fork", collapse=False))
    assert before > MEGABYTES << 20
    assert small_pages(COLLAPSE) < before - GATHERED


def is_copy(pid: int, of: int) -> bool:
    """Whether it is a copy that is read: dead ones are there until init reaps them."""
    try:
        one, program = procfs.status(pid), procfs.status(of)
    except OSError:
        return False
    return pid > of and one.name == "ticker" and one.session == program.session and one.state in "Tt"


def test_it_is_done_where_it_pays_and_not_where_it_is_unwanted(able: Ticker, tmp_path: Path):
    for options in (("--no-collapse",), ()):
        done = mapscope("capture", able.pid, "-o", tmp_path / "core", "--force", "--pause", "fork", *options)
        assert done.returncode == 0, done.stderr
        assert ("were gathered in huge pages before" in done.stderr) == (not options)
        assert (own_field("AnonHugePages", able.pid) > GATHERED) == (not options)
    able.assert_goes_on()


def test_little_memory_is_left_as_it_lies(small: Ticker, tmp_path: Path):
    taken = capture(small.pid, tmp_path / "core", limits=Limits(pause="fork"))
    assert taken.gathered_bytes == 0
    small.assert_goes_on()


def test_killed_while_it_gathers(able: Ticker, tmp_path: Path):
    """Nothing is stopped then, and nothing is left."""
    out = tmp_path / "out"
    out.mkdir()
    for step in (1, 2, 7):
        done = subprocess.run([sys.executable, "-c", ENDS, str(able.pid), str(out / "core"), str(step)], check=False)
        assert done.returncode == -signal.SIGKILL
        able.assert_goes_on()
        able.assert_alone()
        assert list(out.iterdir()) == []


def test_a_process_that_ends_meanwhile(able: Ticker, tmp_path: Path):
    def end(step: str, done: int, total: int) -> None:
        if step == "gathering memory in huge pages":
            os.kill(able.pid, signal.SIGKILL)
            able.program.process.wait()

    with pytest.raises(EvidenceError, match=f"process {able.pid} ended while it was captured"):
        capture(able.pid, tmp_path / "core", limits=COLLAPSE, progress=end)
    assert not (tmp_path / "core").exists()


@pytest.mark.parametrize(
    ("enabled", "fields", "words"),
    [
        ("always madvise [never]", {}, "this kernel may not use huge pages"),
        ("", {}, "this kernel may not use huge pages"),
        ("always [madvise] never", {"VmSwap": "12 kB"}, "is swapped out, and would be read back"),
    ],
)
def test_where_it_cannot_be_done(
    monkeypatch: pytest.MonkeyPatch, small: Ticker, tmp_path: Path, enabled: str, fields: dict[str, str], words: str
):
    """A clear line where it was asked for, and the plain way where it was not."""
    system = tmp_path / "system"
    system.mkdir()
    if enabled:
        (system / "enabled").write_text(f"{enabled}\n", encoding="ascii")
        (system / "hpage_pmd_size").write_text(f"{HUGE}\n", encoding="ascii")
    monkeypatch.setattr(collapsing, "_SYSTEM", system)
    real = procfs.status_fields
    monkeypatch.setattr(procfs, "status_fields", lambda pid: real(pid) | fields)
    with pytest.raises(EvidenceError, match=words):
        capture(small.pid, tmp_path / "core", limits=COLLAPSE)
    assert capture(small.pid, tmp_path / "core", limits=Limits(pause="fork")).gathered_bytes == 0
    small.assert_goes_on()


def test_a_kernel_that_refuses(monkeypatch: pytest.MonkeyPatch, small: Ticker, tmp_path: Path):
    """As one without process_madvise(2) does, or without the right to it: it is asked once."""
    asked: list[int] = []
    monkeypatch.setattr(collapsing, "allowed", lambda pid, plans, wish: "")
    monkeypatch.setattr(collapsing, "page_size", lambda: HUGE)
    monkeypatch.setattr(collapsing, "_NR_PROCESS_MADVISE", 100_000)
    monkeypatch.setattr(capturing.time, "sleep", asked.append)
    with pytest.raises(EvidenceError, match="the kernel refuses: Function not implemented"):
        capture(small.pid, tmp_path / "core", limits=COLLAPSE)
    assert asked == []
    assert capture(small.pid, tmp_path / "core", limits=Limits(pause="fork")).gathered_bytes == 0
    small.assert_goes_on()


def test_without_the_right_to_it(able: Ticker, tmp_path: Path):
    """CAP_SYS_NICE is needed for another's memory, and CAP_SYS_PTRACE for the rest."""
    drop = ("setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice")
    command = [*drop, sys.executable, "-m", "mapscope", "capture", str(able.pid), "-o", str(tmp_path / "core")]
    plain = subprocess.run([*command, "--pause", "fork"], capture_output=True, text=True, check=False)
    assert plain.returncode == 0, plain.stderr
    assert "huge pages" not in plain.stderr
    asked = subprocess.run(
        [*command, "--force", "--pause", "fork", "--collapse"], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 2
    assert "the kernel refuses: Operation not permitted (it needs Linux 6.1 and CAP_SYS_NICE)" in asked.stderr
    able.assert_goes_on()


def test_stop_and_copy_gathers_nothing(small: Ticker, tmp_path: Path):
    message, hint = failed(mapscope("capture", small.pid, "-o", tmp_path / "core", "--collapse"))
    assert message == "--collapse is for --pause fork"
    assert hint == "add --pause fork, or leave it out"


def test_only_whole_huge_pages_are_gathered():
    """Against a list of every page: a huge one counts when all of its pages are there."""
    chosen = random.Random(7)
    few = 4096 * 512
    for _ in range(200):
        start = chosen.randrange(0, 8) * few + chosen.randrange(0, 512) * 4096
        cuts = sorted(chosen.sample(range(1, 40 * 512), 12))
        runs = [(start + a * 4096, start + b * 4096) for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
        mapping = Mapping(start, start + 40 * few, "rw-p", 0, "00:00", 0, "")
        shared = Mapping(start, start + 40 * few, "rw-s", 0, "00:00", 0, "")
        plans = [Plan(Segment(mapping, mapping.size), runs), Plan(Segment(shared, shared.size), runs)]
        there = {page for first, last in runs for page in range(first, last, 4096)}
        whole = [
            at
            for at in range(start // few * few, start + 40 * few, few)
            if all(page in there for page in range(at, at + few, 4096))
        ]
        assert list(collapsing._pages(plans, few)) == whole


def test_the_process_has_half_of_the_time(monkeypatch: pytest.MonkeyPatch):
    """After each step as long a rest as the step took."""
    now = [100.0]
    rests: list[float] = []

    def advise(descriptor: int, address: int, size: int) -> int:
        now[0] += address / (1 << 20) + 1
        return 0

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", rests.append)
    monkeypatch.setattr(collapsing, "_advise", advise)
    monkeypatch.setattr(collapsing, "page_size", lambda: HUGE)
    mapping = Mapping(0, 3 * HUGE, "rw-p", 0, "00:00", 0, "")
    plans = [Plan(Segment(mapping, mapping.size), [(0, 3 * HUGE)])]
    shown: list[tuple[int, int]] = []
    collapsing.collapse(os.getpid(), plans, None, lambda done, total: shown.append((done, total)))
    assert rests == [1.0, 3.0, 5.0]
    assert shown == [(HUGE, 3 * HUGE), (2 * HUGE, 3 * HUGE), (3 * HUGE, 3 * HUGE)]
