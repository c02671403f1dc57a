"""Takes a core of a live process by reading its memory, as gcore does, but leaves reserved space out of the file.

The process stands still while it is read and goes on afterwards, whatever happens. Kept, as by the kernel with its
default ``coredump_filter``: anonymous memory, shared anonymous memory, private file mappings that the process may write
or has written, and the first page of each ELF file. Left out, and said to be left out (``p_filesz`` < ``p_memsz``):
unmodified file pages, which the file itself still has, and reservations without access.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mapscope.errors import EvidenceError
from mapscope.evidence import corewriter, procfs, ptrace
from mapscope.evidence.corewriter import CoreLayout, Segment
from mapscope.evidence.procfs import PAGE, Mapping
from mapscope.units import human_bytes

CHUNK = 4 << 20
"""Bytes copied at once."""
_REGISTER_BYTES = {"x86_64": 216, "aarch64": 272}
"""Size of ``struct user_regs_struct``; another size is a process of another word size."""
_PF_KTHREAD = 0x00200000
"""include/linux/sched.h"""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Progress = Callable[[int, int], None]
"""Called with the bytes copied so far and the bytes to copy."""


@dataclass(frozen=True, slots=True)
class MissingRange:
    """Memory that should be in the core and could not be read."""

    start: int
    end: int
    mapping: str


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """What was written."""

    path: Path
    pause_seconds: float
    """How long the process stood still."""
    bytes_written: int
    """Bytes of memory in the core; the file may be larger, with holes."""
    threads: int
    missing: tuple[MissingRange, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A segment and the address ranges to copy into it."""

    segment: Segment
    ranges: list[tuple[int, int]]


def capture(pid: int, path: Path | str, *, overwrite: bool = False, progress: Progress | None = None) -> CaptureResult:
    """Writes a core of process ``pid`` to ``path`` (mode 0600; under another name until it is whole).

    Raises EvidenceError when the process is not there, may not be read, is traced already or is a zombie, when ``path``
    exists and ``overwrite`` is not set, and when the disk is full; nothing is left behind then.
    """
    target = Path(path)
    _check_process(pid)
    if target.exists() and not overwrite:
        raise EvidenceError(f"{target} exists already", "name another file, or allow it to be overwritten")
    file, name = _temporary(target)
    try:
        _check_space(pid, target)
        result = _stop_and_write(pid, file, target, progress)
        os.replace(name, target)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError):
            raise _explain(error, pid, target) from error
        raise
    finally:
        os.close(file)
    return result


def _stop_and_write(pid: int, file: int, target: Path, progress: Progress | None) -> CaptureResult:
    began = time.monotonic()
    with ptrace.stopped(pid) as process:
        maps = procfs.mappings(pid)
        plans = _plan(pid, maps)
        layout = CoreLayout(_machine(), _notes(process, maps), [plan.segment for plan in plans])
        threads = len(process.threads)
        copier = _Copier(pid, file, sum(end - start for plan in plans for start, end in plan.ranges), progress)
        try:
            for plan in plans:
                copier.copy(plan)
        finally:
            copier.close()
    pause = time.monotonic() - began
    os.ftruncate(file, layout.size)
    _write(file, layout.headers(), 0)
    _write(file, layout.trailer(), layout.size)
    missing = tuple(
        MissingRange(start, end, plan.segment.mapping.path) for plan in plans for start, end in plan.segment.missing
    )
    return CaptureResult(target, pause, copier.copied, threads, missing)


def _machine() -> int:
    name = platform.machine()
    if name not in corewriter.MACHINES:
        raise EvidenceError(f"cannot take a core on {name}", "take it with gcore, or let the kernel write one")
    return corewriter.MACHINES[name]


