"""The compiled walk of .debug_info against its reference, units made by hand, and damaged bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope._kernels.reference import dwarf as reference
from mapscope.binary.dwarf import Dwarf
from mapscope.binary.dwarfdie import DebugInfo
from mapscope.binary.elf import ElfFile
from mapscope.errors import FormatError


def run(index_unit: Callable[..., int], info: DebugInfo, unit: Any, capacity: int) -> tuple[int, np.ndarray[Any, Any]]:
    table = unit.abbreviations
    out = np.zeros((capacity, reference.WIDTH), np.uint64)
    end = index_unit(
        info.info, info.strings, info.line_strings, info.str_offsets, info.addresses,
        table.rows, table.tags, table.children, table.first, table.attributes, table.forms, table.implicit,
        np.array(unit.words, np.int64), out, 0,
    )  # fmt: skip
    return end, out[: max(end, 0)]


@pytest.fixture(scope="module")
def compiled() -> Callable[..., int]:
    return pytest.importorskip("mapscope._kernels._dwarf", reason="the kernels are not compiled").index_unit


def sections(path: Path) -> dict[str, memoryview]:
    elf = ElfFile.open(path)
    names = ("info", "abbrev", "str", "line_str", "str_offsets", "addr")
    return {name: elf.section_bytes(f".debug_{name}") for name in names if f".debug_{name}" in elf.sections}


@pytest.mark.toolchain
@pytest.mark.parametrize("series", ["1.19", "1.23", "1.27"])
def test_kernel_equals_reference(series: str, program: Callable[..., Path], compiled: Callable[..., int]) -> None:
    info = DebugInfo(sections(program(series)))
    total = 0
    for unit in info.units:
        ours, rows = run(compiled, info, unit, 1 << 15)
        theirs, expected = run(reference.index_unit, info, unit, 1 << 15)
        assert ours == theirs >= 0
        assert np.array_equal(rows, expected)
        total += ours
    assert total > 5000


@pytest.mark.toolchain
def test_kernel_says_when_its_table_is_full(program: Callable[..., Path], compiled: Callable[..., int]) -> None:
    info = DebugInfo(sections(program("1.27")))
    unit = max(info.units, key=lambda unit: unit.end - unit.offset)
    assert run(compiled, info, unit, 3)[0] == run(reference.index_unit, info, unit, 3)[0] == reference.FULL


def uleb(value: int) -> bytes:
    out = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7F
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


FORMS = (0x01, *range(0x03, 0x2D), 0x1F01, 0x1F02, 0x1F20, 0x1F21, 0x30)
"""Every form of DWARF 2 to 5, GNU's four, and one that does not exist."""
ATTRIBUTES = (0x02, 0x03, 0x0B, 0x11, 0x1C, 0x31, 0x3C, 0x47, 0x49, 0x2904)
TAGS = (0x34, 0x2E, 0x27, 0x13, 0x16, 0x0F, 0x01, 0x24, 0x05, 0x0B)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_kernel_equals_reference_on_random_bytes(data: st.DataObject) -> None:
    """Every form under every attribute, over bytes that mean nothing: same rows, same verdict, nothing read outside."""
    index_unit = pytest.importorskip("mapscope._kernels._dwarf", reason="the kernels are not compiled").index_unit
    abbreviations = bytearray(uleb(1) + uleb(0x11) + b"\1\0\0")
    for code in range(2, 2 + data.draw(st.integers(1, 6))):
        abbreviations += uleb(code) + uleb(data.draw(st.sampled_from(TAGS))) + bytes([data.draw(st.integers(0, 1))])
        for _ in range(data.draw(st.integers(0, 4))):
            form = data.draw(st.sampled_from(FORMS))
            abbreviations += uleb(data.draw(st.sampled_from(ATTRIBUTES))) + uleb(form)
            abbreviations += b"\x7f" if form == 0x21 else b""
        abbreviations += b"\0\0"
    abbreviations += b"\0"
    small = st.integers(0, 7).map(lambda value: bytes([value]))
    piece = st.one_of(small, small, st.binary(min_size=1, max_size=12))
    body = b"\1" + b"".join(data.draw(st.lists(piece, max_size=60)))
    version, address_size = data.draw(st.sampled_from([(2, 8), (4, 8), (4, 4), (5, 8)]))
    wide = data.draw(st.booleans())
    table = bytes(8 if wide else 4)
    head = version.to_bytes(2, "little")
    head += b"\1" + bytes([address_size]) + table if version == 5 else table + bytes([address_size])
    length = len(head + body)
    start = b"\xff\xff\xff\xff" + length.to_bytes(8, "little") if wide else length.to_bytes(4, "little")
    info = DebugInfo(
        {
            "info": memoryview(start + head + body),
            "abbrev": memoryview(bytes(abbreviations)),
            "str": memoryview(data.draw(st.sampled_from([b"", b"one\0two\0", b"no end"]))),
            "line_str": memoryview(data.draw(st.sampled_from([b"", b"line\0"]))),
            "str_offsets": memoryview(bytes(range(40))),
            "addr": memoryview(data.draw(st.binary(max_size=64))),
        }
    )
    for unit in info.units:
        ours, rows = run(index_unit, info, unit, 64)
        theirs, expected = run(reference.index_unit, info, unit, 64)
        assert ours == theirs
        assert np.array_equal(rows, expected)


def abbreviation(code: int, tag: int, children: bool, *attributes: tuple[int, int]) -> bytes:
    pairs = b"".join(uleb(attribute) + uleb(form) for attribute, form in attributes)
    return uleb(code) + uleb(tag) + bytes([children]) + pairs + b"\0\0"


def unit5(body: bytes) -> bytes:
    head = b"\5\0\1\10" + bytes(4)
    return (len(head) + len(body)).to_bytes(4, "little") + head + body


