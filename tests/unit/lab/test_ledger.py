"""The ledger of claims: complete, well formed, and its citations are in Go's sources."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from mapscope.cli.main import main
from mapscope.errors import FormatError
from mapscope.lab import ledger
from mapscope.lab.ledger import claims
from mapscope.lab.toolchains import PINNED, series_of
from tests.unit.binary.gobuilds import toolchain

SERIES = ("1.19", *(series_of(version) for version in PINNED))
SECTIONS = ("1", "1A", "1B", "2.1", "2.2", "2.3", "2.4", "2.5", "3.1", "3.2", "3.3", "4.1", "4.2", "4.3", "4.4")


def test_there_are_all_96_in_the_order_of_the_article():
    assert [one.id for one in claims()] == list(range(1, 97))
    assert tuple(dict.fromkeys(one.section for one in claims())) == SECTIONS
    assert len({one.text for one in claims()}) == 96


@pytest.mark.parametrize("one", claims(), ids=lambda one: str(one.id))
def test_a_claim_says_something_for_every_release(one):
    for series in SERIES:
        major, minor = map(int, series.split("."))
        assert one.verdict((major, minor)) in ledger.VERDICTS
        assert one.reason((major, minor))
    assert set(one.exceptions) <= set(SERIES)
    assert one.sources
    # a verdict that is no reason to look away: what is not moot is cited for some release of its family
    assert one.classic == "moot" or any(source.first < ledger.SWISS_SINCE for source in one.sources)


@pytest.mark.toolchain
@pytest.mark.parametrize("series", SERIES)
def test_citations_are_in_the_sources(series: str):
    go = toolchain(series)
    missing = {one.id: [str(source) for source in gone] for one in claims() if (gone := one.missing_sources(go))}
    assert not missing
    cited = Counter(source.file for one in claims() for source in one.sources if source.of(go.release))
    assert sum(cited.values()) > 40


def test_a_citation_that_is_not_there_is_found(tmp_path: Path):
    folder = tmp_path / "src" / "runtime"
    folder.mkdir(parents=True)
    (folder / "map.go").write_text("func hashGrowth(t *maptype) {\n}\ntype hmap2 struct {\n}\n// func evacuate(\n")
    for name in ("hashGrow", "type hmap", "evacuate", "(*hmap).hashGrowth"):
        assert not ledger.Source("runtime/map.go", name, (1, 19), (1, 23)).declared_in(tmp_path)
    assert ledger.Source("runtime/map.go", "hashGrowth", (1, 19), (1, 23)).declared_in(tmp_path)
    assert ledger.Source("runtime/map.go", "type hmap2", (1, 19), (1, 23)).declared_in(tmp_path)
    assert not ledger.Source("runtime/none.go", "hashGrow", (1, 19), (1, 23)).declared_in(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"classic": "perhaps"}, {"settled": "opinion"}, {"settled": "scenario"}, {"source": ["map.go"]}, {"id": "x"}],
    ids=str,
)
def test_a_spoiled_entry_is_refused(change: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    entry = {
        "id": 1, "section": "1", "claim": "c", "classic": "true", "swiss": "false", "why": "w",
        "source": ["runtime/map.go hashGrow 1.19-"], "settled": "scenario stalled",
    }  # fmt: skip
    assert ledger._claim("x.toml", entry).id == 1
    with pytest.raises(FormatError):
        ledger._claim("x.toml", entry | change)


def test_the_command_prints_one_section_or_all(capfd: pytest.CaptureFixture[str]):
    assert main(["lab", "claims", "-f", "json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert [row["id"] for row in rows] == list(range(1, 97))
    assert main(["lab", "claims", "--section", "2.1"]) == 0
    text = " ".join(capfd.readouterr().out.split())
    section = [row for row in rows if row["section"] == "2.1"]
    assert len(section) == 11
    for row in section:
        assert row["claim"] in text
        assert row["why"] in text
        for source in row["source"]:
            assert f"{source['file']}: {source['name']}" in text
    assert main(["lab", "claims", "--section", "2", "-f", "json"]) == 0
    assert {row["section"][0] for row in json.loads(capfd.readouterr().out)} == {"2"}
    assert main(["lab", "claims", "--section", "9.9"]) == 2
    assert "2.1" in capfd.readouterr().err