def _notes(process: ptrace.Stopped, maps: list[Mapping]) -> bytes:
    """The notes in the kernel's order: the first thread, then the process, then the other threads."""
    pid = process.pid
    parts = []
    for tid in process.threads:
        registers = process.registers(tid)
        if len(registers) != _REGISTER_BYTES.get(platform.machine(), len(registers)):
            raise EvidenceError(f"process {pid} is not a 64-bit process", "only 64-bit Go programs can be read")
        task = procfs.status(pid, tid)
        status = corewriter.prstatus(tid, task, registers, process.signal(tid))
        parts.append(corewriter.note(ptrace.NT_PRSTATUS, status))
        if len(parts) == 1:
            info = corewriter.prpsinfo(pid, procfs.status(pid), procfs.command_line(pid))
            parts.append(corewriter.note(corewriter.NT_PRPSINFO, info))
            parts.append(corewriter.note(corewriter.NT_AUXV, procfs.auxiliary_vector(pid)))
            parts.append(corewriter.note(corewriter.NT_FILE, corewriter.file_note(maps)))
        parts.append(corewriter.note(ptrace.NT_PRFPREG, process.registers(tid, ptrace.NT_PRFPREG)))
    return b"".join(parts)


def _plan(pid: int, maps: list[Mapping]) -> list[_Plan]:
    pages = procfs.Pagemap(pid)
    try:
        return [_plan_of(mapping, pages) for mapping in maps if mapping.path not in ("[vvar]", "[vsyscall]")]
    finally:
        pages.close()


def _plan_of(mapping: Mapping, pages: procfs.Pagemap) -> _Plan:
    """What to keep of one mapping."""
    whole = [(mapping.start, mapping.end)]
    if mapping.path.startswith("[vvar"):
        return _Plan(Segment(mapping, 0), [])
    if mapping.path == "[vdso]":
        return _Plan(Segment(mapping, mapping.size), whole)
    if mapping.shared:
        # Pages of shared memory that this process has not touched may hold another's bytes: all of it, or nothing.
        keep = mapping.readable and not mapping.has_file
        return _Plan(Segment(mapping, mapping.size if keep else 0), whole if keep else [])
    if mapping.has_file:
        if mapping.path.startswith("/dev/"):
            return _Plan(Segment(mapping, 0), [])
        if (mapping.readable and mapping.writable) or any(pages.runs(*whole[0], private_only=True)):
            return _Plan(Segment(mapping, mapping.size), whole)
        head = PAGE if mapping.offset == 0 and mapping.readable else 0
        return _Plan(Segment(mapping, head), [(mapping.start, mapping.start + head)] if head else [])
    runs = list(pages.runs(*whole[0]))
    # What is not resident in private anonymous memory reads as zero, so a hole says the truth; without access, nothing
    # does.
    kept = mapping.size if mapping.readable or runs else 0
    return _Plan(Segment(mapping, kept), runs)


