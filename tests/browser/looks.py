"""What every kind of page must do: fit a narrow window, print, and have nothing that axe minds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW
from tests.browser.packs import packed, with_pack
from tests.browser.test_hostile import spoiled

_WIDE = """() => [...document.querySelectorAll("body *")].filter(one => one.getClientRects().length
  && one.getBoundingClientRect().right > innerWidth + 1
  && !one.closest(".table-box, .k-boxes, .u-wrap, pre, nav, .skip"))
  .slice(0, 5).map(one => one.outerHTML.slice(0, 200))"""


_MARKUP = "document.querySelectorAll('#app img, #app script, #app iframe, #app b, #app style, [onload]').length"


def number(page: Page, selector: str) -> int:
    """The exact number behind what an element shows."""
    return int(page.locator(selector).first.get_attribute("data-value") or "none")


def numbers(page: Page, selector: str) -> list[int]:
    """The same of all that match."""
    found: list[str] = page.eval_on_selector_all(selector, "all => all.map(one => one.dataset.value)")
    return [int(float(one)) for one in found]


def open_all(page: Page) -> None:
    """Opens everything that opens, and the first row of each table."""
    page.evaluate(
        """() => {
          for (const one of [...document.querySelectorAll("#main summary")].slice(0, 20)) one.click();
          for (const one of document.querySelectorAll("#main .k-row:first-child .k-opener button")) one.click();
        }"""
    )


def fits_a_narrow_window(visit: Callable[..., Page], place: Path) -> None:
    """Nothing stands out of a window of 400 px, opened or not; tables scroll in their own boxes."""
    page = visit(place, size=NARROW)
    open_all(page)
    wide = page.evaluate(_WIDE)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], wide
    assert not wide


def axe_is_content(visit: Callable[..., Page], place: Path, axe: Callable[[Page], list[str]]) -> None:
    """In light and in dark, with everything open."""
    page = visit(place, scheme="light", bypass_csp=True)
    open_all(page)
    assert "\n".join(axe(page)) == ""
    page.emulate_media(color_scheme="dark")
    found = page.evaluate("axe.run(document, {runOnly: ['color-contrast'], resultTypes: ['violations']})")
    assert [node["target"] for one in found["violations"] for node in one["nodes"]] == []


def nothing_runs(visit: Callable[..., Page], place: Path, folder: Path) -> None:
    """Also where each text of the data is hostile, whatever it stands for."""
    page = visit(with_pack(place, spoiled(packed(place)), folder / f"bad-{place.name}"))
    open_all(page)
    assert page.evaluate("typeof window.ran") == "undefined"
    assert page.evaluate(_MARKUP) == 0
    assert page.locator(".failure").count() == 0
    assert "<img src=x onerror=" in page.locator("#main").inner_text()


def prints(visit: Callable[..., Page], place: Path) -> None:
    """On white paper, without controls, and with all that it shows on a screen."""
    page = visit(place, scheme="dark")
    page.emulate_media(media="print")
    expect(page.locator(".masthead nav")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for control in page.locator(".k-choice, .k-tools").all():
        assert not control.is_visible()
    assert len(page.pdf(format="A4")) > 10_000


def links_lead(page: Page) -> None:
    """Each link on top leads to its part."""
    for link in page.locator(".masthead nav a").all():
        place = (link.get_attribute("href") or "").removeprefix("#")
        link.click()
        expect(page.locator(f"#{place}-title")).to_be_in_viewport()


def walks_the_table(page: Page, grid: str) -> None:
    """Sorts a table by each head, both ways, searches it, and opens and closes a row by mouse and keyboard."""
    rows = f"{grid} tbody tr.k-row"
    first = sorted(page.locator(rows).all_inner_texts())
    for head in page.locator(f"{grid} thead button").all():
        orders = []
        for _ in range(2):
            head.click()
            orders.append(page.locator(f"{grid} th[aria-sort]").get_attribute("aria-sort"))
        assert set(orders) == {"ascending", "descending"}
    assert sorted(page.locator(rows).all_inner_texts()) == first
    search = page.locator(f"{grid} input[type=search]")
    if search.count():
        rows = page.locator(f"{grid} tbody tr.k-row")
        count = rows.count()
        search.fill("nothing has this word")
        expect(rows).to_have_count(0)
        search.fill("")
        expect(rows).to_have_count(count)
    opener = page.locator(f"{grid} .k-opener button")
    if opener.count():
        details = page.locator(f"{grid} .k-details")
        opener.first.focus()
        page.keyboard.press("Enter")
        expect(details).to_have_count(1)
        opener.first.click()
        expect(details).to_have_count(0)
        page.locator(f"{grid} .k-row td:nth-child(3)").first.click()
        expect(details).to_have_count(1)
        opener.first.click()
