"""Stops every thread of a process, reads registers, and lets it go again: ptrace(2).

PTRACE_SEIZE and PTRACE_INTERRUPT are used, never PTRACE_ATTACH: they send no SIGSTOP, so nothing can be left behind.
When the tracer dies the kernel detaches and every thread goes on by itself (``exit_ptrace`` in kernel/ptrace.c of
Linux).
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mapscope.errors import EvidenceError
from mapscope.evidence import procfs

_DETACH = 17
_GETREGSET = 0x4204
_SEIZE = 0x4206
_INTERRUPT = 0x4207
_EVENT_STOP = 128
_WALL = 0x40000000

NT_PRSTATUS = 1
NT_PRFPREG = 2
STOP_SECONDS = 10.0
"""How long a thread may take to stop: one in an uninterruptible wait of the kernel does not before it ends."""
_POLL_SECONDS = 0.0002
_REGSET_LIMIT = 4096

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]


class IoVec(ctypes.Structure):
    """``struct iovec`` of readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> None:
    ctypes.set_errno(0)
    if _libc.ptrace(request, tid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Stopped:
    """A process whose threads all stand still. Belongs to the thread that made it, as ptrace wants it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.threads: list[int] = []
        """Stopped threads, the first thread of the process first."""
        self._running: set[int] = set()
        self._signals: dict[int, int] = {}

    def stop(self) -> None:
        """Stops all threads, those too that start meanwhile. OSError when we may not, EvidenceError on a timeout."""
        gone: set[int] = set()
        while True:
            known = {*self.threads, *gone}
            new = [tid for tid in procfs.threads(self.pid) if tid not in known]
            if not new:
                break
            for tid in new:
                if self._seize(tid):
                    self._running.add(tid)
                else:
                    gone.add(tid)
            for tid in sorted(self._running):
                self._wait(tid, gone)
        self.threads.sort(key=lambda tid: (tid != self.pid, tid))
        if not self.threads:
            raise EvidenceError(
                f"process {self.pid} ended while it was being stopped", "start it again and give the new PID"
            )

    def _seize(self, tid: int) -> bool:
        """False when the thread has ended, which can happen at any time."""
        try:
            _ptrace(_SEIZE, tid)
            _ptrace(_INTERRUPT, tid)
        except OSError as error:
            if error.errno == errno.ESRCH or self._ended(tid):
                return False
            raise
        return True

    def _ended(self, tid: int) -> bool:
        try:
            return procfs.status(self.pid, tid).state in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    def _wait(self, tid: int, gone: set[int]) -> None:
        """Until ``tid`` stands still or has ended."""
        deadline = time.monotonic() + STOP_SECONDS
        while True:
            found, code = os.waitpid(tid, os.WNOHANG | _WALL)
            if found:
                break
            if time.monotonic() > deadline:
                raise EvidenceError(
                    f"thread {tid} of process {self.pid} does not stop: it waits inside the kernel",
                    f"look at /proc/{self.pid}/task/{tid}/wchan and try again when that wait is over",
                )
            time.sleep(_POLL_SECONDS)
        self._running.discard(tid)
        if not os.WIFSTOPPED(code):
            gone.add(tid)
            return
        self.threads.append(tid)
        if code >> 16 != _EVENT_STOP:
            self._signals[tid] = os.WSTOPSIG(code)  # it stopped to take a signal: hand that on when it goes on

    def registers(self, tid: int, kind: int = NT_PRSTATUS) -> bytes:
        """One register set of a stopped thread in the kernel's layout (``struct user_regs_struct`` for NT_PRSTATUS)."""
        buffer = ctypes.create_string_buffer(_REGSET_LIMIT)
        vector = IoVec(ctypes.addressof(buffer), _REGSET_LIMIT)
        _ptrace(_GETREGSET, tid, kind, ctypes.addressof(vector))
        return buffer.raw[: vector.length]

    def signal(self, tid: int) -> int:
        """The signal that ``tid`` was about to take, or 0."""
        return self._signals.get(tid, 0)

    def release(self) -> None:
        """Lets every thread go on; safe to call again."""
        self._detach()
        for tid in sorted(self._running):
            try:
                self._wait(tid, set())
            except ChildProcessError:  # killed meanwhile: nothing to release
                self._running.discard(tid)
            self._detach()

    def _detach(self) -> None:
        while self.threads:
            tid = self.threads.pop()
            try:
                _ptrace(_DETACH, tid, 0, self._signals.get(tid, 0))
            except OSError as error:
                if error.errno != errno.ESRCH:  # killed meanwhile: nothing to release
                    raise


@contextmanager
def stopped(pid: int) -> Iterator[Stopped]:
    """The process stands still inside the ``with`` block and goes on behind it, whatever happened in between."""
    process = Stopped(pid)
    try:
        process.stop()
        yield process
    finally:
        process.release()
