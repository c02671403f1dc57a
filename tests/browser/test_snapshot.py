"""The page of a snapshot, opened from disk: every control does what it says, and every number is that of the JSON."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mapscope.report.page.snapshot import snapshot_page
from mapscope.report.source import Unheld
from tests.browser.conftest import NARROW
from tests.browser.reports import Report
from tests.groundtruth.variants import Variant
from tests.unit.report.fakes import FakeSnapshot, sample, table

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def loops(reports) -> Report:
    """Goroutines that wait in loops over maps: findings with stacks, pinned arrays."""
    return reports.of("iterators", Variant("1.23"), "matrix")


@pytest.fixture(scope="module")
def growth(reports) -> Report:
    """A growth that stands still, with stale values."""
    return reports.of("findings", Variant("1.23"), "stale")


@pytest.fixture(scope="module")
def swiss(reports) -> Report:
    """Many maps of all kinds, with tables."""
    return reports.of("maptypes", Variant("1.26"))


def number(page: Page, selector: str) -> int:
    """The exact number behind what an element shows."""
    return int(page.locator(selector).first.get_attribute("data-value"))


def data(page: Page, selector: str, name: str) -> list[str]:
    """An attribute of all elements that match, at one moment."""
    got: list[str] = page.locator(selector).evaluate_all("(all, name) => all.map(one => one.getAttribute(name))", name)
    return got


def numbers(page: Page, selector: str) -> list[int]:
    """The exact numbers behind what elements show."""
    return [int(value) for value in data(page, selector, "data-value")]


def route(page: Page, hash_: str) -> None:
    """Goes to another part, as a link does."""
    page.evaluate("hash => { location.hash = hash }", hash_)


# --- the file -----------------------------------------------------------------------------------------------------


def test_only_its_owner_reads_it(loops):
    assert stat.S_IMODE(os.stat(loops.page).st_mode) == 0o600


def test_it_opens_from_disk(loops, visit):
    page = visit(loops.page)
    assert page.title() == "mapscope: core"
    expect(page.locator("h1")).to_be_visible()


# --- the verdict ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["loops", "growth", "swiss"])
def test_the_verdict_is_that_of_the_document(name, visit, request):
    report = request.getfixturevalue(name)
    verdict, heap = report.document["verdict"], report.document["heap"]
    page = visit(report.page)
    if verdict["findings"]:
        assert number(page, "#verdict h1 .num") == verdict["waste_bytes"]
    assert f"{verdict['maps']:,} map" in page.locator("#verdict .lead").inner_text()
    assert number(page, "#verdict .lead .num") == verdict["map_bytes"]
    sizes = numbers(page, ".stacked .legend a .num[data-value]")
    parts = dict(zip(data(page, ".stacked .legend a", "data-part"), sizes, strict=True))
    assert sum(parts.values()) == heap["live_bytes"]
    maps = report.document["maps"]
    old = sum(one["bytes"].get("oldbuckets", 0) + one["bytes"].get("old_overflow", 0) for one in maps)
    total = sum(one["bytes"]["total"] for one in maps)
    assert parts["old"] == old
    assert parts["live"] + parts["empty"] + parts["old"] == total
    detached = {one["detached"]: one["detached_bytes"] for one in report.document["iterators"] if one["detached"]}
    assert parts["pinned"] == sum(detached.values())
    stale = [one["bytes"] for one in report.document["findings"] if one["rule"] in ("R3", "R16") and not one["part_of"]]
    assert parts["stale"] == sum(stale)


def test_the_three_reports_have_each_part(loops, growth, swiss):
    """So that the test above compares something else than zeros."""
    assert any(one["detached_bytes"] for one in loops.document["iterators"])
    assert any(one["rule"] == "R3" for one in growth.document["findings"])
    assert any(one["bytes"].get("oldbuckets") for one in growth.document["maps"])
    assert all(one["generation"] == "swiss" for one in swiss.document["maps"])


def test_each_part_of_the_bar_leads_on(growth, visit):
    page = visit(growth.page)
    page.locator('.legend a[data-part="old"]').click()
    growing = [one for one in growth.document["maps"] if one["state"].startswith("growing")]
    expect(page.locator("#maps-count")).to_contain_text(f"{len(growing)} map")
    assert set(page.locator("#maps tbody a").all_inner_texts()) == {one["address"] for one in growing}
    page.locator('.legend a[data-part="empty"]').click()
    expect(page.locator("#maps th[aria-sort=descending]")).to_have_text(re.compile("Waste"))
    page.locator('.legend a[data-part="live"]').click()
    expect(page.locator("#maps-count")).to_contain_text(f"of {len(growth.document['maps'])}")
    page.locator('.legend a[data-part="stale"]').click()
    expect(page.locator('.chips a[href="#findings?rule=R3"]')).to_have_attribute("aria-current", "true")
    assert "R3" in data(page, ".finding", "data-rule")
    assert set(data(page, ".finding", "data-rule")) <= {"R3", "R16"}
    for part, place in (("pinned", "#iterators"), ("other", "#dominators")):
        page.locator(f'.legend a[data-part="{part}"]').click()
        expect(page.locator(f"{place} h2")).to_be_in_viewport()


def test_where_the_memory_is(growth, visit):
    page = visit(growth.page)
    page.locator(".memory summary").click()
    sums = growth.document["heap"]["reconciliation"]
    rows = numbers(page, ".memory table .num[data-value]")
    assert sum(rows) == sums["rss_bytes"]
    assert rows[0] == sums["live_bytes"]


# --- findings -------------------------------------------------------------------------------------------------------


def test_each_finding_has_a_card(loops, visit):
    page = visit(loops.page)
    while page.locator("#findings > button").count():
        page.locator("#findings > button").click()
    main = [one for one in loops.document["findings"] if not one["part_of"]]
    cards = page.locator("#findings .finding").all()
    assert len(cards) == len(main) >= 20
    for card, finding in zip(cards[:5] + cards[-2:], main[:5] + main[-2:], strict=True):
        assert card.get_attribute("data-subject") == finding["subject"]
        assert int(card.locator("h3 .num").get_attribute("data-value")) == finding["bytes"]
        text = card.inner_text()
        assert finding["title"] in text
        assert finding["why"] in text
        assert finding["confidence"] in text
        assert finding["advice"]["text"] in text
        assert card.locator("pre").count() == bool(finding["advice"]["code"])
        assert len(card.locator(".chain > li").all()) == len(finding["chain"])


def test_a_card_shows_the_stack_of_its_goroutine(loops, visit):
    page = visit(loops.page)
    finding = next(one for one in loops.document["findings"] if "goroutine" in one["evidence"] and not one["part_of"])
    (goroutine,) = [one for one in loops.document["goroutines"] if one["id"] == finding["evidence"]["goroutine"]]
    card = page.locator(f'.finding[data-subject="{finding["subject"]}"][data-rule="{finding["rule"]}"]').first
    card.locator("summary").click()
    frames = card.locator(".stack li").all_inner_texts()
    assert len(frames) == len(goroutine["frames"])
    for told, frame in zip(frames, goroutine["frames"], strict=True):
        assert frame["function"] in told
        assert f":{frame['line']}" in told


def test_a_growth_is_a_bar(growth, visit):
    page = visit(growth.page)
    finding = next(one for one in growth.document["findings"] if "noldbuckets" in one["evidence"])
    card = page.locator(f'.finding[data-subject="{finding["subject"]}"]').first
    meter = card.locator("meter")
    assert int(meter.get_attribute("max")) == finding["evidence"]["noldbuckets"]
    assert int(meter.get_attribute("value")) == finding["evidence"]["nevacuate"]
    assert card.locator(".chain > li").last.inner_text().strip().endswith(finding["chain"][-1]["field"] or "")


def test_findings_of_one_rule(loops, visit):
    page = visit(loops.page)
    for rule in loops.document["verdict"]["rules"]:
        page.locator(f'.chips a[href="#findings?rule={rule}"]').click()
        expect(page.locator(f'.chips a[href="#findings?rule={rule}"]')).to_have_attribute("aria-current", "true")
        assert set(data(page, "#findings .finding", "data-rule")) == {rule}
    page.locator('.chips a[href="#findings"]').click()
    expect(page.locator('.chips a[href="#findings"]')).to_have_attribute("aria-current", "true")
    assert len(set(data(page, "#findings .finding", "data-rule"))) > 1


# --- the table of maps ----------------------------------------------------------------------------------------------


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


# --- pictures of trees ----------------------------------------------------------------------------------------------


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


# --- goroutines, iterators, types ------------------------------------------------------------------------------------


def test_goroutines_that_hold_iterators_come_first(loops, visit):
    page = visit(loops.page, "goroutines")
    page.locator("#goroutines > button").click()
    expect(page.locator("#goroutines > button")).to_have_count(0)
    groups = page.locator("#goroutines .group").all()
    loops_of = [int(value) for value in data(page, "#goroutines .group", "data-iterators")]
    assert loops_of == sorted(loops_of, reverse=True)
    assert loops_of[0] > 0
    assert sum(loops_of) == sum(one["goroutine"] is not None for one in loops.document["iterators"])
    assert sum(int(value) for value in data(page, "#goroutines .group", "data-count")) == len(
        loops.document["goroutines"]
    )
    groups[0].locator("summary").click()
    assert groups[0].locator(".stack li").count() > 1
    page.locator("#goroutines input").fill("sync.Mutex")
    found = page.locator("#goroutines .group")
    assert 0 < found.count() < len(groups)
    page.locator("#goroutines input").fill("no such goroutine")
    expect(found).to_have_count(0)


def test_iterators_are_those_that_the_program_has(loops, visit):
    page = visit(loops.page, "iterators")
    rows = page.locator("#iterators tbody tr[data-row]")
    assert rows.count() == len(loops.document["iterators"])
    text = page.locator("#iterators").inner_text()
    for name, value in loops.truth.items():
        if f"{name}-goroutine" in loops.truth:  # a case: the address of its map
            assert f"0x{value:x}" in text, name
    page.locator("#iterators thead button", has_text="Keeps alone").click()
    shown = [
        int(one.get_attribute("data-value")) for one in page.locator("#iterators tbody td:nth-child(3) .num").all()
    ]
    assert shown == sorted((one["pinned_bytes"] for one in loops.document["iterators"]), reverse=True)


def test_types_sum_to_the_heap(loops, visit):
    from tests.browser.packs import Opened, packed

    pack = Opened(packed(loops.page))
    rest = pack.values["types_rest"]
    heap = loops.document["heap"]
    assert sum(pack.column("types", "bytes")) + rest["bytes"] + rest["untyped_bytes"] == heap["live_bytes"]
    assert sum(pack.column("types", "objects")) + rest["objects"] + rest["untyped_objects"] == heap["live_objects"]
    page = visit(loops.page, "types")
    assert numbers(page, "#types tbody td:first-child .num")[0] == max(pack.column("types", "bytes"))


# --- ways to look at it ---------------------------------------------------------------------------------------------


def test_the_colours_can_be_chosen(loops, visit):
    page = visit(loops.page)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    button = page.locator("#scheme")
    button.click()
    expect(button).to_contain_text("dark")
    dark = page.evaluate(ground)
    assert dark != light
    button.click()
    expect(button).to_contain_text("light")
    assert page.evaluate(ground) == light
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == light
    button.click()
    expect(button).to_contain_text("auto")
    assert page.evaluate(ground) == dark


def test_the_links_on_top(loops, visit):
    page = visit(loops.page)
    for link in page.locator(".masthead nav a").all():
        link.click()
        place = link.get_attribute("href").removeprefix("#")
        expect(page.locator(f"#{place}-title")).to_be_in_viewport()
    page.keyboard.press("Home")
    page.evaluate("scrollTo(0, 0)")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_it_is_readable_when_printed(growth, visit):
    page = visit(growth.page, scheme="dark")
    page.emulate_media(media="print")
    expect(page.locator(".masthead nav")).to_be_hidden()
    expect(page.locator("#maps form")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator("#maps tbody tr[data-row]")).to_have_count(min(100, len(growth.document["maps"])))
    expect(page.locator(".treemap")).to_be_visible()
    assert page.locator("#maps .table-box").evaluate("box => box.scrollHeight <= box.clientHeight + 1")
    assert page.locator(".card").first.evaluate("card => getComputedStyle(card).breakInside") == "avoid"
    assert len(page.pdf(format="A4")) > 20_000


@pytest.mark.parametrize("name", ["loops", "growth", "swiss"])
def test_it_fits_a_narrow_window(name, visit, request):
    report = request.getfixturevalue(name)
    page = visit(report.page, size=NARROW)
    for summary in page.locator("#main details:not(.group) > summary").all()[:30]:
        summary.click()
    largest = max(report.document["maps"], key=lambda one: one["bytes"]["total"])
    for view in ("", f"map/{largest['address']}"):
        route(page, view)
        wide = page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter(one => one.getClientRects().length
            && one.getBoundingClientRect().right > innerWidth + 1
            && !one.closest(".table-box, .treemap, pre, nav, .skip"))
            .slice(0, 5).map(one => one.outerHTML.slice(0, 200))"""
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], wide
        assert not wide


