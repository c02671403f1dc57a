"""Types, structs, variables and constants against pyelftools, and C units against their compiler."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile

from mapscope.binary.dwarf import Dwarf
from mapscope.binary.elf import ElfFile

RELEASES = ("1.19", "1.23", "1.27")
TYPES = {"DW_TAG_structure_type", "DW_TAG_typedef", "DW_TAG_base_type", "DW_TAG_pointer_type", "DW_TAG_array_type"}
KINDS = {"bool": 1, "int": 2, "int32": 5, "uint8": 8, "uint16": 9, "uintptr": 12, "float64": 14, "string": 24}


def top_level(path: Path) -> Iterator[DIE]:
    """Every entry right below a unit, as pyelftools reads it."""
    with path.open("rb") as stream:
        info = ELFFile(stream).get_dwarf_info()
        for unit in info.iter_CUs():
            yield from unit.get_top_DIE().iter_children()


def name_of(die: DIE) -> str:
    return die.attributes["DW_AT_name"].value.decode() if "DW_AT_name" in die.attributes else ""


def target_of(die: DIE) -> int:
    """Absolute offset of the entry's type."""
    if "DW_AT_type" not in die.attributes:
        return 0
    return int(die.get_DIE_from_attribute("DW_AT_type").offset)


def opened(path: Path) -> Dwarf:
    found = Dwarf.from_elf(ElfFile.open(path))
    assert found is not None
    return found


@pytest.fixture(scope="module", params=RELEASES)
def executable(request: pytest.FixtureRequest, program: Callable[..., Path]) -> Path:
    return program(request.param)


@pytest.mark.toolchain
def test_variables_agree_with_pyelftools(executable: Path) -> None:
    with executable.open("rb") as stream:
        info = ELFFile(stream).get_dwarf_info()
        expected = set()
        for unit in info.iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                where = die.attributes.get("DW_AT_location")
                if die.tag != "DW_TAG_variable" or where is None or not name_of(die):
                    continue
                operation, *rest = where.value
                if operation == 0x03:
                    expected.add((name_of(die), int.from_bytes(bytes(rest), "little"), target_of(die)))
                elif operation == 0xA1:
                    index = shift = 0
                    for byte in rest:
                        index |= (byte & 0x7F) << shift
                        shift += 7
                    expected.add((name_of(die), info.get_addr(unit, index), target_of(die)))
        assert len(expected) > 100
    assert {(g.name, g.address, g.type) for g in opened(executable).globals} == expected


@pytest.mark.toolchain
def test_structs_agree_with_pyelftools(executable: Path) -> None:
    dwarf = opened(executable)
    seen = 0
    for die in top_level(executable):
        if die.tag != "DW_TAG_structure_type" or not name_of(die):
            continue
        ours = dwarf.type(die.offset)
        fields = [
            (name_of(child), child.attributes["DW_AT_data_member_location"].value, target_of(child))
            for child in die.iter_children()
            if child.tag == "DW_TAG_member"
        ]
        assert list(ours.fields) == fields, name_of(die)
        assert (ours.name, ours.size) == (name_of(die), die.attributes["DW_AT_byte_size"].value)
        seen += 1
    assert seen > 300


@pytest.mark.toolchain
def test_types_agree_with_pyelftools(executable: Path) -> None:
    dwarf = opened(executable)
    seen = dict.fromkeys(TYPES, 0)
    for die in top_level(executable):
        if die.tag not in TYPES or not name_of(die):
            continue
        seen[die.tag] += 1
        ours = dwarf.type(die.offset)
        assert ours.name == name_of(die)
        last = die
        kind = None
        for _ in range(8):
            kind = kind or (last.attributes[0x2900].value if 0x2900 in last.attributes else None)
            if last.tag != "DW_TAG_typedef":
                break
            last = last.get_DIE_from_attribute("DW_AT_type")
        assert ours.target == last.offset
        if kind:  # Go 1.19 leaves 0 in pointer types that only its linker made up
            assert ours.kind == kind, ours.name
        if last.tag == "DW_TAG_array_type":
            ranges = [c for c in last.iter_children() if c.tag == "DW_TAG_subrange_type"]
            assert ours.count == ranges[0].attributes["DW_AT_count"].value
            assert ours.elem == target_of(last)
    assert all(count > 20 for tag, count in seen.items() if tag != "DW_TAG_base_type")


@pytest.mark.toolchain
def test_constants_agree_with_pyelftools(executable: Path) -> None:
    expected: dict[str, int] = {}
    for die in top_level(executable):
        if die.tag == "DW_TAG_constant" and name_of(die):
            expected.setdefault(name_of(die), die.attributes["DW_AT_const_value"].value)
    assert expected["main.Answer"] == 42
    assert expected["main.Negative"] == -7
    assert opened(executable).constants(list(expected)) == expected


