"""moduledata against DWARF, the symbol table and the memory of the running program."""

from __future__ import annotations

import numpy as np
import pytest

from mapscope.binary.executable import Executable
from mapscope.binary.gcprog import run_gc_program
from mapscope.binary.image import Image
from mapscope.binary.moduledata import find_module, find_pclntab, module_layout, read_module, read_modules
from mapscope.binary.structs import StructLayout
from mapscope.errors import FormatError
from tests.unit.binary.gobuilds import MODES, SERIES, built, running

pytestmark = pytest.mark.toolchain
every = pytest.mark.parametrize("series", SERIES)


def elftools_layout(exe: Executable) -> dict[str, int]:
    """Offsets of runtime.moduledata's fields as pyelftools reads them from DWARF."""
    from elftools.elf.elffile import ELFFile

    with open(exe.path, "rb") as stream:
        for unit in ELFFile(stream).get_dwarf_info().iter_CUs():
            if unit.get_top_DIE().attributes["DW_AT_name"].value != b"runtime":
                continue
            for die in unit.iter_DIEs():
                if die.tag == "DW_TAG_structure_type" and die.attributes["DW_AT_name"].value == b"runtime.moduledata":
                    found = {"(size)": die.attributes["DW_AT_byte_size"].value}
                    for child in die.iter_children():
                        found[child.attributes["DW_AT_name"].value.decode()] = child.attributes[
                            "DW_AT_data_member_location"
                        ].value
                    return found
    raise AssertionError("no moduledata in DWARF")


@every
def test_layout_is_that_of_dwarf(series: str) -> None:
    exe = Executable.open(built("kinds", series))
    truth = elftools_layout(exe)
    layout = module_layout(exe.series)
    assert layout.size == truth.pop("(size)")
    assert {name: field.offset for name, field in layout.fields.items()} == {
        name: offset for name, offset in truth.items() if name not in ("NotInHeap", "bad") or name in layout
    }


@every
@pytest.mark.parametrize("mode", ["default", "pie"])
def test_addresses_are_the_linkers_symbols(series: str, mode: str) -> None:
    exe = Executable.open(built("kinds", series, mode))
    module, symbols = exe.module, exe.elf.symbols

    def symbol(name: str) -> int:
        found = symbols.find(name)
        assert found is not None, name
        return found[0]

    assert module.address == symbol("runtime.firstmoduledata")
    assert module.pclntab == symbol("runtime.pclntab")
    for name in (
        "text",
        "etext",
        "noptrdata",
        "enoptrdata",
        "data",
        "edata",
        "bss",
        "ebss",
        "noptrbss",
        "enoptrbss",
        "end",
    ):
        assert getattr(module, name) == symbol("runtime." + name), name
    for name in ("types", "etypes", "gcdata", "gcbss"):
        assert getattr(module, name) == symbol("runtime." + name), name
    assert module.functions == len(exe.functions)
    assert module.has_main
    assert module.next == 0


@every
@pytest.mark.parametrize("mode", MODES)
def test_process_memory_says_the_same_and_fills_the_masks(series: str, mode: str) -> None:
    exe = Executable.open(built("kinds", series, mode))
    with running(exe.path) as live:
        bias = int(live.said["Main"], 16) - int(exe.functions.entry[exe.functions.index_of("main.main")])
        module = exe.module.rebase(bias)
        modules = read_modules(live, module.address, exe.module_layout)
        assert len(modules) == 1
        there = modules[0]
        for name in ModuleNames:
            assert getattr(there, name) == getattr(module, name), name
        for start, end, program, mask in (
            (module.data, module.edata, module.gcdata, there.gcdatamask),
            (module.bss, module.ebss, module.gcbss, there.gcbssmask),
        ):
            words = (end - start) // 8
            raw = live.read(mask.address, (mask.bits + 7) // 8)
            assert raw is not None
            truth = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[: mask.bits].astype(bool)
            assert truth.any()
            ours = run_gc_program(exe.image_at(bias), program, words)
            assert mask.bits >= words or not ours[mask.bits :].any()
            assert np.array_equal(ours[: mask.bits], truth[:words])
            assert not truth[words:].any()


ModuleNames = (
    *("address", "pclntab", "pclntab_size", "functions", "text", "etext", "noptrdata", "data", "edata", "bss", "ebss"),
    *("noptrbss", "end", "gcdata", "gcbss", "types", "etypes", "rodata", "gofunc", "typelinks", "itablinks"),
    *("typedesclen", "itaboffset", "itabsize", "text_sections", "modulename", "has_main", "next"),
)


@pytest.mark.parametrize("mode", MODES)
def test_found_without_sections(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in externally linked PIE, where no section says where pclntab and moduledata are."""
    exe = Executable.open(built("kinds", "1.23", mode))
    expected = exe.module
    image = exe.image
    monkeypatch.setattr(Image, "section", lambda self, name: None)
    assert find_module(image, exe.module_layout) == expected
    assert [address for address, _ in find_pclntab(image)].count(expected.pclntab) == 1


def test_layouts_of_other_releases_do_not_fit() -> None:
    """A wrong layout is noticed, not believed."""
    exe = Executable.open(built("kinds", "1.27"))
    with pytest.raises(FormatError, match="no moduledata"):
        find_module(exe.image, module_layout((1, 22)))


def test_hostile_next_pointers_end() -> None:
    exe = Executable.open(built("kinds", "1.23"))
    layout = exe.module_layout
    raw = bytearray(exe.image.read(exe.module.address, layout.size) or b"")

    class Looping:
        def read(self, address: int, size: int) -> bytes | None:
            if address % 4096 == 0:  # every page holds a moduledata whose next is the next page
                field = layout.fields["next"].offset
                raw[field : field + 8] = (address + 4096).to_bytes(8, "little")
                return bytes(raw[:size])
            return exe.image.read(address, size)

    assert len(read_modules(Looping(), 4096, layout)) == 64
    assert read_module(Looping(), 17, layout) is None
    cut = StructLayout("moduledata", layout.size, {k: v for k, v in layout.fields.items() if k != "gofunc"})
    found = read_module(exe.image, exe.module.address, cut)
    assert found is not None
    assert found.gofunc == 0
