"""What people read: what stands in it, how wide it is, that hostile names stay harmless."""

from __future__ import annotations

import csv
import io
import re

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mapscope.findings.context import StaleValues, StringKeys
from mapscope.report import maps_view, text
from mapscope.report.build import build
from mapscope.report.escape import clean, clean_lines, csv_cell, valid
from mapscope.report.map_view import build_map
from mapscope.report.map_view import render as render_map
from mapscope.report.rows import map_rows
from mapscope.report.style import Style, bar, listed, percent, wrap
from tests.unit.report.fakes import (
    FIGURES,
    FakeSnapshot,
    Queries,
    classic,
    map_type,
    rows_of,
    sample,
    stalled,
    swiss_sample,
    table,
)

EVIL = "map[string]\x1b[31m\u202emain.T\x07\u009b2J\u200b\r\n\t"


def rendered(snapshot: FakeSnapshot, colour: bool = False) -> str:
    rows = maps_view.choose(snapshot.maps, "bytes")[: text.SHOWN_MAPS]
    return "\n".join(text.render(build(snapshot, rows), Style(colour)))


def test_report_opens_with_the_verdict_then_reconciles_then_lists():
    report = rendered(sample())
    heads = re.findall(r"^[A-Z][A-Z ]+$", report, re.MULTILINE)
    assert heads == ["VERDICT", "WHERE THE MEMORY IS", "FINDINGS", "LARGEST MAPS", "NEXT"]
    assert "5 maps hold 104.7 MB, 48 % of the live heap." in report
    assert "115.7 MB held for nothing, in 3 findings." in report
    assert "23.0 MB of it only possibly" in report
    for part in ("300.0 MB", "220.0 MB", "30.0 MB", "20.0 MB", "4.0 MB", "16.0 MB", "8.0 MB", "2.0 MB"):
        assert part in report
    assert "unexplained" in report
    assert "mapscope map /tmp/core.4242 0xc000010100" in report


def test_a_heap_dump_shows_no_resident_memory():
    snapshot = sample()
    snapshot.kind, snapshot.path = "heap dump", "/tmp/heap.dump"
    snapshot.runtime = replace(FIGURES, heap_marked_bytes=None)
    report = rendered(snapshot)
    assert report.splitlines()[0].endswith("heap dump heap.dump (310.0 MB)")
    assert "resident" not in report
    where = report.partition("WHERE THE MEMORY IS")[2].partition("FINDINGS")[0]
    assert re.search(r"live +220\.0 MB", where)
    assert re.search(r"dead +30\.0 MB", where)
    assert "it has made 17 collections" in " ".join(where.split())
    assert "marked" not in where
    said = build(snapshot, [])
    assert said.heap.reconciliation is None
    assert said.heap.runtime is not None
    assert said.heap.runtime.heap_marked_bytes is None


def test_finding_shows_rule_bytes_subject_proof_advice_and_code():
    report = rendered(sample())
    assert re.search(r"^\d\. R1  23\.0 MB  growth in progress", report, re.MULTILINE)
    for fact in (
        "map[uint64]uint64 at 0xc000010000",
        "flags 3 (iterator|oldIterator)",
        "nevacuate 7",
        "oldbuckets 0xc000800000",
    ):
        assert fact in report
    assert "       for i := 0; i < 131065; i++ {\n           delete(m, absent)\n       }" in report


@pytest.mark.parametrize(
    "snapshot", [sample(), swiss_sample(), FakeSnapshot(table())], ids=["classic", "swiss", "empty"]
)
def test_text_is_eighty_columns_of_ascii_without_colour(snapshot):
    report = rendered(snapshot)
    assert report.isascii()
    assert "\x1b" not in report
    assert max(map(len, report.splitlines())) <= 80


def test_colour_changes_nothing_but_colour():
    assert re.sub(r"\x1b\[[0-9;]*m", "", rendered(sample(), colour=True)) == rendered(sample())
    assert "\x1b[1;31m" in rendered(sample(), colour=True)


def test_rules_that_share_bytes_are_told_in_one_block():
    report = rendered(swiss_sample())
    assert "in 2 findings." in report
    assert "also R12, 6.6 MB of the same bytes" in report


def test_more_findings_than_anyone_reads():
    report = rendered(FakeSnapshot(table(*[stalled(13_313, 12, 359_952)] * 30)))
    assert report.count("growth in progress holds") == text.SHOWN_FINDINGS
    assert "10 more findings of 3.6 MB in all" in report


