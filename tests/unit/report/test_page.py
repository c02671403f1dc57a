"""The data of the HTML report: packs read back by another reader, sums, caps, and text that would mislead."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import random
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mapscope.goruntime.frames import Frame, Goroutine
from mapscope.heap.holding import Held
from mapscope.heap.steps import Step
from mapscope.maps.cells import CellArray
from mapscope.report.page.caps import MOST_BYTES, Caps
from mapscope.report.page.cells import array_sections
from mapscope.report.page.html import render, static
from mapscope.report.page.pack import Pack, Texts
from mapscope.report.page.parts import heap_parts
from mapscope.report.page.shown import NAME_LIMIT, shown, shown_values
from mapscope.report.page.snapshot import snapshot_pack, snapshot_page
from mapscope.report.source import Unheld
from tests.browser.packs import Opened, unpacked
from tests.unit.report.fakes import FakeSnapshot, classic, map_type, sample, stalled, swiss_sample, table

INTEGERS = st.lists(st.integers(0, (1 << 64) - 1), max_size=20)
HOSTILE = "</script><script>window.ran=1</script><!-- \"'& \u202e\u2028\u2066\x00\x1b[31m \ud800 \U000e0041"


# --- packs -----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(INTEGERS, st.lists(st.integers(-(1 << 62), 1 << 62), max_size=20), st.lists(st.floats(allow_nan=False)))
def test_numbers_come_back(unsigned, signed, floats):
    pack = Pack("x")
    pack.sections["a"] = {"u": np.array(unsigned, dtype=np.uint64)}
    pack.sections["b"] = {"i": np.array(signed, dtype=np.int64)}
    pack.sections["c"] = {"f": np.array(floats, dtype=np.float64)}
    opened = Opened(pack.to_bytes())
    assert opened.column("a", "u") == unsigned
    assert opened.column("b", "i") == signed
    assert opened.column("c", "f") == floats


@given(st.lists(st.none() | st.text("abcяж·→ ", max_size=5), max_size=20))
def test_texts_come_back_each_once(texts):
    pack = Pack("x")
    pack.sections["a"] = {"t": Texts.of(texts)}
    pack.sections["b"] = {"t": Texts.of(reversed(texts))}
    opened = Opened(pack.to_bytes())
    assert opened.column("a", "t") == texts
    assert opened.column("b", "t") == texts[::-1]
    assert len(opened.strings) == len(set(texts) - {None})


def test_columns_of_a_section_are_of_one_length():
    pack = Pack("x", sections={"a": {"x": np.zeros(2), "y": np.zeros(3)}})
    with pytest.raises(ValueError, match="columns of a differ"):
        pack.to_bytes()


def test_a_pack_is_the_same_every_time():
    assert snapshot_pack(sample()).to_bytes() == snapshot_pack(sample()).to_bytes()


def test_integers_that_a_browser_would_round_are_texts():
    assert shown_values({"a": 1 << 53, "b": [(1 << 64) - 1, -(1 << 60)]}) == {
        "a": 1 << 53, "b": ["18446744073709551615", "-1152921504606846976"],
    }  # fmt: skip


# --- text ------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=30))
def test_nothing_that_misleads_is_left(text):
    for char in shown(text):
        assert char == " " or char.isprintable()
        assert not "\u2028" <= char <= "\u202e"
        assert not "\u2066" <= char <= "\u2069"


def test_what_is_cut_says_its_length():
    text = shown("x" * 10_485_760)
    assert text == "x" * NAME_LIMIT + "… (10,485,760 characters)"
    assert shown("x" * 4093 + "...").endswith("… (over 4,096 characters)"), "the document has cut it before"


def test_code_keeps_its_lines():
    values = shown_values({"advice": {"text": "a\nb", "code": "for {\n\tx\u202e\n}"}})
    assert values == {"advice": {"text": "a\\x0ab", "code": "for {\n\tx\\u202e\n}"}}


# --- the page of a snapshot ------------------------------------------------------------------------------------------


def goroutine(number: int, function: str = "main.work", line: int = 7, **more: object) -> Goroutine:
    frame = Frame(function, "/src/main.go", line, 1, 2, 3, 4, inlined=False, conservative=False)
    made = Goroutine(
        id=number, address=0xC000 + number, status="waiting", wait_reason="chan receive", wait_seconds=60.0 + number,
        creator_function="main.main", creator_file="/src/main.go", creator_line=3, parent=1, start_function=function,
        locked=False, frames=(frame,), problem=None,
    )  # fmt: skip
    return replace(made, **more)


def opened(source, caps: Caps | None = None) -> Opened:
    return Opened(snapshot_pack(source, caps).to_bytes())


@pytest.mark.parametrize("source", [sample(), swiss_sample(), FakeSnapshot(table())], ids=["classic", "swiss", "none"])
def test_the_parts_sum_to_the_heap(source):
    parts = heap_parts(source)
    assert sum(part.bytes for part in parts) == source.heap.live_bytes
    assert all(part.bytes >= 0 for part in parts)


def test_parts_of_a_heap_that_contradicts_itself():
    maps = table(*(classic(1, 20, array_bytes=1 << 63) for _ in range(4)))
    parts = heap_parts(FakeSnapshot(maps))
    assert sum(part.bytes for part in parts) == 220_000_000


def test_rows_are_those_of_the_table():
    source = sample()
    pack = opened(source)
    columns = source.maps.columns
    order = np.argsort(-columns["total_bytes"].astype(np.int64), kind="stable")
    for name in ("address", "count", "total_bytes", "waste_bytes", "nevacuate", "noverflow"):
        assert pack.column("maps", name) == columns[name][order].tolist()
    assert pack.column("maps", "type") == [
        None if (kind := source.maps[row].type) is None else kind.name for row in order.tolist()
    ]
    assert pack.column("maps", "state") == [source.maps[row].state for row in order.tolist()]


def test_what_is_not_listed_is_summed():
    source = sample()
    pack = opened(source, Caps(maps=4))
    total = int(source.maps.columns["total_bytes"].sum())
    rest = pack.values["maps_rest"]
    assert len(pack.column("maps", "address")) == 4
    assert rest["maps"] == 1
    assert sum(pack.column("maps", "total_bytes")) + rest["bytes"] == total
    parent, size = pack.column("owners", "parent"), pack.column("owners", "bytes")
    assert size[0] == total
    sums = Counter()
    for up, one in zip(parent, size, strict=True):
        sums[up] += one
    for node, below in sums.items():
        assert node < 0 or size[node] == below


def test_smaller_maps_of_a_node_are_one():
    pack = opened(FakeSnapshot(table(*(classic(1, 4) for _ in range(50)))), Caps(children=10))
    labels = pack.column("owners", "label")
    assert any("40 smaller maps" in label for label in labels)
    assert pack.column("owners", "maps")[0] == 50


def test_goroutines_of_one_stack_are_a_group():
    routines = (*map(goroutine, range(1, 101)), goroutine(200, line=8), goroutine(201, status="dead"))
    pack = opened(FakeSnapshot(table(classic(1, 4)), goroutines=routines))
    told = pack.values["goroutines"]
    assert told["goroutines"] == 101
    assert [(group["count"], len(group["ids"]), group["wait_seconds"]) for group in told["groups"]] == [
        (100, 50, 160.0), (1, 1, 260.0),
    ]  # fmt: skip
    few = opened(FakeSnapshot(table(classic(1, 4)), goroutines=routines), Caps(groups=1)).values["goroutines"]
    assert few["rest"] == {"groups": 1, "goroutines": 1}


def test_without_chains():
    pack = opened(Unheld(sample()))
    assert pack.values["dominators_rest"] is None
    assert not any(pack.column("maps", "held"))
    assert pack.values["goroutines"]["known"] is False


@given(st.lists(st.integers(0, 8), max_size=60), st.integers(1, 20))
def test_cells_keep_every_entry(entries, most):
    values = np.array(entries, dtype=np.int64)
    array = CellArray("buckets", 3 * len(entries), 3, values, values // 2, values == 0, True)
    made = array_sections([(5, array), (6, array)], most)
    cells, arrays = made["cells"], made["arrays"]
    for at, size in zip(arrays["cell"].tolist(), arrays["cells"].tolist(), strict=True):
        assert size == min(most, len(entries))
        part = slice(at, at + size)
        assert cells["entries"][part].sum() == sum(entries)
        assert cells["extra"][part].sum() == sum(one // 2 for one in entries)
        assert cells["units"][part].sum() == len(entries)
        assert cells["gone"][part].sum() == entries.count(0)


# --- size ------------------------------------------------------------------------------------------------------------


def many(number: int) -> FakeSnapshot:
    """Maps with random addresses, each on a chain of its own."""
    rng = random.Random(7)
    rows = []
    for _ in range(number):
        row = stalled(rng.randrange(1 << 20), 10, 90_112 + rng.randrange(1 << 16) * 8, hash0=rng.randrange(1 << 32))
        row |= {"address": 0xC000000000 + rng.randrange(1 << 32) * 16}
        rows.append(
            row | {name: 0xC000000000 + rng.randrange(1 << 32) * 16 for name in ("buckets", "oldbuckets", "extra")}
        )
    rows.sort(key=lambda row: row["address"])
    who = {}
    for row in rows:
        steps = [Step("global", 0x500000, None, ".srv", "main.srv")]
        steps += [
            Step("object", rng.randrange(1 << 40), f"main.T{n}", f".f{rng.randrange(50)}", None) for n in range(6)
        ]
        who[row["address"]] = Held(tuple(steps), rng.randrange(1 << 40), steps[-1])
    return FakeSnapshot(table(*rows), who=who)


def test_ten_thousand_maps_take_less_than_5_mb():
    source = many(12_000)
    page = snapshot_page(source)
    assert len(page) < MOST_BYTES
    pack = Opened(unpacked(page))
    assert len(pack.column("maps", "address")) == 10_000
    assert pack.values["maps_rest"]["maps"] == 2000
    assert sum(length > 0 for length in pack.column("maps", "steps")) == 10_000
    sizes = source.maps.columns["total_bytes"]
    assert min(pack.column("maps", "total_bytes")) >= np.sort(sizes)[2000] or len(source.findings) > 2000


def test_identifiers_of_10_mb_take_little():
    huge = "A" * 10_485_760
    one = Held((Step("global", 0x500000, huge, f".{huge}", huge),), 1, Step("object", 1, huge, None, None))
    routines = (goroutine(1, function=huge),)
    maps = table(stalled(851_969, 18, 23_014_048, flags=3), types=(map_type(huge),))
    address = int(maps.columns["address"][0])
    source = FakeSnapshot(maps, who={address: one}, goroutines=routines, notes=(huge,), warnings=(huge,), path=huge)
    page = snapshot_page(source)
    assert len(page) < 300_000
    assert "(10,485,760 characters)" in Opened(unpacked(page)).column("maps", "type")[0]


def test_what_cannot_be_compressed_makes_the_page_smaller():
    rng = random.Random(1)
    names = tuple(map_type("".join(rng.choices(HAN, k=300))) for _ in range(10_000))
    rows = [classic(1, 4, type_index=at) for at in range(10_000)]
    page = snapshot_page(FakeSnapshot(table(*rows, types=names)))
    assert len(page) <= MOST_BYTES
    assert Opened(unpacked(page)).values["maps_rest"]["maps"] == 7500


HAN = "".join(map(chr, range(0x4E00, 0x9FA5)))


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_policy_names_the_script_and_the_styles():
    page = render(Pack("snapshot"), "t")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    for element, rule in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["connect-src"] == rules["base-uri"] == rules["form-action"] == "'none'"


def test_hostile_text_leaves_the_markup_as_it_is():
    hostile = dataclasses.replace(
        sample(path=f"/tmp/{HOSTILE}"),
        notes=(HOSTILE,),
        warnings=(HOSTILE,),
        dominating=Step(HOSTILE, 1, HOSTILE, HOSTILE, HOSTILE),
    )
    page, tame = snapshot_page(hostile), snapshot_page(sample())
    tags = re.compile(r"</?(?:script|style|meta|title|div|html|noscript|main|code)\b|<!--")
    assert tags.findall(page) == tags.findall(tame)
    assert "\u202e" not in page
    assert static("app.js") in page
    text = unpacked(page).decode("utf-8", "replace")
    assert "\u202e" not in text
    assert "\u2028" not in text
    assert "\\u202e" in text
