"""What the tests of bad input stand on: small real cores, places worth spoiling, and a runner with a time limit."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from mapscope.evidence.capture import capture
from mapscope.lab import toolchains

HERE = Path(__file__).resolve().parent
SECONDS = 30.0
"""Limit for one command line; a good small core takes well under one second."""
ALLSPANS = 65864
"""Offset of ``mheap.allspans`` in Go 1.21 to 1.27 (runtime/mheap.go, by DWARF)."""
SPAN, G, MAP = 160, 440, 48
"""Bytes of an mspan, a g and a map header that are worth spoiling."""


@dataclass(frozen=True)
class Sample:
    """A small Go program, its core, and where its maps lie."""

    release: str
    program: Path
    core: Path
    maps: tuple[int, ...]
    dump: Path
    """The heap dump that it writes of itself at its end."""

    @cached_property
    def loads(self) -> list[tuple[int, int, int]]:
        """(address, bytes in the file, offset) of the segments."""
        with self.core.open("rb") as stream:
            found = [each.header for each in ELFFile(stream).iter_segments() if each.header.p_type == "PT_LOAD"]
        return [(head.p_vaddr, head.p_filesz, head.p_offset) for head in found]

    @cached_property
    def symbols(self) -> dict[str, tuple[int, int]]:
        """(address, size) of the runtime's variables."""
        with self.program.open("rb") as stream:
            table = ELFFile(stream).get_section_by_name(".symtab")
            return {each.name: (each["st_value"], each["st_size"]) for each in table.iter_symbols()}

    def offset(self, address: int) -> int | None:
        """Where a byte of memory lies in the core."""
        for start, size, offset in self.loads:
            if start <= address < start + size:
                return offset + address - start
        return None

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """Words of the process's memory."""
        where = self.offset(address)
        assert where is not None, hex(address)
        with self.core.open("rb") as stream:
            stream.seek(where)
            return struct.unpack(f"<{count}Q", stream.read(8 * count))

    @cached_property
    def regions(self) -> dict[str, list[tuple[int, int]]]:
        """Name → (offset in the core, bytes) of the parts that decide what a reader does."""
        heap, _ = self.symbols["runtime.mheap_"]
        first, count, _ = self.words(heap + ALLSPANS, 3)
        goroutines, running, _ = self.words(self.symbols["runtime.allgs"][0], 3)
        module, module_size = self.symbols["runtime.firstmoduledata"]
        spans = self.words(first, count)
        maps = [*self.maps]
        for address in self.maps:
            maps += [word for word in self.words(address, MAP // 8) if self.offset(word) is not None]
        addresses = {
            "mheap": [(heap + ALLSPANS - 256, 1024), (heap, 256)],
            "allspans": [(first, 8 * count)],
            "spans": [(address, SPAN) for address in spans],
            "goroutines": [(address, G) for address in self.words(goroutines, running)],
            "allgs": [(goroutines, 8 * running)],
            "moduledata": [(module, module_size or 600)],
            "maps": [(address, MAP) for address in maps],
        }
        found = {
            name: [(where, size) for address, size in parts if (where := self.offset(address)) is not None]
            for name, parts in addresses.items()
        }
        notes_end = min(offset for _, size, offset in self.loads if size)
        found["headers"] = [(0, notes_end)]
        found["segments"] = [(64, 56 * 24)]
        found["anywhere"] = data_extents(self.core)
        return found


def data_extents(path: Path) -> list[tuple[int, int]]:
    """(offset, bytes) of the parts of a sparse file that are no holes."""
    found = []
    with path.open("rb") as stream:
        end = os.fstat(stream.fileno()).st_size
        at = 0
        while at < end:
            try:
                at = os.lseek(stream.fileno(), at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole is left
                    break
                raise
            stop = os.lseek(stream.fileno(), at, os.SEEK_HOLE)
            found.append((at, stop - at))
            at = stop
    return found


def make_sample(release: str, folder: Path) -> Sample:
    """Builds the program with a Go release, runs it, and takes its core."""
    toolchain = toolchains.install(release)
    program = toolchain.build(HERE / "small", folder / f"small-{release}")
    core, dump = folder / f"small-{release}.core", folder / f"small-{release}.dump"
    with subprocess.Popen([program, dump], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            assert words[0] == "ready"
            capture(process.pid, core)
            process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    return Sample(release, program, core, tuple(int(word) for word in words[2:]), dump)


@dataclass(frozen=True)
class Answer:
    """What a command line did."""

    status: int
    out: str
    err: str
    seconds: float
    anonymous: int


class TimeLimit(AssertionError):
    """A command line took too long."""


class Died(AssertionError):
    """The interpreter itself died: a kernel touched memory that is not there."""


class Runner:
    """A process that runs command lines; made anew when one of them killed it or had to be killed."""

    def __init__(self, uid: int = 0) -> None:
        self._uid = uid
        self._process: subprocess.Popen[str] | None = None

    def run(self, *arguments: str | Path, seconds: float = SECONDS) -> Answer:
        """One command line. Raises TimeLimit or Died."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([str(each) for each in arguments]) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if ready else ""
        if not line:
            status = self.close()
            if ready:
                name = signal.Signals(-status).name if status < 0 else f"status {status}"
                raise Died(f"{' '.join(map(str, arguments))}: the interpreter died: {name}")
            raise TimeLimit(f"{' '.join(map(str, arguments))}: not done after {seconds:.0f} s")
        return Answer(**json.loads(line))

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            environment = {**os.environ, "WORKER_UID": str(self._uid), "MAPSCOPE_DEBUG": "0"}
            self._process = subprocess.Popen(
                [sys.executable, HERE / "worker.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        return self._process

    def close(self) -> int:
        """Ends the process; its status. A process that ended by itself keeps its own."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return process.wait()


def judge(answer: Answer) -> dict[str, Any] | None:
    """Holds for every input: a document, or one clear line with status 2. Gives back the document, if any."""
    assert answer.status in (0, 1, 2), f"status {answer.status}: {answer.err}"
    assert "Traceback" not in answer.err
    assert answer.anonymous < 1 << 30, f"{answer.anonymous} bytes of memory for a small core"
    if answer.status == 2:
        lines = answer.err.splitlines()
        assert len(lines) <= 2, answer.err
        assert lines[0].startswith("mapscope: error: "), answer.err
        assert len(lines[0]) > len("mapscope: error: ") + 10
        assert "not enough memory" not in lines[0], "memory was asked for by the word of the file"
        assert answer.out == ""
        return None
    document = json.loads(answer.out)
    assert document["schema"] == 1
    return document


def copy_sparse(source: Path, target: Path) -> Path:
    """A copy with the holes kept."""
    subprocess.run(["cp", "--sparse=always", source, target], check=True)
    return target