class _Copier:
    """Copies memory of a stopped process into the file: process_vm_readv(2), else ``/proc/PID/mem``."""

    def __init__(self, pid: int, file: int, total: int, progress: Progress | None) -> None:
        self._pid = pid
        self._file = file
        self._total = total
        self._progress = progress
        self._buffer = ctypes.create_string_buffer(CHUNK)
        self._view = memoryview(self._buffer).cast("B")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.process_vm_readv.restype = ctypes.c_ssize_t
        self._memory = os.open(procfs.task_folder(pid) / "mem", os.O_RDONLY | os.O_CLOEXEC)
        self.copied = 0

    def close(self) -> None:
        """Gives the file descriptor back."""
        os.close(self._memory)

    def copy(self, plan: _Plan) -> None:
        """Copies the ranges of one segment; what cannot be read is noted in ``segment.missing``."""
        segment = plan.segment
        sparse = segment.mapping.shared
        for start, end in plan.ranges:
            for address, size, have in self._read(start, end):
                if not have:
                    _add_missing(segment, address, address + size)
                    continue
                data = self._view[:have]
                if not sparse or np.frombuffer(data, dtype=np.uint8).any():
                    _write(self._file, data, segment.offset + address - segment.mapping.start)
                self.copied += have
                if self._progress:
                    self._progress(self.copied, self._total)

    def _read(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(address, bytes asked, bytes now in the buffer: all asked or none), over [start, end)."""
        step = CHUNK
        while start < end:
            size = min(step, end - start)
            have = self._read_once(start, size)
            if have == 0 and size > PAGE:
                step = PAGE  # find the page that cannot be read, one at a time
                continue
            got = have // PAGE * PAGE if have < size else have
            yield start, got or size, got
            start += got or size
            step = CHUNK if got else PAGE

    def _read_once(self, address: int, size: int) -> int:
        """Bytes read into the buffer; 0 when the first page cannot be read."""
        here = ptrace.IoVec(ctypes.addressof(self._buffer), size)
        there = ptrace.IoVec(address, size)
        count = self._libc.process_vm_readv(
            self._pid, ctypes.byref(here), ctypes.c_ulong(1), ctypes.byref(there), ctypes.c_ulong(1), ctypes.c_ulong(0)
        )
        if count > 0:
            return int(count)
        try:
            return os.preadv(self._memory, [self._view[:size]], address)
        except OSError as error:
            if error.errno in (errno.EIO, errno.EFAULT, errno.ENXIO):
                return 0
            raise


def _add_missing(segment: Segment, start: int, end: int) -> None:
    if segment.missing and segment.missing[-1][1] == start:
        start = segment.missing.pop()[0]
    segment.missing.append((start, end))


def _write(file: int, data: bytes | memoryview, offset: int) -> None:
    """All of ``data`` at ``offset``; pwrite(2) may take less at a time."""
    rest = memoryview(data)
    while rest:
        done = os.pwrite(file, rest, offset)
        offset += done
        rest = rest[done:]


def _temporary(target: Path) -> tuple[int, str]:
    try:
        return tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise EvidenceError(
            f"cannot write in {target.parent}: {error.strerror}",
            "name a file in a folder that exists and that you may write",
        ) from error


def _check_process(pid: int) -> None:
    """Says what is wrong before anything is stopped."""
    if pid == os.getpid():
        raise EvidenceError("a process cannot take its own core", "give the PID of another process")
    try:
        task = procfs.status(pid)
    except OSError as error:
        raise _explain(error, pid, None) from error
    if task.state in "ZX":
        raise EvidenceError(
            f"process {pid} ({task.name}) has ended: it is a zombie",
            f"its memory is gone; its parent is process {task.ppid}",
        )
    if task.tracer:
        raise EvidenceError(
            f"process {pid} ({task.name}) is traced already by process {task.tracer}",
            "end that debugger or strace first: a process can have one tracer only",
        )
    if task.flags & _PF_KTHREAD:
        raise EvidenceError(f"process {pid} ({task.name}) has no memory of its own", "give the PID of a program")


def _check_space(pid: int, target: Path) -> None:
    """Full disks are better found before the process is stopped."""
    need = procfs.status(pid).anonymous_bytes
    disk = os.statvfs(target.parent)
    free = disk.f_bavail * disk.f_frsize
    if need > free:
        raise EvidenceError(
            f"{target.parent} has {human_bytes(free)} free, the core of process {pid} needs about {human_bytes(need)}",
            "name a file on a disk with more room",
        )


def _explain(error: OSError, pid: int, target: Path | None) -> EvidenceError:
    """The error of the system in words for the user, with what helps."""
    if error.errno in (errno.ENOENT, errno.ESRCH):
        return EvidenceError(
            f"no process {pid}", "`pgrep -a NAME` lists PIDs; in a container use the PID seen from here"
        )
    if error.errno in (errno.EPERM, errno.EACCES):
        return EvidenceError(f"not permitted to read the memory of process {pid}", _permission_hint(pid))
    if error.errno in _FULL and target is not None:
        why = "the limit on the size of files is reached" if error.errno == errno.EFBIG else "the disk is full"
        return EvidenceError(
            f"cannot write {target}: {why}", "name a file on a disk with more room (nothing was left behind)"
        )
    return EvidenceError(
        f"cannot take a core of process {pid}: {error.strerror or error}", "try again; gcore is another way to a core"
    )


def _permission_hint(pid: int) -> str:
    """The exact line that helps."""
    try:
        owner = procfs.status(pid).uid
    except OSError:
        owner = os.geteuid()
    if owner != os.geteuid():
        return f"run this as root or as the owner of the process: sudo -u '#{owner}' mapscope …"
    yama = Path("/proc/sys/kernel/yama/ptrace_scope")
    scope = yama.read_text(encoding="ascii").strip() if yama.exists() else "0"
    if scope == "1":
        return (
            "run this with sudo, or allow it until the next boot: echo 0 | sudo tee /proc/sys/kernel/yama/ptrace_scope"
        )
    if scope in ("2", "3"):
        return f"run this as root (kernel.yama.ptrace_scope is {scope}" + (
            "; with 3 not even root may)" if scope == "3" else ")"
        )
    return "run this with sudo; in a container start it with --cap-add=SYS_PTRACE"
