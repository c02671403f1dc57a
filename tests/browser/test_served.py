"""The page of ``mapscope serve`` in a real browser: parts are asked for when they are looked at."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW, Visit
from tests.browser.reports import mapscope
from tests.browser.test_hostile import RUNS
from tests.groundtruth import harness
from tests.groundtruth.serving import Server, serving
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]
expect.set_options(timeout=15_000)


PANELS = {"every-map": "tbody tr", "keeps": "li", "every-type": "tbody tr", "every-goroutine": "details"}


@dataclass(frozen=True)
class Served:
    server: Server
    core: Path
    executable: Path
    document: dict[str, Any]

    @property
    def maps(self) -> list[dict[str, Any]]:
        """The largest first."""
        return sorted(self.document["maps"], key=lambda row: (-row["bytes"]["total"], int(row["address"], 16)))

    def chain(self, address: str) -> dict[str, Any]:
        """What the command line says."""
        said = mapscope("chain", str(self.core), address, "-e", str(self.executable), "-f", "json")
        return json.loads(said)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A program with three thousand maps, and findings of many kinds."""
    executable = harness.build("findings", Variant("1.22"))
    with tempfile.TemporaryDirectory(prefix="served-") as name:
        folder = Path(name)
        with harness.running(executable, folder=folder) as program:
            core = harness.take_core(program, "capture", folder)
        mapscope("analyze", str(core), str(executable), "-f", "json", "-o", str(folder / "report.json"))
        document = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        with serving(core, executable) as server:
            yield Served(server, core, executable, document)


def asked(page: Page) -> list[str]:
    """The paths that the page asks for from now on, without the token."""
    paths: list[str] = []
    page.on("request", lambda request: paths.append(request.url.split("/", 4)[4]))
    return paths


def test_a_map_is_loaded_when_it_is_clicked(served: Served, visit: Visit):
    page = visit(served.server.url, wait_for="#maps")
    paths = asked(page)
    page.click("#open-every-map")
    expect(page.locator("#every-where")).to_have_text(f"1 to 50 of {len(served.maps):,} maps")
    page.click("#every-map th >> text=bytes")
    chosen = served.maps[7]
    row = page.locator("#every-map tbody tr").nth(7)
    expect(row.locator("td").nth(1)).to_have_text(chosen["address"])
    assert not [path for path in paths if path.startswith("api/pack/map")]
    row.locator("a").first.click()
    article = page.locator(f"article.map-page[data-map='{chosen['address']}']")
    expect(article.locator("#map-title")).to_be_focused()
    assert [path for path in paths if path.startswith("api/pack/map")] == [f"api/pack/map/{chosen['address']}"]
    for name, value in chosen["header"].items():
        shown = article.locator(f"dd[data-field='{name}']").inner_text()
        assert int(shown.replace(",", ""), 16 if shown.startswith("0x") else 10) == (
            int(value, 16) if isinstance(value, str) else value
        )
    retained = article.locator(f"[data-value='{chosen['retained_bytes']}']")
    assert retained.count() >= 1
    told = [step["type"] or step["name"] for step in chosen["chain"]]
    assert article.locator("ol.chain li").count() == len(told)


def test_the_smallest_map_has_a_page_too(served: Served, visit: Visit):
    smallest = served.maps[-1]["address"]
    page = visit(served.server.url, f"map/{smallest}", wait_for="article.map-page[data-map]")
    expect(page.locator("article.map-page")).to_have_attribute("data-map", smallest)


def test_any_address_tells_the_chain_of_the_command(served: Served, visit: Visit):
    page = visit(served.server.url, wait_for="#ask")
    chosen = served.maps[1]
    buckets = chosen["header"]["buckets"]
    said = served.chain(buckets)
    page.fill("#ask-address", buckets)
    page.press("#ask-address", "Enter")
    steps = page.locator("#answer-chain li")
    expect(steps).to_have_count(len(said["chain"]))
    for number, step in enumerate(said["chain"]):
        words = steps.nth(number).inner_text()
        for part in (step["name"], step["type"], step["field"], step["address"]):
            assert part is None or part in words, (number, words, step)
    assert page.locator("#answer-map").inner_text() == chosen["type"]
    assert "of which it is: buckets" in page.locator("#answer").inner_text()
    page.click("#every-way")
    expect(page.locator("#answer-chains")).to_be_visible()
    assert page.locator("#show-contents").count() == 0
    page.locator("#answer-chain a").first.click()  # an address of the chain asks for itself
    expect(page.locator("#ask-address")).to_have_value(said["chain"][0]["address"])
    expect(page.locator("#answer .asked-lead")).to_contain_text("a variable of the program")


def test_filters_and_pages_are_the_servers(served: Served, visit: Visit):
    page = visit(served.server.url, wait_for="#ask")
    page.click("#open-every-map")
    page.fill("#every-search", "STRING]string")
    matching = [row for row in served.maps if "string]string" in (row["type"] or "").lower()]
    where = page.locator("#every-where")
    expect(where).to_have_text(f"1 to 50 of {len(matching):,} maps")
    page.click("#every-on")
    expect(where).to_have_text(f"51 to 100 of {len(matching):,} maps")
    page.click("#every-back")
    expect(where).to_have_text(f"1 to 50 of {len(matching):,} maps")
    page.fill("#every-search", "")
    page.select_option("#every-state", "empty")
    empty = [row for row in served.maps if row["state"] == "empty"]
    assert 0 < len(empty) < len(matching)
    expect(where).to_contain_text(f" of {len(empty):,} maps")
    page.fill("#every-search", "no such type")
    expect(where).to_have_text("0 maps")


