"""Everything that users hand in by mistake: one clear line that says what is wrong and what to do, and status 2."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mapscope.evidence.capture import capture
from mapscope.goruntime.layout import load
from mapscope.lab import toolchains
from tests.property.harness import HERE, Answer, Runner, Sample, copy_sparse, judge, make_sample

OLD, NEW = "1.23.9", "1.26.6"
_IN_USE = 1
"""``mSpanInUse`` of runtime/mheap.go."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bad")


@pytest.fixture(scope="module")
def sample(folder: Path) -> Sample:
    return make_sample(NEW, folder)


@pytest.fixture(scope="module")
def other(folder: Path) -> Sample:
    return make_sample(OLD, folder)


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def refused(answer: Answer, *words: str) -> str:
    """The line that says what is wrong; it and the hint hold each of ``words``."""
    assert answer.status == 2, answer.out[:200] + answer.err
    judge(answer)
    for word in words:
        assert word.lower() in answer.err.lower(), answer.err
    assert len(answer.err.splitlines()) == 2, f"no hint says what to do: {answer.err}"
    return answer.err


def test_a_file_that_is_not_there(runner: Runner, tmp_path: Path):
    refused(runner.run("analyze", tmp_path / "core.4242"), "core.4242")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7f",
        b"\x7fELF",
        b"just text\n" * 1000,
        bytes(1 << 16),
        b"\x89PNG\r\n\x1a\n" + bytes(4096),
        b"PK\x03\x04" * 99,
    ],
    ids=["empty", "one byte", "magic only", "text", "zeros", "picture", "archive"],
)
def test_no_core(runner: Runner, tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)
    refused(runner.run("analyze", path), "file")


def test_a_folder(runner: Runner, tmp_path: Path):
    refused(runner.run("analyze", tmp_path), tmp_path.name)


def test_a_device(runner: Runner):
    refused(runner.run("analyze", "/dev/null"), "/dev/null")


def test_an_executable_in_place_of_the_core(runner: Runner, sample: Sample):
    refused(runner.run("analyze", sample.program), "executable")


def test_a_core_in_place_of_the_executable(runner: Runner, sample: Sample):
    refused(runner.run("analyze", sample.core, sample.core), "core")


def test_the_core_of_a_c_program(runner: Runner, tmp_path: Path):
    core = tmp_path / "core"
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        try:
            while os.path.basename(os.readlink(f"/proc/{process.pid}/exe")) == os.path.basename(
                os.path.realpath(sys.executable)
            ):
                os.sched_yield()  # not yet exec'ed
            capture(process.pid, core)
        finally:
            process.kill()
    refused(runner.run("analyze", core), "Go")
    refused(runner.run("analyze", core, shutil.which("cat") or "cat"), "Go")


@pytest.mark.parametrize("pair", ["new core, old executable", "old core, new executable"])
def test_the_wrong_executable(runner: Runner, sample: Sample, other: Sample, pair: str):
    core, program = (sample.core, other.program) if pair.startswith("new") else (other.core, sample.program)
    refused(runner.run("analyze", core, program), "executable")


def test_the_executable_of_another_build(runner: Runner, sample: Sample, tmp_path: Path):
    """Same release, same source, other flags: only the build id tells them apart."""
    twin = toolchains.install(NEW).build(HERE / "small", tmp_path / "twin", trimpath=True)
    refused(runner.run("analyze", sample.core, twin), "build id")


def test_an_executable_that_is_gone(runner: Runner, sample: Sample, tmp_path: Path):
    """NT_FILE names a path where nothing is any more."""
    core = copy_sparse(sample.core, tmp_path / "core")
    data = core.read_bytes()
    name = os.fsencode(sample.program)
    where = data.find(name + b"\0", 0, 1 << 16)
    assert where > 0
    with core.open("r+b") as stream:
        while where > 0:
            stream.seek(where)
            stream.write(b"/x" + name[2:])
            where = data.find(name + b"\0", where + 1, 1 << 16)
    refused(runner.run("analyze", core), "executable")


def cuts(size: int) -> list[int]:
    """Every byte of the ELF header, then thinner and thinner over the file."""
    found = {*range(130), *(size - back for back in (1, 2, 8, 4095, 4096, 4097))}
    step = 128.0
    while step < size:
        found.update((int(step), int(step) + 1))
        step *= 1.12
    return sorted(at for at in found if 0 <= at < size)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_core_cut_at_many_bytes(runner: Runner, sample: Sample, tmp_path: Path):
    core = copy_sparse(sample.core, tmp_path / "core")
    size = core.stat().st_size
    reports = 0
    for at in reversed(cuts(size)):
        os.truncate(core, at)
        document = judge(runner.run("analyze", core, sample.program, "-f", "json"))
        if document is not None:
            reports += 1
            assert document["evidence"]["missing"], f"cut at {at} of {size}, and nothing is said to be missing"
    assert reports > 0


