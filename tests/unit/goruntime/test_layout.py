"""The layout tables against published offsets, against DWARF of programs built here, and against Go's own source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from mapscope.binary.dwarf import Dwarf
from mapscope.binary.elf import ElfFile
from mapscope.binary.structs import Field
from mapscope.errors import LayoutError
from mapscope.goruntime.layout import Layouts, check_against_dwarf, load, parse_version, tables
from tests.unit.binary.gobuilds import SERIES, built, toolchain

CLASSIC = ("go1.19.8", "go1.21.13", "go1.22.10", "go1.23.9", "go1.24.11 X:noswissmap", "go1.25.5 X:noswissmap")
SWISS = ("go1.24.11", "go1.25.5", "go1.26.6", "go1.27.3")
ARCHES = ("amd64", "arm64")


def offsets(layouts: Layouts, name: str, *fields: str) -> list[int]:
    return [layouts.struct(name).offset(field) for field in fields]


# -------------------------------------------------------------------- published facts about maps and spans


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("version", CLASSIC)
def test_classic_maps(version: str, arch: str) -> None:
    table = load(version, arch)
    assert table.exact
    cleared = "noswissmap" in version  # there clearSeq stands before extra
    assert table.struct("hmap").size == (56 if cleared else 48)
    names = ("count", "flags", "B", "noverflow", "hash0", "buckets", "oldbuckets", "nevacuate")
    assert offsets(table, "hmap", *names) == [0, 8, 9, 10, 12, 0x10, 0x18, 0x20]
    assert offsets(table, "hmap", "extra") == [0x30 if cleared else 0x28]
    assert offsets(table, "mapextra", "overflow", "oldoverflow", "nextOverflow") == [0, 8, 0x10]
    words = ("key", "elem", "t", "h", "buckets", "bptr", "overflow", "oldoverflow", "startBucket")
    assert offsets(table, "hiter", *words) == list(range(0, 0x48, 8))
    assert offsets(table, "hiter", "offset", "wrapped", "B", "i", "bucket", "checkBucket") == [
        0x48, 0x49, 0x4A, 0x4B, 0x50, 0x58,
    ]  # fmt: skip
    assert table.full_name("mapiter") == "runtime.hiter"
    if "clearSeq" not in table.struct("hiter"):
        assert table.struct("hiter").size == 96
    assert table.struct("oldmaptype").size == 88
    assert not table.has("swissmaptype")
    assert not table.has("swissmap")
    old = version.startswith("go1.19")
    fields = (
        ("key", "elem", "bucket", "hasher", "keysize", "elemsize", "bucketsize", "flags")
        if old
        else ("Key", "Elem", "Bucket", "Hasher", "KeySize", "ValueSize", "BucketSize", "Flags")
    )
    assert offsets(table, "maptype", *fields) == [0x30, 0x38, 0x40, 0x48, 0x50, 0x51, 0x52, 0x54]
    assert (table.const("loadFactorNum"), table.const("loadFactorDen")) in ((13, 2), (12, 2))


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("version", SWISS)
def test_swiss_maps(version: str, arch: str) -> None:
    table = load(version, arch)
    assert table.exact
    assert table.struct("swissmap").size == 48
    names = ("used", "seed", "dirPtr", "dirLen", "globalDepth", "globalShift", "writing", "clearSeq")
    assert offsets(table, "swissmap", *names) == [0, 8, 0x10, 0x18, 0x20, 0x21, 0x22, 0x28]
    assert ("tombstonePossible" in table.struct("swissmap")) == (version >= "go1.25")
    assert table.struct("table").size == 32
    names = ("used", "capacity", "growthLeft", "localDepth", "index", "groups", "groups.data", "groups.lengthMask")
    assert offsets(table, "table", *names) == [0, 2, 4, 6, 8, 0x10, 0x10, 0x18]
    assert table.struct("swissiter").size == 96
    words = ("key", "elem", "typ", "m", "entryOffset", "dirOffset", "clearSeq", "globalDepth", "dirIdx", "tab")
    assert offsets(table, "swissiter", *words) == list(range(0, 0x50, 8))
    assert offsets(table, "swissiter", "group", "entryIdx") == [0x50, 0x58]
    assert table.full_name("mapiter") == "internal/runtime/maps.Iter"
    assert not table.has("hmap")
    assert not table.has("oldmaptype")
    new = version.startswith("go1.27")
    assert table.struct("swissmaptype").size == (136 if new else 112)
    assert offsets(table, "maptype", "Key", "Elem", "Group", "Hasher", "GroupSize") == [0x30, 0x38, 0x40, 0x48, 0x50]
    if new:
        names = ("KeysOff", "KeyStride", "ElemsOff", "ElemStride", "ElemOff", "Flags")
        assert offsets(table, "maptype", *names) == [0x58, 0x60, 0x68, 0x70, 0x78, 0x80]
    else:
        assert offsets(table, "maptype", "SlotSize", "ElemOff", "Flags") == [0x58, 0x60, 0x68]


@pytest.mark.parametrize(("version", "place"), [("go1.19.8", 65856), *((v, 65864) for v in ("go1.21.1", *SWISS))])
def test_spans(version: str, place: int) -> None:
    table = load(version, "amd64")
    assert offsets(table, "mheap", "allspans", "allspans.array", "allspans.len") == [place, place, place + 8]
    assert offsets(table, "mspan", "startAddr", "npages") == [24, 32]
    if parse_version(version).minor in range(22, 28):
        assert offsets(table, "mspan", "spanclass", "state", "elemsize") == [98, 99, 104]
        assert offsets(table, "mheap", "arenas") == [66008]
        assert offsets(table, "mspan", "nelems", "allocBits", "specials", "largeType") == [50, 64, 128, 152]
        assert table.struct("mspan").fields["nelems"].size == 2


def test_constants_by_one_name_in_every_release() -> None:
    for minor, experiment, arch in tables():
        table = load(f"go1.{minor}.0" + (f" X:{experiment}" if experiment else ""), arch)
        assert (table.const("pageSize"), table.const("_PageShift"), table.const("PtrSize")) == (8192, 13, 8)
        assert (table.const("heapArenaBytes"), table.const("logHeapArenaBytes")) == (64 << 20, 26)
        assert table.const("arenaBaseOffset") == (0xFFFF800000000000 if arch == "amd64" else 0)
        assert table.const("maxTinySize") == 16
        assert table.const("_NumSizeClasses") == len(table.class_to_size) == 68
        assert table.has_const("minSizeForMallocHeader") == (minor >= 22)
        if minor >= 22:
            assert table.const("minSizeForMallocHeader") == 512
            assert table.const("mallocHeaderSize") == 8
    with pytest.raises(LayoutError):
        load("go1.27.0", "amd64").const("noSuchConstant")


NEEDED = (
    "mheap", "mspan", "mSpanList", "heapArena", "arenaHint", "g", "gobuf", "stack", "m", "p", "mcache", "moduledata",
    "pcHeader", "functab", "_func", "funcInfo", "type", "maptype", "ptrtype", "slicetype", "arraytype", "chantype",
    "structtype", "structfield", "interfacetype", "imethod", "functype", "uncommontype", "method", "itab", "hchan",
    "sudog", "waitq", "special", "specialfinalizer", "specialprofile", "finalizer", "finblock", "mstats",
    "heapStatsDelta", "sched", "mapiter", "consistentHeapStats", "gcControllerState", "stackObjectRecord", "stackmap",
    "bitvector", "iface", "eface", "timer", "syncmap",
)  # fmt: skip
SINCE = {
    "specialPinCounter": 21, "coro": 22, "timers": 23, "specialWeakHandle": 23, "specialCleanup": 24, "hashtriemap": 24,
    "hashtrienode": 24, "hashtrieindirect": 24, "hashtrieentry": 24, "cleanupQueue": 25, "cleanupBlock": 25,
}  # fmt: skip


def test_every_table_holds_what_the_readers_ask_for() -> None:
    for minor, experiment, arch in tables():
        table = load(f"go1.{minor}.0" + (f" X:{experiment}" if experiment else ""), arch)
        assert [name for name in NEEDED if not table.has(name)] == [], table.used_series
        assert {name: table.has(name) for name in SINCE} == {name: minor >= since for name, since in SINCE.items()}
        assert (table.has("readOnly"), table.has("sync.entry")) == (minor <= 23, minor <= 23)


# -------------------------------------------------------------------- against executables built here


def programs() -> list[Any]:
    """(series, architecture, experiment) of every table; an experiment means a build of the whole standard library."""
    slow = pytest.mark.slow
    return [
        pytest.param(f"1.{minor}", arch, experiment, marks=[slow] if experiment else [])
        for minor, experiment, arch in tables()
    ]


@pytest.mark.toolchain
@pytest.mark.parametrize(("series", "arch", "experiment"), programs())
def test_tables_agree_with_a_program_built_here(series: str, arch: str, experiment: str) -> None:
    path = built("dwarfed", series, goarch=arch, experiment=experiment)
    dwarf = Dwarf.from_elf(ElfFile.open(path))
    assert dwarf is not None
    version = f"go{toolchain(series).version}" + (f" X:{experiment}" if experiment else "")
    table = load(version, arch)
    assert table.exact
    assert check_against_dwarf(table, dwarf) == []
    known = dwarf.constants(list(table.constants))
    assert len(known) > 30
    wrapped = {name: value & (1 << 64) - 1 for name, value in known.items()}
    assert wrapped == {name: table.constants[name] & (1 << 64) - 1 for name in known}


@pytest.mark.toolchain
def test_another_release_s_table_is_found_out() -> None:
    dwarf = Dwarf.from_elf(ElfFile.open(built("dwarfed", "1.27")))
    assert dwarf is not None
    differences = check_against_dwarf(load("go1.22.10", "amd64"), dwarf)
    assert any(line.startswith("runtime.g:") for line in differences)
    assert any("in the table" in line and "in the executable" in line for line in differences)


@pytest.mark.toolchain
def test_one_wrong_offset_is_found_out() -> None:
    dwarf = Dwarf.from_elf(ElfFile.open(built("dwarfed", "1.23")))
    assert dwarf is not None
    table = load("go1.23.9", "amd64")
    fields = table.struct("mspan").fields
    right = fields["npages"]
    fields["npages"] = Field(right.offset + 8, right.size, right.type)
    assert check_against_dwarf(table, dwarf) == [
        "runtime.mspan.npages: at 40, 8 bytes, in the table; at 32, 8 bytes, in the executable"
    ]
    assert check_against_dwarf(load("go1.23.9", "amd64"), dwarf) == []


@pytest.mark.toolchain
@pytest.mark.parametrize("series", ["1.19", "1.23", "1.27"])
def test_tables_agree_with_pyelftools(series: str) -> None:
    """The same structs, read by another reader from another program than the one that the tables were made from."""
    table = load(f"go{toolchain(series).version}", "amd64")
    seen = set()
    with built("dwarfed", series).open("rb") as stream:
        for unit in ELFFile(stream).get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                if die.tag != "DW_TAG_structure_type" or "DW_AT_name" not in die.attributes:
                    continue
                name = die.attributes["DW_AT_name"].value.decode()
                if name not in table.names():
                    continue
                seen.add(name)
                assert table.struct(name).size == die.attributes["DW_AT_byte_size"].value
                for child in die.iter_children():
                    field = child.attributes["DW_AT_name"].value.decode()
                    if child.tag == "DW_TAG_member" and field in table.struct(name):
                        assert table.struct(name).offset(field) == child.attributes["DW_AT_data_member_location"].value
    assert seen >= {"runtime.mheap", "runtime.mspan", "runtime.g", "runtime.m", "runtime.p", "runtime.moduledata"}


@pytest.mark.toolchain
@pytest.mark.parametrize("series", SERIES)
def test_size_classes_are_those_of_the_source(series: str) -> None:
    root = toolchain(series).goroot / "src"
    places = (Path("internal/runtime/gc/sizeclasses.go"), Path("runtime/sizeclasses.go"))
    text = next((root / place).read_text() for place in places if (root / place).exists())
    found = re.search(r"(?:class_to_size|SizeClassToSize)\s*=\s*\[\w+\]uint16\{([^}]*)\}", text)
    assert found is not None
    for arch in ARCHES:
        assert load(f"go{series}.1", arch).class_to_size == tuple(int(word) for word in found[1].split(","))


# -------------------------------------------------------------------- choosing a table


@pytest.mark.parametrize(
    ("version", "used", "exact", "release"),
    [
        ("go1.23.9", "1.23", True, (1, 23)),
        ("go1.27rc1", "1.27", True, (1, 27)),
        ("go1.19", "1.19", True, (1, 19)),
        ("go1.24.11 X:noswissmap", "1.24-noswissmap", True, (1, 24)),
        ("go1.25.5-X:noswissmap,greenteagc", "1.25-greenteagc", False, (1, 25)),
        ("go1.25.5 X:nogreenteagc", "1.25", True, (1, 25)),
        ("go1.26.6-X:greenteagc", "1.26", True, (1, 26)),
        ("go1.26.6-X:nogreenteagc", "1.26-nogreenteagc", True, (1, 26)),
        ("go1.28.0-X:nogreenteagc", "1.27-nogreenteagc", False, (1, 28)),
        ("go1.27.3-X:mapsplitgroup", "1.27", True, (1, 27)),
        ("go1.22.1 X:staticlockranking", "1.22", False, (1, 22)),
        ("go1.20.14", "1.21", False, (1, 20)),
        ("go1.18.3", "1.19", False, (1, 18)),
        ("go1.31.0", "1.27", False, (1, 31)),
        ("go2.0.1", "1.27", False, (2, 0)),
        ("devel go1.28-0a1b2c3 Mon Nov 2 10:00:00 2026 +0000", "1.27", False, (1, 28)),
        ("go1.27-devel_0a1b2c3 Mon Nov 2 10:00:00 2026", "1.27", False, (1, 27)),
        ("devel +0a1b2c3", "1.27", False, (1, 27)),
        ("", "1.27", False, (1, 27)),
    ],
)
def test_the_table_of_a_version(version: str, used: str, exact: bool, release: tuple[int, int]) -> None:
    table = load(version, "amd64")
    assert (table.used_series, table.exact, table.release) == (used, exact, release)
    assert table.series == f"{release[0]}.{release[1]}"


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(LayoutError, match="riscv64") as caught:
        load("go1.27.3", "riscv64")
    assert "amd64" in caught.value.hint


def test_an_absent_struct_is_refused() -> None:
    table = load("go1.27.3", "amd64")
    assert not table.has("hmap")
    with pytest.raises(LayoutError, match="hmap"):
        table.struct("hmap")
