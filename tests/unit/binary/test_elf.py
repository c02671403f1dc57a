"""ELF files against pyelftools, and files made by hand: cores, compressed sections, damage."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.binary.elf import ElfFile
from mapscope.errors import EvidenceError, ExecutableError, FormatError, MapscopeError
from tests.unit.binary.elfwriter import Load, Part, elf, note

SHF_COMPRESSED = 0x800


def opened(folder: Path, data: bytes) -> ElfFile:
    path = folder / "file"
    path.write_bytes(data)
    return ElfFile.open(path)


@pytest.mark.toolchain
@pytest.mark.parametrize("series", ["1.19", "1.23", "1.27"])
@pytest.mark.parametrize("options", [{}, {"buildmode": "pie"}, {"goarch": "arm64"}], ids=["plain", "pie", "arm64"])
def test_a_go_executable_agrees_with_pyelftools(
    series: str, options: dict[str, str], program: Callable[..., Path]
) -> None:
    path = program(series, **options)
    ours = ElfFile.open(path)
    with path.open("rb") as stream:
        theirs = ELFFile(stream)
        loads = [s for s in theirs.iter_segments() if s["p_type"] == "PT_LOAD"]
        keys = ("p_vaddr", "p_memsz", "p_offset", "p_filesz", "p_flags")
        assert [(s.vaddr, s.memsz, s.offset, s.filesz, s.flags) for s in ours.segments] == [
            tuple(s[key] for key in keys) for s in loads
        ]
        assert ours.kind == theirs["e_type"].removeprefix("ET_")
        assert ours.machine == {"x64": "amd64", "AArch64": "arm64"}[theirs.get_machine_arch()]
        assert ours.entry == theirs["e_entry"]
        named = [s for s in theirs.iter_sections() if s.name]
        assert list(ours.sections) == [s.name for s in named]
        for section in named:
            mine = ours.sections[section.name]
            assert (mine.addr, mine.offset, mine.size) == (
                section["sh_addr"],
                section["sh_offset"],
                section["sh_size"],
            )
            if section["sh_type"] != "SHT_NOBITS":
                assert bytes(ours.section_bytes(section.name)) == section.data(), section.name
        table = theirs.get_section_by_name(".symtab")
        symbols = [s for s in table.iter_symbols() if s["st_shndx"] != "SHN_UNDEF" and s.name]
        assert len(ours.symbols) == table.num_symbols()
        for symbol in symbols[:: len(symbols) // 300]:
            first = table.get_symbol_by_name(symbol.name)[0]
            assert ours.symbols.find(symbol.name) == (first["st_value"], first["st_size"])
        functions = {s["st_value"]: s.name for s in symbols if s["st_info"]["type"] == "STT_FUNC" and s["st_size"]}
        for address, name in list(functions.items())[::50]:
            assert ours.symbols.at(address) == name
            assert ours.symbols.at(address + 1) == name
        prefixed = sorted(s.name for s in symbols if s.name.startswith("runtime.map"))
        assert sorted(row[0] for row in ours.symbols.named_prefix("runtime.map")) == prefixed != []
        notes = [n for s in theirs.iter_segments() if s["p_type"] == "PT_NOTE" for n in s.iter_notes()]
        assert [(n.name, n.desc) for n in ours.notes] == [(n["n_name"], n["n_descdata"]) for n in notes]
        assert ours.build_id == next((n["n_desc"] for n in notes if n["n_type"] == "NT_GNU_BUILD_ID"), None)
    assert ours.go_build_id
    assert ours.go_build_id.count("/") == 3
    assert ours.has_dwarf
    assert not ours.stripped
    assert not ours.truncated


@pytest.mark.toolchain
def test_a_stripped_executable(program: Callable[..., Path]) -> None:
    ours = ElfFile.open(program("1.27", ldflags="-s -w"))
    assert ours.stripped
    assert not ours.has_dwarf
    assert len(ours.symbols) == 0
    assert ours.symbols.find("runtime.mheap_") is None
    assert ours.symbols.at(ours.entry) is None
    assert ours.symbols.named_prefix("runtime.") == []


def test_reads_cross_segments_and_tell_bss_from_holes(tmp_path: Path) -> None:
    loads = [Load(0x1000, b"abcd"), Load(0x1004, b"efgh", memsz=16), Load(0x2000, b"zz")]
    file = opened(tmp_path, elf(loads))
    assert file.read(0x1002, 4) == b"cdef"
    assert file.read(0x1006, 6) == b"gh\0\0\0\0"
    assert file.read(0x1006, 6, bss=False) is None
    assert file.read(0x1006, 2, bss=False) == b"gh"
    assert file.read(0x1004 + 16, 1) is None
    assert file.read(0x1004 + 15, 2) is None
    assert file.read(0xFFF, 2) is None
    assert file.read(0x2000, 2) == b"zz"
    assert file.read(0x2001, 2) is None
    assert file.read(0x1000, 0) == b""
    assert file.read(0x1000, -1) is None
    assert file.read(0x1000, 1 << 40) is None


def test_missing_bytes_of_a_core_are_never_zero(tmp_path: Path) -> None:
    file = opened(tmp_path, elf([Load(0x1000, b"abcd", memsz=4096)], kind=4))
    assert file.kind == "CORE"
    assert file.read(0x1000, 4) == b"abcd"
    assert file.read(0x1004, 1) is None
    assert file.read(0x1004, 1, bss=True) is None


def test_a_core_s_notes(tmp_path: Path) -> None:
    area = note(b"CORE", 1, bytes(range(7))) + note(b"CORE", 0x46494C45, b"") + note(b"LINUX", 0x202, b"x" * 9)
    file = opened(tmp_path, elf([Load(0, area, kind=4), Load(0x1000, b"a")], kind=4, machine=183))
    assert [tuple(n) for n in file.notes] == [
        ("CORE", 1, bytes(range(7))),
        ("CORE", 0x46494C45, b""),
        ("LINUX", 0x202, b"x" * 9),
    ]
    assert file.machine == "arm64"
    assert file.sections == {}


def test_note_areas_that_overlap_are_not_copied_for_ever(tmp_path: Path) -> None:
    area = note(b"CORE", 1, b"d" * 5000)
    whole = bytearray(elf([Load(0, area, kind=4)] * 2000, kind=4))
    first = int.from_bytes(whole[64 + 8 : 64 + 16], "little")
    for index in range(2000):
        whole[64 + 56 * index + 8 : 64 + 56 * index + 16] = first.to_bytes(8, "little")
    small = bytes(whole[: first + len(area)])
    file = opened(tmp_path, small)
    assert 1 < len(file.notes) < 100
    assert sum(len(n.desc) for n in file.notes) < 2 * len(small)


def test_more_segments_than_sixteen_bits_hold(tmp_path: Path) -> None:
    loads = [Load(0x10000 * i, b"x") for i in range(70_000)]
    data = elf(loads, kind=4, xnum=True)
    file = opened(tmp_path, data)
    assert len(file.segments) == 70_000
    assert file.segments[-1].vaddr == 0x10000 * 69_999
    # The true number stands in a section header at the end of the file, which a cut core has lost.
    cut = opened(tmp_path, data[: -64 - 50])
    assert len(cut.segments) == 70_000
    assert cut.truncated


def test_compressed_sections(tmp_path: Path) -> None:
    text = b"debug information " * 1000
    chdr = (1).to_bytes(8, "little") + len(text).to_bytes(8, "little") + bytes(8)
    chdr2 = (2).to_bytes(8, "little") + len(text).to_bytes(8, "little") + bytes(8)
    parts = [
        Part(".debug_info", chdr + zlib.compress(text), flags=SHF_COMPRESSED),
        Part(".debug_str", chdr2 + zstandard.compress(text), flags=SHF_COMPRESSED),
        Part(".zdebug_abbrev", b"ZLIB" + len(text).to_bytes(8, "big") + zlib.compress(text)),
        Part(".plain", text),
        Part(".bss", b"", kind=8, size=1 << 40),
    ]
    file = opened(tmp_path, elf(parts=parts))
    for name in (".debug_info", ".debug_str", ".zdebug_abbrev", ".debug_abbrev", ".plain"):
        assert bytes(file.section_bytes(name)) == text, name
    assert bytes(file.section_bytes(".bss")) == b""
    with pytest.raises(FormatError, match="no section"):
        file.section_bytes(".absent")


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
@pytest.mark.parametrize("claim", [0, 1, 17_999, 18_001, 1 << 31, 1 << 62])
def test_compressed_sections_that_lie(kind: int, claim: int, tmp_path: Path) -> None:
    text = b"debug information " * 1000
    packed = zstandard.compress(text) if kind == 2 else zlib.compress(text)
    chdr = kind.to_bytes(8, "little") + claim.to_bytes(8, "little") + bytes(8)
    broken = packed[:20] + bytes([packed[20] ^ 0xFF]) + packed[21:]
    parts = [
        Part(".lie", chdr + packed, flags=SHF_COMPRESSED),
        Part(".cut", chdr + packed[:10], flags=SHF_COMPRESSED),
        Part(".flipped", chdr + broken, flags=SHF_COMPRESSED),
        Part(".short", chdr[:12], flags=SHF_COMPRESSED),
    ]
    file = opened(tmp_path, elf(parts=parts))
    for part in parts:
        try:
            data = bytes(file.section_bytes(part.name))
        except FormatError:
            continue
        assert len(data) == claim
        # zstd has no checksum by default, so that a flipped byte can go unseen; it cannot change the length.
        assert part.name == ".flipped" or text.startswith(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"not an ELF file, but long enough to be one" * 4, "not an ELF file"),
        (b"\x7fELF", "cut short inside the ELF header"),
        (b"\x7fELF\2\1\1" + bytes(40), "cut short inside the ELF header"),
        (elf(elf_class=1), "32-bit"),
        (elf(order=2), "big-endian"),
        (elf(elf_class=7), "do not exist"),
        (elf([Load(0, b"abc")])[:64], "program headers"),
        (elf(parts=[Part(".text", b"abc")])[:80], "cut short"),
    ],
)
def test_each_unusable_file_is_told_apart(data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        opened(tmp_path, data)
    assert caught.value.hint


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for name in ("empty", "absent", "."):
        for role, error in (("executable", ExecutableError), ("core", EvidenceError)):
            with pytest.raises(error) as caught:
                ElfFile.open(tmp_path / name, role=role)  # type: ignore[arg-type]
            assert role in f"{caught.value} {caught.value.hint}"


def _whole() -> bytes:
    names = b"\0one\0two\0"
    symbols = b"".join(
        name.to_bytes(4, "little") + b"\x12\0\1\0" + value.to_bytes(8, "little") + (16).to_bytes(8, "little")
        for name, value in ((1, 0x1000), (5, 0x1010))
    )
    packed = (1).to_bytes(8, "little") + (9).to_bytes(8, "little") + bytes(8) + zlib.compress(b"123456789")
    parts = [
        Part(".symtab", symbols, kind=2, link=2),
        Part(".strtab", names, kind=3),
        Part(".debug_info", packed, flags=SHF_COMPRESSED),
    ]
    loads = [Load(0x1000, b"code" * 8), Load(0x2000, b"data", memsz=64), Load(0, note(b"GNU", 3, b"\1\2\3"), kind=4)]
    return elf(loads, parts)


WHOLE = _whole()


def use(file: ElfFile) -> None:
    """Touches everything that decodes bytes late."""
    for segment in file.segments:
        file.read(segment.vaddr, min(segment.memsz, 64))
    assert file.build_id is None or len(file.build_id) % 2 == 0
    table = file.symbols
    for index in range(min(len(table), 8)):
        table.name(index)
    table.find("one")
    table.at(0x1008)
    table.named_prefix("t")
    failures = []
    for name in file.sections:
        try:
            file.section_bytes(name)
        except FormatError as error:
            failures.append(error)
    assert all(error.hint for error in failures)


def test_the_whole_file_reads_right(tmp_path: Path) -> None:
    file = opened(tmp_path, WHOLE)
    use(file)
    assert file.build_id == "010203"
    assert file.symbols.find("two") == (0x1010, 16)
    assert file.symbols.at(0x1018) == "two"
    assert file.symbols.at(0x1020) is None
    assert bytes(file.section_bytes(".debug_info")) == b"123456789"


def test_cut_at_every_byte(tmp_path: Path) -> None:
    failures = 0
    for size in range(len(WHOLE)):
        try:
            file = opened(tmp_path, WHOLE[:size])
        except MapscopeError as error:
            failures += bool(error.hint)
            continue
        use(file)
    assert failures == len(WHOLE)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_flipped_bytes(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    try:
        file = opened(tmp_path_factory.getbasetemp(), bytes(data))
    except MapscopeError:
        return
    use(file)
