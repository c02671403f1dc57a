"""``mapscope lab verify``: claims settled on real releases, and what is said when something is not as it was."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from mapscope.cli.main import main
from mapscope.lab import ledger, verify
from mapscope.lab.ledger import claims
from mapscope.lab.running import Outcome
from mapscope.lab.scenario import Check, load
from tests.groundtruth import harness

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]

SERIES = ("1.23", "1.26")
WORDS = {"true": "confirmed", "false": "refuted", "partly": "in part", "moot": "moot"}


def judged(series: str, capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict]]:
    status = main(["lab", "verify", "--go", series, *arguments, "-f", "json"])
    return status, json.loads(capfd.readouterr().out)


@pytest.mark.parametrize("series", SERIES)
def test_every_claim_is_judged_and_none_changed(series: str, capfd: pytest.CaptureFixture[str]):
    status, rows = judged(series, capfd)
    assert [row["claim"] for row in rows] == list(range(1, 97))
    assert not [row for row in rows if row["result"] in ("changed", "no evidence")]
    assert status == 0
    by_number = {one.id: one for one in claims()}
    for row in rows:
        claim = by_number[row["claim"]]
        if row["verdict"] == "moot" or claim.kind == "scenario":
            assert row["result"] == WORDS[row["verdict"]], row
        else:
            assert row["result"] == f"by {claim.kind}"
        assert row["evidence"]
        if row["result"] in ("confirmed", "refuted", "in part"):
            assert any(letter.isdigit() for letter in row["evidence"]) or claim.by == "closure" or claim.by == "names"
    assert Counter(row["result"] for row in rows)["refuted"] > 20


def test_the_text_has_a_line_a_claim_and_a_progress_line(capfd: pytest.CaptureFixture[str]):
    assert main(["lab", "verify", "--go", "1.23", "--claim", "77", "--claim", "9", "--claim", "17"]) == 0
    said = capfd.readouterr()
    head, first, second, third, sums = re.sub(r"\n +", " ", said.out).splitlines()  # what is longer goes on below
    assert head == f"Go {harness.toolchain('1.23').version}"
    assert first.split()[:3] == ["9", "\N{SECTION SIGN}1A", "refuted"]
    assert "turns_in_the_loop" in first
    assert second.split()[2:4] == ["by", "source"]
    assert "runtime/slice.go: makeslice" in second
    assert third.split()[2] == "confirmed"
    assert sorted(sums.split(", ")) == ["1 by source", "1 confirmed", "1 refuted"]
    assert [line.split()[0] for line in said.err.splitlines()] == ["[1/2]", "[2/2]"]


def outcome_of(series: str, **changes: object) -> Outcome:
    check = Check("reads move nothing", True, {"nevacuate": 1}, {77: "true"})
    outcome = Outcome(load("stalled"), harness.toolchain(series), (check,))
    return dataclasses.replace(outcome, **changes)  # type: ignore[arg-type]


CHANGES = [
    ({}, "confirmed", "nevacuate 1"),
    ({"checks": (Check("w", True, {"nevacuate": 9}, {77: "false"}),)}, "changed", "the ledger says true"),
    ({"checks": (Check("w", False, {"nevacuate": 9}, {77: "true"}),)}, "changed", "not as expected"),
    ({"checks": (Check("w", True, {"nevacuate": 9}, {}),)}, "no evidence", "says nothing"),
    ({"checks": (), "failure": "died", "kept": "f"}, "no evidence", "died"),
]


@pytest.mark.parametrize(("changes", "result", "words"), CHANGES, ids=[words for _, _, words in CHANGES])
def test_no_verdict_without_evidence(
    changes: dict, result: str, words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(verify, "run", lambda scenario, toolchain: outcome_of("1.23", **changes))
    status, (row,) = judged("1.23", capfd, "--claim", "77")
    assert row["result"] == result
    assert words in row["evidence"]
    assert status == (0 if result == "confirmed" else 1)


def test_a_cited_place_that_is_gone_is_a_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    (claim,) = [one for one in claims() if one.id == 17]
    gone = ledger.Source("runtime/slice.go", "makeslices", (1, 19), (1, 99))
    altered = dataclasses.replace(claim, sources=(gone,))
    monkeypatch.setattr("mapscope.lab.verify_command.claims", lambda: (altered,))
    status, (row,) = judged("1.26", capfd)
    assert (status, row["result"]) == (1, "changed")
    assert "makeslices" in row["evidence"]


def test_an_unknown_claim_is_one_line(capfd: pytest.CaptureFixture[str]):
    assert main(["lab", "verify", "--claim", "97"]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 2
