"""Treemap and dominators of a snapshot's page: by mouse, by keyboard, as a table, with the numbers of the JSON."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.looks import number

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]


def test_the_treemap_zooms_by_mouse_and_keyboard(swiss, visit):
    page = visit(swiss.page, "owners")
    picture = page.locator(".treemap")
    before = picture.locator(".cell").count()
    assert before > 20
    picture.locator("button.cell").first.focus()
    page.keyboard.press("Enter")
    crumbs = page.locator("#owners .crumbs button")
    expect(crumbs).to_have_count(2)
    expect(crumbs.nth(1)).to_be_disabled()
    crumbs.first.click()
    expect(crumbs).to_have_count(1)
    expect(picture.locator(".cell")).to_have_count(before)
    link = picture.locator("a.cell").first
    target = link.get_attribute("href")
    link.click()
    expect(page.locator("#map-title")).to_be_visible()
    assert page.url.endswith(target)


OFF_GRID = """() => {
  const box = document.querySelector(".treemap").getBoundingClientRect();
  const cells = [...document.querySelectorAll(".treemap .cell")].map((cell) => cell.getBoundingClientRect().x - box.x);
  return [cells.length, cells.filter((x) => Math.abs(x - Math.round(x)) > 0.02).length];
}"""


def test_the_treemap_is_made_for_its_width_from_the_first_moment(swiss, visit):
    """Its cells lie on whole pixels: no picture for another width is shown until the browser tells of a change."""
    page = visit(swiss.page, "owners")
    page.add_init_script("window.ResizeObserver = class { observe() {} unobserve() {} disconnect() {} };")
    page.reload()
    page.wait_for_selector(".treemap")
    cells, between = page.evaluate(OFF_GRID)
    assert cells > 20
    assert between == 0


def test_the_treemap_as_a_table(swiss, visit):
    page = visit(swiss.page, "owners")
    page.locator("#owners > details > summary").click()
    rows = page.locator("#owners .tree tbody tr")
    total = sum(one["bytes"]["total"] for one in swiss.document["maps"])
    assert number(page, "#owners .tree tbody tr:first-child td .num") == total
    waste = sum(one["waste_bytes"] for one in swiss.document["maps"])
    assert int(rows.first.locator("td").last.locator(".num").get_attribute("data-value")) == waste
    before = rows.count()
    row = rows.nth(1)
    row.locator("button.twist").focus()
    page.keyboard.press("Enter")
    expect(row.locator("button.twist")).to_have_attribute("aria-expanded", "true")
    assert rows.count() > before
    row.locator("button.twist").click()
    expect(rows).to_have_count(before)
    if page.locator("#owners .tree button.quiet").count():
        page.locator("#owners .tree button.quiet").first.click()
        assert rows.count() > before


@pytest.mark.parametrize("name", ["loops", "swiss"])
def test_dominators(name, visit, request):
    report = request.getfixturevalue(name)
    page = visit(report.page, "dominators")
    bars = page.locator(".icicle .ice")
    assert f"retains {human(report.document['heap']['live_bytes'])}" in bars.first.get_attribute("title")
    count = bars.count()
    bars.nth(1).click()
    expect(page.locator("#dominators .crumbs button")).to_have_count(2)
    page.locator("#dominators .crumbs button").first.click()
    expect(bars).to_have_count(count)
    page.locator("#dominators > details > summary").click()
    assert number(page, "#dominators .tree tbody td .num") == report.document["heap"]["live_bytes"]
    for suspect in report.document["suspects"]:
        assert page.locator(f'.suspects > li > .num[data-value="{suspect["retained_bytes"]}"]').count()


def human(size: int) -> str:
    from mapscope.units import human_bytes

    return human_bytes(size)
