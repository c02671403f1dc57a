"""GC programs against an interpreter that does one bit at a time."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mapscope.binary.gcprog import MAX_BITS, run_gc_program
from mapscope.errors import FormatError


class Bytes:
    """A Reader over bytes at address 64; the page ends with them."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, address: int, size: int) -> bytes | None:
        part = self.data[address - 64 : address - 64 + size]
        return part if address >= 64 and len(part) == size else None


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def program(rng: random.Random) -> tuple[bytes, list[int]]:
    """A random program, and the bits that it writes by the definition of its instructions."""
    code, bits = bytearray(), [rng.randrange(2) for _ in range(5)]
    code += bytes([5, sum(b << i for i, b in enumerate(bits))])
    for _ in range(rng.randrange(1, 30)):
        if rng.random() < 0.5:
            literal = [rng.randrange(2) for _ in range(rng.randrange(1, 128))]
            code.append(len(literal))
            for at in range(0, len(literal), 8):
                code.append(sum(b << i for i, b in enumerate(literal[at : at + 8])))
            bits += literal
        else:
            count, times = rng.randrange(1, min(len(bits), 300) + 1), rng.randrange(0, 9)
            code += bytes([0x80 | count]) if count < 128 and rng.random() < 0.8 else bytes([0x80]) + varint(count)
            code += varint(times)
            for _ in range(count * times):
                bits.append(bits[-count])
    return bytes([*code, 0]), bits


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int) -> None:
    code, bits = program(random.Random(seed))
    ours = run_gc_program(Bytes(code), 64, len(bits))
    assert ours.astype(int).tolist() == bits
    assert run_gc_program(Bytes(code), 64, len(bits) + 9).astype(int).tolist() == bits + [0] * 9
    assert run_gc_program(Bytes(code), 64, 4).astype(int).tolist() == bits[:4]


def test_large_repeats_are_bounded() -> None:
    code = bytes([1, 1, 0x81]) + varint(1 << 60) + bytes([0])
    assert run_gc_program(Bytes(code), 64, 1000).all()


@pytest.mark.parametrize(
    "code",
    [b"", b"\x05", b"\x81\x02\x00", b"\x01\x01\x82\x02\x00", b"\x01\x01\x80" + b"\xff" * 20 + b"\x00", b"\x01\x01" * 9],
    ids=["empty", "cut", "repeat of nothing", "repeat of too much", "endless number", "no end"],
)
def test_damaged_programs_raise(code: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        run_gc_program(Bytes(code), 64, 100)
    assert caught.value.hint


def test_too_many_bits_raise() -> None:
    with pytest.raises(FormatError, match="too large"):
        run_gc_program(Bytes(b"\0"), 64, MAX_BITS + 1)
    assert run_gc_program(Bytes(b"\0"), 64, 0).size == 0
    assert run_gc_program(Bytes(b"\0"), 64, 3).dtype == np.bool_
