"""The states of the maps, found by running the models, and their pictures."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from mapscope.lab.model.statemachine import ACTIONS, Machine, state_machine
from mapscope.lab.model.statepicture import labels, mermaid, stays, svg
from tools import make_states

IMAGES = Path(__file__).resolve().parents[4] / "docs" / "images"
WRITES = [action for action in ACTIONS if action not in ("clear", "read", "range")]


def leads(found: Machine, name: str) -> dict[str, set[str]]:
    """By action the names of the other states that it leads to from the state of this name."""
    ways: dict[str, set[str]] = {}
    for edge in found.changes():
        if edge.source.name == name:
            ways.setdefault(edge.action, set()).add(edge.target.name)
    return ways


@pytest.mark.parametrize("release", ["1.19", "1.21", "1.23", "1.25+noswissmap"])
def test_states_of_the_classic_map(release):
    fields = {node.name: dict(node.fields) for node in state_machine(release).nodes}
    assert fields == {
        "new": {"buckets": "nil", "oldbuckets": "nil", "nevacuate": "0"},
        "filled": {"buckets": "2^B", "oldbuckets": "nil", "nevacuate": "0"},
        "doubling": {"buckets": "2^B", "oldbuckets": "2^(B-1)", "nevacuate": "< 2^(B-1)"},
        "doubled": {"buckets": "2^B", "oldbuckets": "nil", "nevacuate": "2^(B-1)"},
        "growing to the same size": {"buckets": "2^B", "oldbuckets": "2^B", "nevacuate": "< 2^B"},
        "grown to the same size": {"buckets": "2^B", "oldbuckets": "nil", "nevacuate": "2^B"},
    }
    assert state_machine(release).nodes[0].name == "new"


@pytest.mark.parametrize(
    ("growing", "grown"), [("doubling", "doubled"), ("growing to the same size", "grown to the same size")]
)
def test_only_writes_end_a_growth_and_an_open_range_does_not_hinder(growing, grown):
    found = state_machine("1.23")
    ways = leads(found, growing)
    assert set(ways) == {*WRITES, "clear"}
    assert all(grown in ways[action] for action in ("update", "delete", "delete of an absent key"))
    for edge in found.changes():
        if edge.source.name == growing and edge.action in WRITES:
            assert "done" in edge.events
            # one write can end a growth and begin the next
            assert edge.target.name == grown or "hashGrow" in edge.events
    assert ways["clear"] == {"filled"}
    assert stays(found, found.node(growing)) == ["read", "range"]


def test_reads_and_ranges_change_nothing():
    for release in ("1.23", "1.26", "article"):
        assert not [edge for edge in state_machine(release).changes() if edge.action in ("read", "range")]


def test_deletes_begin_no_growth():
    for edge in state_machine("1.23").edges:
        if edge.action in ("delete", "delete of an absent key", "clear", "update"):
            assert "hashGrow" not in edge.events


def test_a_swiss_map_only_gets_larger():
    found = state_machine("1.26")
    assert [node.name for node in found.nodes] == ["new", "one group", "one table", "several tables"]
    order = [node.name for node in found.nodes]
    for release, leads_out in (("1.24", True), ("1.26", True), ("1.27", False)):
        assert ("update" in leads(state_machine(release), "one group")) == leads_out
    for edge in found.changes():
        assert order.index(edge.target.name) == order.index(edge.source.name) + 1
    assert stays(found, found.node("several tables")) == list(ACTIONS)
    assert any("prune" in edge.events for edge in found.edges)
    assert not any("prune" in edge.events for edge in state_machine("1.24").edges)


def test_the_article_s_own_states():
    found = state_machine("article")
    done = dict(found.node("migrated").fields)
    assert done == {"oldbuckets": "nil", "nevacuate": "2^B"}
    assert dict(found.node("initial").fields) == {"oldbuckets": "nil", "nevacuate": "0"}
    for name in ("blocked, one array", "blocked, several arrays"):
        assert not any("migrated" in targets for targets in leads(found, name).values())
    assert leads(found, "blocked, one array")["new key"] == {"blocked, several arrays"}


@pytest.mark.parametrize("release", ["1.23", "1.26", "article"])
def test_pictures(release):
    found = state_machine(release)
    picture = svg(found, "A <title> & more")
    root = ET.fromstring(picture)
    texts = ["".join(one.itertext()) for one in root.iter() if one.tag.endswith("text")]
    assert texts[0] == "A <title> & more"
    for node in found.nodes:
        assert node.name in texts
    assert sum(one.tag.endswith("circle") for one in root.iter()) == len(labels(found))
    width = int(root.attrib["width"])
    assert all(
        0 <= int(one.attrib["x"]) < width for one in root.iter() if one.tag.endswith("rect") and "x" in one.attrib
    )
    diagram = mermaid(found)
    assert diagram.startswith("stateDiagram-v2\n")
    assert diagram.count(" --> ") == 1 + sum(map(len, labels(found).values()))


@pytest.mark.parametrize("name", sorted(make_states.PICTURES))
def test_pictures_of_the_documentation_are_up_to_date(name):
    """`python tools/make_states.py` draws them again."""
    assert (IMAGES / name).read_text(encoding="utf-8") == make_states.drawn(name)
