"""The pages of the lab: scenarios, the growth of the model, claims, the ledger, curves."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from mapscope.cli.main import main
from mapscope.lab import run_command, verify
from mapscope.lab.ledger import claims
from mapscope.lab.model.growth import growth
from mapscope.lab.model.making import make
from tests.browser import looks
from tests.browser.looks import numbers
from tests.browser.reports import mapscope
from tests.groundtruth.test_lab_scenarios import outcome

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]

SERIES = ("1.23", "1.26")
NAMES = ("stalled", "growth_steps")


@dataclass(frozen=True)
class Told:
    """One run, told as a page and as JSON."""

    page: Path
    document: Any


def said(arguments: list[str]) -> str:
    """Standard output of a command in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(arguments) == 0
    return out.getvalue()


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> dict[str, Told]:
    """``lab run`` and ``lab verify``: each scenario is run once, for both."""
    folder = tmp_path_factory.mktemp("lab")
    patch = pytest.MonkeyPatch()
    known = {(name, go): outcome(name, go) for name in NAMES for go in SERIES}

    def again(scenario: Any, toolchain: Any, *_: object) -> Any:
        return next(one for one in known.values() if (one.scenario, one.toolchain) == (scenario, toolchain))

    patch.setattr(run_command, "run", again)
    patch.setattr(verify, "run", again)
    told = {}
    try:
        for name, words in {
            "run": ["run", *NAMES],
            "verify": ["verify", *(f"--claim={number}" for number in (4, 17, 28, 77))],
        }.items():
            asked = ["lab", *words, *(f"--go={go}" for go in SERIES)]
            target = folder / f"{name}.html"
            assert main([*asked, "-o", str(target)]) == 0
            told[name] = Told(target, json.loads(said([*asked, "-f", "json"])))
    finally:
        patch.undo()
    return told


