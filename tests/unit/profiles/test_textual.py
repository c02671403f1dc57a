"""Text profiles by columns against the plain way, line by line; and that hostile ones are bounded."""

from __future__ import annotations

import random
import re

import pytest

from mapscope.errors import EvidenceError
from mapscope.profiles.model import Profile
from mapscope.profiles.textual import read_text, scaled
from tests.unit.profiles import simple, simpletext

NAMES = ("main.f", "main.(*T).g[...]", "runtime.mallocgc", "a/b.C.func1", "x+0x1", "")
FILES = ("/src/main.go", "/a b/c:3.go", "c.go", "")
STATES = ("running", "chan receive, 12 minutes", "select, 3 minutes, locked to thread", "a,b, 5 minutes", "")


def heap(chance: random.Random, first: str) -> str:
    """debug=1 of a heap, or of counts where ``first`` is so."""
    lines = [first]
    for _ in range(chance.randrange(12)):
        pcs = [chance.choice((1, 2, 0x401000, 0x402000, (1 << 64) - 1, 0)) for _ in range(chance.choice((0, 1, 3, 9)))]
        numbers = [chance.choice((0, 1, 7, 4096, -3, 10**6)) for _ in range(4)]
        head = f"{numbers[0]}: {numbers[1]} [{numbers[2]}: {numbers[3]}]" if "heap" in first else str(numbers[0])
        lines.append(f"{head} @{''.join(f' {pc:#x}' for pc in pcs)}")
        for pc in pcs:
            for _ in range(chance.choice((0, 1, 1, 2))):
                name, file = chance.choice(NAMES), chance.choice(FILES)
                lines.append(
                    f"#\t{max(pc - 1, 0):#x}\t{name}+0x{chance.randrange(99):x}\t\t{file}:{chance.randrange(3)}"
                )
        lines += [""] * chance.randrange(2)
    return "\n".join([*lines, "# runtime.MemStats", "# Alloc = 5", "# Stack = 4 / 9", "# Alloc = 7", ""])


def stacks(chance: random.Random) -> str:
    """debug=2."""
    lines = []
    for number in range(1 + chance.randrange(12)):
        lines.append(f"goroutine {number * 3} [{chance.choice(STATES)}]:")
        for _ in range(chance.randrange(6)):
            arguments = chance.choice(("()", "(0xc000012345, {0x1, 0x2})", "(...)", ""))
            lines.append(chance.choice(NAMES[:4]) + arguments)
            offset = chance.choice(("", " +0x1d", " +0x1d fp=0x1 sp=0x2 pc=0x3"))
            lines.append(f"\t{chance.choice(FILES)}:{chance.randrange(3)}{offset}")
        lines += chance.choice(([], ["...additional frames elided..."]))
        lines += chance.choice(
            ([], ["created by main.main in goroutine 1", "\t/src/main.go:8 +0x5c"], ["created by a"])
        )
        lines.append("")
    return "\n".join(lines)


def spoiled(chance: random.Random, text: str) -> str:
    for _ in range(chance.choice((0, 0, 1, 3))):
        at = chance.randrange(len(text) + 1)
        text = (
            text[:at] + chance.choice((" ", "\t", "\n", ":", "0x", "9" * 19, "+", "#", "[", "]", "a", "-")) + text[at:]
        )
    return text


def facts(profile: Profile) -> object:
    return profile.form, profile.kind, profile.types, profile.period, profile.statistics, simple.samples(profile)


@pytest.mark.parametrize("seed", range(400))
def test_as_the_plain_way(seed: int):
    chance = random.Random(seed)
    text = (
        heap(chance, f"heap profile: 3: 4096 [5: 6144] @ heap/{chance.choice((2, 1048576))}"),
        heap(chance, "goroutine profile: total 5"),
        stacks(chance),
    )[seed % 3]
    data = spoiled(chance, text).encode()
    try:
        expected = simpletext.read_text("given", data)
    except EvidenceError as error:
        with pytest.raises(EvidenceError, match=re.escape(str(error))):
            read_text("given", data)
        return
    except OverflowError:  # the line of a frame has 19 digits
        assert len(read_text("given", data)) > 0
        return
    assert facts(read_text("given", data)) == facts(expected)


def test_scaling_up_is_exact():
    chance = random.Random(2)
    for rate in (0, 1, 2, 512, 524288):
        for _ in range(300):
            count = chance.choice((-1, 0, 1, 3, 100, 10**6, (1 << 63) - 1))
            size = chance.choice((-8, 0, 8, 48, 4096, 10**9, (1 << 63) - 1))
            expected = tuple(min(one, (1 << 63) - 1) for one in simpletext.scaled(count, size, rate))
            assert scaled(count, size, rate) == expected, (count, size, rate)
