"""Registers that a signal interrupted, found on a signal stack as the kernel lays it out."""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from mapscope.evidence.core import Thread
from mapscope.evidence.memory import Memory
from mapscope.goruntime.code import Code
from mapscope.goruntime.goroutines import G_RUNNING, G_WAITING, GoroutineTable
from mapscope.goruntime.layout import load
from mapscope.goruntime.starts import Found, find_starts
from mapscope.goruntime.unwind import CONSERVATIVE, EXACT

STACK, SIGNAL, RECORDS = 0x4000100000, 0x4000200000, 0x4000300000
SIZE, SIGNAL_SIZE = 0x4000, 0x8000
TEXT = 0x10000
SP, PC, LINK = STACK + 0x3F70, TEXT + 0xDA4, TEXT + 0x490
TID = 77


class Text(Code):
    """One function of 64 KB."""

    def find(self, pc: int) -> tuple[int, int] | None:
        return (0, 0) if TEXT <= pc < TEXT + 0x10000 else None


@dataclass
class World:
    """A goroutine that runs on a thread in a signal handler."""

    arch: str
    status: int = G_RUNNING
    signal: bytearray = dataclasses.field(default_factory=lambda: bytearray(SIGNAL_SIZE))

    def put(self, at: int, *words: int) -> None:
        """Words at an offset from the bottom of the signal stack."""
        struct.pack_into(f"<{len(words)}Q", self.signal, at, *words)

    def frame(self, at: int, sp: int, pc: int) -> None:
        """A ucontext: flags, link, stack (where, flags, size), then registers (asm/ucontext.h, asm/sigcontext.h)."""
        self.put(at, 1, 0, SIGNAL, 0, SIGNAL_SIZE)
        if self.arch == "amd64":
            self.put(at + 40, *range(100, 115), sp, pc)
        else:
            self.put(at + 176, 0, *range(100, 129), sp - 8, LINK, sp, pc, 0x60000000)

    def find(self, at: int) -> Found:
        """What is found when the handler's own stack pointer is ``at`` from the bottom."""
        return self.found(SIGNAL + at)

    def found(self, sp: int, pc: int = 0) -> Found:
        """What is found when these are the registers of the thread."""
        layouts = load("go1.26.6", self.arch)
        m, g = layouts.struct("m"), layouts.struct("g")
        records = bytearray(0x4000)
        struct.pack_into("<Q", records, m.offset("procid"), TID)
        struct.pack_into("<Q", records, m.offset("gsignal"), RECORDS + 0x2000)
        struct.pack_into("<QQ", records, 0x2000 + g.offset("stack.lo"), SIGNAL, SIGNAL + SIGNAL_SIZE)
        memory = Memory()
        for address, data in ((STACK, bytes(SIZE)), (SIGNAL, bytes(self.signal)), (RECORDS, bytes(records))):
            memory.add(address, len(data), memory.add_buffer(data), 0)
        names = [one.name for one in msgspec.structs.fields(GoroutineTable)]
        columns = {name: np.zeros(1, dtype=np.bool_ if name == "in_syscall" else np.uint64) for name in names}
        for name, value in (("stack_lo", STACK), ("stack_hi", STACK + SIZE), ("status", self.status), ("m", RECORDS)):
            columns[name][0] = value
        names_of = {"amd64": ("rsp", "rip"), "arm64": ("sp", "pc")}[self.arch]
        thread = Thread(TID, dict(zip(names_of, (sp, pc), strict=True)))
        return find_starts(memory, layouts, Text(memory, self.arch, [], -1), GoroutineTable(**columns), [thread])


@pytest.fixture(params=["amd64", "arm64"])
def world(request: pytest.FixtureRequest) -> World:
    """Of each architecture."""
    return World(request.param)


def place(found: Found) -> tuple[int, int]:
    """Stack pointer and program counter."""
    return int(found.starts.sp[0]), int(found.starts.pc[0])


def test_the_registers_of_the_context(world: World) -> None:
    world.frame(0x6000, SP, PC)
    found = world.find(0x5000)
    assert found.problems == {}
    assert place(found) == (SP, PC)
    assert int(found.starts.note[0]) == EXACT | CONSERVATIVE
    assert int(found.starts.lr[0]) == (LINK if world.arch == "arm64" else 0)
    assert {100, 114} <= {value for value, _ in found.registers}


def test_pairs_that_look_like_registers_are_none(world: World) -> None:
    """The frame pointer with the return address: arm64's kernel pushes it above the context, handlers below."""
    world.frame(0x6000, SP, PC)
    for at in (0x5100, 0x5FF0, 0x7FF0):
        world.put(at, SP - 8, LINK)
    assert place(world.find(0x5000)) == (SP, PC)


def test_the_context_that_interrupted_the_goroutine(world: World) -> None:
    """A second signal interrupts the handler of the first, on the same stack."""
    world.frame(0x6000, SP, PC)
    world.frame(0x4000, SIGNAL + 0x5000, PC)
    assert place(world.find(0x3000)) == (SP, PC)


@pytest.mark.parametrize("at", [0x7FE0, 0x7F00, 0x5000])
def test_a_context_that_is_cut_or_absent(world: World, at: int) -> None:
    """At the very end of the stack there is no room for registers; a stray copy of the bounds is no context."""
    world.put(at, SIGNAL, 0, SIGNAL_SIZE)
    found = world.find(0x4000)
    assert found.problems == {0: "it runs, and its thread stands outside its stack"}
    assert not found.starts.walk[0]


def test_one_that_is_called_waiting_while_its_thread_runs_it(world: World) -> None:
    """Between the change of its status and that to the system stack (gcMarkTermination), g.sched says nothing."""
    world.status = G_WAITING
    found = world.found(SP, PC)
    assert found.problems == {}
    assert place(found) == (SP, PC)
    assert int(found.starts.note[0]) == EXACT | CONSERVATIVE
