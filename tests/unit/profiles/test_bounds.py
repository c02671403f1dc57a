"""Hostile text of 75 MB takes a bounded amount of memory: a process that may have no more reads or refuses it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mapscope.profiles.textual import MAX_TEXT

SIZE = 75 << 20
ROOM = 700 << 20
"""Bytes of addresses that the process may map beyond what it has when its modules are loaded: the text too."""
READER = f"""
import resource, sys
import numpy as np
from mapscope.errors import EvidenceError
from mapscope.profiles.classify import classify
from mapscope.profiles.fetch import read_profile
import mapscope.profiles.textual, mapscope._kernels, mapscope.report.profile_build as report
assert mapscope._kernels.load("proftext").__name__.endswith("_proftext"), "the kernels are not built"
np.unique(np.arange(3)), mapscope._kernels.load("interning"), mapscope._kernels.load("stacktext")
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + {ROOM}, size + {ROOM}))
try:
    profile = read_profile(sys.argv[1])
    heaps = [classify(profile, None)] if profile.kind == "heap" else []
    report.build_profile(heaps, [] if heaps else [profile])
    print("read", len(profile))
except EvidenceError as error:
    print(error)
"""
COUNTS = b"goroutine profile: total 5\n"


def repeated(head: bytes, piece: bytes) -> Iterator[bytes]:
    yield head
    yield piece * ((SIZE - len(head)) // len(piece))


def distinct_addresses() -> Iterator[bytes]:
    """As many different return addresses as there is room for."""
    yield COUNTS
    for first in range(1 << 20, (1 << 20) + SIZE // 9, 1000):
        yield b"1 @" + b"".join(b" 0x%x" % at for at in range(first, first + 1000)) + b"\n"


def distinct_places() -> Iterator[bytes]:
    """As many different named places, and stacks, as may be."""
    yield b"heap profile: 1: 1 [1: 1] @ heap/1048576\n"
    for number in range(520_000):
        head = b"1: %d [1: %d] @ 0x%x 0x%x\n" % (number, number, number, number + (1 << 40))
        yield head + b"#\t0x%x\tmain.functionOfAProgram%d+0x1\t\t/source/of/a/program/main.go:%d\n" % (
            number - 1 if number else 0, number, number,
        )  # fmt: skip


def distinct_goroutines() -> Iterator[bytes]:
    """As many goroutines as there is room for, each in a function of its own."""
    piece = (
        b"goroutine %d [chan receive, %d minutes]:\nmain.f%d(0x1)\n\t/a.go:%d +0x%x\n"
        b"created by main.m in goroutine 1\n\t/b.go:3 +0x1\n\n"
    )
    for number in range(SIZE // 140):
        yield piece % (number, number % 100, number, number, number)


CASES: dict[str, Callable[[], Iterator[bytes]]] = {
    "addresses": distinct_addresses,
    "places": distinct_places,
    "goroutines": distinct_goroutines,
    "one address": lambda: repeated(COUNTS, b"1 @" + b" 0x1" * 4000 + b"\n"),
    "records": lambda: repeated(COUNTS, b"1 @\n"),
    "a million records": lambda: iter([COUNTS, b"1 @ 0x1\n" * (1 << 20)]),
    "names": lambda: repeated(COUNTS + b"1 @ 0x1\n", b"#\t0x0\ta+0x1\t:1\n"),
    "statistics": lambda: repeated(COUNTS + b"1 @ 0x1\n", b"# a = 1\n"),
    "heads": lambda: repeated(b"", b"goroutine 1 []:\n"),
    "a million heads": lambda: iter([b"goroutine 1 []:\n\n" * (1 << 20)]),
    "frames": lambda: repeated(b"goroutine 1 [x]:\n", b"f\n\t:1\n"),
    "colons": lambda: repeated(b"goroutine 1 [x]:\nf\n\t", b":1"),
    "line feeds": lambda: repeated(COUNTS, b"\n"),
    "one line": lambda: repeated(COUNTS + b"1 @ 0x1\n#\t0x0\t", b"+0x1\t"),
}
REFUSED = {"addresses", "one address", "records", "names", "statistics"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CASES)
def test_memory_for_hostile_text_is_bounded(name: str, tmp_path: Path):
    path = tmp_path / "text"
    with open(path, "wb") as out:
        out.writelines(CASES[name]())
    assert (60 << 20) < path.stat().st_size <= MAX_TEXT or name.startswith("a million")
    done = subprocess.run(
        [sys.executable, "-c", READER, path], capture_output=True, text=True, check=False, timeout=250,
        env={"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")},
    )  # fmt: skip
    path.unlink()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(path) if name in REFUSED else "read"), done.stdout
    assert ("are read" in done.stdout) == (name in REFUSED)
