"""Who holds it, as people read it and as the document has it; hostile names, long chains, deep trees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mapscope.heap.chains import AllChains, ChainTree
from mapscope.heap.holding import Dominator, Held
from mapscope.heap.steps import Step
from mapscope.report import chain_view, dominators_view, text
from mapscope.report.build import build, json_of
from mapscope.report.chain_view import build_chain
from mapscope.report.dominators_view import build_dominators
from mapscope.report.holding import chain_text, step_row, step_text
from mapscope.report.writing import to_json
from tests.unit.report.fakes import FakeSnapshot, sample, stalled, table
from tests.unit.report.schema_check import problems

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "docs" / "reference" / "schema.json").read_text())
ROOT = Step("global", 0x5A1A20, "*main.Server", None, "main.srv")
SERVER = Step("object", 0xC000100000, "main.Server", ".cache", None)
HEADER = Step("object", 0xC000010000, "hmap<map[uint64]uint64>", None, None)
CHAIN = (ROOT, SERVER, HEADER)
HELD = Held(CHAIN, 63_140_608, SERVER)
EVIL = "\x1b[31m" + "x" * 5000 + "\u202e"


def snapshot() -> FakeSnapshot:
    """The first map of the sample is held by main.srv."""
    made = sample()
    made.who = {int(made.maps.columns["address"][0]): HELD}
    made.suspects = (Dominator(SERVER, 63_140_608, 96, 1, CHAIN[:2], (HEADER,)),)
    return made


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (ROOT, "global main.srv"),
        (Step("global", 1, None, "+0x18", "data+0x1a20, used by main.(*LRU).Get"),
         "global at data+0x1a20, used by main.(*LRU).Get +0x18"),
        (Step("goroutine", 0xC000, None, None, "goroutine 8 in main.work (main.go:94)", 8),
         "goroutine 8 in main.work (main.go:94)"),
        (Step("goroutine", 0xC000, None, None, "goroutine 8", 8), "goroutine 8 stack"),
        (SERVER, "*main.Server .cache"),
        (HEADER, "hmap<map[uint64]uint64>"),
        (Step("object", 1, "[]bucket<map[uint64]uint64>", "[7][elem slot]", None), "[]bucket [7][elem slot]"),
        (Step("object", 1, "*table<map[uint64]uint64>", None, None), "*table"),
        (Step("object", 1, "[]main.T", "[3].next", None), "[]main.T [3].next"),
        (Step("object", 1, "main.Box[map<x>]", None, None), "*main.Box[map<x>]"),
        (Step("object", 0xC000010000, None, "+0x18", None), "object 0xc000010000 +0x18"),
        (Step("map", 1, "map[int]int", ".buckets", None), "map[int]int on the stack .buckets"),
        (Step("finalizer", 1, "os.file", ".name", "object with a finalizer"), "object with a finalizer os.file .name"),
        (Step("skipped", 0, None, None, "24 steps left out"), "(24 steps left out)"),
    ],
)  # fmt: skip
def test_steps_in_words(step, words):
    assert step_text(step_row(step)) == words


def test_a_finding_says_who_holds_its_map():
    shown = list(text.render(build(snapshot())))
    joined = " ".join(line.strip() for line in shown)
    assert "held by: global main.srv → *main.Server .cache → hmap<map[uint64]uint64> .oldbuckets" in joined
    assert all(len(line) <= 80 for line in shown if "mapscope " not in line)
    assert "WHAT HOLDS MOST" in shown
    assert any(line.startswith("  1. 63.1 MB, 29 % of the live heap: *main.Server .cache") for line in shown)
    assert not any("held by" in line for line in text.render(build(sample())))


def test_documents_carry_chains_and_are_what_the_schema_says():
    made = snapshot()
    document = json.loads(b"".join(json_of(made)))
    assert problems(document, SCHEMA["$defs"]["Document"], SCHEMA) == []
    first = next(row for row in document["maps"] if row["chain"])
    assert [step["field"] for step in first["chain"]] == [None, ".cache", None]
    assert first["chain"][0] == {
        "kind": "global", "address": "0x5a1a20", "type": "*main.Server", "field": None, "name": "main.srv",
        "goroutine": None,
    }  # fmt: skip
    assert first["retained_bytes"] == 63_140_608
    assert first["dominator"]["address"] == "0xc000100000"
    finding = next(row for row in document["findings"] if row["subject"] == first["address"] and row["rule"] == "R1")
    assert finding["chain"][-1]["field"] == ".oldbuckets"
    assert all(row["chain"] is None for row in document["maps"] if row is not first)


def deep(levels: int) -> ChainTree:
    """A tree that forks at every level."""
    tree = ChainTree(HEADER, 1, 1, 48, ())
    for _ in range(levels):
        tree = ChainTree(SERVER, 2, 1, 96, (tree, ChainTree(ROOT, 1, 0, 0, ())))
    return tree


def chains(*trees: ChainTree) -> AllChains:
    return AllChains(CHAIN, trees, 7, 3, 5, 2)


@pytest.mark.parametrize("every", [None, chains(), chains(deep(1)), chains(deep(31), deep(2))])
def test_chains_as_text_and_json(every):
    document = build_chain(snapshot(), 0xC000010000, HELD, every)
    assert problems(json.loads(to_json(document)), SCHEMA["$defs"]["ChainDocument"], SCHEMA) == []
    shown = list(chain_view.render(document))
    assert shown[:3] == [
        "  global main.srv  0x5a1a20",
        "  → *main.Server .cache  0xc000100000",
        "  → hmap<map[uint64]uint64>  0xc000010000",
    ]
    assert any("retains 63.1 MB" in line for line in shown)
    assert any("passes *main.Server .cache at 0xc000100000" in line for line in shown)
    assert any("ALL CHAINS" in line for line in shown) == (every is not None)
    assert any("3 more objects or roots" in line for line in shown) == (every is not None)


def test_a_large_tree_is_cut():
    tree = ChainTree(ROOT, 9000, 0, 0, tuple(ChainTree(SERVER, 1, 1, 8, ()) for _ in range(9000)))
    shown = list(chain_view.render(build_chain(snapshot(), 1, HELD, chains(tree))))
    assert len(shown) < 500
    assert any("-f json has all" in line for line in shown)


def test_long_chains_are_shortened_for_people_only():
    steps = [step_row(Step("object", n, f"main.T{n}", ".next", None)) for n in range(1, 40)]
    words = chain_text(steps)
    assert words.startswith("*main.T1 .next → ")
    assert words.endswith("*main.T39 .next")
    assert "(27 more)" in words
    assert words.count("→") == 12


def test_hostile_names_stay_names():
    step = Step("global", 1, EVIL, EVIL, EVIL)
    held = Held((step, Step("object", 2, EVIL, EVIL, None)), 5, step)
    made = snapshot()
    made.who = {int(made.maps.columns["address"][0]): held}
    made.suspects = (Dominator(step, 5, 5, 2, held.chain, held.chain),)
    documents: list[Any] = [
        text.render(build(made)),
        chain_view.render(build_chain(made, 1, held, chains(ChainTree(step, 1, 1, 1, ())))),
        dominators_view.render(build_dominators(made, made.suspects)),
    ]
    for lines in documents:
        joined = "\n".join(lines)
        assert "\x1b" not in joined
        assert "\u202e" not in joined
    assert all(b < 0x7F for b in b"".join(json_of(made)))


def test_a_suspect_that_gathers_in_nothing_with_a_name():
    made = snapshot()
    stacks = Step("stacks", 0, None, None, "words that only conservative scans take for pointers")
    made.suspects = (Dominator(stacks, 5000, 0, 1, (stacks,), (stacks, stacks)),)
    shown = "\n".join(dominators_view.render(build_dominators(made, made.suspects)))
    assert "words that only conservative scans take" in shown
    assert "gathers" not in shown


def test_dominators_as_text_and_json():
    made = snapshot()
    found = [*made.suspects, Dominator(ROOT, 1000, 0, 1, CHAIN[:1], ())]
    document = build_dominators(made, found)
    assert problems(json.loads(to_json(document)), SCHEMA["$defs"]["DominatorsDocument"], SCHEMA) == []
    shown = list(dominators_view.render(document, ["mapscope chain core 0xc000100000"]))
    assert any(line.split()[:5] == ["63.1", "MB", "29", "%", "96"] for line in shown)
    assert shown[-1] == "  mapscope chain core 0xc000100000"
    assert all(len(line) <= 80 for line in shown)
    empty = FakeSnapshot(table(stalled(10, 5, 100_000)))
    assert "Nothing live" in "\n".join(dominators_view.render(build_dominators(empty, [])))
