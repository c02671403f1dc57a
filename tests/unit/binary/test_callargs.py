"""Constant first arguments of many calls at once, against one call after the other by the decoder of whole texts."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mapscope.binary.callargs import WINDOW, first_arguments
from mapscope.binary.executable import Executable
from mapscope.binary.pclntab import FunctionTable
from mapscope.binary.textcode import TextCode
from tests.unit.binary.gobuilds import built


def simple(text: TextCode, table: FunctionTable, pc: int, low: int, high: int) -> int:
    """The same of one return address."""
    index = table.find(pc - 1)
    if index < 0 or not text.start < pc <= text.end:
        return 0
    start = max(int(table.entry[index]), pc - WINDOW)
    if text.arch == "arm64":
        start += -start % 4
    code = TextCode(text.data[start - text.start : pc - text.start].data, start, text.arch)
    entries, after = set(table.entry.tolist()), 0
    calls = code.calls(anywhere=True)
    for site, end, target in zip(calls.site.tolist(), calls.end.tolist(), calls.target.tolist(), strict=True):
        if site < pc - 5 and target in entries:
            after = max(after, end)
    made = code.addresses(low, high)
    rows = zip(made.site.tolist(), made.target.tolist(), made.register.tolist(), strict=True)
    good = [(site, target) for site, target, register in rows if register == 0 and site >= after]
    return max(good, default=(0, 0))[1]


@pytest.mark.toolchain
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("bias", [0, 0x5500000000])
def test_many_at_once_are_as_one_after_the_other(arch: str, bias: int):
    executable = Executable.open(built("kinds", "1.26", "pie", goarch=arch))
    table, module = executable.functions_at(bias), executable.module
    start = int(table.entry[0])
    text = TextCode(executable.image.view(start - bias, table.end - start), start, arch)
    low, high = module.types + bias, module.etypes + bias
    calls = text.calls().end.tolist()
    chance = random.Random(3)
    pcs = chance.sample(calls, 2500)
    pcs += [chance.randrange(start, table.end) for _ in range(1500)]
    pcs += [start, start + 1, start + 40, table.end, table.end + 1, 0, 5, (1 << 64) - 1]
    found = first_arguments(text, table, np.array(pcs, np.uint64), low, high).tolist()
    expected = [simple(text, table, pc, low, high) for pc in pcs]
    assert found == expected
    assert sum(one > 0 for one in found) > 100
