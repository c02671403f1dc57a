"""The page of two snapshots of one process, against the document of the same two and the program's own words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import looks
from tests.browser.looks import number, numbers
from tests.browser.reports import mapscope
from tests.groundtruth import harness
from tests.groundtruth.test_diff import step
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]

LISTS = {"grown": "grown", "shrunk": "shrunk", "new": "new_maps", "gone": "gone_maps"}


@dataclass(frozen=True)
class Told:
    """Two cores, told as a page and as JSON."""

    page: Path
    document: dict[str, Any]
    then: dict[str, Any]
    now: dict[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every map or group that moved, with its fate."""
        return [{**row, "fate": fate} for fate, name in LISTS.items() for row in self.document[name]["maps"]]


def observe(variant: Variant, folder: Path) -> Told:
    executable = harness.build("growing", variant)
    places = [folder / "old", folder / "new"]
    for place in places:
        place.mkdir()
    with harness.running(executable, folder=folder) as program:
        old = harness.take_core(program, "capture", places[0])
        now = step(program)
        new = harness.take_core(program, "capture", places[1])
    both = (str(old), str(new), "-e", str(executable), "--top", "0")
    mapscope("diff", *both, "-o", str(folder / "diff.html"))
    document = json.loads(mapscope("diff", *both, "-f", "json"))
    for core in (old, new):
        core.unlink()
    return Told(folder / "diff.html", document, program.truth, now)


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Told:
    return observe(Variant("1.23"), tmp_path_factory.mktemp("diff"))


@pytest.fixture(scope="module")
def swiss(tmp_path_factory) -> Told:
    return observe(Variant("1.26"), tmp_path_factory.mktemp("diff"))


def shown(page: Page) -> list[str]:
    return page.eval_on_selector_all("#maps tr.k-row", "all => all.map(one => one.dataset.key)")


def key(row: dict[str, Any]) -> str:
    return f"{row['fate']}-{row['address_now'] or row['address_then']}"


@pytest.mark.parametrize("name", ["told", "swiss"])
def test_sums_are_those_of_the_document(name, visit, request):
    report = request.getfixturevalue(name)
    document = report.document
    page = visit(report.page)
    assert page.title() == "mapscope diff: core → core"
    assert "old/core → new/core" in page.locator(".k-head").inner_text()
    for amount in ("maps", "entries", "bytes", "waste_bytes"):
        then, now, change = numbers(page, f'#sums [data-amount="{amount}"] [data-value]')
        assert (then, now) == (document["then"][amount], document["now"][amount])
        assert change == document["change"][amount] == now - then
    for side in ("old", "new"):
        sizes = numbers(page, f'[data-side="{side}"] [data-part] td:nth-child(2) [data-value]')
        assert sum(sizes) == document[side]["live_bytes"]
        assert len([size for size in sizes if size]) > 2
    for fate, listed in LISTS.items():
        if document[listed]["total"]:
            assert number(page, f'[data-fate="{fate}"] [data-value]') == document[listed]["change"]["bytes"]


@pytest.mark.parametrize("name", ["told", "swiss"])
def test_what_moved_is_what_the_document_lists(name, visit, request):
    report = request.getfixturevalue(name)
    page = visit(report.page)
    for row in report.rows:
        place = f'#maps [data-key="{key(row)}"]'
        assert number(page, f"{place} td:nth-child(2) [data-value]") == row["change"]["bytes"]
        sizes = numbers(page, f"{place} td:nth-child(n+5) [data-value]")
        assert sizes[:2] == [(row[side] or {"bytes": 0})["bytes"] for side in ("then", "now")]
    stalled = {key for key in shown(page) if page.locator(f'#maps [data-key="{key}"]', has_text="stalled").count()}
    assert set(shown(page)) - stalled == {key(row) for row in report.rows}
    sizes = [abs(size) for size in numbers(page, "#maps td:nth-child(2) [data-value]")]
    assert sizes == sorted(sizes, reverse=True)


