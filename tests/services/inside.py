"""The first process of the virtual machine: takes cores of a program that writes its heap, and judges them.

Nothing here asserts: what was found goes to the disk, and to the test that started the machine.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
import tarfile
import time
import traceback
import zlib
from pathlib import Path

MEGABYTES = 112
CHANGES = ("scatter write drop zero", "write end guard", "scatter write drop zero end move guard new")
"""What changer.py does; a new mapping may join an old one, which then counts as written as a whole."""
STEP = 1 << 20
FINIT_MODULE = 313
RESTART = 0x01234567
LIBC = ctypes.CDLL(None, use_errno=True)


def prepare() -> None:
    for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/scratch")):
        if LIBC.mount(kind.encode(), where.encode(), kind.encode(), 0, None):
            raise OSError(ctypes.get_errno(), f"cannot mount {where}")
    for path in sorted(Path("/modules").iterdir()):
        descriptor = os.open(path, os.O_RDONLY)
        if LIBC.syscall(FINIT_MODULE, descriptor, b"", 0):
            raise OSError(ctypes.get_errno(), f"cannot load {path}")
        os.close(descriptor)


def checksums(pid: int) -> list[tuple[int, int, int]]:
    """(address, bytes, checksum) of all that a core must hold now, by /proc/PID/mem."""
    from mapscope.evidence import plan, procfs

    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for each in plan.make(pid, procfs.mappings(pid)):
            for start, end in each.ranges:
                for at in range(start, end, STEP):
                    data = os.pread(memory.fileno(), min(STEP, end - at), at)
                    found.append((at, len(data), zlib.crc32(data)))
    return found


def differences(core: Path, expected: list[tuple[int, int, int]]) -> int:
    """How many of them the core holds otherwise, or not."""
    raw = core.open("rb")
    head = raw.read(64)
    table, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    loads = []
    for number in range(count):
        entry = os.pread(raw.fileno(), 56, table + number * size)
        kind, _, offset, address, _, kept, _, _ = struct.unpack("<IIQQQQQQ", entry)
        if kind == 1 and kept:
            loads.append((address, kept, offset))
    wrong = 0
    for address, length, checksum in expected:
        data = b""
        for start, kept, offset in loads:
            if start <= address and address + length <= start + kept:
                data = os.pread(raw.fileno(), length, offset + address - start)
        wrong += zlib.crc32(data) != checksum or len(data) != length
    raw.close()
    return wrong


def taken(pid: int, core: Path, wish: bool | None) -> dict[str, object]:
    """One capture, and whether it holds what the process had in memory within the same stop."""
    from mapscope.evidence.capture import Limits, capture
    from mapscope.evidence.copier import Copier

    expected: list[tuple[int, int, int]] = []
    copied = Copier.copy

    def copy(self: Copier, plans: object) -> None:
        copied(self, plans)  # type: ignore[arg-type]
        expected.extend(checksums(pid))

    Copier.copy = copy  # type: ignore[method-assign, assignment]
    try:
        result = capture(pid, core, overwrite=True, limits=Limits(precopy=wish))
    finally:
        Copier.copy = copied  # type: ignore[method-assign]
    wrong = differences(core, expected)
    if core.name != "core":
        core.unlink()  # it lies in memory
    return {
        "bytes": result.bytes_written,
        "stopped_bytes": result.stopped_bytes,
        "in_use": result.bits_in_use,
        "missing": len(result.missing),
        "compared": sum(size for _, size, _ in expected),
        "differences": wrong,
    }


def started(huge: str) -> tuple[subprocess.Popen[str], object]:
    """The program at work, with or without huge pages, and what it says of itself."""
    Path("/sys/kernel/mm/transparent_hugepage/enabled").write_text(huge)
    program = subprocess.Popen(
        ["/churner", str(MEGABYTES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={"GOMAXPROCS": "2"},
    )
    assert program.stdout is not None
    truth = json.loads(program.stdout.readline())
    program.stdout.readline()
    return program, truth


def rounds(program: subprocess.Popen[str]) -> int:
    """How far the program is."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("x\n")
    return int(program.stdout.readline())


def work() -> dict[str, object]:
    from mapscope.evidence import softdirty

    answer: dict[str, object] = {"tracked": softdirty.tracked()}
    program, answer["truth"] = started("never")
    answer["first"] = taken(program.pid, Path("/scratch/core"), None)
    answer["again"] = taken(program.pid, Path("/scratch/again"), None)
    answer["forced"] = taken(program.pid, Path("/scratch/again"), True)
    answer["plain"] = taken(program.pid, Path("/scratch/again"), False)
    unchanged = softdirty.unchanged
    softdirty.unchanged = lambda _, asked: asked  # type: ignore[assignment]
    answer["blind"] = taken(program.pid, Path("/scratch/again"), True)
    softdirty.unchanged = unchanged
    now = rounds(program)
    deadline = time.monotonic() + 30
    while rounds(program) == now and time.monotonic() < deadline:
        os.sched_yield()
    answer["rounds"] = [now, rounds(program)]
    program.kill()
    program.wait()
    program, _ = started("always")
    answer["huge"] = taken(program.pid, Path("/scratch/again"), True)
    program.kill()
    program.wait()
    for huge in ("never", "always"):
        answer[f"changed {huge}"] = [changed(huge, words) for words in CHANGES]
    return answer


def changed(huge: str, words: str) -> dict[str, object]:
    """A capture of the other program, which changes its memory between the first copy, which is kept, and the stop."""
    from mapscope.evidence import precopy
    from mapscope.evidence.copier import Copier

    Path("/sys/kernel/mm/transparent_hugepage/enabled").write_text(huge)
    command = [sys.executable, "/changer.py"]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdout.readline()
    hold = Copier.hold
    said = []

    def held(self: Copier, plans: object) -> object:
        found = hold(self, plans)  # type: ignore[arg-type]
        program.stdin.write(f"{words}\n")  # type: ignore[union-attr]
        said.append(program.stdout.readline())  # type: ignore[union-attr]
        return found

    pays = precopy._pays
    precopy._pays = lambda *_: True
    Copier.hold = held  # type: ignore[method-assign, assignment]
    try:
        return {**taken(program.pid, Path("/scratch/again"), True), "said": said}
    finally:
        precopy._pays = pays
        Copier.hold = hold  # type: ignore[method-assign]
        program.kill()
        program.wait()


def main() -> None:
    try:
        prepare()
        answer = work()
    except BaseException:
        answer = {"error": traceback.format_exc()}
    Path("/scratch/answer.json").write_text(json.dumps(answer))
    with tarfile.open("/dev/vda", "w:") as archive:
        for name in ("answer.json", "core"):
            if Path("/scratch", name).exists():
                archive.add(f"/scratch/{name}", name)
    os.sync()
    LIBC.reboot(RESTART)


main()