@pytest.mark.parametrize(
    ("name", "scheme"), [("loops", "light"), ("loops", "dark"), ("growth", "dark"), ("swiss", "light")]
)
def test_axe_has_nothing_to_say(name, scheme, visit, axe, request):
    report = request.getfixturevalue(name)
    page = visit(report.page, scheme=scheme, bypass_csp=True)
    for summary in page.locator("#main details > summary").all()[:40]:
        summary.click()
    assert axe(page) == []
    largest = max(report.document["maps"], key=lambda one: one["bytes"]["total"])
    route(page, f"map/{largest['address']}")
    page.wait_for_selector("#map-title")
    assert axe(page) == []


# --- heaps that lack something --------------------------------------------------------------------------------------


def written(source, folder) -> Path:
    """The page of a snapshot without any evidence behind it."""
    place = folder / "report.html"
    place.write_text(snapshot_page(source), encoding="utf-8")
    return place


def test_without_chains(tmp_path, visit, axe):
    page = visit(written(Unheld(sample()), tmp_path), bypass_csp=True)
    expect(page.locator("#dominators")).to_contain_text("was left out")
    expect(page.locator("#maps tbody tr[data-row]").first).to_contain_text("not known")
    assert axe(page) == []


def test_a_heap_without_maps(tmp_path, visit, axe):
    page = visit(written(FakeSnapshot(table(), runtime=None, kind="heap dump"), tmp_path), bypass_csp=True)
    expect(page.locator("#verdict h1")).to_have_text("No findings")
    expect(page.locator("#owners")).to_contain_text("No map holds anything")
    expect(page.locator("#maps .none")).to_be_visible()
    expect(page.locator(".memory")).to_contain_text("The runtime's own figures are not in this evidence")
    assert axe(page) == []
