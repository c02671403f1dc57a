"""SARIF: what becomes of hostile names, of places, of fingerprints, and of too many findings."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mapscope.findings import RULES
from mapscope.maps.model import Confidence
from mapscope.report import sarif
from mapscope.report.build import build
from mapscope.report.document import Document, StepRow
from mapscope.report.sarif_places import Place, Places, parse
from mapscope.report.sarif_rules import LEVELS
from mapscope.report.sarif_rules import RULES as TEXTS
from mapscope.report.sourcetree import SourceTree
from tests.sarif_check import problems
from tests.unit.report.fakes import sample


def run_of(made: sarif.Sarif) -> dict[str, Any]:
    log = json.loads(made.text)
    assert problems(log) == []
    return log["runs"][0]


def with_loops(**evidence: str | int) -> Document:
    """A document whose findings name the loop ``evidence`` says."""
    document = build(sample())
    rows = [msgspec.structs.replace(row, evidence={**row.evidence, **evidence}) for row in document.findings]
    assert len(rows) > 2
    return msgspec.structs.replace(document, findings=rows)


def test_every_rule_is_told():
    assert [text.id for text in TEXTS] == [rule.RULE for rule in RULES]
    assert [text.title for text in TEXTS] == [rule.TITLE for rule in RULES]
    assert set(LEVELS) == {confidence.label for confidence in Confidence}
    assert len({text.name for text in TEXTS}) == len(TEXTS)


def test_a_finding_without_a_line_is_counted_not_shown():
    document = build(sample())
    run = run_of(sarif.of_snapshot(document))
    assert run["results"] == []
    assert run["properties"]["withoutSourceLine"] == len(document.findings) > 0


def test_levels_and_bytes_are_those_of_the_findings():
    document = with_loops(loop="main.work (/src/main.go:94)")
    run = run_of(sarif.of_snapshot(document))
    assert [one["properties"]["bytes"] for one in run["results"]] == [row.bytes for row in document.findings]
    assert [one["level"] for one in run["results"]] == [LEVELS[row.confidence] for row in document.findings]
    assert {one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in run["results"]} == {94}


def test_fingerprints_know_no_address_no_number_and_no_order():
    document = with_loops(loop="main.work (/src/main.go:94)")
    first = run_of(sarif.of_snapshot(document))
    other = with_loops(loop="main.work (/elsewhere/main.go:117)")  # built in another folder, lines have moved
    root = StepRow(kind="goroutine", address="0xc1", type=None, field="[7].m", name="goroutine 9 in a (b.go:3)",
                   goroutine=9)  # fmt: skip
    moved = msgspec.structs.replace(root, address="0xc2", field="[12].m", name="goroutine 11 in a (b.go:8)")
    both = []
    for given, chain in ((document, [root]), (other, [moved])):
        rows = [msgspec.structs.replace(row, chain=chain) for row in given.findings]
        random.Random(len(both)).shuffle(rows)
        results = run_of(sarif.of_snapshot(msgspec.structs.replace(given, findings=rows)))["results"]
        both.append({one["partialFingerprints"]["mapscopeFinding/v1"] for one in results})
    assert both[0] == both[1]
    plain = [r["partialFingerprints"]["mapscopeFinding/v1"] for r in first["results"]]
    assert len(set(plain)) == len(plain)
    assert not any("0xc" in text for text in plain)


HOSTILE = "map[string]\x1b[31m\u202e[click me](https://evil.example/){0}<script>" + "x" * 100_000


def test_hostile_names_make_no_link_no_escape_and_no_giant():
    document = with_loops(loop=f"{HOSTILE} (/src/{HOSTILE}\r\n..%2f/a b.go:94)")
    rows = [msgspec.structs.replace(row, type=HOSTILE, why=HOSTILE) for row in document.findings]
    made = sarif.of_snapshot(msgspec.structs.replace(document, findings=rows))
    assert len(made.text) < 1_500_000
    assert made.text.isascii()
    assert b"\\u202e" not in made.text.split(b'"properties"')[0]
    for one in run_of(made)["results"]:
        text = one["message"]["text"]
        assert "](" not in text
        assert text.isprintable()
        uri = one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert uri.isascii()
        assert not set(uri) & set(' "<>\\^`{|}\r\n')


def test_more_findings_than_code_scanning_takes_are_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sarif, "MAX_RESULTS", 2)
    document = with_loops(loop="main.work (/src/main.go:94)")
    made = sarif.of_snapshot(document)
    assert (made.shown, made.too_many) == (2, len(document.findings) - 2)
    run = run_of(made)
    assert [one["properties"]["bytes"] for one in run["results"]] == [row.bytes for row in document.findings[:2]]
    assert run["properties"]["beyondLimit"] == made.too_many


@pytest.mark.parametrize(
    ("file", "function", "root", "uri", "base"),
    [
        ("/src/svc/a/b.go", "svc/a.F", "/src/svc", "a/b.go", "SRCROOT"),
        ("/src/svc2/b.go", "main.F", "/src/svc", "file:///src/svc2/b.go", None),
        ("/src/svc/../x.go", "main.F", "/src/svc", "file:///src/svc/../x.go", None),
        ("example.com/svc/a b.go", "main.F", "example.com/svc", "a%20b.go", "SRCROOT"),
        ("/go/src/net/http/server.go", "net/http.(*Server).Serve", "/src", "src/net/http/server.go", "GOROOT"),
        ("/x/src/ex.am/p/p.go", "ex.am/p.F", "", "file:///x/src/ex.am/p/p.go", None),
        ("c:p.go", "main.F", "", "c%3Ap.go", None),
    ],
)
def test_files_become_uris(file: str, function: str, root: str, uri: str, base: str | None):
    where = Places(root).artifact(Place(file, 3, function))
    assert (where["uri"], where.get("uriBaseId")) == (uri, base)


@pytest.mark.parametrize("text", ["", None, 7, "main.f", "main.f (main.go:0)", "f (?:3)", "f (a.go:99999999999)"])
def test_what_is_no_place_is_none(text: object):
    assert parse(text) is None


GO = """package store // of things

