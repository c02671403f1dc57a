"""Builds the programs that tell the truth, runs them, takes evidence of them and asks mapscope about it.

Nothing here knows what the answer should be. A built program is kept in the cache folder under a hash of its sources,
toolchain and flags; a core lives only until it has been analysed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapscope.evidence.capture import capture
from mapscope.lab import toolchains
from mapscope.lab.toolchains import Toolchain
from tests.groundtruth.variants import MODES, Variant

PROGRAMS = Path(__file__).parent / "programs"
SOURCE = Path(__file__).resolve().parents[2] / "src"
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
"""GOARCH of this machine, for which the programs are built."""
CORE_LIMIT = 1 << 30
"""Bytes on disk that one core of these programs may take; more says that something is wrong with the taking."""
START_SECONDS = 60
CORE_SECONDS = 120
ANALYZE_SECONDS = 240
EMULATION = 5
"""How many times as long an emulated program may take."""
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/", "GOTRACEBACK": "crash", "GOMAXPROCS": "2"}
"""All that a program sees: the maps of the standard library (syscall.env) are then the same in every run."""


def toolchain(series: str) -> Toolchain:
    """The toolchain of a series. Its absence skips the test on a desk and fails it where CI is set."""
    found = toolchains.find(series)
    if found is None:
        absent(f"no Go {series} toolchain: python -m mapscope.lab.toolchains install {series}", series != "1.19")
    assert found is not None
    return found


def absent(reason: str, required: bool = True) -> None:
    """Something that the machine lacks: a failure in CI when it is required there, a skip elsewhere."""
    if required and os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One worker at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def build(program: str, variant: Variant, part: str = "", buildmode: str = "") -> Path:
    """The executable of ``program``, built now or before.

    ``part``: the folder in that of the program which is built instead, in its own ``buildmode``; the file is beside it.
    """
    compiler = toolchain(variant.series)
    ldflags, mode = MODES[variant.mode]
    flags = [
        compiler.version,
        ldflags,
        buildmode,
        variant.experiment,
        *filter(None, [variant.arch, variant.cgo and "cgo"]),
    ]
    recipe = hashlib.sha256(json.dumps(flags).encode())
    for source in sorted(PROGRAMS.rglob("*")):
        if source.is_file() and source.relative_to(PROGRAMS).parts[0] in (program, "probe", "go.mod"):
            recipe.update(str(source.relative_to(PROGRAMS)).encode())
            recipe.update(source.read_bytes())
    folder = toolchains.cache_folder() / "groundtruth" / recipe.hexdigest()[:24]
    names = {"plugin": f"{part}.so", "c-shared": f"lib{program}.so", "c-archive": f"lib{program}.a"}
    target = folder / names.get(buildmode or mode, program)
    if variant.cgo and shutil.which("gcc") is None:
        absent("no gcc: install gcc")
    with locked(folder / ".lock"):
        if not target.exists():
            compiler.build(
                PROGRAMS / program / part,
                target,
                ldflags=ldflags,
                buildmode=buildmode or mode,
                goarch=variant.arch,
                experiment=variant.experiment,
                cgo=variant.cgo,
            )
            for header in folder.glob(".*.h"):  # of the file's name while it was being made
                header.unlink()
    os.utime(folder)
    return target


def sweep(days: float = 14) -> None:
    """Remove executables that no run has asked for in a while."""
    shelf = toolchains.cache_folder() / "groundtruth"
    for folder in shelf.iterdir() if shelf.is_dir() else ():
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > days * 86400:
                shutil.rmtree(folder)


@dataclass
class Running:
    """A program that has told its truth and now waits."""

    process: subprocess.Popen[bytes]
    truth: dict[str, Any]

    @property
    def pid(self) -> int:
        """Of the process."""
        return self.process.pid


def emulator(arch: str) -> list[str]:
    """What runs programs for ``arch`` on this machine."""
    if arch in ("", ARCH):
        return []
    name = {"arm64": "qemu-aarch64"}[arch]
    found = shutil.which(f"{name}-static") or shutil.which(name)
    if found is None:
        absent(f"no {name}: install qemu-user-static")
    # the dynamic loader that a PIE asks for: of Debian's package libc6-arm64-cross
    return [str(found), "-L", f"/usr/{name.removeprefix('qemu-')}-linux-gnu"]


@contextlib.contextmanager
def running(
    executable: Path, *arguments: str, folder: Path, arch: str = "", environment: dict[str, str] | None = None
) -> Iterator[Running]:
    """Start the program, read its document and READY, hand it out, and end it. ``environment``: more of it."""
    process = subprocess.Popen(
        [*emulator(arch), executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(stderr := open(folder / "stderr", "w+b")),  # noqa: SIM115  # closed below
        env=ENVIRONMENT | (environment or {}),
        cwd=folder,
        start_new_session=True,  # its copies are in it, and no other test's programs
    )
    try:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (hard, hard))
        yield Running(process, _read_truth(process, START_SECONDS * (EMULATION if arch else 1)))
    finally:
        process.kill()
        process.communicate()
        stderr.close()


def _read_truth(process: subprocess.Popen[bytes], seconds: float = START_SECONDS) -> dict[str, Any]:
    assert process.stdout is not None
    watchdog = _deadline(process, seconds)
    try:
        lines = []
        for line in process.stdout:
            if line == b"READY\n":
                return json.loads(b"".join(lines))  # type: ignore[no-any-return]
            lines.append(line)
    finally:
        watchdog.cancel()
    raise AssertionError(f"{process.args!r} ended with {process.wait()} before it was ready; see its stderr")


def _deadline(process: subprocess.Popen[bytes], seconds: float) -> threading.Timer:
    """Kill the process when it takes too long, so that a read of its output ends."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def take_core(program: Running, evidence: str, folder: Path) -> Path:
    """A core of the running program. One of the kernel or of qemu ends the program, but not that of its child."""
    if evidence == "dump":
        return take_dump(program, folder)
    path = folder / "core"
    if evidence == "capture":
        capture(program.pid, path)
    elif evidence == "gcore":
        gcore(program.pid, path)
    elif evidence == "qemu":
        emulated_core(program, path)
    elif evidence == "child":
        core_of_child(program, path)
    else:
        kernel_core(program, path)
    size = path.stat().st_blocks * 512
    assert size < CORE_LIMIT, f"the core takes {size} bytes on disk"
    return path