def test_empty_result_says_why():
    quiet = rendered(FakeSnapshot(table(classic(5, 0))))
    assert "No findings" in quiet
    assert "A second core, taken later, would show growth over time" in " ".join(quiet.split())
    nothing = rendered(FakeSnapshot(table(), stripped=True, missing=("12.0 MB of the heap are not in this core",)))
    assert "No map was found" in nothing
    assert "up to 8 entries that no typed word reaches" in " ".join(nothing.split())
    assert "12.0 MB of the heap are not in this core" in nothing


def test_runtime_figures_can_be_missing():
    assert "not in this evidence" in rendered(FakeSnapshot(table(), runtime=None))


def test_many_small_maps_name_their_largest():
    row = stalled(20, 5, 576) | {"old_array_bytes": 576, "old_overflow_bytes": 0}
    report = rendered(FakeSnapshot(table(*[row] * 5_000)))
    assert "5,000 maps map[uint64]uint64, the largest at 0xc000010000" in report


def hostile() -> FakeSnapshot:
    sparse = classic(10_486, 18, overflow_count=900, needed_bytes=320_000)
    snapshot = FakeSnapshot(
        table(sparse, types=(map_type(EVIL, key="\x1b[2J", elem="\u202e"),)),
        path="/tmp/\x1b]0;gotcha\x07\udcffcore\n", missing=(f"{EVIL} is missing",), notes=(EVIL,),
    )  # fmt: skip
    snapshot.queries = Queries(keys={0xC000010000: StringKeys(1, 1, 1 << 30, 1, 1 << 30)})
    return snapshot


def test_hostile_names_cannot_reach_the_terminal():
    report = rendered(hostile())
    assert set(map(ord, report)) <= {0x0A, *range(0x20, 0x7F)}
    snapshot = hostile()
    detail = snapshot.detail(0xC000010000)
    msgspec.structs.force_setattr(detail, "key_kinds", {EVIL: 3})
    msgspec.structs.force_setattr(detail, "how_found", EVIL)
    assert set(map(ord, "\n".join(render_map(build_map(snapshot, detail))))) <= {0x0A, *range(0x20, 0x7F)}
    records = list(map_rows(snapshot.maps, rows_of(snapshot.maps)))
    assert set(map(ord, "\n".join(maps_view.render_text(records, 1, 1, [])))) <= {0x0A, *range(0x20, 0x7F)}


