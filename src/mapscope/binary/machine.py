"""Machine code as a short list of operations, the same on every architecture: what a light dataflow needs, no more.

``decoder(arch)`` gives a ``Machine``: the registers of Go's calling convention (ABIInternal,
cmd/compile/abi-internal.md), and how the bytes of one function become operations. It needs capstone, which is an
optional dependency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mapscope.binary.disassembler import Disassembler, Instruction, disassembler


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


CODES = tuple(Code)
"""By number."""


class Op(NamedTuple):
    """One operation; ``address`` is that of its instruction, ``end`` the address after it."""

    address: int
    end: int
    code: Code
    a: int = 0
    b: int = 0
    c: int = 0


Ops = npt.NDArray[np.int64]
"""Operations as rows: the fields of ``Op``."""
Part = tuple[Code, int, int, int]
"""An operation without its place: code, a, b, c."""
Convention = tuple[tuple[int, ...], int, int, int, tuple[int, ...], Mapping[str, int]]
"""``arguments`` to ``numbers`` of a ``Machine``."""
Meaning = Callable[[str, str], Iterator[Part]]
"""What an instruction does, as mnemonic and operands in capstone's words: its operations in order.

A place that operands name by its distance from the instruction (``[rip + …]``) is given as this distance. Numbers are
passed on as they are, or with a small one added: the meaning of another instruction, which differs in numbers of two
digits and more alone, is taken from this one.
"""


class Machine(Struct, frozen=True):
    """One architecture. ``arguments``: registers of integer arguments and results in order; ``context``: the closure's.

    ``numbers``: the number of each register's name. ``barrier_register`` is where the write barrier puts the address of
    its buffer (Go 1.21 on). ``operations(code, address)`` gives the operations of ``code``, which lies at ``address``.
    """

    arch: str
    arguments: tuple[int, ...]
    context: int
    registers: int
    barrier_register: int
    scratch: tuple[int, ...]
    numbers: Mapping[str, int]
    operations: Callable[[bytes, int], Ops]
    disassembler: Disassembler

    def decode(self, code: bytes, address: int) -> list[Op]:
        """The same one by one, for short pieces."""
        rows = self.operations(code, address).tolist()
        return [Op(at, end, CODES[what], a, b, c) for at, end, what, a, b, c in rows]

    def disassemble(self, code: bytes, address: int) -> Iterator[Instruction]:
        """The instructions of ``code``."""
        return self.disassembler.texts(code, address)


def decoder(arch: str) -> Machine:
    """The machine of ``arch``; UsageError when capstone is missing or the architecture is not known."""
    from mapscope.binary.forms import Forms

    words = disassembler(arch)
    convention: Convention
    if arch == "amd64":
        from mapscope.binary import machine_amd64

        convention, meaning = machine_amd64.CONVENTION, machine_amd64.meaning
    else:
        from mapscope.binary import machine_arm64

        convention, meaning = machine_arm64.CONVENTION, machine_arm64.meaning
    return Machine(arch, *convention, Forms(words, meaning).operations, words)
