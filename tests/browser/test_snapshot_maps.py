"""The table of maps of a snapshot's page, and the page of one map: every number is that of the JSON."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looks import number

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]


DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


def addresses(page: Page) -> list[str]:
    return page.locator("#maps tbody tr[data-row] td:first-child").all_inner_texts()


@pytest.mark.parametrize(
    ("head", "key"),
    [
        ("Bytes", lambda one: one["bytes"]["total"]),
        ("Waste", lambda one: one["waste_bytes"]),
        ("Entries", lambda one: one["count"]),
        ("Retained", lambda one: one["retained_bytes"] or 0),
        ("Type", lambda one: one["type"] or "map of unknown type"),
        ("State", lambda one: one["state"]),
        ("Address", lambda one: int(one["address"], 16)),
    ],
)
def test_it_sorts(swiss, visit, head, key):
    page = visit(swiss.page, "maps")
    rows = swiss.maps
    button = page.locator("#maps thead button", has_text=head)
    for _ in range(2):
        button.click()
        way = page.locator("#maps th", has_text=head).get_attribute("aria-sort")
        shown = [key(rows[address]) for address in addresses(page)]
        assert len(shown) > 10
        assert shown == sorted(shown, reverse=way == "descending")
        best = (max if way == "descending" else min)(map(key, rows.values()))
        assert shown[0] == best


def test_it_searches_and_filters(swiss, visit):
    page = visit(swiss.page, "maps")
    rows = list(swiss.maps.values())
    total = len(rows)
    status = page.locator("#maps-count")
    expect(status).to_contain_text(f"of {total:,}")
    page.locator("#maps input[type=search]").fill("MAP[STRING]INT")
    found = [one for one in rows if "map[string]int" in (one["type"] or "").lower()]
    assert {one["address"] for one in found} <= set(addresses(page)) or len(found) > 30
    page.locator("#maps input[type=search]").fill(rows[7]["address"])
    expect(status).to_contain_text("1 map of")
    assert addresses(page) == [rows[7]["address"]]
    page.locator("#maps form button").click()
    expect(status).to_contain_text(f"{total:,} maps")
    for label, word, fits in (
        ("Type", rows[3]["type"], lambda one: one["type"] == rows[3]["type"]),
        ("State", "small", lambda one: one["state"] == "small"),
        ("State", "empty", lambda one: one["state"] == "empty"),
        ("Family", "swiss", lambda one: one["generation"] == "swiss"),
    ):
        page.get_by_label(label, exact=True).select_option(word)
        expect(status).to_contain_text(re.compile(rf"^{sum(map(fits, rows)):,} maps? of"))
        assert number(page, "#maps-count .num") == sum(one["bytes"]["total"] for one in rows if fits(one))
        page.locator("#maps form button").click()
    page.get_by_label("Owner", exact=True).select_option(index=1)
    expect(status).not_to_contain_text(f"{total:,} maps of")
    page.locator("#maps input[type=search]").fill("no such thing")
    expect(page.locator("#maps .none")).to_be_visible()


def test_all_rows_can_be_scrolled_to(swiss, visit):
    page = visit(swiss.page, "maps")
    seen: set[str] = set(addresses(page))
    box = page.locator("#maps .table-box")
    box.focus()
    height = box.evaluate("box => box.scrollHeight")
    for top in range(0, height, 400):
        box.evaluate("(box, top) => { box.scrollTop = top }", top)
        page.wait_for_function(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
        )
        seen |= set(addresses(page))
    assert seen == set(swiss.maps)
    assert page.locator("#maps table").get_attribute("aria-rowcount") == str(len(swiss.maps) + 1)


def test_filters_of_rules(loops, visit):
    page = visit(loops.page, "maps")
    page.get_by_label("Rule", exact=True).select_option("R4")
    subjects = {one["subject"] for one in loops.document["findings"] if one["rule"] == "R4"}
    expect(page.locator("#maps-count")).to_contain_text(f"{len(subjects)} map")
    assert set(addresses(page)) == subjects


def test_filters_are_there_again_on_the_way_back(swiss, visit):
    """By the browser's button and after a reload; a link shows what it says, with filters or without."""
    page = visit(swiss.page, "maps")
    status = page.locator("#maps-count")
    every = status.inner_text()
    page.get_by_label("State", exact=True).select_option("small")
    page.locator("#maps input[type=search]").fill("int")
    page.locator("#maps-type").focus()  # leaves the field, as a click on a row does
    some = status.inner_text()
    assert some != every
    assert page.url.endswith("#maps?search=int&state=small")

    def opened() -> None:
        page.locator("#maps tbody a").first.click()
        expect(page.locator("#map-title")).to_be_focused()

    opened()
    page.go_back()
    expect(status).to_have_text(some)
    page.reload()
    expect(status).to_have_text(some)
    opened()
    page.locator(".map-page a", has_text="all maps").click()
    expect(status).to_have_text(every)
    page.go_back()
    page.go_back()
    expect(status).to_have_text(some)
    page.evaluate("location.hash = '#maps?state=empty'")
    expect(page.locator("#maps-state")).to_have_value("empty")
    expect(page.locator("#maps-search")).to_have_value("")
    page.go_back()
    expect(status).to_have_text(some)
    page.locator("#maps form button").click()
    expect(status).to_have_text(every)
    assert page.url.endswith("#maps")
    opened()
    page.go_back()
    expect(status).to_have_text(every)


