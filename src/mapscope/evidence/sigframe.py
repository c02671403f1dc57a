"""Signal frames for x86-64: state of a thread in memory, which rt_sigreturn(2) puts back into the registers.

A thread that is made to call something else gets a frame with its own registers first. Whatever happens to the one who
made it, the code it is sent to ends in rt_sigreturn, and so in what it was doing.

Layouts: ``struct rt_sigframe`` in arch/x86/include/asm/sigframe.h of Linux, ``struct sigcontext_64`` and ``struct
_fpx_sw_bytes`` in arch/x86/include/uapi/asm/sigcontext.h; what is checked on the way back is in restore_sigcontext
(arch/x86/kernel/signal_64.c) and check_xstate_in_sigframe (arch/x86/kernel/fpu/signal.c).
"""

from __future__ import annotations

import struct

from msgspec import Struct
from msgspec.structs import replace

_NAMES = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)
"""``struct user_regs_struct`` (sys/user.h)."""
_REGISTERS = struct.Struct("<27Q")
_CONTEXT = (
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx"),
    *("rsp", "rip", "eflags"),
)
_WORD = (1 << 64) - 1
NO_SYSCALL = _WORD
"""``orig_rax`` of a thread that is in no system call: the kernel restarts nothing."""
ALL_SIGNALS = _WORD

FRAME_BYTES = 448
"""Return address, ucontext and siginfo, rounded up."""
_UC_FLAGS = 7
"""UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS."""
_NO_STACK = 0x7FFF
"""Flags of an alternate stack that sigaltstack(2) refuses, so that the thread keeps the one it has."""

_SW_OFFSET = 464
_MAGIC1, _MAGIC2 = 0x46505853, 0x46505845
_BV_OFFSET = 512
_TILE_DATA = 1 << 18
_TILE_OFFSET = 2816
"""Where AMX tile data begin. Tasks that never used them have states that end there (``fpu_user_cfg.default_size``)."""
_MIN_XSTATE = 576

_RESTART, _RESTART_BLOCK = (-512, -513, -514), -516
"""ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND; ERESTART_RESTARTBLOCK (include/linux/errno.h)."""
_EINTR = 4
_SYSCALL_BYTES = 2


class Registers(Struct, frozen=True):
    """``struct user_regs_struct`` by name."""

    values: dict[str, int]

    @classmethod
    def unpack(cls, raw: bytes) -> Registers:
        """From what PTRACE_GETREGSET gives."""
        return cls(dict(zip(_NAMES, _REGISTERS.unpack_from(raw), strict=True)))

    def pack(self) -> bytes:
        """For PTRACE_SETREGSET."""
        return _REGISTERS.pack(*(self.values[name] & _WORD for name in _NAMES))

    def __getitem__(self, name: str) -> int:
        return self.values[name]

    def but(self, **values: int) -> Registers:
        """The same with some of them changed."""
        return replace(self, values={**self.values, **values})

    @property
    def in_syscall(self) -> bool:
        """The thread waits in the kernel."""
        return self["orig_rax"] < 1 << 63

    def restarted(self) -> Registers:
        """As the kernel would set them before the thread runs on, where a system call was interrupted.

        One that cannot simply be called again (ERESTART_RESTARTBLOCK) ends with EINTR, as behind a signal handler.
        """
        result = self["rax"] - (1 << 64) if self["rax"] >= 1 << 63 else self["rax"]
        if self.in_syscall and result in _RESTART:
            return self.but(rax=self["orig_rax"], rip=self["rip"] - _SYSCALL_BYTES)
        return self.but(rax=-_EINTR) if self.in_syscall and result == _RESTART_BLOCK else self


def frame(registers: Registers, mask: int, restorer: int, float_state: int = 0) -> bytes:
    """A frame that sets ``registers`` and the signal mask.

    ``restorer``: address of code that calls rt_sigreturn. ``float_state``: address of a floating-point state, 0 for a
    fresh one.
    """
    context = struct.pack(f"<{len(_CONTEXT)}Q", *(registers[name] & _WORD for name in _CONTEXT))
    context += struct.pack("<HHHH", registers["cs"], 0, 0, registers["ss"])
    context += struct.pack("<QQQQQ", 0, 0, 0, 0, float_state) + bytes(64)
    head = struct.pack("<QQQQiiQ", restorer, _UC_FLAGS, 0, 0, _NO_STACK, 0, 0)
    return (head + context + struct.pack("<Q", mask)).ljust(FRAME_BYTES, b"\0")


def float_frame(state: bytes) -> bytes | None:
    """A floating-point state of PTRACE_GETREGSET (NT_X86_XSTATE) as a signal frame has it; None where it cannot be."""
    if len(state) < _MIN_XSTATE:
        return None
    (features,) = struct.unpack_from("<Q", state, _SW_OFFSET)
    (used,) = struct.unpack_from("<Q", state, _BV_OFFSET)
    if features & _TILE_DATA:
        if used & _TILE_DATA:
            return None
        features &= ~_TILE_DATA
        state = state[:_TILE_OFFSET]
    size = len(state)
    software = struct.pack("<IIQI28x", _MAGIC1, size + 4, features, size)
    return state[:_SW_OFFSET] + software + state[_SW_OFFSET + len(software) :] + struct.pack("<I", _MAGIC2)