def test_indexed_names_and_addresses() -> None:
    """DWARF 5: names through .debug_str_offsets, addresses through .debug_addr, the bases from the unit's own entry."""
    abbrev = (
        abbreviation(1, 0x11, True, (0x72, 0x17), (0x73, 0x17))
        + abbreviation(2, 0x34, False, (0x03, 0x25), (0x02, 0x18), (0x49, 0x13))
        + abbreviation(3, 0x24, False, (0x03, 0x1F), (0x0B, 0x0B), (0x3E, 0x0B))
        + b"\0"
    )
    top = b"\1" + (8).to_bytes(4, "little") + (16).to_bytes(4, "little")
    base_type = 12 + len(top) + 2 + 3 + 4
    body = top + b"\2\1\2\xa1\1" + base_type.to_bytes(4, "little") + b"\3" + bytes(4) + b"\10\7" + b"\0"
    dwarf = Dwarf(
        DebugInfo(
            {
                "info": memoryview(unit5(body)),
                "abbrev": memoryview(abbrev),
                "str": memoryview(b"unused\0value\0"),
                "line_str": memoryview(b"u64\0"),
                "str_offsets": memoryview(bytes(8) + (0).to_bytes(4, "little") + (7).to_bytes(4, "little")),
                "addr": memoryview(bytes(16) + (0x10).to_bytes(8, "little") + (0x1234).to_bytes(8, "little")),
            }
        )
    )
    assert [(g.name, g.address) for g in dwarf.globals] == [("value", 0x1234)]
    kind = dwarf.type(dwarf.globals[0].type)
    assert (kind.name, kind.size, kind.kind) == ("u64", 8, 11)


def test_an_indirect_form_behind_the_end_is_malformed() -> None:
    index_unit = pytest.importorskip("mapscope._kernels._dwarf", reason="the kernels are not compiled").index_unit
    abbrev = abbreviation(1, 0x11, True) + abbreviation(2, 0x34, False, (0x03, 0x16)) + b"\0"
    info = DebugInfo({"info": memoryview(unit5(b"\1\2")), "abbrev": memoryview(abbrev)})
    (unit,) = info.units
    assert run(index_unit, info, unit, 64)[0] == run(reference.index_unit, info, unit, 64)[0] == reference.MALFORMED


def test_typedefs_in_a_circle_are_refused() -> None:
    abbrev = abbreviation(1, 0x11, True) + abbreviation(2, 0x16, False, (0x03, 0x08), (0x49, 0x13)) + b"\0"
    first = 13
    second = first + 7
    body = b"\1" + b"\2a\0" + second.to_bytes(4, "little") + b"\2b\0" + first.to_bytes(4, "little") + b"\0"
    dwarf = Dwarf(DebugInfo({"info": memoryview(unit5(body)), "abbrev": memoryview(abbrev)}))
    with pytest.raises(FormatError, match="circle"):
        dwarf.type(dwarf.find_type("a") or 0)


def test_a_struct_that_holds_itself_is_refused() -> None:
    abbrev = (
        abbreviation(1, 0x11, True)
        + abbreviation(2, 0x13, True, (0x03, 0x08), (0x0B, 0x0B))
        + abbreviation(3, 0x0D, False, (0x03, 0x08), (0x38, 0x0B), (0x49, 0x13))
        + b"\0"
    )
    body = b"\1" + b"\2s\0\10" + b"\3f\0\0" + (13).to_bytes(4, "little") + b"\0\0"
    dwarf = Dwarf(DebugInfo({"info": memoryview(unit5(body)), "abbrev": memoryview(abbrev)}))
    with pytest.raises(FormatError, match="nests too deep"):
        dwarf.struct("s")


def test_a_unit_of_the_future_is_skipped_and_counted() -> None:
    abbrev = abbreviation(1, 0x11, True) + abbreviation(2, 0x24, False, (0x03, 0x08)) + b"\0"
    good = unit5(b"\1\2int\0\0")
    odd = bytearray(good)
    odd[4] = 9
    dwarf = Dwarf(DebugInfo({"info": memoryview(bytes(odd) + good), "abbrev": memoryview(abbrev)}))
    assert dwarf.skipped_units == 1
    assert dwarf.find_type("int") is not None


def test_names_are_hashed_as_fnv_1a() -> None:
    """Test vectors of the algorithm's authors."""
    assert reference.name_hash(b"") == 0xCBF29CE484222325
    assert reference.name_hash(b"a") == 0xAF63DC4C8601EC8C
    assert reference.name_hash(b"foobar") == 0x85944171F73967E8


@pytest.mark.toolchain
def test_damaged_debug_information_never_raises_anything_else(program: Callable[..., Path]) -> None:
    """Bytes flipped anywhere in .debug_info and .debug_abbrev: our own error, or an answer."""
    whole = sections(program("1.27"))
    random = np.random.default_rng(7)
    info = DebugInfo(whole)
    keep = max(unit.end for unit in info.units[:40])
    base = {**whole, "info": whole["info"][:keep]}
    errors = []
    for _ in range(60):
        broken = {name: bytearray(data) for name, data in base.items()}
        for name in ("info", "abbrev"):
            for at in random.integers(0, len(broken[name]), 20).tolist():
                broken[name][at] = int(random.integers(0, 256))
        try:
            dwarf = Dwarf(DebugInfo({name: memoryview(bytes(data)) for name, data in broken.items()}))
            for variable in dwarf.globals[:50]:
                dwarf.type(variable.type)
            for name in dwarf.struct_names()[:50]:
                dwarf.struct(name)
        except FormatError as error:
            errors.append(error)
    assert all(error.hint for error in errors)
