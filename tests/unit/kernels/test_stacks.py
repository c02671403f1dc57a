"""Walking stacks, on stacks that the test itself lays out: what was laid out must be found."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope._kernels.reference import stacks as bits
from mapscope.evidence.memory import Memory, PageTable
from mapscope.goruntime.unwind import _Walk
from tests.unit.kernels.heaps import SIDES, kernel

LOW = 0xC000010000
SIZE = 0x8000
TEXT = 0x400000


@dataclass
class Code:
    """Facts of program counters, made up as they are needed."""

    facts: dict[int, tuple[int, int]] = field(default_factory=dict)

    def place(self, kind: int, delta: int) -> int:
        """A new program counter."""
        pc = TEXT + 16 * len(self.facts)
        self.facts[pc] = kind, delta
        return pc


@dataclass
class Laid:
    """A stack as laid out: where to start, and the frames (pc, sp, fp) that are there."""

    data: bytearray
    pc: int
    sp: int
    lr: int
    frames: list[tuple[int, int, int]]


def put(data: bytearray, address: int, value: int) -> None:
    data[address - LOW : address - LOW + 8] = value.to_bytes(8, "little")


def lay(code: Code, deltas: list[int], uses_lr: bool) -> Laid:
    """Frames of the given sizes, innermost first, below the first function of the goroutine."""
    data = bytearray(SIZE)
    pcs = [code.place(bits.VALID, delta) for delta in deltas] + [code.place(bits.VALID | bits.TOP, 0)]
    sp = LOW + SIZE - 8 * (sum(deltas) // 8 + (0 if uses_lr else len(deltas)) + 4)
    start, lr, frames = sp, 0, []
    for at, delta in enumerate(deltas):
        fp = sp + delta + (0 if uses_lr else 8)
        if not uses_lr:
            put(data, fp - 8, pcs[at + 1])
        elif delta:
            put(data, sp, pcs[at + 1])
        else:
            lr = pcs[at + 1]
        frames.append((pcs[at], sp, fp))
        sp = fp
    frames.append((pcs[-1], sp, sp + (0 if uses_lr else 8)))
    return Laid(data, pcs[0], start, lr, frames)


def walk(
    side: str, code: Code, laid: list[Laid], *, uses_lr: bool = False, note: int = 0, room: int = 64
) -> tuple[list[list[tuple[int, int, int, int]]], list[int]]:
    """Frames (pc, sp, fp, note) and final state of each stack, driven as goruntime/unwind.py does."""
    memory = Memory()
    for i, one in enumerate(laid):
        memory.add(LOW + i * SIZE, SIZE, memory.add_buffer(bytes(one.data)), 0)
    pages: PageTable = memory.page_table()
    n = len(laid)
    low = np.array([LOW + i * SIZE for i in range(n)], dtype=np.uint64)
    shift = low - np.uint64(LOW)
    w = _Walk(
        np.array([one.pc for one in laid], dtype=np.uint64),
        np.array([one.sp for one in laid], dtype=np.uint64) + shift,
        np.array([one.lr for one in laid], dtype=np.uint64),
        low,
        low + np.uint64(SIZE),
        np.full(n, bits.INNERMOST | note, dtype=np.uint8),
        np.zeros(n, dtype=np.uint8),
        np.zeros(n, dtype=np.int32),
        uses_lr,
    )
    w.frame_stack, w.frame_note = np.zeros(room, dtype=np.int32), np.zeros(room, dtype=np.uint8)
    w.frame_pc, w.frame_sp, w.frame_fp = (np.zeros(room, dtype=np.uint64) for _ in range(3))
    w.pending = np.zeros(2, dtype=np.uint64)
    found: list[list[tuple[int, int, int, int]]] = [[] for _ in laid]
    for _ in range(10_000):
        if not (w.state == bits.WALKING).any():
            break
        kernel(side, "stacks").unwind(pages, w)
        for k in range(w.nframes):
            i = int(w.frame_stack[k])
            base = i * SIZE
            found[i].append((
                int(w.frame_pc[k]), int(w.frame_sp[k]) - base, int(w.frame_fp[k]) - base, int(w.frame_note[k])
            ))  # fmt: skip
        for pc in set(w.pending[: w.npending].tolist()):
            w.learn(pc, *code.facts.get(pc, (0, 0)))
        w.nframes = w.npending = 0
    return found, w.state.tolist()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("uses_lr", [False, True])
@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=30), min_size=1, max_size=4),
    leaf=st.booleans(),
    room=st.integers(1, 7),
)
def test_the_frames_that_were_laid_out(side: str, uses_lr: bool, sizes: list[list[int]], leaf: bool, room: int) -> None:
    """Any sizes; the innermost may have no frame; outputs may be tiny."""
    code = Code()
    laid = [lay(code, [0 if leaf else 8 * s[0], *(8 * x for x in s[1:])], uses_lr) for s in sizes]
    found, states = walk(side, code, laid, uses_lr=uses_lr, room=room)
    assert states == [bits.COMPLETE] * len(laid)
    assert [[frame[:3] for frame in one] for one in found] == [one.frames for one in laid]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("damage", "state", "frames"),
    [
        ("garbage", bits.UNKNOWN_PC, 3),
        ("zero", bits.ENDED, 3),
        ("misaligned", bits.OUTSIDE, 0),
        ("below", bits.OUTSIDE, 0),
        ("too large", bits.OUTSIDE, 2),
        ("no size", bits.FRAMELESS, 2),
        ("no table", bits.FRAMELESS, 2),
        ("switches", bits.SWITCHED, 3),
    ],
)
def test_damage_ends_the_walk_with_a_reason(side: str, damage: str, state: int, frames: int) -> None:
    """The frames before the damage are kept."""
    code = Code()
    laid = lay(code, [16, 24, 32, 8], uses_lr=False)
    third = laid.frames[2]
    if damage == "garbage":
        put(laid.data, third[2] - 8, 0x1234)
    elif damage == "zero":
        put(laid.data, third[2] - 8, 0)
    elif damage == "misaligned":
        laid.sp += 4
    elif damage == "below":
        laid.sp = LOW - 8
    else:
        kinds = {"too large": (bits.VALID, 1 << 40), "no size": (bits.VALID | bits.BAD_SIZE, 0),
                 "no table": (bits.VALID | bits.NO_FRAME, 0), "switches": (bits.VALID | bits.SP_WRITE, 32)}  # fmt: skip
        code.facts[third[0]] = kinds[damage]
    found, states = walk(side, code, [laid, lay(code, [8], uses_lr=False)])
    assert states == [state, bits.COMPLETE]
    assert [frame[:3] for frame in found[0]] == laid.frames[:frames]


@pytest.mark.parametrize("side", SIDES)
def test_frames_without_size_that_lead_to_each_other(side: str) -> None:
    """Only an architecture with a link register can run in a circle: a frame may be empty there."""
    code = Code()
    one, two = code.place(bits.VALID, 0), code.place(bits.VALID, 0)
    laid = Laid(bytearray(SIZE), one, LOW + 64, two, [])
    put(laid.data, LOW + 64, one)
    found, states = walk(side, code, [laid], uses_lr=True, room=256)
    assert states == [bits.STUCK]
    assert len(found[0]) < 100


@pytest.mark.parametrize("side", SIDES)
def test_a_hole_in_the_stack(side: str) -> None:
    """What is not in the evidence ends the walk; nothing is guessed."""
    code = Code()
    laid = lay(code, [8, 8], uses_lr=False)
    laid.sp = LOW + SIZE  # the frame lies behind the last page
    assert walk(side, code, [laid])[1] == [bits.OUTSIDE]
    memory = Memory()
    pc, sp, lr, low, high = (np.array([v], dtype=np.uint64) for v in (laid.pc, LOW, 0, LOW, LOW + SIZE))
    note = np.array([bits.INNERMOST], dtype=np.uint8)
    w = _Walk(pc, sp, lr, low, high, note, np.zeros(1, dtype=np.uint8), np.zeros(1, dtype=np.int32), False)
    memory.add(1 << 30, 4096, memory.add_buffer(bytes(4096)), 0)
    w.learn(laid.pc, *code.facts[laid.pc])
    kernel(side, "stacks").unwind(memory.page_table(), w)
    assert w.state.tolist() == [bits.UNREADABLE]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("uses_lr", [False, True])
def test_calls_that_signal_handlers_inject(side: str, uses_lr: bool) -> None:
    """asyncPreempt makes its caller conservative, sigpanic is told to it; both stand at the very instruction."""
    for special, wanted in (
        (bits.ASYNC, bits.CONSERVATIVE | bits.EXACT), (bits.SIGPANIC, bits.AFTER_SIGPANIC | bits.EXACT),
    ):  # fmt: skip
        code = Code()
        laid = lay(code, [16, 16, 16], uses_lr)
        code.facts[laid.frames[0][0]] = bits.VALID | bits.INJECTED | special, 16
        if uses_lr:  # the handler pushed a frame of 16 bytes with the link register
            old = laid.frames[0][2]
            laid.data[old - LOW + 16 :] = laid.data[old - LOW : -16]
            laid.frames[1:] = [(pc, sp + 16, fp + 16) for pc, sp, fp in laid.frames[1:]]
            put(laid.data, old, 0x7777)
        found, states = walk(side, code, [laid], uses_lr=uses_lr)
        assert states == [bits.COMPLETE]
        assert [frame[:3] for frame in found[0]] == laid.frames
        own = bits.CONSERVATIVE if special == bits.ASYNC else 0
        assert [frame[3] for frame in found[0]] == [bits.INNERMOST | own, wanted, 0, 0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_both_sides_agree_on_random_bytes(seed: int) -> None:
    """Stacks of noise, with program counters thrown in."""
    rng = random.Random(seed)
    for uses_lr in (False, True):
        code = Code()
        for _ in range(12):
            code.place(bits.VALID | rng.choice((0, 0, 0, *(1 << k for k in range(1, 8)))), 8 * rng.randrange(6))
        pcs = [*code.facts, 0, 0x1234]
        laid = []
        for _ in range(3):
            data = bytearray(SIZE)
            for at in range(0, SIZE, 8):
                data[at : at + 8] = rng.choice((*pcs, rng.getrandbits(64))).to_bytes(8, "little")
            start = LOW + 8 * rng.randrange(SIZE // 8)
            laid.append(Laid(data, rng.choice(pcs), start, rng.choice(pcs), []))
        results = [walk(side, code, laid, uses_lr=uses_lr, note=0) for side in SIDES]
        assert results[0] == results[1]
        assert bits.WALKING not in results[0][1]
