"""Variables by address: names where there are any, whole words where there are none."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapscope.binary.symbols import SymbolTable
from mapscope.goruntime.dwarftypes import Variable
from mapscope.heap.statics import Statics

BIAS = 0x10000
DATA, BSS, END = 0x500000 + BIAS, 0x510000 + BIAS, 0x520000 + BIAS
MODULE = SimpleNamespace(
    address=DATA, noptrdata=0, enoptrdata=0, data=DATA, edata=BSS, bss=BSS, ebss=END, noptrbss=END, enoptrbss=END + 64
)


def symbols(*rows: tuple[str, int, int]) -> SymbolTable:
    """A symbol table of objects: name, static address, size."""
    table, strings = b"", b"\0"
    for name, value, size in rows:
        table += struct.pack("<IBBHQQ", len(strings), 0x11, 0, 5, value, size)
        strings += name.encode() + b"\0"
    return SymbolTable(table, strings, 0, len(strings))


def statics(variables: list[Variable], *rows: tuple[str, int, int]) -> Statics:
    elf = SimpleNamespace(symbols=symbols(*rows))
    process = SimpleNamespace(modules=[MODULE], plugins=[], bias=BIAS, executable=SimpleNamespace(elf=elf))
    return Statics(process, variables)


def test_dwarf_comes_before_symbols_and_both_before_words():
    found = statics(
        [Variable("main.srv", DATA + 64, 7, "main.Server", 48)],
        ("main.srv", DATA + 64 - BIAS, 48),
        ("main.old", BSS + 8 - BIAS, 16),
        ("runtime.etext", 0x400000, 8),
    )
    here = found.at(DATA + 72)
    assert here is not None
    assert (here.name, here.address, here.offset, here.type_id, here.type_name) == (
        "main.srv", DATA + 64, 8, 7, "main.Server"
    )  # fmt: skip
    symbol = found.at(BSS + 16)
    assert symbol is not None
    assert (symbol.name, symbol.offset, symbol.type_id, symbol.section) == ("main.old", 8, -1, "bss")
    bare = found.at(BSS + 0x1A25)
    assert bare is not None
    assert (bare.name, bare.address, bare.offset, bare.section_offset) == (None, BSS + 0x1A20, 5, 0x1A20)
    assert found.at(0x400000 + BIAS) is None
    assert found.at(END + 64) is None


def test_a_plugin_has_symbols_and_sections_of_its_own():
    """Its symbols are moved by its own bias; where it has none, the name of its file tells whose section is meant."""
    far = 0x7F0000000000
    module = SimpleNamespace(
        address=far, noptrdata=0, enoptrdata=0, data=far, edata=far + 64, bss=far + 64, ebss=far + 128, noptrbss=0,
        enoptrbss=0,
    )  # fmt: skip
    elf = SimpleNamespace(symbols=symbols(("main.old", BSS + 8 - BIAS, 16)))
    plugin = SimpleNamespace(
        module=module,
        name="extra.so",
        bias=far,
        elf=SimpleNamespace(symbols=symbols(("extra.a", 0, 8), ("extra.b", 72, 8))),
    )
    process = SimpleNamespace(
        modules=[MODULE, module], plugins=[plugin], bias=BIAS, executable=SimpleNamespace(elf=elf)
    )
    both = Statics(process, [Variable("extra.c", far + 32, 7, "int", 8)])
    names = {at: found and (found.name, found.section) for at in (far, far + 32, far + 72, far + 80, BSS + 8, far + 128)
             if [found := both.at(at)]}  # fmt: skip
    assert names == {
        far: ("extra.a", "extra.so:data"),
        far + 32: ("extra.c", "extra.so:data"),
        far + 72: ("extra.b", "extra.so:bss"),
        far + 80: (None, "extra.so:bss"),
        BSS + 8: ("main.old", "bss"),
        far + 128: None,
    }


@given(
    rows=st.lists(st.tuples(st.integers(0, 500), st.integers(1, 300)), max_size=8),
    asked=st.lists(st.integers(DATA - 16, DATA + 700), min_size=1, max_size=40),
)
def test_starts_agree_with_at(rows, asked):
    found = statics([Variable(f"v{n}", DATA + low, n, "T", size) for n, (low, size) in enumerate(rows)])
    starts, inside = found.starts(np.array(asked, dtype=np.uint64))
    for address, start, there in zip(asked, starts.tolist(), inside.tolist(), strict=True):
        one = found.at(address)
        assert there == (address >= DATA)
        assert (one is not None) == there
        if one is not None:
            assert one.address == start
            assert one.address + one.offset == address
