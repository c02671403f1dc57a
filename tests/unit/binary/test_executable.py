"""One object for every Go executable, and clear words about files that are none."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from mapscope.binary.executable import Executable
from mapscope.binary.runtimeglobals import runtime_globals
from mapscope.binary.textscan import scan_text
from mapscope.errors import ExecutableError, FormatError, MapscopeError
from tests.unit.binary.gobuilds import MODES, SERIES, built, said

toolchain = pytest.mark.toolchain


@toolchain
@pytest.mark.parametrize("series", SERIES)
def test_stripped_or_not_is_the_same_program(series: str) -> None:
    """Names, files, types: nothing that the views give differs, but for addresses."""
    seen = []
    for mode in MODES:
        exe = Executable.open(built("kinds", series, mode))
        assert exe.arch == "amd64"
        assert exe.series == tuple(map(int, series.split(".")))
        assert exe.stripped == ("stripped" in mode)
        assert exe.has_dwarf != exe.stripped
        assert exe.swiss_maps == (exe.series >= (1, 24))
        types = exe.types_in_file
        names = {rtype.name for rtype in map(types.at, types.all_types().tolist()) if rtype is not None}
        functions = {name for name in exe.functions.names() if name.startswith(("main.", "encoding/json."))}
        seen.append((exe.go_version, names, functions, len(exe.functions) // 50))
        exe.close()
    assert seen[0][1:3] == seen[1][1:3]
    assert seen[2][1:3] == seen[3][1:3]
    assert seen[0][1] == seen[2][1]
    assert len(seen[0][1]) > 800
    assert "main.main" in seen[0][2]


@toolchain
@pytest.mark.parametrize("mode", ["pie", "pie-stripped"])
def test_external_linking_with_cgo(mode: str) -> None:
    """An external linker names sections and packs relocations in its own way."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler for external linking")
    exe = Executable.open(
        built("kinds", "1.25", mode, cgo=True, ldflags="-linkmode=external" + (" -s -w" if "stripped" in mode else ""))
    )
    words = said(exe.path)
    bias = int(words["Main"], 16) - int(exe.functions.entry[exe.functions.index_of("main.main")])
    names = {one["Name"]: int(one["Address"], 16) - bias for one in words["Types"]}
    for name, address in names.items():
        rtype = exe.types_in_file.at(address)
        assert rtype is not None
        assert rtype.name == name
    if not exe.stripped:
        symbol = exe.elf.symbols.find("runtime.mheap_")
        assert symbol is not None
        assert runtime_globals(exe)["runtime.mheap_"] == symbol[0]
    assert "runtime.mheap_" in runtime_globals(exe)


@toolchain
@pytest.mark.parametrize("series", SERIES)
def test_arm64(series: str) -> None:
    exe = Executable.open(built("kinds", series, goarch="arm64"))
    symbols = exe.elf.symbols
    for name in ("main.main", "runtime.mallocgc", "encoding/json.Marshal"):
        symbol = symbols.find(name)
        assert symbol is not None
        assert int(exe.functions.entry[exe.functions.index_of(name)]) == symbol[0]
    types = exe.types_in_file
    names = {rtype.name: rtype for rtype in map(types.at, types.all_types().tolist()) if rtype is not None}
    twin = Executable.open(built("kinds", series)).types_in_file
    for address in twin.all_types().tolist():
        other = twin.at(address)
        if other is not None and other.name.startswith("main."):
            rtype = names[other.name]
            assert (rtype.kind, rtype.size, rtype.ptrdata) == (other.kind, other.size, other.ptrdata)
            assert [(f.name, f.offset) for f in rtype.fields] == [(f.name, f.offset) for f in other.fields]


def test_files_that_are_no_executables(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello")
    with pytest.raises(MapscopeError) as caught:
        Executable.open(text)
    assert caught.value.hint
    with pytest.raises(ExecutableError):
        Executable.open(tmp_path / "missing")


def test_a_c_program_is_refused(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    source = tmp_path / "main.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-o", tmp_path / "c", source], check=True)
    with pytest.raises(ExecutableError, match="is not a Go program") as caught:
        Executable.open(tmp_path / "c")
    assert caught.value.hint
    subprocess.run(["gcc", "-c", "-o", tmp_path / "c.o", source], check=True)
    with pytest.raises(ExecutableError, match="is no executable"):
        Executable.open(tmp_path / "c.o")


@toolchain
@pytest.mark.parametrize(("goarch", "words"), [("386", "32-bit"), ("riscv64", "riscv64"), ("s390x", "big-endian")])
def test_other_machines_are_refused(goarch: str, words: str) -> None:
    with pytest.raises(MapscopeError, match=words) as caught:
        Executable.open(built("kinds", "1.23", goarch=goarch))
    assert caught.value.hint


@toolchain
@pytest.mark.parametrize("series", ["1.19", "1.27"])
def test_cut_and_damaged_files_end_in_an_error_or_an_answer(series: str, tmp_path: Path) -> None:
    """Any prefix of an executable, and any with random bytes: MapscopeError with a hint, or the views as promised."""
    whole = built("kinds", series, "stripped").read_bytes()
    rng = random.Random(series)
    refused = 0
    for round_ in range(40):
        data = bytearray(whole)
        if round_ % 2:
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(rng.choice((3, 300, 30_000))):
                data[rng.randrange(len(data))] = rng.randrange(256)
        path = tmp_path / "damaged"
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        try:
            exe = Executable.open(path)
            names = exe.functions.names()
            types = exe.types_in_file.all_types()
            found = runtime_globals(exe)
            facts = scan_text(exe) if round_ % 8 == 0 else None
        except (ExecutableError, FormatError):
            refused += 1
            continue
        assert all(isinstance(name, str) for name in names)
        assert types.ndim == 1
        assert all(isinstance(address, int) for address in found.values())
        assert facts is None or facts.conflicts >= 0
    assert 10 < refused < 40