FRAMES = """
  window.shown = new Set();
  window.frames_seen = 0;
  const look = () => {
    const count = document.querySelector("#maps-count");
    const head = document.querySelector("#maps th[aria-sort]");
    if (count) {
      if (++window.frames_seen >= 20) window.when_seen?.();
      window.shown.add(`${count.textContent.split(" of ")[0]} by ${head?.textContent}`);
    }
    requestAnimationFrame(look);
  };
  look();
"""


def test_a_table_that_a_link_has_filtered_is_never_seen_unfiltered(swiss, visit):
    """Each frame from the first on shows the same maps in the same order."""
    page = visit(swiss.page)
    page.add_init_script(FRAMES)
    page.goto(f"{swiss.page.as_uri()}?again#maps?search=string&sort=waste")
    expect(page.locator("#maps-count")).to_be_visible()
    page.evaluate("new Promise((done) => { window.when_seen = done; })")
    shown = page.evaluate("[...window.shown]")
    assert len(shown) == 1, shown
    assert "Waste" in shown[0]
    assert not shown[0].startswith(f"{len(swiss.document['maps'])} ")


# --- one map --------------------------------------------------------------------------------------------------------


def test_a_row_opens_the_page_of_its_map(swiss, visit):
    page = visit(swiss.page, "maps")
    first = addresses(page)[0]
    page.locator("#maps tbody a").first.click()
    expect(page.locator("#map-title")).to_be_focused()
    row = swiss.maps[first]
    assert page.url.endswith(f"#map/{first}")
    assert page.locator("#map-title").inner_text() == row["type"]
    names = {"used": "count"}
    for name, value in row["header"].items():
        told = page.locator(f'[data-field="{names.get(name, name)}"]').inner_text()
        assert told == (value if isinstance(value, str) else f"{value:,}"), name
    assert number(page, ".map-page .sum .num") == row["bytes"]["total"]
    assert int(page.locator('[data-array="groups"]').get_attribute("data-entries")) == row["count"]
    assert int(page.locator('[data-array="groups"]').get_attribute("data-units")) == row["groups"]
    assert len(page.locator(".map-page .chain > li").all()) == len(row["chain"])
    tables = page.locator(".map-page details table tbody tr")
    assert tables.count() == min(row["tables"], 64)
    page.locator(".map-page a", has_text="all maps").click()
    expect(page.locator("#maps h2")).to_be_in_viewport()
    page.go_back()
    expect(page.locator("#map-title")).to_be_visible()


def test_cells_of_a_growth(growth, visit):
    finding = next(one for one in growth.document["findings"] if "noldbuckets" in one["evidence"])
    row = growth.maps[finding["subject"]]
    page = visit(growth.page, f"map/{finding['subject']}")
    new, old = page.locator('[data-array="buckets"]'), page.locator('[data-array="oldbuckets"]')
    assert int(new.get_attribute("data-units")) == 1 << row["header"]["B"]
    assert int(old.get_attribute("data-units")) == row["noldbuckets"]
    entries = int(new.get_attribute("data-entries")) + int(old.get_attribute("data-entries"))
    assert entries == row["count"]
    assert f"{row['old_evacuated']:,} buckets evacuated" in old.locator("figcaption").inner_text()
    assert old.locator(".heat-gone").count() > 0
    assert sum(
        int(one.inner_text().replace(",", "")) for one in page.locator('[data-histogram="occupancy"] td.num').all()
    ) in (1 << row["header"]["B"], (1 << row["header"]["B"]) + row["noldbuckets"])


def test_iterators_on_a_map(loops, visit):
    one = next(one for one in loops.document["iterators"] if one["detached"])
    page = visit(loops.page, f"map/{one['map']}")
    table = page.locator('.map-page [aria-label="Table of iterators"]')
    assert one["address"] in table.inner_text()
    assert str(one["goroutine"]) in table.inner_text()


def test_a_map_that_is_not_there(swiss, visit):
    page = visit(swiss.page, "map/0x123")
    expect(page.locator("#map-title")).to_have_text("No map of this page lies there")
