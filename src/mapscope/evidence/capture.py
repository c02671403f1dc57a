"""Takes a core of a live process by reading its memory, as gcore does, but leaves reserved space out of the file.

The process stands still while it is read and goes on afterwards, whatever happens. What is kept says
:mod:`mapscope.evidence.plan`. Nothing has the final name before it is whole, and nothing is left when it is not.
"""

from __future__ import annotations

import errno
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct

from mapscope.errors import EvidenceError
from mapscope.evidence import collapsing, corewriter, forking, plan, precopy, procfs, ptrace
from mapscope.evidence.check import check_process, check_space, explain, program
from mapscope.evidence.copier import Buffers, Copier
from mapscope.evidence.core import data_ranges
from mapscope.evidence.corewriter import CoreLayout
from mapscope.evidence.forksafe import check_fork
from mapscope.evidence.packed import pack
from mapscope.evidence.pausing import Interrupted, Pause, deferred_signals
from mapscope.evidence.privatefile import PrivateFile, anonymous
from mapscope.evidence.procfs import Mapping, TaskStatus
from mapscope.units import human_bytes

_REGISTER_BYTES = {"x86_64": 216, "aarch64": 272}
"""Size of ``struct user_regs_struct``; another size is a process of another word size."""
_SLACK = 16 << 20
"""How much a process may grow between the first look and the stop before buffers are too small."""
_CHANGED = 4
"""One part in so many may change between a copy before the stop and the stop, and have room in buffers besides."""
_PROGRESS_SECONDS = 0.1

Progress = Callable[[str, int, int], None]
"""Called with what is being done, in words, the bytes done so far, and the bytes to do."""
_COPYING, _GATHERING = "copying memory", "gathering memory in huge pages"


class MissingRange(Struct, frozen=True):
    """Memory that should be in the core and could not be read."""

    start: int
    end: int
    mapping: str


class Limits(Struct, frozen=True):
    """How to pause the process, and when to give up."""

    max_bytes: int | None = None
    """Bytes of memory that the core may hold."""
    max_pause: float | None = None
    """Seconds that the process may stand still."""
    pause: Literal["stop", "fork"] = "stop"
    """``stop``: it stands still while its memory is copied; ``fork``: only while a copy-on-write copy is made."""
    precopy: bool | None = None
    """With ``stop``: copy what can be copied before. None: where it pays and takes nobody's soft-dirty bits away."""
    collapse: bool | None = None
    """With ``fork``: let the kernel gather memory in huge pages before. None: where it pays."""


class CaptureResult(Struct, frozen=True):
    """What was written."""

    path: Path
    pause_seconds: float
    """How long the process stood still."""
    bytes_written: int
    """Bytes of memory in the core; the file may be larger, with holes."""
    threads: int
    missing: tuple[MissingRange, ...]
    program: str
    """Path of the program, as the process itself sees it."""
    stopped_bytes: int = 0
    """Bytes that were copied while it stood still; with a frozen copy, none."""
    bits_in_use: bool = False
    """Nothing was copied before the stop because somebody may rely on the process's soft-dirty bits."""
    gathered_bytes: int = 0
    """Bytes of the process's memory that were gathered in huge pages before the stop."""


class _Thread(Struct, frozen=True):
    """One stopped thread: what its notes are made of."""

    tid: int
    registers: bytes
    floats: bytes
    signal: int