def test_growths_that_stand_still(told, swiss, visit):
    page = visit(told.page)
    page.locator('[data-choice="stalled"]').click()
    address = hex(told.now["maps"]["stalled"]["address"])
    assert shown(page) == [f"same-{address}"]
    finding = page.locator(f'[data-status="unchanged"][data-subject="{address}"]', has_text="Stalled")
    assert finding.count() >= 1
    page = visit(swiss.page)
    page.locator('[data-choice="stalled"]').click()
    expect(page.locator("#maps")).to_contain_text("Nothing matches")


def test_each_filter_and_the_search(told, visit):
    page = visit(told.page)
    everything = shown(page)
    for fate, listed in LISTS.items():
        page.locator(f'#moves [data-choice="{fate}"]').click()
        assert set(shown(page)) == {key({**row, "fate": fate}) for row in told.document[listed]["maps"]}
    page.locator('#moves [data-choice="all"]').click()
    assert shown(page) == everything
    row = told.rows[0]
    page.locator("#maps input").fill(row["address_now"])
    assert shown(page) == [key(row)]
    page.locator("#maps input").fill(f"main {row['chain'][0]['name']}")
    assert key(row) in shown(page)
    page.locator("#maps input").fill("")
    looks.walks_the_table(page, "#maps")


def test_a_mover_opens_the_headers_of_both_sides(told, visit):
    page = visit(told.page)
    grown = told.now["maps"]["grown"]
    was = told.then["maps"]["grown"]
    page.locator('#moves [data-choice="gone"]').click()
    page.locator(f'[data-mover="grown-{hex(grown["address"])}"]').click()
    expect(page.locator(f'#maps [data-key="grown-{hex(grown["address"])}"] button')).to_be_focused()
    row = page.locator("#maps .k-details")
    assert numbers(page, '[data-headers] [data-field="count"] [data-value]') == [was["count"], grown["count"]]
    row_told = next(one for one in told.rows if one["address_now"] == hex(grown["address"]))
    assert row.locator(".chain li").count() == len(row_told["chain"])
    assert row_told["chain"][0]["name"] in row.locator(".chain").inner_text()
    assert row.locator('[data-field="total_bytes"]').inner_text().count("B") >= 2
    movers = page.eval_on_selector_all("[data-mover]", "all => all.map(one => one.dataset.mover)")
    largest = sorted((one for one in told.rows if one["change"]["bytes"]), key=lambda one: -abs(one["change"]["bytes"]))
    assert movers == [key(one) for one in largest[:12]]


def test_headers_of_swiss_maps(swiss, visit):
    page = visit(swiss.page)
    grown, was = swiss.now["maps"]["grown"], swiss.then["maps"]["grown"]
    page.locator(f'#maps [data-key="grown-{hex(grown["address"])}"] button').click()
    assert numbers(page, '[data-headers] [data-field="count"] [data-value]') == [was["count"], grown["count"]]
    assert page.locator('[data-headers] [data-field="tables"]').count() == 1
    assert page.locator('[data-headers] [data-field="nevacuate"]').count() == 0


def test_findings_by_what_became_of_them(told, visit):
    page = visit(told.page)
    findings = told.document["findings"]
    cards = page.locator("#findings article")
    assert cards.count() == len(findings)
    for card, one in zip(cards.all(), findings, strict=True):
        assert card.get_attribute("data-subject") == one["finding"]["subject"]
        size = one["bytes_then"] if one["status"] == "gone" else one["bytes_now"]
        assert int(card.locator("h3 .num").get_attribute("data-value")) == size
        assert one["finding"]["why"] in card.inner_text()
    for status in {one["status"] for one in findings}:
        page.locator(f'#findings [data-choice="{status}"]').click()
        expect(cards).to_have_count(sum(one["status"] == status for one in findings))
    page.locator('#findings [data-choice="all"]').click()
    cards.first.locator("summary").click()
    expect(cards.first.locator(".chain")).to_be_visible()
    assert findings[0]["finding"]["advice"]["text"] in cards.first.inner_text()


def test_hostile_texts_do_nothing(told, visit, tmp_path):
    looks.nothing_runs(visit, told.page, tmp_path)


def test_the_ways_to_look_at_it(told, swiss, visit, axe):
    looks.links_lead(visit(told.page))
    looks.prints(visit, told.page)
    looks.fits_a_narrow_window(visit, told.page)
    looks.axe_is_content(visit, told.page, axe)
    looks.fits_a_narrow_window(visit, swiss.page)
