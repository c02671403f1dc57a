"""The pages of profiles: one, several over time, two against each other, and those that a watch has taken."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from mapscope.profiles.classify import Classified
from tests.browser import looks
from tests.browser.looks import number, numbers
from tests.browser.packs import Opened, packed
from tests.browser.reports import mapscope
from tests.groundtruth import harness
from tests.groundtruth.test_profile_series import serve
from tests.groundtruth.test_profiles import Taken
from tests.groundtruth.test_standing import GROWING, waited
from tests.groundtruth.variants import Variant
from tests.unit.kernels.pprofs import Profile as Message
from tests.unit.profiles.test_flame import truth

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]
__all__ = ["serve"]


@dataclass(frozen=True)
class Told:
    """Evidence told as a page and as JSON."""

    page: Path
    document: dict[str, Any]
    taken: Taken


def take(mode: str, folder: Path) -> Taken:
    executable = harness.build("profiles", Variant("1.23"))
    with harness.running(executable, mode, folder=folder) as program:
        return Taken(folder, executable, program.truth)


@pytest.fixture(scope="module")
def rising(tmp_path_factory) -> Taken:
    return take("standing-rising", tmp_path_factory.mktemp("rising"))


def told(taken: Taken, *arguments: str | Path) -> Told:
    words = ["profile", *map(str, arguments), "-e", str(taken.executable)]
    page = taken.folder / f"page-{len(list(taken.folder.glob('*.html')))}.html"
    mapscope(*words, "-o", str(page))
    return Told(page, json.loads(mapscope(*words, "-f", "json")), taken)


@pytest.fixture(scope="module")
def series(rising, tmp_path_factory) -> Told:
    """Three heap profiles, and goroutines that have waited."""
    heaps = [rising.folder / f"heap-{at}.pb.gz" for at in (1, 2, 3)]
    return told(rising, *heaps, waited(rising, tmp_path_factory.mktemp("waited")))


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> Told:
    """One heap profile of a growth that stands still."""
    taken = take("stalled", tmp_path_factory.mktemp("stalled"))
    return told(taken, taken.folder / "heap.pb.gz")


@pytest.fixture(scope="module")
def both(rising) -> Told:
    """The first and the last heap profile."""
    return told(rising, "diff", rising.folder / "heap-1.pb.gz", rising.folder / "heap-3.pb.gz")


@pytest.mark.parametrize("name", ["series", "single"])
def test_sums_are_those_of_the_document(name, visit, request):
    report = request.getfixturevalue(name)
    document = report.document
    page = visit(report.page)
    assert number(page, '[data-tile="maps"] [data-value]') == document["maps"]["inuse_bytes"]
    assert number(page, '[data-tile="heap"] [data-value]') == document["heap"]["inuse_bytes"]
    assert number(page, '[data-tile="alloc"] [data-value]') == document["maps"]["alloc_bytes"]
    for part in document["parts"]:
        row = f'#parts [data-part="{part["part"]}"] td [data-value]'
        sums = part["sums"]
        assert numbers(page, row) == [sums["inuse_bytes"], sums["inuse_objects"], sums["alloc_bytes"]]
    for one in document["indicators"] + document["article"]:
        row = page.locator(f'[data-indicator="{one["id"]}"]')
        value = row.locator("[data-value]").get_attribute("data-value")
        assert (float(value) if value else None) == one["value"]
        assert one.get("text", one.get("verdict")) in row.inner_text()
    suspects = [one.get_attribute("data-suspect") for one in page.locator("[data-suspect]").all()]
    assert suspects == [one["indicator"] for one in document["suspects"]]
    assert suspects


@pytest.mark.parametrize("name", ["series", "single"])
def test_places_are_those_of_the_document(name, visit, request):
    report = request.getfixturevalue(name)
    page = visit(report.page)
    sites = report.document["sites"]
    assert numbers(page, "#sites td:nth-child(2) [data-value]") == [one["sums"]["inuse_bytes"] for one in sites]
    text = page.locator("#sites tbody").inner_text()
    for one in sites:
        assert one["function"] in text
        assert (one["type"] or "type not known") in text
    for label, value in (("part", sites[0]["part"]), ("told", "inferred")):
        page.locator(f'#sites [data-filter="{label}"]').select_option(value)
        expect(page.locator("#sites tr.k-row")).to_have_count(sum(one[label] == value for one in sites))
        page.locator(f'#sites [data-filter="{label}"]').select_option("")
    looks.walks_the_table(page, "#sites")


def test_the_stack_of_a_place_has_its_hidden_frames(single, visit):
    page = visit(single.page)
    site = single.document["sites"][0]
    page.locator("#sites .k-opener button").first.click()
    frames = page.locator("#sites .k-details .stack li .mono").all_inner_texts()
    path, *_ = max(truth(classified(single)), key=lambda one: one[1])
    assert frames == list(path[-2::-1])
    assert frames[0] == site["entry"] == "runtime.mapassign_fast64"
    assert site["function"] in frames
    assert number(page, "#sites .k-details [data-value]") == site["sums"]["inuse_bytes"]


def classified(report: Told) -> Classified:
    return report.taken.classified("heap.pb.gz")


def test_the_icicle_sums_walks_and_zooms(single, visit):
    page = visit(single.page, "stacks")
    samples = truth(classified(single))
    pack = Opened(packed(single.page))
    inuse, parents = pack.column("flame", "inuse_bytes"), pack.column("flame", "parent")
    assert sum(size for size, up in zip(inuse, parents, strict=True) if up < 0) == sum(one[1] for one in samples)
    boxes = page.locator(".k-box")
    before = boxes.count()
    assert before > 5
    said = page.locator(".k-said")
    boxes.first.focus()
    for key in ("ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    expect(said).to_contain_text("main.main")
    page.keyboard.press("ArrowUp")
    expect(said).to_contain_text("runtime.main")
    page.keyboard.press("Enter")
    expect(page.locator(".k-flame .k-reset")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.locator(".k-flame .k-reset")).to_be_disabled()
    expect(boxes).to_have_count(before)
    boxes.nth(3).click()
    page.locator(".k-flame .k-reset").click()
    page.locator(".k-flame input").fill("map growth")
    size = sum(one[1] for one in samples if "map growth" in one[0][-1])
    expect(page.locator(".k-found")).to_contain_text(human(size))
    page.locator(".k-flame input").fill("")
    page.locator('[data-choice="alloc_bytes"]').click()
    expect(said).to_contain_text(human(sum(one[2] for one in samples)))
    page.locator('.k-box[aria-label^="main.fill:"]').first.hover()
    page.locator(".k-said button").click()
    expect(page.locator("#sites input")).to_have_value("main.fill")
    page.locator("#stacks > details > summary").click()
    cum = max(pack.column("functions", "cum_bytes"))
    assert numbers(page, "#functions td:nth-child(2) [data-value]")[0] == cum == sum(one[1] for one in samples)
    looks.walks_the_table(page, "#functions")


def human(size: int) -> str:
    from mapscope.units import human_bytes

    return human_bytes(size)


def test_places_over_time(series, visit):
    page = visit(series.page)
    rows = series.document["series"]
    lines = page.locator("[data-line]")
    assert lines.count() == len(rows)
    plot = page.locator(".k-canvas")
    expect(plot.locator("canvas")).to_be_visible()
    reading = page.locator(".k-legend li", has_text="main.fillMore").locator(".k-reading")
    course = next(row for row in rows if row["function"] == "main.fillMore")
    assert course["type"] == GROWING
    plot.focus()
    for key, at in (("Home", 0), ("ArrowRight", 1), ("End", 2), ("ArrowLeft", 1)):
        page.keyboard.press(key)
        expect(reading).to_have_text(human(course["inuse_bytes"][at]))
    box = plot.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + box["height"] / 2)
    expect(reading).to_have_text(human(course["inuse_bytes"][0]))
    reset = page.locator("#over-time .k-reset")
    expect(reset).to_be_disabled()
    page.mouse.move(box["x"] + 60, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 360, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(reset).to_be_enabled()
    reset.click()
    expect(reset).to_be_disabled()
    for name in ("Zoom in", "Zoom out"):
        page.get_by_role("button", name=name).click()
    plot.focus()
    page.keyboard.press("+")
    expect(reset).to_be_enabled()
    page.keyboard.press("Escape")
    expect(reset).to_be_disabled()


INKED = """() => {
  const canvas = document.querySelector("#over-time canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const hex = name => { const one = document.createElement("span"); one.style.color = name; document.body.append(one);
    const found = getComputedStyle(one).color.match(/\\d+/g).map(Number); one.remove(); return found; };
  const wanted = hex("var(--k0)");
  let count = 0;
  for (let at = 0; at < data.length; at += 4) count += wanted.every((one, part) => data[at + part] === one);
  return [count, canvas.clientWidth];
}"""
"""Pixels in the first line's colour, as the page's own colours are now, and the width of the chart."""


def test_a_chart_is_drawn_in_the_colours_of_the_page(series, visit):
    page = visit(series.page, scheme="dark")
    dark, wide = page.evaluate(INKED)
    page.locator("#scheme").click()
    page.locator("#scheme").click()
    light, _ = page.evaluate(INKED)
    page.locator("#scheme").click()
    page.emulate_media(media="print")
    expect(page.locator("#over-time .u-wrap")).to_have_css("width", "660px")
    paper, narrow = page.evaluate(INKED)
    assert min(dark, light, paper) > 300
    assert narrow < 700 < wide


def test_lines_are_chosen_and_read_in_a_table(series, visit):
    page = visit(series.page)
    rows = series.document["series"]
    page.locator("#over-time summary").click()
    heads = page.locator("#over-time thead th")
    expect(heads).to_have_count(1 + min(6, len(rows)))
    values = numbers(page, "#over-time tbody td:nth-child(2) [data-value]")
    assert values == rows[0]["inuse_bytes"]
    page.locator("#over-time button", has_text="Hide all").click()
    expect(heads).to_have_count(1)
    page.locator('[data-line="0"]').check()
    expect(heads).to_have_count(2)
    page.locator("#over-time input[type=search]").fill("main.init")
    page.locator("#over-time button", has_text="Show found").click()
    expect(heads).to_have_count(2 + sum(row["function"] == "main.init" for row in rows))
    page.locator("#over-time button", has_text="Hide found").click()
    expect(heads).to_have_count(2)
    page.locator('[data-choice="sums"]').click()
    page.locator("#over-time summary").click()
    sums = [sum(row["inuse_bytes"][at] for row in rows) for at in range(3)]
    assert numbers(page, "#over-time tbody td:nth-child(3) [data-value]") == sums
    assert sums[-1] == series.document["maps"]["inuse_bytes"]


def test_goroutines_and_loops(series, visit):
    page = visit(series.page)
    document = series.document
    assert page.locator("#in-loops tr.k-row").count() == len(document["loops"]) > 8
    (routines,) = document["goroutines"]
    counts = [int(one) for one in page.locator("#goroutines-0 td:first-child").all_inner_texts()]
    assert sorted(counts) == sorted(one["goroutines"] for one in routines["groups"])
    assert "41 min" in page.locator("#in-loops").inner_text()
    for grid in ("#in-loops", "#goroutines-0", "#by-size"):
        looks.walks_the_table(page, grid)


def test_two_profiles(both, visit):
    page = visit(both.page)
    document = both.document
    for name, before, after in (("maps", "old_maps", "new_maps"), ("heap", "old_heap", "new_heap")):
        then, now = document[before]["inuse_bytes"], document[after]["inuse_bytes"]
        assert numbers(page, f'#sums [data-amount="{name}"] [data-value]') == [then, now, now - then]
    moves = sorted((one["new_bytes"] - one["old_bytes"] for one in document["sites"]), key=abs, reverse=True)
    assert numbers(page, "#places td:nth-child(2) [data-value]") == moves
    assert moves[0] > 10_000_000
    page.locator('[data-choice="shrank"]').click()
    expect(page.locator("#places tr.k-row")).to_have_count(sum(one < 0 for one in moves))
    page.locator('[data-choice="grew"]').click()
    expect(page.locator("#places tr.k-row")).to_have_count(sum(one > 0 for one in moves))
    page.locator('[data-choice="all"]').click()
    looks.walks_the_table(page, "#places")
    page.locator("[data-mover]").first.click()
    expect(page.locator("#places .k-details")).to_contain_text("standing.go:")
    assert f"{document['unchanged_sites']} places are unchanged" in page.locator("#moves").inner_text()


def test_suspects_that_come_and_go(single, visit):
    healthy = single.taken.folder / "healthy"
    healthy.mkdir()
    still = take("presized", healthy)
    report = told(single.taken, "diff", still.folder / "heap.pb.gz", single.taken.folder / "heap.pb.gz")
    page = visit(report.page)
    assert (
        page.locator('[data-suspects="new"] [data-suspect="P3"]').count() == len(report.document["new_suspects"]) == 1
    )
    larger = report.document["new_suspects"][0]["larger_bytes"]
    expect(page.locator('[data-suspects="new"]')).to_contain_text(human(larger))


def test_what_a_watch_has_taken(rising, serve, visit, tmp_path):
    heaps = [(rising.folder / f"heap-{at}.pb.gz").read_bytes() for at in (1, 2)]
    server = serve(heaps, waited(rising, tmp_path).read_bytes())
    target = tmp_path / "watch.html"
    mapscope("profile", "watch", server.url, "-e", str(rising.executable), "--every", "1s", "--for", "1s",
             "--keep", str(tmp_path / "kept"), "-o", str(target))  # fmt: skip
    page = visit(target)
    assert page.locator("h1").inner_text().startswith("Maps hold")
    pack = Opened(packed(target))
    assert pack.values["series"]["profiles"] == 2
    assert page.locator("[data-line]").count() == len(pack.column("lines", "function"))


def test_without_the_executable(single, visit):
    target = single.taken.folder / "bare.html"
    mapscope("profile", str(single.taken.folder / "heap.pb.gz"), "-o", str(target))
    page = visit(target)
    expect(page.locator("h1")).to_have_text("How much maps hold is not known")
    expect(page.locator("#remarks")).to_contain_text("-e")
    expect(page.locator("#stacks")).to_contain_text("No sample")


@pytest.mark.parametrize("name", ["series", "both"])
def test_the_ways_to_look_at_it(name, visit, axe, request, tmp_path):
    report = request.getfixturevalue(name)
    looks.nothing_runs(visit, report.page, tmp_path)
    looks.links_lead(visit(report.page))
    looks.prints(visit, report.page)
    looks.fits_a_narrow_window(visit, report.page)
    looks.axe_is_content(visit, report.page, axe)


HOSTILE = (
    "</script><script>document.title='run'</script>",
    "<img src=x onerror=\"document.title='run'\">",
    "javascript:document.title='run'//' onmouseover='document.title=1' x=\"",
    "main.\u202egnp.exe\u2066\x1b[31m\x00",
    "a" * 10_000_000,
)


def test_hostile_names_do_nothing(single, visit, tmp_path):
    """Names of functions and types that a hostile writer puts into labels, which mapscope believes."""
    written = tmp_path / "labels.pb.gz"
    mapscope("profile", str(single.taken.folder / "heap.pb.gz"), "-e", str(single.taken.executable), "-f", "pprof",
             "-o", str(written))  # fmt: skip
    message = Message.FromString(gzip.decompress(written.read_bytes()))
    names = [row.name for row in message.function]
    texts = [label.str for sample in message.sample for label in sample.label if label.str]
    words = ("map part", "map type", "told", "map growth", "inferred")
    kept = {list(message.string_table).index(word) for word in words}
    texts += [at for at in names if not message.string_table[at].startswith("runtime.")]
    targets = [at for at in dict.fromkeys(texts) if at not in kept]
    assert len(targets) > 10
    for row, at in enumerate(targets):
        message.string_table[at] = HOSTILE[row % (5 if row < 20 else 4)]
    bad = tmp_path / "<b>bad.pb.gz"
    bad.write_bytes(gzip.compress(message.SerializeToString(), 1))
    target = tmp_path / "hostile.html"
    mapscope("profile", str(bad), "-o", str(target))
    assert target.stat().st_size < 1_000_000
    page = visit(target)
    looks.open_all(page)
    assert page.title() == "mapscope profile: <b>bad.pb.gz"
    assert not page.locator("main img, main b, main script").count()
    text = page.locator("main").inner_text()
    assert "onerror" in text
    assert "\u202e" not in text
    assert "(10,000,000 characters)" in page.locator("#sites").inner_text() + page.locator("#stacks").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