import "sync"

var (
	first, second map[string]int
	/* third map[string]int */
)

var Lone = map[string]int{
	"inner": 1,
}

type (
	Pool[K comparable] struct {
		mu sync.Mutex
		byKey, byName map[string]K // "type Other struct {"
		inner struct {
			deep map[int]int
		}
	}
)

func f() { var hidden map[string]int; type local struct { a int } }
"""


def step(kind: str, **given: str) -> StepRow:
    words = {"type": None, "field": None, "name": None} | given
    return StepRow(kind=kind, address="0xc000", goroutine=None, **words)


@pytest.mark.parametrize(
    ("asked", "line", "word"),
    [
        (step("object", type="store.Pool[int]", field=".byKey"), 17, "byKey"),
        (step("object", type="*store.Pool[string]", field=".byName"), 17, "byName"),
        (step("object", type="[]store.Pool[int]", field="[3].inner.deep"), 18, "inner"),
        (step("global", name="example.com/x/store.second"), 6, "second"),
        (step("global", name="store.Lone"), 10, "Lone"),
        (step("global", name="store.third"), None, ""),
        (step("global", name="store.hidden"), None, ""),
        (step("global", name="store.inner"), None, ""),
        (step("global", name="data+0x1a20, used by store.f"), None, ""),
        (step("object", type="store.Pool[int]", field=".deep"), None, ""),
        (step("object", type="other.Pool[int]", field=".byKey"), None, ""),
        (step("object", type="store.Pool[int]", field="+0x18"), None, ""),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_declarations_are_found(asked: StepRow, line: int | None, word: str, tmp_path: Path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a.go").write_text(GO, encoding="utf-8")
    (tmp_path / "store" / "a_test.go").write_text(GO, encoding="utf-8")
    found = SourceTree(str(tmp_path)).declared(asked)
    if line is None:
        assert found is None
        return
    assert found is not None
    assert (found.file, found.line) == ("store/a.go", line)
    text = GO.splitlines()[line - 1]
    assert text[found.columns[0] - 1 : found.columns[1] - 1] == word


def test_what_is_declared_twice_is_not_told(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.go").write_text(GO, encoding="utf-8")
    tree = SourceTree(str(tmp_path))
    assert tree.declared(step("global", name="store.Lone")) is None


def test_a_file_of_the_tree_is_the_one_that_is_meant(tmp_path: Path):
    for name in ("svc/main.go", "svc/sync/map.go"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("package p\n\n\tf(x) \n", encoding="utf-8")
    tree = SourceTree(str(tmp_path / "svc"))
    assert tree.find("/b/svc/main.go", 3, "main.go") == Place("main.go", 3, found=True, columns=(2, 6))
    assert tree.find("/b/svc/main.go", 9, "main.go") is None
    assert tree.find("/usr/lib/go/src/sync/map.go", 3, None) is None  # not of the module
    assert tree.find("/b/other/map.go", 3, "other/map.go") is None
    whole = SourceTree(str(tmp_path))
    assert whole.find("/b/svc/main.go", 3, "main.go") == Place("svc/main.go", 3, found=True, columns=(2, 6))