@given(st.text(max_size=300), st.integers(3, 250))
def test_cleaned_text_is_one_bounded_printable_line(raw, limit):
    shown = clean(raw, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    if raw.isascii() and raw.isprintable() and len(raw) <= limit:
        assert shown == raw


@given(st.text(st.characters(), max_size=50))
def test_valid_text_can_always_be_written(raw):
    valid(raw).encode("utf-8")
    clean_lines(raw).encode("utf-8")


def test_letters_of_any_script_stay_and_marks_do_not():
    assert clean("map[键]main.Größe") == "map[键]main.Größe"
    assert clean("a\u202eb\u0301") == r"a\u202eb\u0301"


def test_code_keeps_its_lines_and_tabs():
    assert clean_lines("for {\n\tx\x07()\n}") == "for {\n\tx\\x07()\n}"


# --- maps ------------------------------------------------------------------------------------------------------------


def addresses(snapshot: FakeSnapshot, *how: str) -> list[int]:
    rows = maps_view.choose(snapshot.maps, *how)
    return [(int(a) - 0xC000010000) // 0x40 for a in snapshot.maps.columns["address"][rows]]


def test_sorting():
    snapshot = sample()
    assert addresses(snapshot, "waste") == [1, 0, 2, 3, 4]
    assert addresses(snapshot, "bytes") == [0, 1, 3, 4, 2]
    assert addresses(snapshot, "count") == [0, 3, 1, 4, 2]
    assert addresses(snapshot, "address") == [0, 1, 2, 3, 4]
    assert addresses(snapshot, "type") == [4, 0, 1, 2, 3], "unknown types come last"


def test_type_patterns_take_brackets_as_they_are():
    snapshot = sample()
    assert addresses(snapshot, "address", "map[string]*") == [4]
    assert addresses(snapshot, "address", "map[uint64]*") == [0, 1, 2]
    assert addresses(snapshot, "address", "*") == [0, 1, 2, 4], "an unknown type matches nothing"
    assert addresses(snapshot, "address", "map[abc]*") == []
    assert addresses(snapshot, "address", "map[?int64]uint64") == [0, 1, 2]


@given(st.text("ab[]*?", max_size=12), st.text("ab[]", max_size=12))
def test_patterns_agree_with_regular_expressions(pattern, name):
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    assert maps_view.glob_matches(name, pattern) == (re.fullmatch(expression, name) is not None)


def test_pattern_on_a_hostile_name_takes_no_time():
    assert not maps_view.glob_matches("a" * 20_000, "*a*a*a*a*a*a*a*a*b")


def test_csv_is_csv_and_no_formula():
    types = (map_type("=HYPERLINK(1)"), map_type('map[string]a,"b"'))
    maps = table(classic(5, 0), classic(6, 0, type_index=1), types=types)
    data = "".join(maps_view.render_csv(maps, np.arange(2)))
    head, first, second = csv.reader(io.StringIO(data, newline=""))
    assert dict(zip(head, first, strict=True))["type"] == "'=HYPERLINK(1)"
    assert dict(zip(head, second, strict=True))["type"] == 'map[string]a,"b"'
    assert dict(zip(head, second, strict=True))["count"] == "6"
    assert data.endswith("\r\n")


@pytest.mark.parametrize("raw", ["=1+1", "+1", "-1", "@A1", "\t=1", "|cmd", "%0A"])
def test_csv_cells_that_start_like_formulas_are_quoted(raw):
    assert csv_cell(raw)[0] in "'\\"


def test_table_without_rows_says_what_to_do():
    assert "wildcards" in "\n".join(maps_view.render_text([], 0, 7, []))
    assert "No map was found" in "\n".join(maps_view.render_text([], 0, 0, []))


# --- one map ---------------------------------------------------------------------------------------------------------


def test_one_map_shows_header_growth_occupancy_and_kinds():
    snapshot = sample()
    shown = "\n".join(render_map(build_map(snapshot, snapshot.detail(0xC000010000))))
    assert "GROWTH doubling in progress" in shown
    assert "nevacuate 7 of noldbuckets 131,072" in shown
    assert "OCCUPANCY buckets by entries in them" in shown
    assert "CHAINS" in shown
    assert re.search(r"90 +90 %  string", shown)
    assert "R1  23.0 MB" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_one_swiss_map_shows_its_tables():
    snapshot = swiss_sample()
    shown = "\n".join(render_map(build_map(snapshot, snapshot.detail(0xC000010000))))
    assert "seed 0xfedcba9876543210" in shown
    assert re.search(r"0xc000900000 +700 +1,024 +196 +0 +3 +0", shown)
    assert "GROWTH" not in shown


# --- small things ----------------------------------------------------------------------------------------------------


def test_live_memory_that_was_never_touched_is_told():
    snapshot = sample()
    snapshot.resident_live = 100_000_000
    shown = " ".join(rendered(snapshot).split())
    assert "220.0 MB live in 1,190,000 objects, of which 120.0 MB were never touched and are not resident." in shown
    assert "never touched" not in rendered(sample())


def test_the_same_advice_on_the_same_map_is_given_once():
    snapshot = FakeSnapshot(table(stalled(13_313, 12, 359_952, flags=2)))
    snapshot.queries = Queries(stale={0xC000010000: StaleValues(900, 6_000, 6_000_000)})
    report = rendered(snapshot)
    assert report.count("delete(m, absent)") == 1
    assert "   do: as in 1" in report


@given(st.lists(st.sampled_from(["40.1 MB", "12 %", "make(T, n)", "a", "long-word-of-text", "7 kB,"]), max_size=60))
def test_numbers_are_not_parted_from_their_units(words):
    lines = list(wrap(" ".join(words)))
    assert " ".join(" ".join(lines).split()) == " ".join(" ".join(words).split())
    assert all(len(line) <= 80 for line in lines)
    assert not any(line.strip().startswith(("MB", "%", "n)", "kB")) for line in lines)


def test_bars_and_shares():
    assert bar(1, 10**9) == "#"
    assert bar(10, 10, 8) == "#" * 8
    assert bar(0, 5) == bar(5, 0) == ""
    assert [percent(*pair) for pair in ((1, 3), (1, 200), (1, 10**6), (0, 5), (1, 0))] == [
        "33 %",
        "0.5 %",
        "<0.1 %",
        "0 %",
        "",
    ]


def test_listed_pairs_are_never_broken():
    lines = list(listed({f"name{n}": "v" * 20 for n in range(9)}, "   "))
    assert all(len(line) <= 80 for line in lines)
    assert " ".join(lines).split() == " ".join(f"name{n} {'v' * 20}," for n in range(9)).rstrip(",").split()
