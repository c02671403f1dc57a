"""Facts from machine code against the program's own words about its variables, closures and types."""

from __future__ import annotations

from typing import Any

import pytest

from mapscope.binary import textscan
from mapscope.binary.executable import Executable
from mapscope.binary.rtype import Kind
from mapscope.binary.textscan import TextFacts, scan_text
from tests.unit.binary.gobuilds import MODES, SERIES, built, said

pytestmark = pytest.mark.toolchain
every = pytest.mark.parametrize("series", SERIES)


def claims(facts: TextFacts) -> dict[str, dict[Any, set[int]]]:
    """The facts by the words of the program: kind → place → types."""
    found: dict[str, dict[Any, set[int]]] = {"map": {(a, 0): {t} for a, t in facts.global_maps}}
    for address, of, what in facts.global_types:
        found.setdefault(what, {})[address, 0] = {of}
    for name, rows in (("capture", facts.capture_maps), ("box", facts.capture_boxes)):
        found[name] = {(entry, offset): {of} for entry, offset, of in rows}
    frames = found["frame"] = {}
    for entry, _, of in facts.frame_maps:
        frames.setdefault((entry, 0), set()).add(of)
    return found


@every
@pytest.mark.parametrize("mode", MODES)
def test_every_place_is_found_with_its_type(series: str, mode: str) -> None:
    path = built("facts", series, mode)
    exe = Executable.open(path)
    words = said(path)
    main = next(int(word["Where"], 16) for word in words if word["Kind"] == "main")
    bias = main - int(exe.functions.entry[exe.functions.index_of("main.main")])
    facts = scan_text(exe, on_stacks=[int(exe.functions.entry[exe.functions.index_of("main.useFrame")])])
    found = claims(facts)
    assert not facts.notes
    assert 0 < facts.functions_decoded < len(exe.functions) // 5
    checked = 0
    for word in words:
        if word["Kind"] == "main":
            continue
        place, of = (int(word["Where"], 16) - bias, word["Offset"]), int(word["Type"], 16) - bias
        ours = found[word["Kind"]].get(place, set())
        if word["Name"] == "synced" and exe.series >= (1, 24):
            # sync.Map's methods are inlined: what is called is a method of its first field
            names = {rtype.name for rtype in map(exe.types_in_file.at, ours) if rtype is not None}
            assert names == {"sync.HashTrieMap[interface {},interface {}]"}
        else:
            assert of in ours, word["Name"]
            assert len(ours) == 1 or word["Kind"] == "frame"
        checked += 1
    assert checked == 19
    for _, of in facts.global_maps:
        rtype = exe.types_in_file.at(of)
        assert rtype is not None
        assert rtype.kind is Kind.MAP


GLOBALS = {
    "main.literal": "map[string]int",
    "main.big": "map[string]int",
    "main.made": "map[int64]string",
    "main.hinted": "map[[2]int]float64",
    "main.onlyRead": "map[main.Rec2]bool",
    "main.cleared": "map[int8]int8",
    "main.deleted": "map[string]struct {}",
    "main.ranged": "map[uint16]string",
}


@every
@pytest.mark.parametrize("goarch", ["amd64", "arm64"])
def test_global_maps_by_symbol(series: str, goarch: str) -> None:
    """The same against the symbol table, which arm64 programs can be asked without running them."""
    exe = Executable.open(built("facts", series, goarch=goarch))
    facts = scan_text(exe)
    types = exe.types_in_file

    def name_of(address: int) -> str:
        rtype = types.at(address)
        assert rtype is not None
        return rtype.name

    found = {address: name_of(of) for address, of in facts.global_maps}
    for name, of in GLOBALS.items():
        symbol = exe.elf.symbols.find(name)
        assert symbol is not None
        assert found[symbol[0]] == of, name
    closures = {exe.functions.name(exe.functions.find(entry)): name_of(of) for entry, of in facts.closures}
    assert closures["main.capture.func1"].startswith("struct { F uintptr; ")
    assert "map[string]main.Rec" in closures["main.capture.func1"]
    captures = {exe.functions.name(exe.functions.find(e)): (o, name_of(t)) for e, o, t in facts.capture_maps}
    assert captures["main.capture.func1"] == (8, "map[string]main.Rec")


@every
def test_types_are_among_those_the_text_refers_to(series: str) -> None:
    """A type of which a map is made in code must be one of the addresses."""
    exe = Executable.open(built("facts", series, "stripped"))
    facts = scan_text(exe)
    addresses = set(facts.types.tolist())
    assert {of for _, of in facts.global_maps} <= addresses
    assert {of for _, of in facts.closures} <= addresses
    named = {rtype.name for rtype in map(exe.types_in_file.at, addresses) if rtype is not None}
    assert {"main.Store", "map[int8]int8", "map[string]main.Rec"} <= named


def test_without_capstone_there_are_types_methods_and_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    exe = Executable.open(built("facts", "1.23", "stripped"))
    whole = scan_text(exe)
    monkeypatch.setattr(textscan, "have_capstone", lambda: False)
    part = scan_text(exe)
    assert "pip install" in part.notes[0]
    assert part.types.tolist() == whole.types.tolist()
    assert set(part.global_types) <= set(whole.global_types)
    assert any(what == "value" for _, _, what in part.global_types)
    assert not part.global_maps


def test_contradictions_are_dropped() -> None:
    collected = textscan._Collected()
    collected.maps[16].add(1)
    collected.maps[8].update((1, 2))
    collected.frames[8, 24].add(3)
    facts = collected.facts(TextFacts().types, 0, ())
    assert facts.global_maps == ((16, 1),)
    assert facts.frame_maps == ((8, 24, 3),)
    assert facts.conflicts == 1


def test_a_small_budget_decodes_the_main_module_first() -> None:
    exe = Executable.open(built("facts", "1.23", "stripped"))
    whole = scan_text(exe)
    touch = exe.functions.index_of("main.touch")
    entry = int(exe.functions.entry[touch])
    part = scan_text(exe, on_stacks=[entry], budget=exe.functions.end_of(touch) - entry)
    assert part.functions_decoded < whole.functions_decoded
    assert "not decoded" in part.notes[0]
    assert len(part.global_maps) >= 5
    assert set(part.global_maps) <= set(whole.global_maps)
    assert not scan_text(exe, budget=0).global_maps


def test_whoever_watches_is_told_how_far_it_is() -> None:
    exe = Executable.open(built("facts", "1.23", "stripped"))
    told: list[tuple[int, int]] = []
    facts = scan_text(exe, tell=lambda done, total: told.append((done, total)))
    totals = {total for _, total in told}
    assert len(totals) == 1
    total = totals.pop()
    assert total >= facts.functions_decoded
    assert [done for done, _ in told] == list(range(0, total, textscan._TELL_EVERY))
