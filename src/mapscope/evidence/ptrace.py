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
from mapscope.evidence.pausing import Pause

_DETACH = 17
GETREGSET = 0x4204
_SEIZE = 0x4206
_INTERRUPT = 0x4207
_EVENT_STOP = 128
_WALL = 0x40000000

NT_PRSTATUS = 1
NT_PRFPREG = 2
STOP_SECONDS = 10.0
"""How long a thread may take to stop: one in an uninterruptible wait of the kernel does not before it ends."""
_POLL_SECONDS = 0.0002
_BUSY_POLLS = 50
"""A thread that runs or sleeps stops within microseconds: so often is it asked before the asker sleeps."""
_REGSET_LIMIT = 16384
"""AMX makes a floating-point state of 11 kB."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]


class IoVec(ctypes.Structure):
    """``struct iovec`` of readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> None:
    """Makes one request. OSError with its errno when it fails."""
    ctypes.set_errno(0)
    if _libc.ptrace(request, tid, address, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Stopped:
    """A process whose threads all stand still. Belongs to the thread that made it, as ptrace wants it."""

    def __init__(self, pid: int, pause: Pause | None = None) -> None:
        self.pid = pid
        self.pause = pause or Pause(None)
        self.threads: list[int] = []
        """Stopped threads, the first thread of the process first."""
        self.running: set[int] = set()
        self._signals: dict[int, int] = {}
        self.lost = False
        """A thread was gone when it should have been let go: the process was killed meanwhile."""

    def stop(self) -> None:
        """Stops all threads, those too that start meanwhile.

        OSError when we may not. EvidenceError on a timeout or when the pause has reached its limit.
        """
        gone: set[int] = set()
        first = True
        while True:
            known = {*self.threads, *gone}
            new = [tid for tid in procfs.threads(self.pid) if tid not in known]
            if not new:
                break
            for tid in new:
                if self._ask(_SEIZE, tid, gone):  # stops nothing yet, but may be refused
                    self.running.add(tid)
            if first:
                self.pause.begin()
                first = False
            for tid in sorted(self.running):
                if not self._ask(_INTERRUPT, tid, gone):
                    self.running.discard(tid)
            for tid in sorted(self.running):
                self._wait(tid, gone)
        self.threads.sort(key=lambda tid: (tid != self.pid, tid))
        if not self.threads:
            raise EvidenceError(
                f"process {self.pid} ended while it was being stopped", "start it again and give the new PID"
            )

    def _ask(self, request: int, tid: int, gone: set[int]) -> bool:
        """False when the thread has ended, which can happen at any time."""
        try:
            ptrace(request, tid)
        except OSError as error:
            if error.errno == errno.ESRCH or self._ended(tid):
                gone.add(tid)
                return False
            raise
        return True

    def _ended(self, tid: int) -> bool:
        try:
            return procfs.status(self.pid, tid).state in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    def _wait(self, tid: int, gone: set[int], *, releasing: bool = False) -> None:
        """Until ``tid`` stands still or has ended."""
        deadline = time.monotonic() + STOP_SECONDS
        polls = 0
        while True:
            # WNOWAIT: once its stop is taken note of, a thread that was about to get a signal loses that signal when we
            # die (wait_task_stopped in kernel/exit.c clears exit_code), and a Go thread that loses SIGURG can never be
            # preempted again (signalPending in runtime/signal_unix.go, preemptM)
            found = os.waitid(os.P_PID, tid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
            if found is not None:
                break
            if not releasing:
                self.pause.check()
            if time.monotonic() > deadline:
                raise EvidenceError(
                    f"thread {tid} of process {self.pid} does not stop: it waits inside the kernel",
                    f"look at /proc/{self.pid}/task/{tid}/wchan and try again when that wait is over",
                )
            polls += 1
            if polls < _BUSY_POLLS:
                os.sched_yield()
            else:
                time.sleep(_POLL_SECONDS)
        self.running.discard(tid)
        if found.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED):
            os.waitpid(tid, os.WNOHANG | _WALL)
            gone.add(tid)
            return
        self.threads.append(tid)
        if found.si_status >> 8 != _EVENT_STOP:
            self._signals[tid] = found.si_status & 0x7F  # it stopped to take a signal: hand that on when it goes on

    def registers(self, tid: int, kind: int = NT_PRSTATUS) -> bytes:
        """One register set of a stopped thread in the kernel's layout (``struct user_regs_struct`` for NT_PRSTATUS)."""
        buffer = ctypes.create_string_buffer(_REGSET_LIMIT)
        vector = IoVec(ctypes.addressof(buffer), _REGSET_LIMIT)
        ptrace(GETREGSET, tid, kind, ctypes.addressof(vector))
        return buffer.raw[: vector.length]

    def signal(self, tid: int) -> int:
        """The signal that ``tid`` was about to take, or 0."""
        return self._signals.get(tid, 0)

    def release(self) -> None:
        """Lets every thread go on; safe to call again."""
        self._detach()
        for tid in sorted(self.running):
            try:
                self._ask(_INTERRUPT, tid, set())  # only a thread that stands still can be let go
                self._wait(tid, set(), releasing=True)
            except ChildProcessError:  # killed meanwhile: nothing to release
                self.running.discard(tid)
            self._detach()
        self.pause.end()

    def _detach(self) -> None:
        while self.threads:
            tid = self.threads.pop()
            try:
                ptrace(_DETACH, tid, 0, self._signals.get(tid, 0))
            except OSError as error:
                if error.errno != errno.ESRCH:  # killed meanwhile: nothing to release
                    raise
                self.lost = True


@contextmanager
def stopped(pid: int, pause: Pause | None = None) -> Iterator[Stopped]:
    """The process stands still inside the ``with`` block and goes on behind it, whatever happened in between."""
    process = Stopped(pid, pause)
    try:
        process.stop()
        yield process
    finally:
        process.release()
