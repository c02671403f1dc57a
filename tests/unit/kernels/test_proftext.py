"""Text profiles to columns: the kernel against regular expressions, on lines that are nearly of the formats."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mapscope._kernels.reference.proftext import RECORD_WIDTHS
from mapscope._kernels.reference.stacktext import GOROUTINE_WIDTHS
from tests.unit.kernels.heaps import SIDES, kernel

NUMBERS = (
    "0", "1", "-1", "12", "-", "", "9223372036854775807", "9223372036854775808", "-9999999999999999999", "9" * 20,
)  # fmt: skip
ADDRESSES = ("0x1", "0x0", "0x40ab12", "0x" + "f" * 16, "0x" + "f" * 17, "0x", "0X1", "0xG", "40")
PIECES = (
    *NUMBERS, *ADDRESSES, " ", "  ", "\t", "\t\t", ": ", ":", " [", "]", "] @ ", " @", "@", "#", "#\t", "# ", " = ",
    " / ", "+", "\r", "\v", "\x00", "é", "main.f", "main.(*T).g(0x1, {...})", "f(", ")", "/src/a b.go", "goroutine ",
    " gp=0x1", " m=nil", " mp=0x2", " [chan receive", ", ", "12 minutes", "]:", " +0x1d", " fp=0x1 sp=0x2",
    "created by ", " in goroutine ", "NumGC", "-5", "...",
)  # fmt: skip
LINES = (
    "1: 64 [2: 128] @ 0x401000 0x402000", "     1:   64 [     2:    128] @ 0x401000", "3 @ 0x1 0x2", "3 @", "",
    "#\t0x400fff\tmain.fill+0x9\t\t/src/main.go:12", "#\t0x401001\tmain.(*T).f+0x1f+0x1\t/a:b/c.go:1  ",
    "# NumGC = 7", "# Stack = 4096 / 8192", "# PauseNs = [1 2 3]", "# labels: {\"k\":\"v\"}", "goroutine 1 [running]:",
    "goroutine 18 gp=0xc0 m=3 mp=0x1 [chan receive, 12 minutes, locked to thread]:", "main.main()",
    "main.(*T).wait(0xc000012345, {0x1, 0x2})", "\t/src/main.go:33 +0x2a", "\t/src/x:1/main.go:5 fp=0xc sp=0xd pc=0x1",
    "created by main.main in goroutine 1", "created by main.main", "\t/src/main.go:8 +0x5c",
    "...additional frames elided...",
)  # fmt: skip
COMMENTS = tuple(line for line in LINES if line.startswith(("#", "\t")))
SPOILED = st.tuples(st.sampled_from(LINES), st.integers(0, 60), st.integers(0, 9), st.sampled_from(PIECES)).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[3] + drawn[0][drawn[1] + drawn[2] :]
)
LINE = st.sampled_from(LINES) | SPOILED | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
TEXT = st.lists(LINE | st.sampled_from(COMMENTS), max_size=14).map(lambda lines: "\n".join(lines).encode())


def tables_of(side: str, what: str, widths: tuple[int, ...], *arguments: object) -> tuple[int, list[list[list[int]]]]:
    """Where it is bad, or -1, and the tables."""
    run = getattr(kernel(side, "proftext" if what == "records" else "stacktext"), what)
    counts = np.zeros(len(widths), np.int64)
    bad = run(*arguments, None, counts)
    if bad >= 0:
        return bad, []
    tables = [np.zeros((n, wide), np.int64) for n, wide in zip(counts.tolist(), widths, strict=True)]
    assert run(*arguments, tables, counts) == -1
    return -1, [table.tolist() for table in tables]


@settings(max_examples=400, deadline=None)
@given(text=TEXT, numbers=st.sampled_from((1, 4)), deepest=st.sampled_from((1, 3, 4096)))
@example(text=b"", numbers=4, deepest=9)
@example(text=b"h\n1 @ 0x1\n#\t0x0\ta+0x1\t:1\n#\t0x0\tb+0x1\tf:2", numbers=1, deepest=9)
def test_debug_1(text: bytes, numbers: int, deepest: int):
    raw = np.frombuffer(b"first\n" + text, np.uint8)
    found = [tables_of(side, "records", RECORD_WIDTHS, raw, numbers, deepest) for side in SIDES]
    assert found[0] == found[1]


@settings(max_examples=400, deadline=None)
@given(text=TEXT, deepest=st.sampled_from((1, 3, 4096)))
@example(text=b"goroutine 1 [running]:\nf()\n\t/f:1", deepest=9)
@example(text=b"goroutine 1 [running]:\nf()", deepest=9)
def test_debug_2(text: bytes, deepest: int):
    raw = np.frombuffer(b"goroutine 7 [select, 3 minutes]:\n" + text, np.uint8)
    found = [tables_of(side, "goroutines", GOROUTINE_WIDTHS, raw, deepest) for side in SIDES]
    assert found[0] == found[1]


@pytest.mark.parametrize("side", SIDES)
def test_what_stands_where(side: str):
    text = b"heap profile: ...\n1: 64 [2: 128] @ 0x10 0x20\n#\t0x1f\tmain.f+0x9\t\t/a.go:12\n\n# NumGC = 7\n"
    raw = np.frombuffer(text, np.uint8)
    bad, (records, pcs, named, facts) = tables_of(side, "records", RECORD_WIDTHS, raw, 4, 99)
    assert (bad, records, pcs) == (-1, [[1, 64, 2, 128, 2, 1]], [[0x10], [0x20]])
    (pc, name, name_end, file, file_end, line), (fact, fact_end, value) = named[0], facts[0]
    assert (pc, text[name:name_end], text[file:file_end], line) == (0x20, b"main.f", b"/a.go", 12)
    assert (text[fact:fact_end], value) == (b"NumGC", 7)
    assert tables_of(side, "records", RECORD_WIDTHS, np.frombuffer(text + b"1: 2\n", np.uint8), 4, 99)[0] == 6


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.integers(1, 5), max_size=5), st.lists(st.integers(1, 6), max_size=6)), max_size=6)
)
def test_names_go_to_the_addresses_of_their_record(stacks: list[tuple[list[int], list[int]]]):
    records = np.zeros((len(stacks), 6), np.int64)
    records[:, 4] = np.cumsum([len(pcs) for pcs, _ in stacks])
    records[:, 5] = np.cumsum([len(names) for _, names in stacks])
    pcs = np.array([pc for pcs, _ in stacks for pc in pcs], np.int64).reshape(-1, 1) - 3  # some beyond 63 bits
    named = np.zeros((sum(len(names) for _, names in stacks), 6), np.int64)
    named[:, 0] = [pc - 3 for _, names in stacks for pc in names]
    found = []
    for side in SIDES:
        rows = np.full(len(pcs), 77, np.int32)
        kernel(side, "proftext").attach(records, pcs, named, rows)
        found.append(rows.tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("seed", [0, 1, (1 << 61) - 1, (1 << 64) - 1])
def test_equal_strings_are_one(seed: int):
    chance = random.Random(seed)
    words = [chance.randbytes(chance.choice((0, 1, 6, 7, 8, 30, 100))) for _ in range(300)]
    words += [word[:-1] + b"x" for word in words if word]
    chosen = [chance.choice(words) for _ in range(3000)]
    data, spans, at = b"".join(chosen), [], 0
    for word in chosen:
        spans.append((at, at + len(word)))
        at += len(word)
    found = []
    for side in SIDES:
        codes, first = np.zeros(len(spans), np.int32), np.zeros(len(spans), np.int64)
        many = kernel(side, "interning").intern(
            np.frombuffer(data, np.uint8), np.array(spans, np.int64), seed, codes, first
        )
        found.append((many, codes.tolist(), first[:many].tolist()))
    assert found[0] == found[1]
    known = list(dict.fromkeys(chosen))
    assert found[0][1] == [known.index(word) for word in chosen]