def capture(
    pid: int,
    path: Path | str,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> CaptureResult:
    """Writes a core of process ``pid`` to ``path`` (mode 0600; without a name until it is whole).

    Raises EvidenceError when the process is not there, may not be read, is traced already, is a zombie, or ends
    meanwhile, when ``path`` exists and ``overwrite`` is not set, when a limit is reached, and when the disk is full;
    nothing is left behind then.
    """
    target = Path(path)
    check_process(pid)
    try:
        if target.exists() and not overwrite:
            raise EvidenceError(
                f"{target} exists already", "name another file, or allow it to be overwritten (--force)"
            )
        if target.exists() and not target.is_file():
            raise EvidenceError(
                f"{target} is no regular file", "name a file: a core has holes, which only files can have"
            )
        file = PrivateFile(target)
    except OSError as error:
        raise EvidenceError(
            f"cannot write in {target.parent}: {error.strerror}",
            "name a file in a folder that exists and that you may write",
        ) from error
    with file:
        if target.suffix == ".zst":
            result = _capture_packed(pid, file.fd, target, progress, limits)
        else:
            result = capture_into(pid, file.fd, target, progress=progress, limits=limits)
        try:
            file.keep(overwrite=overwrite)
        except FileExistsError as error:
            raise EvidenceError(
                f"{target} exists already", "name another file, or allow it to be overwritten"
            ) from error
        except OSError as error:
            raise explain(error, pid, target) from error
    return result


def capture_into(
    pid: int, file: int, target: Path, *, progress: Progress | None = None, limits: Limits | None = None
) -> CaptureResult:
    """Writes a core of process ``pid`` to the file descriptor ``file``; ``target`` is its name in messages.

    Raises EvidenceError as :func:`capture` does.
    """
    check_process(pid)
    try:
        return _Capture(pid, file, target, progress, limits or Limits()).run()
    except Interrupted as error:
        raise KeyboardInterrupt from error
    except ProcessLookupError as error:
        raise _ended(pid) from error
    except OSError as error:
        if not procfs.task_folder(pid).exists():
            raise _ended(pid) from error
        raise explain(error, pid, target) from error


def _capture_packed(
    pid: int, file: int, target: Path, progress: Progress | None, limits: Limits | None
) -> CaptureResult:
    """Captures to a file without a name in the folder of ``target``, and packs that."""
    try:
        plain = anonymous(target.parent)
    except OSError as error:
        raise explain(error, pid, target) from error
    try:
        result = capture_into(pid, plain, target, progress=progress, limits=limits)
        packed = 0

        def write(data: bytes) -> None:
            nonlocal packed
            write_at(file, data, packed)
            packed += len(data)

        pack(plain, data_ranges(f"/proc/self/fd/{plain}"), write)
    except OSError as error:
        raise explain(error, pid, target) from error
    finally:
        os.close(plain)
    return result


def _ended(pid: int) -> EvidenceError:
    return EvidenceError(
        f"process {pid} ended while it was captured", "start it again and give the new PID (nothing was left behind)"
    )


class _Capture:
    """One capture: look, stop, copy, let go, write."""

    def __init__(self, pid: int, file: int, target: Path, progress: Progress | None, limits: Limits) -> None:
        self._pid = pid
        self._file = file
        self._target = target
        self._progress = progress
        self._limits = limits
        self._pause = Pause(limits.max_pause)
        self._total = 0
        self._shown = 0.0
        self._program = program(pid)
        self._tasks: dict[int, TaskStatus] = {}
        self._copier: Copier | None = None
        self._stopped_bytes = 0
        self._in_use = False
        self._gathered = 0

    def run(self) -> CaptureResult:
        """All of it."""
        machine = _machine()
        looked = self._look()
        if self._limits.pause == "fork":
            return self._from_copy(machine, looked)
        needed = sum(each.size for each in looked) + _SLACK
        refused = precopy.allowed(self._pid, looked, self._limits.precopy)
        self._in_use = refused == precopy.IN_USE
        buffers = Buffers(needed if refused else needed + needed // _CHANGED)
        copier = self._copier = Copier(self._pid, buffers, self._write, self._check)
        try:
            ahead = None if refused or buffers.size < needed else self._ahead(copier)
            before = copier.read
            with deferred_signals(self._pause), ptrace.stopped(self._pid, self._pause) as process:
                maps = procfs.mappings(self._pid)
                plans = self._planned(self._pid, maps)
                threads = [self._thread(process, tid) for tid in process.threads]
                layout = CoreLayout(machine, self._notes(threads, maps), [each.segment for each in plans])
                with self._pause.tearable():
                    rest = precopy.rest(self._pid, ahead, plans) if ahead else None
                    copier.copy(plan.in_order(rest.plans if rest else plans))
            self._stopped_bytes = copier.read - before
            if process.lost:
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
            if ahead and rest:
                precopy.hand_on(copier, ahead, rest)
            copier.finish(self._show)
        finally:
            copier.close()
        return self._complete(layout, plans, len(threads), copier)

    def _ahead(self, copier: Copier) -> precopy.Ahead | None:
        """What is copied before the stop; None where the kernel does not let us note writes, unless that was asked."""
        try:
            return precopy.take(self._pid, copier)
        except PermissionError:
            if self._limits.precopy:
                raise
            return None

    def _from_copy(self, machine: int, looked: list[plan.Plan]) -> CaptureResult:
        """Lets the process go as soon as there is a frozen copy of it, and reads that."""
        check_fork(self._pid)
        code = forking.find_code(self._pid)
        wish = self._limits.collapse
        if not collapsing.allowed(self._pid, looked, wish):
            self._gathered = collapsing.collapse(self._pid, looked, wish, self._show_gathering)
        buffers = Buffers(0)
        copy: forking.Copy | None = None
        try:  # from here on: a signal that came meanwhile takes effect at the end of the inner block
            with deferred_signals(self._pause), ptrace.stopped(self._pid, self._pause) as process:
                self._pause.check()
                threads = [self._thread(process, tid) for tid in process.threads]
                copy = forking.fork(process, code)
            copy.close_files()
            maps = procfs.mappings(copy.pid)
            plans = self._planned(copy.pid, maps)
            layout = CoreLayout(machine, self._notes(threads, maps), [each.segment for each in plans])
            copier = self._copier = Copier(copy.pid, buffers, self._write, self._show)
            try:
                copier.copy(plan.in_order(plans))
                copier.finish(self._show)
            finally:
                copier.close()
        finally:
            if copy is not None:
                copy.end()
        return self._complete(layout, plans, len(threads), copier)

    def _look(self) -> list[plan.Plan]:
        """What will be copied, as far as it can be told before the stop; full disks are better found then."""
        plans = self._planned(self._pid, procfs.mappings(self._pid))
        for tid in procfs.threads(self._pid):
            try:
                self._tasks[tid] = procfs.status(self._pid, tid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
        check_space(self._pid, self._target.parent, sum(each.size for each in plans))
        return plans

    def _planned(self, pid: int, maps: list[Mapping]) -> list[plan.Plan]:
        plans = plan.make(pid, maps)
        self._total = sum(each.size for each in plans)
        limit = self._limits.max_bytes
        if limit is not None and self._total > limit:
            raise EvidenceError(
                f"a core of process {self._pid} holds {human_bytes(self._total)} of memory, more than the "
                f"{human_bytes(limit)} that were allowed",
                "allow more with --max-bytes; the process runs on, nothing was left behind",
            )
        return plans

    def _thread(self, process: ptrace.Stopped, tid: int) -> _Thread:
        registers = process.registers(tid)
        if len(registers) != _REGISTER_BYTES.get(platform.machine(), len(registers)):
            raise EvidenceError(f"process {self._pid} is not a 64-bit process", "only 64-bit Go programs can be read")
        return _Thread(tid, registers, process.registers(tid, ptrace.NT_PRFPREG), process.signal(tid))

    def _notes(self, threads: list[_Thread], maps: list[Mapping]) -> bytes:
        """The notes in the kernel's order: the first thread, then the process, then the other threads."""
        pid = self._pid
        parts = []
        for thread in threads:
            task = self._tasks.get(thread.tid) or self._tasks.get(pid) or procfs.status(pid)
            status = corewriter.prstatus(thread.tid, task, thread.registers, thread.signal)
            parts.append(corewriter.note(ptrace.NT_PRSTATUS, status))
            if len(parts) == 1:
                info = corewriter.prpsinfo(pid, task, procfs.command_line(pid))
                parts.append(corewriter.note(corewriter.NT_PRPSINFO, info))
                parts.append(corewriter.note(corewriter.NT_AUXV, procfs.auxiliary_vector(pid)))
                parts.append(corewriter.note(corewriter.NT_FILE, corewriter.file_note(maps)))
            parts.append(corewriter.note(ptrace.NT_PRFPREG, thread.floats))
        return b"".join(parts)

    def _check(self) -> None:
        self._pause.check()
        self._show()

    def _show_gathering(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._progress and now - self._shown >= _PROGRESS_SECONDS:
            self._shown = now
            self._progress(_GATHERING, done, total)

    def _show(self) -> None:
        """Tells the progress, seldom: each byte counts half when it is read and half when it is written."""
        now = time.monotonic()
        if self._progress and self._copier and now - self._shown >= _PROGRESS_SECONDS:
            self._shown = now
            self._progress(_COPYING, (self._copier.read + self._copier.written) // 2, self._total)

    def _write(self, data: memoryview, offset: int) -> None:
        write_at(self._file, data, offset)

    def _complete(self, layout: CoreLayout, plans: list[plan.Plan], threads: int, copier: Copier) -> CaptureResult:
        os.ftruncate(self._file, layout.size)
        write_at(self._file, layout.headers(), 0)
        write_at(self._file, layout.trailer(), layout.size)
        if self._progress:
            self._progress(_COPYING, copier.read, self._total)
        missing = tuple(
            MissingRange(start, end, each.segment.mapping.path) for each in plans for start, end in each.segment.missing
        )
        return CaptureResult(
            path=self._target,
            pause_seconds=self._pause.seconds,
            bytes_written=copier.read,
            threads=threads,
            missing=missing,
            program=self._program,
            stopped_bytes=self._stopped_bytes,
            bits_in_use=self._in_use,
            gathered_bytes=self._gathered,
        )


def _machine() -> int:
    name = platform.machine()
    if name not in corewriter.MACHINES:
        raise EvidenceError(f"cannot take a core on {name}", "take it with gcore, or let the kernel write one")
    return corewriter.MACHINES[name]


def write_at(file: int, data: bytes | memoryview, offset: int) -> None:
    """All of ``data`` at ``offset``; pwrite(2) may take less at a time."""
    rest = memoryview(data)
    while rest:
        done = os.pwrite(file, rest, offset)
        offset += done
        rest = rest[done:]
