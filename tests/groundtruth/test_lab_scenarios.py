"""Every scenario of the lab, on a release with classic maps and on one with Swiss maps.

The scenario's own program tells the truth; the checks compare it with mapscope's reading and with what is expected.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import pytest

from mapscope.cli.main import main
from mapscope.lab import running
from mapscope.lab.ledger import claims
from mapscope.lab.scenario import Check, Scenario, all_scenarios, load, names
from tests.groundtruth import harness

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]

SERIES = ("1.23", "1.26")
RUNS = [(one.name, series) for series in SERIES for one in all_scenarios()]


@functools.cache
def outcome(name: str, series: str) -> running.Outcome:
    return running.run(load(name), harness.toolchain(series))


@pytest.mark.parametrize(("name", "series"), RUNS)
def test_everything_is_as_expected(name: str, series: str):
    scenario = load(name)
    go = harness.toolchain(series)
    assert scenario.runs_on(go)
    done = outcome(name, series)
    assert not done.failure, done.failure
    assert not [(one.what, dict(one.numbers)) for one in done.checks if not one.ok]
    assert all(one.numbers for one in done.checks)


@pytest.mark.parametrize(("name", "series"), RUNS)
def test_what_a_scenario_says_of_claims_is_the_ledger(name: str, series: str):
    release = harness.toolchain(series).release
    said = {number: verdict for one in outcome(name, series).checks for number, verdict in one.claims.items()}
    ledger = {one.id: one.verdict(release) for one in claims() if one.kind == "scenario" and one.by == name}
    assert said == {number: verdict for number, verdict in ledger.items() if verdict != "moot"}


def test_the_list_has_them_all(capfd: pytest.CaptureFixture[str]):
    assert main(["lab", "scenarios", "-f", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert set(rows) == set(names())
    assert main(["lab", "scenarios"]) == 0
    text = " ".join(capfd.readouterr().out.split())
    for name, row in rows.items():
        assert name in text
        assert row["shows"] in text
        assert row["claims"] == [one.id for one in claims() if one.kind == "scenario" and one.by == name]


def test_run_prints_numbers_and_keeps_what_it_is_asked_to(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    version = harness.toolchain("1.23").version
    assert main(["lab", "run", "stalled", "--go", "1.23", "--keep", str(tmp_path / "kept"), "-f", "json"]) == 0
    (row,) = json.loads(capfd.readouterr().out)
    assert (row["scenario"], row["go"], row["ok"]) == ("stalled", version, True)
    folder = tmp_path / "kept" / f"stalled-{version}"
    assert row["kept"] == str(folder)
    said = json.loads((folder / "stdout").read_text(encoding="utf-8").splitlines()[0])
    numbers = {name: value for check in row["checks"] for name, value in check["numbers"].items()}
    assert numbers["writes_to_finish"] == said["writes_to_finish"] > 0
    assert (folder / "core").stat().st_size > 0
    assert (folder / "source" / "main.go").is_file()
    assert main(["analyze", str(folder / "core"), "-f", "json"]) in (0, 1)
    found = json.loads(capfd.readouterr().out)["findings"]
    assert [one["rule"] for one in found if int(one["subject"], 16) == said["maps"][0]["address"]] == ["R1"]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Scenarios in a folder of their own; ``lab(name, program)`` makes one that judges by its number ``x``."""
    monkeypatch.setattr("mapscope.lab.running.cache_folder", lambda: tmp_path / "cache")

    def make(name: str, program: str) -> Scenario:
        class Made(Scenario):
            __slots__ = ()
            folder = tmp_path / name  # type: ignore[assignment]

        (tmp_path / name).mkdir()
        (tmp_path / name / "main.go").write_text(program, encoding="utf-8")
        return Made(name, "", "", lambda run: iter([Check("x is 1", run.number("x") == 1, run.pick("x"))]))

    return make


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("package main\n\nfunc main() { undefined() }\n", "could not build"),
        ('package main\n\nfunc main() { say("y", 1); panic("on purpose") }\n', "died with status 2: panic: on purpose"),
        ('package main\n\nfunc main() { say("y", 1); ready() }\n', "did not say x"),
    ],
    ids=["does not compile", "dies", "says nothing"],
)
def test_what_goes_wrong_is_told_and_its_output_kept(lab, program: str, words: str, series: str):
    done = running.run(lab("broken", program), harness.toolchain(series))
    assert not done.ok
    assert words in done.failure
    assert "\n" not in done.failure
    assert (Path(done.kept) / "source" / "main.go").read_text(encoding="utf-8") == program
    if "panic" in program:
        assert "goroutine 1" in (Path(done.kept) / "stderr").read_text(encoding="utf-8")


@pytest.mark.parametrize(("value", "ok"), [(1, True), (2, False)])
def test_a_number_that_is_not_as_expected_is_not_ok(lab, value: int, ok: bool):
    program = f'package main\n\nfunc main() {{ say("x", {value}); ready() }}\n'
    done = running.run(lab("numbered", program), harness.toolchain("1.26"))
    assert done.ok is ok
    assert [one.ok for one in done.checks] == [True, True, ok]


def test_unknown_scenarios_and_releases_are_one_line(capfd: pytest.CaptureFixture[str]):
    for arguments in (["run", "nothing"], ["run", "../stalled"], ["run", "stalled", "--go", "1.99"]):
        assert main(["lab", *arguments]) == 2
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("mapscope: error: ")
    assert not os.path.exists("nothing-1.99")
