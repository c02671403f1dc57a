"""Statements of Go as text: what they make of maps, and which file of a tree a profile means."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapscope.errors import UsageError
from mapscope.profiles.parts import CREATION, SOME
from mapscope.profiles.statements import Sources


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("m := make(map[string]int, n)", CREATION),
        ("m := make(map[string]struct{\n\ta int\n})", CREATION),
        ("return &T{all: make(map[int]bool)}", CREATION),
        ('byName := map[string]int{"a": 1}', CREATION),
        ("m[k] = v", SOME),
        ("s.cache[id] = entry", SOME),
        ("counts[name]++", SOME),
        ("m[a][b] += 2", SOME),
        ("m[k] = true // f(x)", SOME),
        ('m["(a"] = v', SOME),
        ("m[k] = &rec{}", None),  # what the value is made of allocates too
        ("m[string(b)] = v", None),
        ("m[k] = append(m[k], v)", None),
        ("m[k] = func() {}", None),
        ("if m[k] == v {", None),
        ("x := m[k]", None),
        ("var m map[string]int", None),
        ("f(map[string]int(nil))", None),
        ("s := make([]int, 5)", None),
        ("p := new(rec)", None),
        ('x := "make(map["', None),
        ("ch <- v", None),
        ("", None),
    ],
)
def test_what_a_statement_makes(text: str, part: str | None, tmp_path: Path):
    (tmp_path / "main.go").write_text(f"package main\n\n{text}\n", encoding="utf-8")
    found = Sources(str(tmp_path)).part("/build/main.go", 3)
    assert (None if found is None else found.part) == part
    if found is not None:
        assert found.how == "possible"


def test_the_file_with_the_longest_common_end_is_meant(tmp_path: Path):
    for folder, text in (("a/x", "m[k] = v"), ("b/x", "p := new(rec)"), ("c", "m[k] = v")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "f.go").write_text(text + "\n", encoding="utf-8")
    sources = Sources(str(tmp_path))
    assert sources.statement("/ci/a/x/f.go", 1) == "m[k] = v"
    assert sources.statement("example.com/m/b/x/f.go", 1) == "p := new(rec)"
    assert sources.statement("/other/x/f.go", 1) is None  # two fit as well
    assert sources.statement("/ci/a/x/none.go", 1) is None
    assert sources.statement("/ci/a/x/f.go", 99) is None


def test_what_never_ends_is_not_judged(tmp_path: Path):
    (tmp_path / "f.go").write_text("m[k] = g(\n" + "1,\n" * 1000, encoding="utf-8")
    assert Sources(str(tmp_path)).part("f.go", 1) is None
    with pytest.raises(UsageError, match="is no folder"):
        Sources(str(tmp_path / "f.go"))