@pytest.mark.parametrize("version", ["go1.99.9", "go9.26.6", "go1.20.1", "devel +1", "\xff" * 8])
def test_a_release_without_a_table(runner: Runner, sample: Sample, tmp_path: Path, version: str):
    """The nearest table serves when it passes its self-check, with a warning; else the line says what was tried."""
    old, new = f"go{NEW}".encode(), version.encode("latin-1").ljust(8)[:8]
    files = []
    for path in (sample.core, sample.program):
        target = copy_sparse(path, tmp_path / path.name)
        data = target.read_bytes()
        with target.open("r+b") as stream:
            where = data.find(old)
            while where >= 0:
                stream.seek(where)
                stream.write(new)
                where = data.find(old, where + 1)
        files.append(target)
    answer = runner.run("analyze", *files, "-f", "json")
    document = judge(answer)
    if document is None:
        refused(answer, "go")
    else:
        assert any("layout" in warning or "release" in warning for warning in document["evidence"]["warnings"])


@pytest.mark.parametrize(("slots", "dropped"), [(1024, False), (1025, True)])
def test_a_span_of_more_slots_than_go_makes(runner: Runner, sample: Sample, tmp_path: Path, slots: int, dropped: bool):
    """It would make the walk slow: it is left out, which is said."""
    layouts = load(f"go{NEW}", "amd64")
    heap, span = layouts.struct("mheap"), layouts.struct("mspan")
    mheap = sample.symbols["runtime.mheap_"][0]
    array, count = (sample.words(mheap + heap.offset(f"allspans.{part}"), 1)[0] for part in ("array", "len"))
    core = copy_sparse(sample.core, tmp_path / "core")

    def field(at: int, name: str) -> tuple[int, int]:
        where = sample.offset(at + span.offset(name))
        assert where is not None
        return where, min(span.field(name).size, 8)

    with core.open("r+b") as stream:

        def value(at: int, name: str) -> int:
            where, size = field(at, name)
            stream.seek(where)
            return int.from_bytes(stream.read(size), "little")

        spans = [
            at
            for at in sample.words(array, count)
            if value(at, "state") & 0xFF == _IN_USE and value(at, "npages") > 1 and value(at, "spanclass") > 1
        ]
        assert spans, "no span of the sample has several pages"
        for name, wanted in (("elemsize", 8), ("nelems", slots)):
            where, size = field(spans[0], name)
            stream.seek(where)
            stream.write(wanted.to_bytes(size, "little"))
    document = judge(runner.run("analyze", core, sample.program, "-f", "json"))
    assert document is not None
    said = [note for note in document["notes"] if "spans failed the self-check" in note]
    assert said == (["1 spans failed the self-check and were left out"] if dropped else [])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_no_read_permission(sample: Sample, tmp_path: Path):
    core = copy_sparse(sample.core, tmp_path / "core")
    core.chmod(0)
    for parent in tmp_path.parents:
        if "pytest-of" in str(parent):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    runner = Runner(uid=65534)
    try:
        refused(runner.run("analyze", core), "permission", str(core))
    finally:
        runner.close()


def shell(arguments: list[str | Path], limit: int = 0, **streams: object) -> subprocess.CompletedProcess[str]:
    """The real command line in its own process, with a limit on the size of files where one is given."""
    prefix: list[str | Path] = ["prlimit", f"--fsize={limit}"] if limit else []
    return subprocess.run(
        [*prefix, sys.executable, "-m", "mapscope", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
        **streams,  # type: ignore[call-overload, no-any-return]
    )


def test_a_full_disk_behind_stdout(sample: Sample):
    with open("/dev/full", "wb") as full:
        done = shell(["analyze", sample.core, sample.program, "-f", "json"], stdout=full)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_full_disk_under_the_file(sample: Sample, tmp_path: Path):
    done = shell(
        ["analyze", sample.core, sample.program, "-f", "json", "-o", tmp_path / "report.json"],
        limit=4096,
        stdout=subprocess.DEVNULL,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_core_of_a_32_bit_process(runner: Runner, tmp_path: Path):
    path = tmp_path / "core"
    path.write_bytes(struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 4, 3, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0))
    os.truncate(path, 4096)
    refused(runner.run("analyze", path), "64")


def test_a_core_of_another_machine(runner: Runner, sample: Sample, tmp_path: Path):
    core = copy_sparse(sample.core, tmp_path / "core")
    with core.open("r+b") as stream:
        stream.seek(18)
        stream.write(struct.pack("<H", 243))  # RISC-V
    refused(runner.run("analyze", core, sample.program), "amd64")
