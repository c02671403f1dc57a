"""Callees of return addresses, on two architectures, against all direct calls of a program and its types."""

from __future__ import annotations

import numpy as np
import pytest

from mapscope.binary.executable import Executable
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