@pytest.fixture(scope="module")
def curve(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("curves")
    mapscope("lab", "curve", "--go", "1.23", "--to", "4000", "-f", "html", "-o", str(folder))
    return folder


def test_runs_say_what_was_expected_and_measured(lab, visit):
    report = lab["run"]
    page = visit(report.page)
    assert stat.S_IMODE(report.page.stat().st_mode) == 0o600
    assert page.locator("h1").inner_text() == f"{len(report.document)} runs, all as expected"
    for run in report.document:
        card = page.locator(f'[data-scenario="{run["scenario"]}"]')
        text = card.inner_text()
        assert f"Go {run['go']}: as expected" in text
        for check in run["checks"]:
            assert check["what"] in text
            for name, value in check["numbers"].items():
                assert f"{name} {value:,}" in text if isinstance(value, int) else f"{name} {value}" in text
            for number, verdict in check["claims"].items():
                assert verdict in card.locator(f'[data-claim="{number}"]').inner_text()
    shown = page.locator("[data-check]")
    assert shown.count() == sum(len(run["checks"]) for run in report.document)
    assert page.locator('[data-check="true"]').count() == shown.count()


@pytest.mark.parametrize("series", SERIES)
def test_the_growth_is_that_of_the_model(series, lab, visit):
    page = visit(lab["run"].page, "growth")
    page.locator(f'#growth [data-choice="{series}"]').click()
    told = growth(series)
    assert len(told.steps) > 8
    back, forth = (page.locator("#growth button", has_text=word) for word in ("Back", "Next"))
    expect(back).to_be_disabled()
    for number, step in enumerate(told.steps):
        expect(page.locator(".k-step")).to_contain_text(f"{number + 1} of {len(told.steps)}: {step.said}")
        shown = numbers(page, "#growth [data-fact]")
        assert shown == list(step.facts.values())
        if not told.swiss:
            assert page.locator("#growth .k-cells .k-moved").count() == sum(one < 0 for one in step.old)
            assert page.locator("#growth .k-cells .k-holds").count() == sum(one > 0 for one in step.cells)
        if number < len(told.steps) - 1:
            forth.click()
    expect(forth).to_be_disabled()
    page.locator("#growth input").focus()
    page.keyboard.press("Home")
    expect(page.locator(".k-step")).to_contain_text(told.steps[0].said)


def test_steps_of_the_growth_keep_every_entry():
    """Each key is in a bucket, old or new, at every write; the model's own bytes are those of another run of it."""
    told = growth("1.23")
    model = make("1.23")
    for key in range(1, told.steps[0].facts["count"] + 1):
        model.assign(key, None)
    for number, step in enumerate(told.steps):
        if number:
            model.assign(step.facts["count"], None)
        assert sum(step.cells) + sum(one for one in step.old if one >= 0) == step.facts["count"] == len(model)
        assert (step.bytes, step.old_bytes) == (model.bytes().total, model.bytes().oldbuckets)
    assert [one.old_bytes > 0 for one in told.steps] == [False, *[True] * (len(told.steps) - 2), False]


def test_claims_judged_anew(lab, visit):
    report = lab["verify"]
    page = visit(report.page)
    rows = page.locator("#judged tr.k-row")
    assert rows.count() == len(report.document)
    for one in report.document:
        row = page.locator(f'#judged [data-key="{one["claim"]}-{one["go"]}"]').inner_text()
        assert one["result"] in row
        assert one["text"] in row
        assert one["evidence"] in row
    for result in {one["result"] for one in report.document}:
        page.locator('#judged [data-filter="result"]').select_option(result)
        expect(rows).to_have_count(sum(one["result"] == result for one in report.document))
    page.locator('#judged [data-filter="result"]').select_option("")
    looks.walks_the_table(page, "#judged")


def test_the_ledger(visit, tmp_path, axe):
    target = tmp_path / "claims.html"
    assert main(["lab", "claims", "-o", str(target)]) == 0
    page = visit(target)
    known = claims()
    assert page.locator("h1").inner_text() == f"{len(known)} claims"
    page.locator("#claims .k-more").click()
    assert page.locator("#ledger tr.k-row").count() == len(known)
    one = next(claim for claim in known if claim.why_swiss and claim.why_swiss != claim.why and claim.sources)
    page.locator("#ledger input").fill(one.text)
    page.locator(f'#ledger [data-key="{one.id}"] button').click()
    text = page.locator("#ledger .k-details").inner_text()
    assert one.why in text
    assert one.why_swiss in text
    assert str(one.sources[0]) in text
    page.locator("#ledger input").fill("")
    for verdict in ("true", "false", "partly"):
        page.locator('#ledger [data-filter="swiss"]').select_option(verdict)
        expect(page.locator("#ledger output")).to_contain_text(f"{sum(one.swiss == verdict for one in known)} of")
    looks.fits_a_narrow_window(visit, target)
    looks.axe_is_content(visit, target, axe)


def test_curves_are_those_of_the_table(curve, visit):
    page = visit(curve / "residency.html")
    with open(curve / "residency.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(io.StringIO(stream.read())))
    by_who: dict[str, dict[int, float]] = {}
    for row in rows:
        by_who.setdefault(row["who"], {})[int(row["inserts"])] = float(row["live_bytes"])
    assert {"article", "model 1.23"} < set(by_who)
    plot = page.locator(".k-canvas")
    plot.focus()
    page.keyboard.press("End")
    for who, points in by_who.items():
        reading = page.locator(".k-legend li").filter(has=page.get_by_text(who, exact=True)).locator(".k-reading")
        expect(reading).to_have_text(human(points[max(points)]))
    page.locator("#curve summary").click()
    model = list(by_who).index("model 1.23")
    column = 2 + 1 + model  # the number of inserts, the old array of the measured one, then the curves
    shown = numbers(page, f"#curve tbody td:nth-child({column}) [data-value]")
    assert set(shown) <= {int(value) for value in by_who["model 1.23"].values()}
    assert len(shown) > 50


def human(size: float) -> str:
    from mapscope.units import human_bytes

    return human_bytes(round(size))


def test_the_ways_to_look_at_it(lab, curve, visit, axe, tmp_path):
    for place in (lab["run"].page, lab["verify"].page, curve / "residency.html"):
        looks.nothing_runs(visit, place, tmp_path)
    for place in (lab["run"].page, curve / "residency.html"):
        looks.links_lead(visit(place))
        looks.fits_a_narrow_window(visit, place)
        looks.axe_is_content(visit, place, axe)
    looks.prints(visit, lab["run"].page)