def answer(program: Running, command: str) -> bytes:
    """What the program says to a line on its standard input."""
    process = program.process
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{command}\n".encode())
    process.stdin.flush()
    watchdog = _deadline(process, CORE_SECONDS)
    try:
        return process.stdout.readline()
    finally:
        watchdog.cancel()


def take_dump(program: Running, folder: Path) -> Path:
    """A heap dump that the program writes of itself. It goes on waiting."""
    path = folder / "dump"
    said = answer(program, f"dump {path}")
    assert said == b"DUMPED\n", f"the program wrote no heap dump: {said!r}; see its stderr"
    return path


def gcore(pid: int, path: Path) -> None:
    """gdb's gcore; the zeros it writes for reserved memory become holes."""
    if shutil.which("gcore") is None:
        absent("no gcore: install gdb")
    command = ["gcore", "-o", str(path), str(pid)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CORE_SECONDS, check=False
    )
    written = path.with_name(f"{path.name}.{pid}")
    assert written.exists(), f"gcore wrote no core: {done.stdout} {done.stderr}"
    subprocess.run(["fallocate", "-d", str(written)], check=True, timeout=CORE_SECONDS)
    written.rename(path)


def kernel_core(program: Running, path: Path) -> None:
    """The kernel's own core: the runtime raises SIGABRT again after it has printed its tracebacks."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="utf-8").strip()
    if pattern.startswith("|") or "/" in pattern or "%" in pattern:
        absent(f"cores of the kernel go elsewhere on this machine (core_pattern is {pattern!r})", required=False)
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        absent("the hard limit of core size is not unlimited", required=False)
    program.process.send_signal(signal.SIGABRT)
    program.process.wait(CORE_SECONDS)
    written = [one for one in path.parent.iterdir() if one.name == pattern or one.name.startswith(f"{pattern}.")]
    if not written:
        absent(f"the kernel wrote no core (status {program.process.returncode})", required=False)
    written[0].rename(path)


def emulated_core(program: Running, path: Path) -> None:
    """The core of the emulated process, as qemu writes it when a signal ends that."""
    _unlimited()
    program.process.send_signal(signal.SIGABRT)
    program.process.wait(CORE_SECONDS * EMULATION)
    _written_by_qemu(path)


def core_of_child(program: Running, path: Path) -> None:
    """The same of a child of the emulated process, which goes on."""
    _unlimited()
    said = answer(program, "fork")
    assert said == b"FORKED\n", f"the program did not fork: {said!r}; see its stderr"
    _written_by_qemu(path)


def _unlimited() -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        absent("the hard limit of core size is not unlimited", required=False)


def _written_by_qemu(path: Path) -> None:
    written = list(path.parent.glob("qemu_*.core"))
    if not written:
        absent("qemu wrote no core", required=False)
    written[0].rename(path)


def analyze(core: Path, executable: Path, folder: Path) -> dict[str, Any]:
    """What ``mapscope analyze`` writes, by the command line and nothing else."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "mapscope", "analyze", str(core), str(executable), "-f", "json", "-o", str(report)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"}
    begin = time.monotonic()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ANALYZE_SECONDS,
        env=environment,
        check=False,
    )
    seconds = time.monotonic() - begin
    assert done.returncode in (0, 1), f"mapscope analyze ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return {"status": done.returncode, "stderr": done.stderr, "seconds": seconds, "document": document}
