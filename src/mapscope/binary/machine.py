"""Machine code as a short list of operations that the same on every architecture: what a light dataflow needs, no more.

``decoder(arch)`` gives a ``Machine``: the registers of Go's calling convention (ABIInternal,
cmd/compile/abi-internal.md) and a function that turns the bytes of one function into ``Op`` tuples. It needs capstone,
which is an optional dependency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from mapscope.binary.disassembler import Disassemble, disassembler


class Code(IntEnum):
    """What an ``Op`` does. ``a``, ``b``, ``c`` are registers (small numbers), addresses or offsets as said here."""

    MOVE = 0
    """a = b (registers)."""
    ADDRESS = 1
    """a = the constant b (an address relative to the instruction)."""
    ADD = 2
    """a = b + constant c."""
    LOAD = 3
    """a = the 8-byte word at [b + c]."""
    LOAD_GLOBAL = 4
    """a = the 8-byte word at address b."""
    LOAD_STACK = 5
    """a = the 8-byte word at [sp + b]."""
    STORE = 6
    """The 8-byte word at [a + b] = register c (-1: something else than a register)."""
    STORE_GLOBAL = 7
    """The 8-byte word at address a = register b (-1: something else)."""
    STORE_STACK = 8
    """The word at [sp + a] = register b (-1: something else), c bytes wide."""
    STACK_ADDRESS = 9
    """a = sp + b."""
    KILL = 10
    """Register a is overwritten with something that is not followed."""
    CALL = 11
    """Call of address a; 0 when it is not constant."""
    JUMP = 12
    """Go to address a; 0 when it is not constant. What follows is not reached from here."""
    BRANCH = 13
    """Go to address a, or on."""
    STOP = 14
    """Return or trap."""
    EXCHANGE = 15
    """Register b is exchanged with, or added to, the word at [a] atomically."""
    EXCHANGE_GLOBAL = 16
    """Register b is exchanged with, or added to, the word at address a atomically."""
    COMPARE_GLOBAL = 17
    """The word at address a is compared with something."""
    OTHER = 18
    """Nothing that is followed."""


class Op(NamedTuple):
    """One operation; ``address`` is that of its instruction, ``end`` the address after it."""

    address: int
    end: int
    code: Code
    a: int = 0
    b: int = 0
    c: int = 0


class Machine(Struct, frozen=True):
    """One architecture. ``arguments``: registers of integer arguments and results in order; ``context``: the closure's.

    ``decode(code, address)`` gives the operations of ``code``, which lies at ``address``; ``disassemble`` its
    instructions as (address, size, mnemonic, operands) in capstone's words; ``numbers`` the number of each register's
    name in them. ``barrier_register`` is where the write barrier puts the address of its buffer (Go 1.21 on).
    """

    arch: str
    arguments: tuple[int, ...]
    context: int
    registers: int
    barrier_register: int
    scratch: tuple[int, ...]
    decode: Callable[[bytes, int], list[Op]]
    disassemble: Disassemble
    numbers: Mapping[str, int]


def decoder(arch: str) -> Machine:
    """The machine of ``arch``; UsageError when capstone is missing or the architecture is not known."""
    disassemble = disassembler(arch)
    if arch == "amd64":
        from mapscope.binary import machine_amd64

        return machine_amd64.machine(disassemble)
    from mapscope.binary import machine_arm64

    return machine_arm64.machine(disassemble)
