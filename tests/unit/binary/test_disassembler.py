"""capstone's library called directly, against capstone's own package."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from mapscope.binary import disassembler
from mapscope.binary.executable import Executable
from mapscope.errors import UsageError
from tests.unit.binary.gobuilds import built

pytest.importorskip("capstone")


def code_of(exe: Executable) -> tuple[bytes, int]:
    module = exe.module
    data = exe.image.read(module.text, module.etext - module.text)
    assert data is not None
    return data, module.text


@pytest.mark.toolchain
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_every_function_reads_alike(arch: str) -> None:
    exe = Executable.open(built("kinds", "1.26", goarch=arch))
    assert exe.arch == arch
    text, start = code_of(exe)
    ours, theirs = disassembler.disassembler(arch).texts, disassembler.packaged(arch).texts
    longest = 0
    for i in range(len(exe.functions)):
        entry = int(exe.functions.entry[i])
        code = text[entry - start : exe.functions.end_of(i) - start]
        found = list(ours(code, entry))
        assert found == list(theirs(code, entry))
        longest = max(longest, len(found))
    assert longest > 100


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_bytes_that_are_no_code_end_alike(arch: str) -> None:
    rng = random.Random(5)
    ours, theirs = disassembler.disassembler(arch).texts, disassembler.packaged(arch).texts
    for size in (0, 1, 3, 15, 16, 1000):
        code = rng.randbytes(size)
        assert list(ours(code, 0x401000)) == list(theirs(code, 0x401000))


@pytest.mark.parametrize("count", [4095, 4096, 4097, 10_000])
def test_code_longer_than_one_call_takes(count: int) -> None:
    found = list(disassembler.disassembler("amd64").texts(b"\x48\x89\xd8" * count, 0x401000))
    assert found == [(0x401000 + 3 * k, 3, "mov", "rax, rbx") for k in range(count)]


def test_another_version_is_left_to_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    package = disassembler.packaged
    monkeypatch.setattr(disassembler, "packaged", lambda arch: used.append(arch) or package(arch))
    assert [row[2] for row in disassembler.disassembler("amd64").texts(b"\xc3", 0)] == ["ret"]
    assert not used
    monkeypatch.setattr(disassembler, "_MAJOR", 6)
    assert [row[2] for row in disassembler.disassembler("amd64").texts(b"\xc3", 0)] == ["ret"]
    monkeypatch.setattr(disassembler, "_MAJOR", 5)
    monkeypatch.setattr(disassembler, "_LIBRARY", ("lib", "elsewhere.so"))
    assert [row[2] for row in disassembler.disassembler("arm64").texts(b"\xc0\x03\x5f\xd6", 0)] == ["ret"]
    assert used == ["amd64", "arm64"]


def test_what_cannot_be_decoded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="riscv64 cannot be decoded") as caught:
        disassembler.disassembler("riscv64")
    assert "amd64" in caught.value.hint
    with monkeypatch.context() as broken:  # the package is there, its library is not
        broken.setattr(disassembler, "_LIBRARY", ("lib", "elsewhere.so"))
        broken.setitem(sys.modules, "capstone", None)
        broken.setattr(disassembler, "_folder", lambda: Path("nowhere"))
        with pytest.raises(UsageError, match="capstone is not installed"):
            disassembler.disassembler("amd64")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not disassembler.have_capstone()
    with pytest.raises(UsageError, match="capstone is not installed") as caught:
        disassembler.disassembler("amd64")
    assert "pip install" in caught.value.hint
