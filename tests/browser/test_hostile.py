"""Pages of hostile heaps: nothing that a heap can hold runs, loads, or changes what the page is."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.browser.packs import Opened, packed, with_pack
from tests.browser.reports import mapscope
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]

RUNS = [
    "</script><script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 1'>",
    '"><svg onload="window.ran = 1">',
    "javascript:window.ran = 1",
    "<!--<script>",
    "{{constructor.constructor('window.ran = 1')()}}",
    "' onmouseover='window.ran = 1",
    "\u202e\u2066\u2028\x00 <b>bold</b> &lt;script&gt;",
    "__proto__",
    "../../etc/passwd%ZZ%",
]
MARKUP = "document.querySelectorAll('#app img, #app svg, #app script, #app iframe, #app b, #app style').length"


def open_all(page: Any) -> None:
    """Every control of a page, once."""
    for summary in page.locator("#main details > summary").all()[:60]:
        summary.click()
    closed = page.locator("#main .twist[aria-expanded=false]")
    for _ in range(min(10, closed.count())):
        closed.first.click()
    for button in page.locator("#maps thead button, #scheme").all():
        button.click()
    for select in page.locator("#maps select").all():
        select.select_option(index=select.locator("option").count() - 1)
    page.locator("#maps form button").click()
    for link in page.locator(".stacked .legend a, .chips a").all():
        link.click()
    page.evaluate("location.hash = 'maps'")
    page.locator("#maps tbody tr[data-row] a").first.click()
    page.wait_for_selector("#map-title")


def is_tame(page: Any) -> None:
    """Nothing ran and no markup came out of the data."""
    assert page.evaluate("typeof window.ran") == "undefined"
    assert page.evaluate(MARKUP) == 0
    assert page.locator(".failure").count() == 0


# --- a real program ------------------------------------------------------------------------------------------------

TAG = "<script>window.ran=1</script></script><!--'&amp;\\u202e" + "a" * 10_485_760
LONG = "X" + "ы" * 50_000
PROGRAM = """package main

import (
	"fmt"
	"os"
	"runtime"
)

type ключ struct{ Ａ, β int }
type %(long)s struct{ a int }

var (
	tagged = map[string]struct {
		A int `%(tag)s`
	}{}
	byKey = map[ключ]string{}
	long  = map[int]%(long)s{}
)

//go:noinline
func ждать_%(long)s(begun chan<- bool, c <-chan int) {
	for range byKey {
		begun <- true
		<-c
	}
}

func main() {
	for i := 0; i < 20000; i++ {
		tagged[fmt.Sprint(i)] = struct {
			A int `%(tag)s`
		}{i}
		byKey[ключ{i, i}] = "\\u202e<script>window.ran=1</script>"
		long[i] = %(long)s{i}
	}
	begun := make(chan bool)
	go ждать_%(long)s(begun, make(chan int))
	<-begun
	for i := 0; i < 60000; i++ {
		byKey[ключ{-i - 1, 0}] = "grown"
	}
	for i := 10; i < 20000; i++ {
		delete(tagged, fmt.Sprint(i))
	}
	runtime.GC()
	fmt.Println(`{"tagged": %%d}`, len(tagged))
	fmt.Println("READY")
	os.Stdin.Read(make([]byte, 1))
}
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """The page of a program with such names as Go permits, one of them of 10 MB."""
    folder = tmp_path_factory.mktemp("hostile")
    source = PROGRAM.replace('`{"tagged": %%d}`, len(tagged)', "`{}`") % {"tag": TAG, "long": LONG}
    (folder / "main.go").write_text(source, encoding="utf-8")
    (folder / "go.mod").write_text("module hostile\n\ngo 1.21\n", encoding="utf-8")
    harness.toolchain("1.23").build(folder, folder / "hostile")
    with harness.running(folder / "hostile", folder=folder) as program:
        core = harness.take_core(program, "capture", folder)
    mapscope("analyze", str(core), str(folder / "hostile"), "-o", str(folder / "report.html"))
    mapscope("analyze", str(core), str(folder / "hostile"), "-o", str(folder / "report.json"))
    core.unlink()
    return folder / "report.html"


def test_a_program_with_hostile_names(hostile, visit):
    assert hostile.stat().st_size < 600_000
    document = json.loads(hostile.with_suffix(".json").read_text())
    assert {one["rule"] for one in document["findings"]} >= {"R4", "R9"}
    page = visit(hostile)
    text = page.locator("#main").inner_text()
    assert "<script>window.ran=1</script>" in text, "as text it is there"
    assert "characters)" in text
    assert "ключ" in text
    open_all(page)
    is_tame(page)