@pytest.mark.toolchain
def test_the_program_s_own_types(executable: Path) -> None:
    """What the source says, followed through typedefs, maps, slices and embedded structs."""
    dwarf = opened(executable)
    record = dwarf.struct("main.Record")
    assert record is not None
    offsets = {name: at.offset for name, at in record.fields.items()}
    assert offsets["Inner"] == offsets["Inner.A"] == 0
    assert offsets["Inner.B.str"] == 8
    assert offsets["Inner.B.len"] == 16
    assert offsets["Name"] == 24
    assert [offsets[f"List{part}"] for part in ("", ".array", ".len", ".cap")] == [40, 40, 48, 56]
    assert offsets["Any.data"] == 72
    assert [offsets[name] for name in ("Table", "Fn", "Pipe", "Fixed", "Word")] == [80, 88, 96, 104, 136]
    assert record.size == 144
    assert record.fields["Fixed"].size == 30
    assert record.fields["Table"].type == "map[string]*main.Record"
    variable = next(g for g in dwarf.globals if g.name == "main.Global")
    table = dwarf.type(variable.type)
    assert (table.kind, table.size) == (21, 8)
    assert table.key is not None
    assert table.elem is not None
    assert dwarf.type(table.key).name == "string"
    value = dwarf.type(table.elem)
    assert (value.kind, value.elem is not None and dwarf.type(value.elem).name) == (22, "main.Record")
    fixed = dwarf.type(
        next(f.type for f in dwarf.type(dwarf.find_type("main.Record") or 0).fields if f.name == "Fixed")
    )
    assert fixed.count == 3
    assert fixed.elem is not None
    assert dwarf.type(fixed.elem).count == 5
    heat = dwarf.type(next(g for g in dwarf.globals if g.name == "main.Heat").type)
    assert (heat.name, heat.kind, heat.size) == ("main.Celsius", 14, 8)
    for name, kind in KINDS.items():
        assert dwarf.type(dwarf.find_type(name) or 0).kind == kind, name
    assert dwarf.struct("main.NoSuchThing") is None
    assert dwarf.find_type("no such type") is None


@pytest.mark.toolchain
@pytest.mark.parametrize("series", ["1.19", "1.22", "1.23", "1.25", "1.26", "1.27"])
def test_runtime_type_is_an_offset_from_runtime_types(series: str, program: Callable[..., Path]) -> None:
    """The descriptor at that place starts with the type's size; ``uintptr`` up to 1.22 is the documented exception."""
    elf = ElfFile.open(program(series))
    dwarf = Dwarf.from_elf(elf)
    base = elf.symbols.find("runtime.types")
    assert dwarf is not None
    assert base is not None
    checked, absolute = 0, []
    for name in [*dwarf.struct_names(), "int", "string", "uintptr", "uint8"]:
        offset = dwarf.find_type(name)
        found = dwarf.type(offset) if offset else None
        if found is None or not found.runtime_type:
            continue
        raw = elf.read(base[0] + found.runtime_type, 24)
        if raw is not None and int.from_bytes(raw[:8], "little") == found.size and raw[23] & 31 == found.kind:
            checked += 1
            continue
        absolute.append(name)
        raw = elf.read(found.runtime_type, 24)
        assert raw is not None
        assert (int.from_bytes(raw[:8], "little"), raw[23] & 31) == (found.size, found.kind)
    assert checked > 100
    assert absolute == (["uintptr"] if int(series.split(".")[1]) <= 22 else [])


C_SOURCE = """
#include <stddef.h>
struct inner { char tag; union { long l; double d; } u; };
typedef struct record { struct inner in; const volatile int *where; unsigned bits : 3; short grid[2][3];
  enum { RED, BLUE } c; struct { int hidden; }; } record_t;
record_t global_record; static _Bool flag; float real = 1.5f;
int use(int x) { return x + (int)sizeof(record_t) + (flag = x > 3) + (int)real; }
"""


@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("wide", [False, True])
def test_c_units_of_every_version(version: int, wide: bool, tmp_path: Path) -> None:
    """cgo programs hold units that a C compiler wrote, in any DWARF version, in the 32- or the 64-bit format."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc")
    (tmp_path / "c.c").write_text(C_SOURCE)
    command = [compiler, "-shared", "-fPIC", "-g", f"-gdwarf-{version}", *(["-gdwarf64"] if wide else []), "-o"]
    subprocess.run([*command, tmp_path / "c.so", tmp_path / "c.c"], check=True)
    dwarf = opened(tmp_path / "c.so")
    assert dwarf.skipped_units == 0
    by_name = {g.name: g for g in dwarf.globals}
    symbols = ElfFile.open(tmp_path / "c.so").symbols
    for name in ("global_record", "flag", "real"):
        found = symbols.find(name)
        assert found is not None
        assert by_name[name].address == found[0]
    record = dwarf.struct("record_t")
    assert record is not None
    assert record.size == 48
    assert record.fields["grid"].size == 12
    offsets = {name: at.offset for name, at in record.fields.items()}
    assert offsets == {
        "in": 0, "in.tag": 0, "in.u": 8, "in.u.l": 8, "in.u.d": 8, "where": 16, "bits": 24, "grid": offsets["grid"],
        "c": offsets["c"], "hidden": offsets["hidden"],
    }  # fmt: skip
    for die in top_level(tmp_path / "c.so"):
        if die.tag == "DW_TAG_structure_type" and name_of(die) == "record":
            for child in die.iter_children():
                where = child.attributes.get("DW_AT_data_member_location")
                if name_of(child) in ("grid", "c", "where"):
                    assert where is not None
                    place = where.value
                    if isinstance(place, list):
                        place = place[1]
                    assert offsets[name_of(child)] == place
    grid = dwarf.type(next(f.type for f in dwarf.type(by_name["global_record"].type).fields if f.name == "grid"))
    assert (grid.kind, grid.count) == (17, 6)
    pointer = dwarf.type(next(f.type for f in dwarf.type(by_name["global_record"].type).fields if f.name == "where"))
    assert (pointer.kind, pointer.size) == (22, 8)
    assert pointer.elem is not None
    assert dwarf.type(pointer.elem).kind == 5
    assert dwarf.type(by_name["real"].type).kind == 13
    assert dwarf.type(by_name["flag"].type).kind == 1


@pytest.mark.toolchain
def test_an_executable_without_debug_information(program: Callable[..., Path]) -> None:
    elf = ElfFile.open(program("1.27", ldflags="-w"))
    assert not elf.has_dwarf
    assert Dwarf.from_elf(elf) is None