def test_the_tree_opens_floor_by_floor(served: Served, visit: Visit):
    page = visit(served.server.url, wait_for="#ask")
    paths = asked(page)
    page.click("#open-keeps")
    first = page.locator("#keeps .asked-tree > li").first
    expect(first).to_be_visible()
    assert paths == ["api/dominators?node=0"]
    first.locator("button").first.click()
    expect(first.locator("li").first).to_be_visible()
    assert len(paths) == 2
    first.locator("button").first.click()
    expect(first.locator("li")).to_have_count(0)
    page.click("#open-every-type")
    expect(page.locator("#every-type tbody tr").first).to_be_visible()
    expect(page.locator("#keeps")).to_have_count(0)


def test_a_wrong_address_is_a_sentence(served: Served, browser: Any):
    """Not through ``visit``: the browser itself notes a refusal on its console."""
    page = browser.new_page()
    try:
        page.goto(served.server.url + "#ask/<img src=x onerror=alert(1)>")
        alert = page.locator("#ask [role=alert]")
        expect(alert).to_contain_text("that is no address")
        expect(alert).to_contain_text("0xc000012345")
        assert page.locator("#ask img").count() == 0
        page.goto(served.server.url + "#map/0x10")
        expect(page.locator("article [role=alert]")).to_contain_text("no map at 0x10")
    finally:
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_everyone(served: Served, visit: Visit, axe: Callable[[Page], list[str]], scheme: str):
    page = visit(served.server.url, scheme=scheme, size=NARROW, bypass_csp=True, wait_for="#maps")
    page.fill("#ask-address", served.maps[0]["address"])
    page.press("#ask-address", "Enter")
    expect(page.locator("#answer-chain")).to_be_visible()
    page.click("#every-way")
    expect(page.locator("#answer-chains")).to_be_visible()
    for name, inside in PANELS.items():
        page.click(f"#open-{name}")
        expect(page.locator(f"#{name} {inside}").first).to_be_visible()
        assert not axe(page), name
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "the page is wider than the screen"


def test_no_other_page_reaches_the_server(served: Served, browser: Any):
    """A page of another origin in the same browser, with the right URL, gets nothing: no read, no image, no frame."""
    code = (
        "import http.server, sys\n"
        "class Other(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.send_header('content-type', 'text/html'); self.end_headers()\n"
        "        self.wfile.write(b'<title>other</title>')\n"
        "    def log_message(self, *words): pass\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), Other)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        url = served.server.url + "api/types"
        tries = """async ([url, root]) => {
            const said = [];
            for (const mode of ["cors", "no-cors"]) {
                try { said.push((await (await fetch(url, {mode})).text()).length); } catch { said.push("refused"); }
            }
            const frame = document.createElement("iframe");
            frame.src = root;
            const loaded = new Promise((done) => { frame.onload = done; });
            document.body.append(frame);
            await loaded;
            try { said.push(frame.contentDocument ? frame.contentDocument.body.innerText.length : "refused"); }
            catch { said.push("refused"); }
            return said;
        }"""
        assert page.evaluate(tries, [url, served.server.url]) == ["refused", "refused", "refused"]
        assert served.server.ask("api/types").status == 200
        page.close()
    finally:
        other.kill()
        other.communicate()


def spoiled(value: Any, number: list[int]) -> Any:
    """A document with markup in the place of each text but addresses."""
    if isinstance(value, dict):
        kept = {"can_show": True} if "can_show" in value else {}
        kept |= {"kind": value["kind"]} if "kind" in value else {}  # what the page goes by
        return {name: spoiled(one, number) for name, one in value.items()} | kept
    if isinstance(value, list):
        return [spoiled(one, number) for one in value]
    if isinstance(value, str) and not value.startswith("0x"):
        number[0] += 1
        return RUNS[number[0] % len(RUNS)]
    return value


def test_answers_are_text_whatever_they_hold(served: Served, browser: Any):
    """Every panel, with answers that no server of ours would send."""
    page = browser.new_page()
    number = [0]

    def route(one: Any) -> None:
        if "/api/contents/" in one.request.url:
            entries = [{"key": run, "value": run} for run in RUNS]
            one.fulfill(json={"address": "0x1", "entries": entries, "more": 3, "redacted": False})
        else:
            one.fulfill(json=spoiled(one.fetch().json(), number))

    try:
        for path in ("address", "chains", "contents", "maps", "dominators", "types", "goroutines"):
            page.route(re.compile(f"/api/{path}[/?]"), route)
        page.goto(served.server.url + f"#ask/{served.maps[0]['address']}")
        for name in ("every-way", "show-contents"):
            page.click(f"#{name}")
        expect(page.locator("#contents dd")).to_have_count(len(RUNS))
        for name, inside in PANELS.items():
            page.click(f"#open-{name}")
            expect(page.locator(f"#{name} {inside}").first).to_be_visible()
            assert page.locator(".served :is(img, svg, script, iframe, b, style)").count() == 0
        assert number[0] > 100
        assert "<img src=x onerror=" in page.locator(".served").inner_text()
        assert page.evaluate("typeof window.ran") == "undefined"
    finally:
        page.close()