# --- data that no writer of ours would write -----------------------------------------------------------------------


def spoiled(data: bytes) -> bytes:
    """The pack with each of its texts replaced; numbers, addresses and structure stay."""
    pack = Opened(data)
    number = 0

    def bad() -> str:
        nonlocal number
        number += 1
        return RUNS[number % len(RUNS)]

    work: list[Any] = [pack.head["values"]]
    while work:
        holder = work.pop()
        for at, one in list(enumerate(holder) if isinstance(holder, list) else holder.items()):
            if isinstance(one, (dict, list)):
                work.append(one)
            elif isinstance(one, str):
                holder[at] = bad()
    words = [bad().encode() for _ in pack.strings]
    ends = [0]
    for word in words:
        ends.append(ends[-1] + len(word))
    body = pack.body + bytes(-len(pack.body) % 8)
    table = struct.pack(f"<{len(ends)}I", *ends)
    about = {"text": len(body) + len(table) + -len(table) % 8, "bytes": ends[-1], "ends": len(body), "n": len(words)}
    pack.head["strings"] = about
    head = json.dumps(pack.head).encode()
    lead = struct.pack("<II", len(head), 0) + head
    return lead + bytes(-len(lead) % 8) + body + table + bytes(-len(table) % 8) + b"".join(words)


@pytest.fixture(scope="module")
def loops(reports):
    return reports.of("iterators", Variant("1.23"), "matrix")


def test_every_text_is_hostile(loops, tmp_path, visit):
    page = visit(with_pack(loops.page, spoiled(packed(loops.page)), tmp_path / "bad.html"))
    open_all(page)
    is_tame(page)
    assert "<img src=x onerror=" in page.locator("#main").inner_text()


def test_the_policy_stops_what_would_get_in(loops, tmp_path, browser):
    text = loops.page.read_text(encoding="utf-8")
    bad = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'><style>body{display:none}</style>"
    place = tmp_path / "bad.html"
    place.write_text(text.replace('<div id="app">', f'{bad}<div id="app">'), encoding="utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(place.as_uri())
    page.wait_for_selector("h1")
    assert page.evaluate("typeof window.ran") == "undefined"
    assert page.evaluate("getComputedStyle(document.body).display") == "block"
    assert sum("Content Security Policy" in one for one in said) >= 3
    for name in ("innerHTML", "outerHTML"):
        refused = f"try {{ document.body.{name} = '<b>'; '' }} catch (error) {{ error.name }}"
        assert page.evaluate(refused) == "TypeError", "not even our own script could make markup of text"
    page.close()


# --- data of another version, or spoiled ----------------------------------------------------------------------------


def changed(data: bytes, **values: Any) -> bytes:
    """The pack with another header."""
    pack = Opened(data)
    pack.head |= values
    head = json.dumps(pack.head).encode()
    lead = struct.pack("<II", len(head), 0) + head
    return lead + bytes(-len(lead) % 8) + pack.body


@pytest.mark.parametrize("field", ["schema", "pack"])
def test_another_schema_says_which_version_made_it(loops, tmp_path, visit, field):
    values = {field: 99, "tool": {"name": "mapscope", "version": "7.8.9"}}
    page = visit(with_pack(loops.page, changed(packed(loops.page), **values), tmp_path / "other.html"))
    words = page.locator(".failure").inner_text()
    assert "mapscope 7.8.9" in words
    assert "99" in words or field == "pack"


def test_an_unknown_kind_says_so(loops, tmp_path, visit):
    page = visit(with_pack(loops.page, changed(packed(loops.page), kind="future"), tmp_path / "other.html"))
    assert "future" in page.locator(".failure").inner_text()


@pytest.mark.parametrize(
    "data", ["", "AAAA", "!!!", "eJwDAAAAAAE="], ids=["empty", "no-stream", "no-base64", "nothing"]
)
def test_spoiled_data_is_said(loops, tmp_path, visit, data):
    text = loops.page.read_text(encoding="utf-8")
    begin = text.index('id="mapscope-data">') + len('id="mapscope-data">')
    place = tmp_path / "spoiled.html"
    place.write_text(text[:begin] + data + text[text.index("</script>", begin) :], encoding="utf-8")
    page = visit(place)
    assert "data of this page" in page.locator(".failure").inner_text()


def test_without_javascript_it_says_what_to_do(loops, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(loops.page.as_uri())
    assert "JavaScript" in page.locator("noscript").inner_text()
    context.close()
