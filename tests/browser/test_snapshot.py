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
from tests.browser.looks import number, numbers
from tests.unit.report.fakes import FakeSnapshot, sample, table

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]


def data(page: Page, selector: str, name: str) -> list[str]:
    """An attribute of all elements that match, at one moment."""
    got: list[str] = page.locator(selector).evaluate_all("(all, name) => all.map(one => one.getAttribute(name))", name)
    return got


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
