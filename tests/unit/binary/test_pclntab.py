"""The function table against the symbol table, ``go tool addr2line``, .debug_frame and the runtime's own words."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from mapscope.binary import inline
from mapscope.binary.executable import Executable
from mapscope.binary.pclntab import FunctionTable, is_header, parse_header
from mapscope.errors import FormatError
from tests.unit.binary.gobuilds import MODES, SERIES, built, said, toolchain

pytestmark = pytest.mark.toolchain
every = pytest.mark.parametrize("series", SERIES)


def bias_of(exe: Executable, words: dict) -> int:
    return int(words["Main"], 16) - int(exe.functions.entry[exe.functions.index_of("main.main")])


@every
@pytest.mark.parametrize("mode", MODES)
def test_names_files_and_lines_are_what_the_runtime_says(series: str, mode: str) -> None:
    path = built("kinds", series, mode)
    words = said(path)
    exe = Executable.open(path)
    table = exe.functions_at(bias_of(exe, words))
    assert ("pie" in mode) == (table.bias != 0)
    for truth in words["Funcs"]:
        entry = int(truth["Entry"], 16)
        index = table.find(entry)
        assert int(table.entry[index]) == entry
        assert table.name(index) == truth["Name"]
        assert table.file_line(index, entry) == (truth["File"], truth["Line"])
        assert table.find(entry - 1) == index - 1


@every
@pytest.mark.parametrize("mode", ["default", "pie-stripped"])
def test_inlined_frames_are_those_of_callers_frames(series: str, mode: str) -> None:
    path = built("kinds", series, mode)
    words = said(path)
    exe = Executable.open(path)
    bias = bias_of(exe, words)
    got, last = [], -1
    for text in words["PCs"]:
        pc = int(text, 16) - bias - 1
        index = exe.functions.find(pc)
        if index != last:  # Callers gives one pc for each inlined frame: the first unfolds to all of them
            got += [(f.name, f.file, f.line) for f in inline.unfold(exe.functions, exe.image, index, pc)]
        last = index
    assert got == [(f["Func"], f["File"], f["Line"]) for f in words["Frames"]]
    assert sum(name in ("main.inner", "main.middle") for name, _, _ in got) == 2


@every
def test_every_function_of_the_symbol_table(series: str) -> None:
    exe = Executable.open(built("kinds", series))
    table = exe.functions
    with open(exe.path, "rb") as stream:
        symbols = ELFFile(stream).get_section_by_name(".symtab")
        assert symbols is not None
        functions = {
            s["st_value"]: s.name
            for s in symbols.iter_symbols()
            if s["st_info"]["type"] == "STT_FUNC" and exe.module.text <= s["st_value"] < exe.module.etext
        }
    found = table.find_many(np.array(sorted(functions), np.uint64))
    assert np.array_equal(table.entry[found], np.array(sorted(functions), np.uint64))
    wrong = [
        (name, table.name(i))
        for (_, name), i in zip(sorted(functions.items()), found.tolist(), strict=True)
        if name.removesuffix(".abi0") != table.name(i).replace("·", ".") and "[" not in name
    ]
    assert not wrong
    assert len(table) >= len(functions) > 1000
    assert table.names()[5] == table.name(5)
    for name in ("main.main", "runtime.mallocgc", "runtime.gopark"):
        assert functions[int(table.entry[table.index_of(name)])] == name
    assert table.index_of("main.mai") == table.index_of("nothing") == -1


@every
def test_lines_are_those_of_addr2line(series: str) -> None:
    exe = Executable.open(built("kinds", series))
    rng = random.Random(series)
    pcs = [rng.randrange(exe.module.text, exe.functions.end) for _ in range(300)]
    go = toolchain(series)
    done = subprocess.run(
        [go.go, "tool", "addr2line", exe.path],
        input="\n".join(f"0x{pc:x}" for pc in pcs),
        capture_output=True,
        text=True,
        env=go.environment(),
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * len(pcs)
    wrong = []
    for pc, function, place in zip(pcs, lines[::2], lines[1::2], strict=True):
        index = exe.functions.find(pc)
        file, line = exe.functions.file_line(index, pc)
        expected = f"{file}:{line}" if line else ":-1"  # padding between functions has no line
        if place not in ("?:0", expected) or function.split("[")[0] != exe.functions.name(index).split("[")[0]:
            wrong.append((hex(pc), function, place, file, line))
    assert not wrong


@every
def test_frame_sizes_are_those_of_debug_frame(series: str) -> None:
    """The CFA of DWARF is the address above the return address: 8 more than the frame."""
    exe = Executable.open(built("kinds", series))
    checked = 0
    with open(exe.path, "rb") as stream:
        entries = ELFFile(stream).get_dwarf_info().CFI_entries()
        for entry in entries[1::7]:
            start = entry["initial_location"]
            index = exe.functions.find(start)
            if index < 0 or int(exe.functions.entry[index]) != start:
                continue
            rows = entry.get_decoded().table
            for row, after in zip(rows, [*rows[1:], None], strict=True):
                if after is None or row["cfa"].reg != 7 or after["pc"] == row["pc"]:  # 7 is rsp
                    continue
                assert exe.functions.frame_size(index, row["pc"]) + 8 == row["cfa"].offset, hex(row["pc"])
                checked += 1
    assert checked > 500


def test_columns_make_sense(tmp_path: Path) -> None:
    exe = Executable.open(built("kinds", "1.23"))
    table = exe.functions
    assert len({len(getattr(table, name)) for name in ("entry", "nameoff", "args", "pcsp", "flag", "nfuncdata")}) == 1
    index = table.index_of("main.add")
    text = (Path(__file__).parent / "programs" / "kinds.go").read_text().splitlines()
    assert int(table.start_line[index]) == text.index("func add(t reflect.Type) {") + 1
    assert table.pcdata(index, 99, int(table.entry[index])) == -1
    assert table.funcdata(index, 99) is None
    assert table.funcdata(index, 0) is not None
    assert table.find(0) == table.find(1 << 63) == table.find(table.end) == -1
    assert table.pcvalue(0, 0, 0) == -1
    top = table.index_of("runtime.goexit")
    assert int(table.flag[top]) & 1


def test_old_and_foreign_headers_are_refused() -> None:
    data = bytearray(Executable.open(built("kinds", "1.23")).functions._data[:72])
    assert is_header(data)
    for magic, words in ((0xFFFFFFFB, "1.17 or older"), (0xFFFFFFFA, "1.17 or older"), (0x7F454C46, "no pclntab")):
        with pytest.raises(FormatError, match=words):
            parse_header(magic.to_bytes(4, "little") + bytes(data[4:]))
    data[7] = 4
    with pytest.raises(FormatError, match="4-byte pointers"):
        parse_header(data)
    with pytest.raises(FormatError, match="cut short"):
        parse_header(data[:71])


def test_damaged_tables_raise_or_answer_in_bounds() -> None:
    """Whatever bytes are changed or cut: a FormatError, or answers of the promised types; never another exception."""
    source = Executable.open(built("kinds", "1.19", "stripped")).functions
    whole = bytes(source._data)
    rng = random.Random(11)
    refused = 0
    for round_ in range(150):
        data = bytearray(whole)
        if round_ % 3 == 0:
            del data[rng.randrange(len(data)) :]
        else:
            start = 0 if round_ % 3 == 1 else source.header.pcln_offset
            for _ in range(rng.randrange(1, 40)):
                at = rng.randrange(start, start + 4000)
                data[at] = rng.randrange(256)
        try:
            table = FunctionTable(bytes(data), address=1, text=1 << 20, gofunc=1 << 21)
        except FormatError:
            refused += 1
            continue
        for _ in range(50):
            i = rng.randrange(len(table))
            pc = int(table.entry[i]) + rng.randrange(64)
            assert isinstance(table.name(i), str)
            assert isinstance(table.file_line(i, pc)[1], int)
            assert isinstance(table.frame_size(i, pc), int)
            assert isinstance(table.pcdata(i, 1, pc), int)
            assert table.funcdata(i, 1) is None or isinstance(table.funcdata(i, 1), int)
    assert 20 < refused < 140
