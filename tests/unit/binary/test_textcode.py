"""Patterns in the text against a full disassembly of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from mapscope.binary.executable import Executable
from mapscope.binary.textcode import References, TextCode
from tests.unit.binary.gobuilds import built

pytestmark = pytest.mark.toolchain
capstone = pytest.importorskip("capstone")


def instructions(exe: Executable) -> Iterator[tuple[int, int, str, str]]:
    """Every instruction of every function, by capstone from each entry."""
    table = exe.functions
    kind = (capstone.CS_ARCH_X86, capstone.CS_MODE_64) if exe.arch == "amd64" else (capstone.CS_ARCH_ARM64, 0)
    engine = capstone.Cs(*kind)
    engine.skipdata = True
    for i in range(0, len(table), 3):
        start = int(table.entry[i])
        code = exe.image.read(start, table.end_of(i) - start)
        assert code is not None
        yield from engine.disasm_lite(code, start)


def code_of(exe: Executable) -> TextCode:
    module = exe.module
    data = exe.image.read(module.text, module.etext - module.text)
    assert data is not None
    return TextCode(data, module.text, exe.arch)


def pairs(references: References) -> set[tuple[int, int]]:
    return set(zip(references.site.tolist(), references.target.tolist(), strict=True))


@pytest.mark.parametrize("series", ["1.19", "1.23", "1.27"])
def test_amd64(series: str) -> None:
    exe = Executable.open(built("kinds", series))
    code = code_of(exe)
    calls, stores, loads, addresses = set(), set(), set(), set()
    relative = re.compile(r"\[rip ([+-]) (0x[0-9a-f]+|\d+)\]")
    for site, size, mnemonic, text in instructions(exe):
        if mnemonic == "call" and text.startswith("0x"):
            calls.add((site, int(text, 16)))
        found = relative.search(text)
        if found is None or size != 7:
            continue
        target = site + size + int(found[1] + str(int(found[2], 0)))
        left, _, right = text.partition(", ")
        if mnemonic == "lea":
            addresses.add((site, target))
        elif mnemonic == "mov" and right.startswith("r"):
            stores.add((site, target))
        elif mnemonic == "mov" and left.startswith("r") and right.startswith("qword"):
            loads.add((site, target))
    low, high = exe.module.text, exe.module.end
    assert len(calls) > 1000
    assert calls <= pairs(code.calls())
    for truth, ours in ((addresses, code.addresses), (stores, code.stores), (loads, code.loads)):
        inside = {(site, target) for site, target in truth if low <= target < high}
        assert len(inside) > 50
        assert inside <= pairs(ours(low, high))
    # and hardly anything else: what lies inside other instructions does not often look so
    every_call = set(code.calls().target.tolist())
    assert len(every_call & set(exe.functions.entry.tolist())) > len(every_call) // 2


@pytest.mark.parametrize("series", ["1.19", "1.23", "1.27"])
def test_arm64(series: str) -> None:
    exe = Executable.open(built("kinds", series, goarch="arm64"))
    code = code_of(exe)
    calls, addresses, loads, stores = set(), set(), set(), set()
    page: tuple[int, str, int] | None = None
    for site, _, mnemonic, text in instructions(exe):
        if mnemonic == "bl":
            calls.add((site, int(text.lstrip("#"), 0)))
        elif page is not None and site == page[0] + 4:
            added = re.match(rf"(x\d+), {page[1]}, #(0x[0-9a-f]+|\d+)$", text)
            moved = re.match(rf"(x\d+), \[{page[1]}, #(0x[0-9a-f]+|\d+)\]$", text)
            if mnemonic == "add" and added:
                addresses.add((page[0], page[2] + int(added[2], 0)))
            elif mnemonic in ("ldr", "str") and moved:
                (loads if mnemonic == "ldr" else stores).add((page[0], page[2] + int(moved[2], 0)))
        page = None
        if mnemonic == "adrp":
            register, _, target = text.partition(", ")
            page = site, register, int(target.lstrip("#"), 0)
    assert len(calls) > 1000
    assert calls <= pairs(code.calls())
    low, high = exe.module.text, exe.module.end
    for truth, ours in ((addresses, code.addresses), (loads, code.loads), (stores, code.stores)):
        inside = {(site, target) for site, target in truth if low <= target < high}
        assert inside <= pairs(ours(low, high))
    assert len(addresses) > 500


def test_no_text_no_references() -> None:
    for arch in ("amd64", "arm64"):
        for data in (b"", b"\xe8", b"\xe8\0\0\0", b"\x48\x8d\x05\0\0\0"):
            code = TextCode(data, 4096, arch)
            assert code.calls().site.size == 0
            assert code.addresses(0, 1 << 62).site.size == 0
            assert code.stores(0, 1 << 62).site.size == 0
