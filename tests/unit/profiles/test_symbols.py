"""Callees of return addresses, on two architectures, against all direct calls of a program and its types."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mapscope.binary.executable import Executable
from mapscope.binary.inline import unfold
from mapscope.binary.pclntab import shown_name
from mapscope.binary.textcode import TextCode
from mapscope.profiles.symbols import Symbols
from tests.unit.binary.gobuilds import built


@pytest.mark.toolchain
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("bias", [0, 0x5500000000])
def test_every_direct_call_of_a_function_is_named(arch: str, bias: int):
    executable = Executable.open(built("kinds", "1.26", "pie", goarch=arch))
    symbols = Symbols(executable, bias)
    table = executable.functions
    start = int(table.entry[0])
    text = executable.image.view(start, table.end - start)
    calls = TextCode(text, start, arch).calls()
    entries = {entry: index for index, entry in enumerate(table.entry.tolist())}
    expected = [entries.get(target, -1) for target in calls.target.tolist()]
    assert sum(one >= 0 for one in expected) > 5000
    assert symbols.targets(calls.end + np.uint64(bias)).tolist() == expected
    # an address in the middle of an instruction, or outside of the text, follows no call
    odd = np.array([0, 1, 1 << 63, start + bias, table.end + bias + 100], np.uint64)
    assert symbols.targets(odd).tolist() == [-1] * 5
    where = table.index_of("runtime.mapassign_faststr")
    sites = calls.end[np.array(expected) == where].tolist()
    names = {found.name for pc in sites if (found := symbols.map_type(pc + bias)) is not None}
    assert len(sites) >= 3
    assert names
    assert all(name.startswith("map[") for name in names)


@pytest.mark.toolchain
@pytest.mark.parametrize("series", ["1.19", "1.21", "1.26"])
def test_names_of_many_addresses(series: str):
    """As the frames of each say, inlined ones too; any address of the text and some outside."""
    executable = Executable.open(built("kinds", series))
    symbols = Symbols(executable, 0)
    table, chance = executable.functions, random.Random(7)
    low, high = int(table.entry[0]), table.end
    pcs = [chance.randrange(low, high) for _ in range(3000)] + [0, 1, low, low + 1, high, high + 1, (1 << 64) - 1]
    expected = []
    for pc in pcs:
        index = table.find(pc - 1)
        frames = unfold(table, executable.image, index, pc - 1) if index >= 0 else []
        expected.append((shown_name(frames[0].name), frames[0].file, frames[0].line) if frames else ("", "", 0))
    assert [symbols.line(pc) for pc in pcs] == expected
    assert symbols.names(np.array(pcs, np.uint64)) == [symbols.name(pc) for pc in pcs] == [one[0] for one in expected]
    assert sum(len(unfold(table, executable.image, table.find(pc), pc)) > 1 for pc in pcs[:1000]) > 100


@pytest.mark.toolchain
def test_functions_by_the_names_that_are_shown():
    table = Executable.open(built("kinds", "1.26")).functions
    shown = [shown_name(name) for name in table.names()]
    wanted = {*random.Random(1).sample(shown, 300), "runtime.mallocgc", "main.notThere", ""}
    wanted |= {name for name in shown if "[...]" in name}
    expected: dict[str, list[int]] = {}
    for index, name in enumerate(shown):
        if name in wanted:
            expected.setdefault(name, []).append(index)
    assert table.indices_by_shown(wanted) == expected
    assert any(len(rows) > 1 for rows in expected.values())
