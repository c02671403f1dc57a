"""A frozen copy of a stopped process: it is made to call clone(2), and may run on at once.

One thread is sent to a ``syscall`` instruction of its own program. It makes a helper that shares its memory, the helper
makes the copy (copy-on-write, no exit signal) and ends, and the thread reaps the helper. So the copy is no child of the
process: it goes to init, which reaps it. It never runs an instruction of the program, and PTRACE_O_EXITKILL ends it
when mapscope ends, however that may be.

All of it is safe against the death of mapscope at any point. Before a thread is sent anywhere, frames for rt_sigreturn
lie on the unused part of its stack: each ``syscall; ret`` returns into one of them, the last of which has the thread's
own registers and signal mask. A helper or a copy that nobody holds returns into one that calls exit_group(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import struct
import time
from collections.abc import Iterator

from msgspec import Struct

from mapscope.errors import EvidenceError
from mapscope.evidence import procfs, ptrace, sigframe
from mapscope.evidence.sigframe import Registers

_CONT, _SYSCALL, _DETACH, _INTERRUPT = 7, 24, 17, 0x4207
_SETOPTIONS, _GETEVENTMSG, _SETREGSET, _GETSIGMASK, _SETSIGMASK = 0x4200, 0x4201, 0x4205, 0x420A, 0x420B
_O_SYSGOOD, _O_TRACECLONE, _O_EXITKILL = 1, 8, 0x100000
_EVENT_CLONE, _EVENT_STOP = 3, 128
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_NT_XSTATE = 0x202
_WALL, _WCLONE = 0x40000000, 0x80000000
_CLONE_VM = 0x100
_NR_CLONE, _NR_WAIT4, _NR_EXIT_GROUP, _NR_CLOSE_RANGE = 56, 61, 231, 436
"""arch/x86/entry/syscalls/syscall_64.tbl"""
_RED_ZONE = 128
"""Bytes below the stack pointer that belong to the thread: System V ABI for AMD64, 3.2.2."""
_SPARE = 1024
_WAIT_SECONDS = 5.0
_CALL = b"\x0f\x05\xc3"
"""``syscall; ret``"""
_RETURNS = (b"\x48\xc7\xc0\x0f\0\0\0\x0f\x05", b"\xb8\x0f\0\0\0\x0f\x05")
"""``mov $15, %rax; syscall`` and ``mov $15, %eax; syscall``: rt_sigreturn"""
_TEXT_LIMIT = 1 << 30
_TEXT_CHUNK = 4 << 20


class Code(Struct, frozen=True):
    """Addresses of instructions that every Go program has."""

    call: int
    """``syscall; ret`` (runtime.osyield and others in runtime/sys_linux_amd64.s)."""
    restorer: int
    """rt_sigreturn (runtime.sigreturn__sigaction there)."""


def find_code(pid: int) -> Code:
    """Looks through the program's text; nothing is stopped. EvidenceError where it is not there."""
    call = restorer = 0
    memory = os.open(procfs.task_folder(pid) / "mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for start, data in _text(pid, memory):
            at = data.find(_CALL)
            call = call or (start + at if at >= 0 else 0)
            found = [at for at in map(data.find, _RETURNS) if at >= 0]
            restorer = restorer or (start + min(found) if found else 0)
            if call and restorer:
                return Code(call, restorer)
    finally:
        os.close(memory)
    raise EvidenceError(
        f"process {pid} has no system call instruction in its program that could be used", "leave out --pause fork"
    )


def _text(pid: int, memory: int) -> Iterator[tuple[int, bytes]]:
    left = _TEXT_LIMIT
    for mapping in procfs.mappings(pid):
        if mapping.perms[2] != "x" or not mapping.has_file:
            continue
        for start in range(mapping.start, min(mapping.end, mapping.start + left), _TEXT_CHUNK):
            try:
                yield start, os.pread(memory, min(_TEXT_CHUNK + 16, mapping.end - start), start)
            except OSError as error:
                if error.errno not in (errno.EIO, errno.EFAULT):
                    raise
        left -= min(left, mapping.size)


class _Frames(Struct, frozen=True):
    """Addresses of the frames on a thread's stack."""

    leave: int
    """Ends whoever returns into it."""
    reap: int
    """Waits for the helper, then returns into ``back``."""
    back: int
    """The thread's own state."""


class Copy:
    """The frozen copy. ``end`` it in any case; the death of mapscope ends it too."""

    def __init__(self, pid: int, code: Code, frames: _Frames) -> None:
        self.pid = pid
        self._code = code
        self._leave = frames.leave
        self._ended = False

    def close_files(self) -> None:
        """Closes the copy's files, so that connections that the process closes are closed. It stays frozen."""
        registers = Registers.unpack(_get(self.pid, ptrace.NT_PRSTATUS))
        call = registers.but(
            rip=self._code.call, rsp=self._leave, rax=_NR_CLOSE_RANGE, orig_rax=sigframe.NO_SYSCALL,
            rdi=0, rsi=(1 << 32) - 1, rdx=0,
        )  # fmt: skip
        _set(self.pid, call)
        for _ in range(2):  # to the entry, to the exit
            ptrace.ptrace(_SYSCALL, self.pid)
            _wait(self.pid)

    def end(self) -> None:
        """Kills it and takes note of its end; its parent is init."""
        if self._ended:
            return
        self._ended = True
        try:
            os.kill(self.pid, signal.SIGKILL)
            while not _ended(os.waitpid(self.pid, _WALL)[1]):
                continue
        except (ProcessLookupError, ChildProcessError):
            return  # something else has killed it


def fork(process: ptrace.Stopped, code: Code) -> Copy:
    """Makes a frozen copy of ``process``, whose threads all stand still and will stand still where they were.

    EvidenceError where no thread can be sent, or where the kernel refuses. A Go program has a thread that waits: idle
    ones do, and sysmon sleeps most of the time.
    """
    for tid in process.threads:
        if process.signal(tid):
            continue
        fork_in = _Fork(process, tid, code)
        if fork_in.waits() and fork_in.room():
            return fork_in.run()
    raise EvidenceError(
        f"no thread of process {process.pid} waits in a system call with room on its stack for a copy to be made",
        "try again, or leave out --pause fork",
    )


class _Fork:
    """One thread that makes the copy."""

    def __init__(self, process: ptrace.Stopped, tid: int, code: Code) -> None:
        self._process = process
        self._tid = tid
        self._code = code
        self._registers = Registers.unpack(process.registers(tid))
        self._floats = sigframe.float_frame(process.registers(tid, _NT_XSTATE))

    def waits(self) -> bool:
        """Whether the thread waits in the kernel: it is in no restartable sequence then, and expects to be late."""
        return self._registers.in_syscall

    def room(self) -> bool:
        """Whether the frames fit on the stack that the thread is on.

        ``struct g`` begins with the bounds of its stack (runtime/runtime2.go); it is found at -8(FS), where the linker
        puts it on Linux (cmd/link/internal/ld/sym.go), or in R14, where Go code has it (ABIInternal).
        """
        if self._floats is None:
            return False
        need = _RED_ZONE + len(self._floats) + 4 * sigframe.FRAME_BYTES + _SPARE
        in_memory = self._read(self._registers["fs_base"] - 8, 8)
        for g in (int.from_bytes(in_memory, "little"), self._registers["r14"]):
            bounds = self._read(g, 16) if g else b""
            if len(bounds) == 16:
                low, high = struct.unpack("<QQ", bounds)
                if low + need < self._registers["rsp"] < high and high - low < 1 << 40:
                    return True
        return False

    def run(self) -> Copy:
        """Sends the thread there and back."""
        tid = self._tid
        mask = _mask(tid)
        frames = self._write_frames(mask)
        copy = None
        self._process.threads.remove(tid)
        self._process.running.add(tid)  # until it is back: should anything fail, it is stopped and let go from there
        ptrace.ptrace(_SETOPTIONS, tid, 0, _O_SYSGOOD | _O_TRACECLONE)
        try:
            _set(tid, self._call(_NR_CLONE, frames.reap, rdi=_CLONE_VM, rsi=frames.leave))
            _set_mask(tid, sigframe.ALL_SIGNALS)
            helper = self._clone()
            if helper:
                copy = self._copy(helper, frames)
                self._reap(frames, helper)
            ptrace.ptrace(_INTERRUPT, tid)
            ptrace.ptrace(_CONT, tid)
            _wait(tid)
            _set_mask(tid, mask)
            _set(tid, self._registers)
        except BaseException:
            with contextlib.suppress(OSError):  # it runs: the one who holds the process stops it and lets it go
                ptrace.ptrace(_DETACH, tid)
                self._process.running.discard(tid)
            if copy is not None:
                copy.end()
            raise
        self._process.running.discard(tid)
        self._process.threads.append(tid)
        if copy is None:
            raise EvidenceError(
                f"the kernel refuses a copy of process {self._process.pid}",
                "the limit on processes or on memory is reached; leave out --pause fork",
            )
        return copy

    def _clone(self) -> int:
        """The helper, or 0. The thread stands behind its call of clone(2) then."""
        helper = 0
        for _ in range(3):  # entry, the event, exit
            ptrace.ptrace(_SYSCALL, self._tid)
            if _wait(self._tid) == (signal.SIGTRAP, _EVENT_CLONE):
                helper = _message(self._tid)
                _wait(helper)
            elif helper or self._result() < 0:
                break
        return helper

    def _result(self) -> int:
        value = Registers.unpack(_get(self._tid, ptrace.NT_PRSTATUS))["rax"]
        value -= (1 << 64) if value >= 1 << 63 else 0
        return 0 if value == -errno.ENOSYS else value  # what stands there at the entry

    def _copy(self, helper: int, frames: _Frames) -> Copy | None:
        """Lets the helper make the copy and end; None when the kernel refuses."""
        registers = Registers.unpack(_get(helper, ptrace.NT_PRSTATUS))
        call = registers.but(
            rip=self._code.call, rsp=frames.leave, rax=_NR_CLONE, orig_rax=sigframe.NO_SYSCALL, rdi=0, rsi=frames.leave,
            rdx=0, r10=0, r8=0,
        )  # fmt: skip
        _set(helper, call)
        ptrace.ptrace(_CONT, helper)
        if _wait(helper) != (signal.SIGTRAP, _EVENT_CLONE):
            return None  # it has ended
        made = _message(helper)
        _wait(made)
        ptrace.ptrace(_SETOPTIONS, made, 0, _O_SYSGOOD | _O_EXITKILL)
        ptrace.ptrace(_DETACH, helper)
        return Copy(made, self._code, frames)

    def _reap(self, frames: _Frames, helper: int) -> None:
        """Lets the thread wait for its helper, whose number it knows from its own PID namespace."""
        number = Registers.unpack(_get(self._tid, ptrace.NT_PRSTATUS))["rax"]
        _set(self._tid, self._call(_NR_WAIT4, frames.back, rdi=number, rsi=0, rdx=_WALL))
        for _ in range(2):
            ptrace.ptrace(_SYSCALL, self._tid)
            _wait(self._tid)

    def _call(self, number: int, then: int, **arguments: int) -> Registers:
        """Registers for a system call; behind it the thread returns into the frame ``then``."""
        start = self._registers.but(
            rip=self._code.call, rsp=then, rax=number, orig_rax=sigframe.NO_SYSCALL, rdx=0, r10=0, r8=0
        )
        return start.but(**arguments)

    def _write_frames(self, mask: int) -> _Frames:
        assert self._floats is not None
        size = sigframe.FRAME_BYTES
        floats = (self._registers["rsp"] - _RED_ZONE - len(self._floats)) & ~63
        frames = _Frames(floats - 3 * size, floats - 2 * size, floats - size)
        every, restorer = sigframe.ALL_SIGNALS, self._code.restorer
        leave = self._call(_NR_EXIT_GROUP, frames.leave, rdi=0)
        reap = self._call(_NR_WAIT4, frames.back, rdi=-1, rsi=0, rdx=_WCLONE)
        data = (
            sigframe.frame(leave, every, restorer)
            + sigframe.frame(reap, every, restorer)
            + sigframe.frame(self._registers.restarted(), mask, restorer, floats)
            + self._floats
        )
        memory = os.open(procfs.task_folder(self._process.pid) / "mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.pwrite(memory, data, frames.leave) != len(data):
                raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        finally:
            os.close(memory)
        return frames

    def _read(self, address: int, size: int) -> bytes:
        memory = os.open(procfs.task_folder(self._process.pid) / "mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(memory, size, address) if 0 < address < 1 << 47 else b""
        except OSError:
            return b""
        finally:
            os.close(memory)


def _get(tid: int, kind: int) -> bytes:
    buffer = ctypes.create_string_buffer(4096)
    vector = ptrace.IoVec(ctypes.addressof(buffer), len(buffer))
    ptrace.ptrace(ptrace.GETREGSET, tid, kind, ctypes.addressof(vector))
    return buffer.raw[: vector.length]


def _set(tid: int, registers: Registers) -> None:
    raw = registers.pack()
    buffer = ctypes.create_string_buffer(raw, len(raw))
    vector = ptrace.IoVec(ctypes.addressof(buffer), len(raw))
    ptrace.ptrace(_SETREGSET, tid, ptrace.NT_PRSTATUS, ctypes.addressof(vector))


def _mask(tid: int) -> int:
    value = ctypes.c_uint64()
    ptrace.ptrace(_GETSIGMASK, tid, 8, ctypes.addressof(value))
    return value.value


def _set_mask(tid: int, mask: int) -> None:
    value = ctypes.c_uint64(mask)
    ptrace.ptrace(_SETSIGMASK, tid, 8, ctypes.addressof(value))


def _message(tid: int) -> int:
    value = ctypes.c_ulong()
    ptrace.ptrace(_GETEVENTMSG, tid, 0, ctypes.addressof(value))
    return value.value


def _wait(tid: int) -> tuple[int, int]:
    """(signal, event) of the next stop of ``tid``; (0, 0) when it has ended. TimeoutError when there is none."""
    deadline = time.monotonic() + _WAIT_SECONDS
    polls = 0
    while True:
        found, code = os.waitpid(tid, os.WNOHANG | _WALL)
        if found:
            return (0, 0) if _ended(code) else (os.WSTOPSIG(code), code >> 16)
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        polls += 1
        if polls < 1000:
            os.sched_yield()
        else:
            time.sleep(0.0001)


def _ended(code: int) -> bool:
    return os.WIFEXITED(code) or os.WIFSIGNALED(code)
