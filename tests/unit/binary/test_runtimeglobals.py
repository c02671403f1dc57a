"""Runtime globals decoded from code, the symbol table ignored, against the symbol table of the same executable."""

from __future__ import annotations

import pytest

from mapscope.binary import machine, runtimeglobals
from mapscope.binary.executable import Executable
from mapscope.binary.runtimeglobals import NAMES, decoded_globals, plain_globals, runtime_globals
from mapscope.errors import UsageError
from tests.unit.binary.gobuilds import SERIES, built

pytestmark = pytest.mark.toolchain
every = pytest.mark.parametrize("series", SERIES)
ESSENTIAL = ("runtime.mheap_", "runtime.memstats", "runtime.gcController", "runtime.allgs", "runtime.allfin")


def symbols_of(exe: Executable) -> dict[str, int]:
    found = {name: exe.elf.symbols.find(name) for name in NAMES}
    return {name: symbol[0] for name, symbol in found.items() if symbol is not None}


@every
@pytest.mark.parametrize("mode", ["default", "pie"])
def test_decoded_are_the_symbols(series: str, mode: str) -> None:
    exe = Executable.open(built("kinds", series, mode))
    truth = symbols_of(exe)
    assert len(truth) == len(NAMES) - (exe.series < (1, 25))
    assert decoded_globals(exe) == truth
    assert runtime_globals(exe) == truth


@every
@pytest.mark.parametrize("mode", ["default", "pie"])
def test_patterns_alone_find_the_essential_ones(series: str, mode: str) -> None:
    exe = Executable.open(built("kinds", series, mode))
    truth, found = symbols_of(exe), plain_globals(exe)
    assert set(ESSENTIAL) <= set(found)
    assert {name: truth[name] for name in found} == found


@every
def test_arm64(series: str) -> None:
    exe = Executable.open(built("kinds", series, goarch="arm64"))
    assert exe.arch == "arm64"
    truth, decoded, plain = symbols_of(exe), decoded_globals(exe), plain_globals(exe)
    assert {name: truth[name] for name in decoded} == decoded
    assert {name: truth[name] for name in plain} == plain
    assert set(ESSENTIAL) <= set(decoded)
    assert set(ESSENTIAL) <= set(plain)


@every
@pytest.mark.parametrize("mode", ["stripped", "pie-stripped"])
def test_stripped_executables_give_the_same_names(series: str, mode: str) -> None:
    exe = Executable.open(built("kinds", series, mode))
    assert exe.stripped
    found = runtime_globals(exe)
    assert set(found) == set(symbols_of(Executable.open(built("kinds", series))))
    module = exe.module
    for name, address in found.items():
        assert module.noptrdata <= address < module.end or name == "runtime.firstmoduledata"
    plain = plain_globals(exe)
    assert {name: found[name] for name in plain} == plain


def test_without_capstone(monkeypatch: pytest.MonkeyPatch) -> None:
    exe = Executable.open(built("kinds", "1.26", "stripped"))
    with_it = runtime_globals(exe)
    monkeypatch.setattr(runtimeglobals, "have_capstone", lambda: False)
    without = runtime_globals(exe)
    assert set(ESSENTIAL) <= set(without) < set(with_it)
    assert without.items() <= with_it.items()
    monkeypatch.setitem(__import__("sys").modules, "capstone", None)
    with pytest.raises(UsageError, match="capstone is not installed") as caught:
        machine.decoder("amd64")
    assert "pip install" in caught.value.hint
