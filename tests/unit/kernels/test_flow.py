"""The dataflow kernel on operations of any kind: the compiled side against the plain one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope._kernels.reference import flow
from mapscope.binary.machine import Code
from tests.unit.kernels.heaps import kernel

ENTRY, USE, BARRIER, DUFF = 0x1000, 5000, 6000, 7000
REGISTERS = 6
_CODES = st.sampled_from(list(Code))
_REGISTER = st.integers(-1, REGISTERS)
_SLOT = st.one_of(st.integers(0, 6).map(lambda k: 8 * k), st.integers(-20, 60))
_TARGET = st.sampled_from([USE, USE + 1, BARRIER, DUFF, DUFF + 50, 0])
_CONSTANT = st.one_of(st.sampled_from([900, 908]), st.integers(-(1 << 63), (1 << 63) - 1))
_JUMPS = (Code.JUMP, Code.BRANCH)


class Work:
    """What the kernels read, and room for what they write."""

    def __init__(self, most: int, every: bool, room: int) -> None:
        self.registers, self.context, self.barrier, self.every = REGISTERS, 4, 5, every
        self.arguments, self.scratch = np.array([0, 1, 2], np.int64), np.array([2], np.int64)
        self.barriers, self.duffs = np.array([BARRIER], np.int64), np.array([[DUFF, DUFF + 100]], np.int64)
        self.wanted = np.array([USE], np.int64)
        self.events, self.values = np.zeros((most, 9), np.int64), np.zeros((most + 4, 4), np.int64)
        self.held = np.zeros((room, 3), np.int64)
        self.nevents = self.nvalues = self.nheld = 0

    def told(self) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
        """The outputs as they are filled."""
        return (
            self.events[: self.nevents].tolist(),
            self.values[: self.nvalues].tolist(),
            self.held[: self.nheld].tolist(),
        )


@st.composite
def _operations(draw: st.DrawFn) -> list[list[int]]:
    """Operations of instructions of 1 to 4 bytes, some of two operations; jumps lead near them."""
    rows: list[list[int]] = []
    at = ENTRY + draw(st.sampled_from([0, 0, 0, 8]))
    for _ in range(draw(st.integers(0, 40))):
        size = draw(st.integers(1, 4))
        for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
            code = draw(_CODES)
            a, b, c = _fields(draw, code, at)
            rows.append([at, at + size, int(code), a, b, c])
        at += size
    return rows


def _fields(draw: st.DrawFn, code: Code, at: int) -> tuple[int, int, int]:
    if code in _JUMPS:
        return draw(st.one_of(st.just(0), st.integers(at - 20, at + 40), st.just(ENTRY))), 0, 0
    if code is Code.CALL:
        return draw(_TARGET), 0, 0
    if code in (Code.STORE_STACK, Code.STACK_ADDRESS):
        slot, register = draw(_SLOT), draw(_REGISTER)
        return (slot, register, draw(st.sampled_from([1, 4, 8, 16, 64])))[:3] if code is Code.STORE_STACK else (
            register, slot, 0
        )  # fmt: skip
    if code is Code.LOAD_STACK:
        return draw(_REGISTER), draw(_SLOT), 0
    if code is Code.STORE:
        return draw(_REGISTER), draw(st.sampled_from([0, 8, -8])), draw(_REGISTER)
    if code is Code.STORE_GLOBAL:
        return draw(_CONSTANT), draw(_REGISTER), 0
    if code in (Code.ADDRESS, Code.LOAD_GLOBAL):
        return draw(_REGISTER), draw(_CONSTANT), 0
    return draw(_REGISTER), draw(_REGISTER), draw(st.sampled_from([0, 8, -8, (1 << 63) - 1]))


@settings(max_examples=600, deadline=None)
@given(
    rows=_operations(),
    steps=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9).map(lambda k: 8 * k)), max_size=6),
    every=st.booleans(),
    room=st.sampled_from([0, 3, 400]),
)
def test_both_sides_tell_the_same(rows: list[list[int]], steps: list[tuple[int, int]], every: bool, room: int) -> None:
    ops = np.array(rows, np.int64).reshape(-1, 6)
    ends = np.cumsum([step for step, _ in steps]).astype(np.int64)
    deep = np.array([depth for _, depth in steps], np.int64)
    told = []
    for side in ("compiled", "reference"):
        work = Work(len(rows), every, room)
        kernel(side, "flow").trace(ops, ends, deep, ENTRY, work)
        told.append(work.told())
    assert told[0] == told[1]


def test_the_numbers_of_operations_are_those_of_the_machine() -> None:
    assert {name: getattr(flow, name) for name in Code.__members__} == {one.name: one.value for one in Code}
