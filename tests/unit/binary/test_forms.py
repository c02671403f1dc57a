"""Instructions by their forms, against reading the words of each, and the two sides of the kernel."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mapscope.binary import machine_amd64, machine_arm64
from mapscope.binary.disassembler import Disassembler, Rows, disassembler
from mapscope.binary.executable import Executable
from mapscope.binary.forms import Forms
from mapscope.binary.machine import Code, Meaning
from tests.unit.binary.gobuilds import built
from tests.unit.kernels.heaps import SIDES, kernel

pytest.importorskip("capstone")

MEANINGS: dict[str, Meaning] = {"amd64": machine_amd64.meaning, "arm64": machine_arm64.meaning}
_EVERYWHERE = (
    *(Code.MOVE, Code.ADDRESS, Code.ADD, Code.LOAD, Code.LOAD_STACK, Code.STORE, Code.STORE_STACK, Code.STACK_ADDRESS),
    *(Code.KILL, Code.CALL, Code.JUMP, Code.BRANCH, Code.STOP, Code.OTHER),
)
ROWS = np.dtype([("address", "<u8"), ("size", "<u2"), ("mnemonic", "S32"), ("operands", "S160")])


def one_by_one(arch: str) -> Forms:
    """Has no room for forms: it reads the words of every instruction."""
    return Forms(disassembler(arch), MEANINGS[arch], most=0)


@pytest.mark.toolchain
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("release", ["1.21", "1.27"])
def test_every_function_as_if_each_instruction_were_read(arch: str, release: str) -> None:
    exe = Executable.open(built("kinds", release, goarch=arch))
    slow, fast = one_by_one(arch), Forms(disassembler(arch), MEANINGS[arch])
    seen: set[int] = set()
    total = 0
    for i in range(0, len(exe.functions), 3):
        entry = int(exe.functions.entry[i])
        code = exe.image.read(entry, exe.functions.end_of(i) - entry)
        assert code is not None
        expected = slow.operations(code, entry)
        assert np.array_equal(fast.operations(code, entry), expected)
        seen.update(expected[:, 2].tolist())
        total += len(expected)
    assert seen >= {int(code) for code in _EVERYWHERE}
    assert slow.count == 0
    assert fast.count * 10 < total


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_bytes_that_are_no_code(arch: str) -> None:
    rng = random.Random(11)
    slow, fast = one_by_one(arch), Forms(disassembler(arch), MEANINGS[arch])
    made = 0
    for _ in range(600):
        code = rng.randbytes(rng.choice((0, 3, 60, 400)))
        expected = slow.operations(code, 0x401000)
        assert np.array_equal(fast.operations(code, 0x401000), expected)
        made += len(expected)
    assert made > 1000


@pytest.mark.parametrize("most", [0, 1, 40, 400])
def test_what_has_no_room_among_the_forms_is_read(most: int) -> None:
    rng = random.Random(3)
    code = b"".join(bytes((0x48, 0x8B, rng.randrange(0x40, 0x80), rng.randrange(256))) for _ in range(3000))
    expected = Forms(disassembler("amd64"), machine_amd64.meaning).operations(code, 0x401000)
    small = Forms(disassembler("amd64"), machine_amd64.meaning, most=most)
    for _ in range(2):
        assert np.array_equal(small.operations(code, 0x401000), expected)
        assert small.count <= most


def rows_of(*texts: tuple[str, str], at: int = 0x401000) -> Rows:
    """Instructions of seven bytes each."""
    parts = [(at + 7 * k, 7, name.encode(), operands.encode()) for k, (name, operands) in enumerate(texts)]
    return np.array(parts, ROWS)


@pytest.mark.parametrize(
    ("arch", "name", "operands", "expected"),
    [
        ("amd64", "mov", "rax, qword ptr [rip + 0x10]", [Code.LOAD_GLOBAL, 0, 0x401017, 0]),
        ("amd64", "mov", "rax, qword ptr [rip - 0x10]", [Code.LOAD_GLOBAL, 0, 0x400FF7, 0]),
        ("amd64", "mov", "qword ptr [rip + 5], rax", [Code.STORE_GLOBAL, 0x40100C, 0, 0]),
        ("amd64", "mov", "rbx, qword ptr [rsp - 8]", [Code.LOAD_STACK, 1, -8, 0]),
        ("amd64", "mov", "rbx, qword ptr [rsp]", [Code.LOAD_STACK, 1, 0, 0]),
        ("amd64", "lea", "rbx, [rax + 0xffffffffffffffff]", [Code.ADD, 1, 0, -1]),
        ("amd64", "lea", "rbx, [rax + rcx*8 + 8]", [Code.KILL, 1, 0, 0]),
        ("amd64", "call", "0xffffffffff600000", [Code.CALL, -0xA00000, 0, 0]),
        ("amd64", "jne", "0x401200", [Code.BRANCH, 0x401200, 0, 0]),
        ("arm64", "adrp", "x3, #0x5a0000", [Code.ADDRESS, 3, 0x5A0000, 0]),
        ("arm64", "ldr", "x1, [sp, #-0x18]!", [Code.KILL, 1, 0, 0]),
        ("arm64", "ldur", "x1, [x2, #-0x18]", [Code.LOAD, 1, 2, -0x18]),
        ("arm64", "tbnz", "w0, #3, #0x401200", [Code.BRANCH, 0x401200, 0, 0]),
    ],
)
def test_numbers_come_back_where_they_belong(arch: str, name: str, operands: str, expected: list[int]) -> None:
    rows = rows_of(("nop", ""), (name, operands), at=0x401000 - 7)
    ops = Forms(Disassembler(lambda code, address: iter([rows])), MEANINGS[arch]).operations(b"", 0)
    assert ops[1].tolist() == [0x401000, 0x401007, *map(int, expected)]


def test_an_adr_of_vectors_makes_no_address() -> None:
    assert not list(machine_arm64.meaning("adr", "z4.d, [z31.d, z4.d, lsl #1]"))


def test_pairs_have_numbers_near_the_one_that_is_written() -> None:
    rows = rows_of(("stp", "x1, x2, [sp, #-0x18]"), ("ldp", "x3, x4, [x5, #0x40]"))
    ops = Forms(Disassembler(lambda code, address: iter([rows])), machine_arm64.meaning).operations(b"", 0)
    assert ops[:, 2:].tolist() == [
        [Code.STORE_STACK, -0x18, 1, 8],
        [Code.STORE_STACK, -0x10, 2, 8],
        [Code.LOAD, 3, 5, 0x40],
        [Code.LOAD, 4, 5, 0x48],
    ]


_WORD = st.sampled_from(
    ["rax", "[rip + ", "[rip - ", "0x", "0x1f", "0xffffffffffffffff", "0x12345678123456789", "7", "8]", "]", "*8", ", ",
     "#", "-", ".", "1.5", "r8", "0x0x1", "a0x1", " ", "0", "x"]
)  # fmt: skip
_TEXT = st.lists(_WORD, max_size=12).map("".join)


class Table:
    """Room for forms, as the kernels see it."""

    def __init__(self, most: int) -> None:
        self.texts, self.table = np.zeros((most, 200), np.uint8), np.zeros(4 * max(most, 1), np.int32)
        self.count, self.ids = 0, dict[bytes, int]()


@settings(max_examples=500, deadline=None)
@given(
    texts=st.lists(st.tuples(st.sampled_from(["mov", "lea", "m0x1"]), _TEXT), max_size=20),
    most=st.sampled_from([0, 4, 64]),
)
@example([("mov", "[rip + 0x10] 1 2 3 4 5")], 4)
def test_both_sides_see_the_same_forms(texts: list[tuple[str, str]], most: int) -> None:
    rows = rows_of(*texts)
    raw = rows.view(np.uint8).reshape(len(rows), ROWS.itemsize)
    found = []
    for side in SIDES:
        work, form = Table(most), np.full(len(rows), -5, np.int32)
        numbers = np.full((len(rows), 4), -5, np.int64)
        kernel(side, "operations").forms(
            rows["address"], rows["size"], raw[:, 10:42], raw[:, 42:202], work, form, numbers
        )
        found.append((form.tolist(), numbers.tolist(), work.texts[: work.count].tolist()))
    assert found[0] == found[1]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), n=st.integers(0, 12), room=st.sampled_from([0, 5, 100]))
def test_both_sides_expand_alike(data: st.DataObject, n: int, room: int) -> None:
    any_number = st.integers(-(1 << 63), (1 << 63) - 1)
    lengths = data.draw(st.lists(st.integers(0, 3), max_size=5))
    first = np.cumsum([0, *lengths]).astype(np.int64)
    part = st.tuples(st.integers(0, 18), *[any_number, st.integers(-4, 4)] * 3)
    parts = np.array(data.draw(st.lists(part, min_size=sum(lengths), max_size=sum(lengths))), np.int64).reshape(-1, 7)
    form = np.array(data.draw(st.lists(st.integers(-1, 6), min_size=n, max_size=n)), np.int32)
    numbers = np.array(data.draw(st.lists(any_number, min_size=4 * n, max_size=4 * n)), np.int64).reshape(n, 4)
    rows = rows_of(*[("nop", "")] * n)
    found = []
    for side in SIDES:
        out = np.zeros((room, 6), np.int64)
        made = kernel(side, "operations").expand(rows["address"], rows["size"], form, numbers, first, parts, out)
        found.append((made, out.tolist()))
    assert found[0] == found[1]
