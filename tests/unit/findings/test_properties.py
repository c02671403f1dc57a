"""What holds for any table, also one that hostile evidence made up."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.findings import run
from mapscope.findings.context import StaleValues, StringKeys
from mapscope.maps.model import COLUMNS, MapTable
from mapscope.report.build import build
from tests.unit.report.fakes import STRING_KEYS, FakeSnapshot, Queries, context, map_type

INSIDE = {"R1", "R2", "R9", "R10", "R11", "R12", "R13"}
"""Rules whose bytes lie in the map itself."""
PARTS = ("header_bytes", "array_bytes", "old_array_bytes", "overflow_bytes", "old_overflow_bytes", "indirect_bytes")

sizes = st.integers(0, 1 << 40)
counts = st.one_of(st.integers(0, 20), st.integers(0, 1 << 24))
hostile = st.one_of(st.just(0), st.just((1 << 64) - 1), st.integers(0, (1 << 64) - 1))


@st.composite
def coherent_rows(draw):
    """Parts that add up, everything else as it comes."""
    row = {part: draw(sizes) for part in PARTS}
    row |= {
        name: draw(counts) for name in ("count", "capacity", "overflow_count", "tombstones", "nevacuate", "noldbuckets")
    }
    row |= {"generation": draw(st.integers(0, 1)), "flags": draw(st.integers(0, 255)), "B": draw(st.integers(0, 30))}
    row |= {"oldbuckets": draw(st.sampled_from([0, 0xC000800000])), "old_evacuated": draw(st.integers(0, 5))}
    row |= {"type_index": draw(st.integers(-1, 1)), "noverflow": draw(st.integers(0, 65_535))}
    row["total_bytes"] = sum(row[part] for part in PARTS)
    row["needed_bytes"] = draw(st.integers(0, row["total_bytes"] + 100))
    row["waste_bytes"] = max(0, row["total_bytes"] - row["needed_bytes"])
    return row


def table_of(rows: list[dict[str, int]]) -> MapTable:
    built = MapTable.empty(len(rows), (map_type(elem_size=100), STRING_KEYS))
    built.columns["address"][:] = 0xC000000000 + 0x40 * np.arange(len(rows), dtype=np.uint64)
    for index, row in enumerate(rows):
        for name, value in row.items():
            built.columns[name][index] = value
    return built


@settings(deadline=None, max_examples=200)
@given(st.lists(coherent_rows(), max_size=8), st.sampled_from([(1, 19), (1, 21), (1, 23), (1, 24), (1, 26)]))
def test_no_map_is_charged_more_than_it_holds(rows, release):
    maps = table_of(rows)
    findings = run(context(maps, release))
    assert [f.bytes for f in findings] == sorted((f.bytes for f in findings), reverse=True)
    charged: dict[int, int] = defaultdict(int)
    for finding in findings:
        found = maps.at(finding.subject)
        assert found is not None
        assert finding.bytes > 0
        if finding.rule in INSIDE and finding.maps == 1:
            assert finding.bytes <= found.total_bytes
            charged[finding.subject] += 0 if finding.part_of else finding.bytes
        if finding.part_of:
            counted = [f for f in findings if (f.subject, f.rule) == (finding.subject, finding.part_of)]
            assert len(counted) == 1
            assert not counted[0].part_of
            assert counted[0].bytes >= finding.bytes
    for address, total in charged.items():
        found = maps.at(address)
        assert found is not None
        assert total <= found.total_bytes


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_hostile_columns_never_break_a_rule_or_the_document(data):
    rows = data.draw(st.integers(1, 6))
    maps = MapTable.empty(rows, (map_type(), STRING_KEYS))
    for name, dtype in COLUMNS.items():
        if name in ("generation", "place", "confidence", "unreadable"):
            values = data.draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
        elif name == "type_index":
            values = data.draw(st.lists(st.integers(-1, 1), min_size=rows, max_size=rows))
        else:
            bits = np.iinfo(dtype)
            draw = hostile.map(lambda value, bits=bits: min(value, int(bits.max)))
            values = data.draw(st.lists(draw, min_size=rows, max_size=rows))
        maps.columns[name][:] = values
    maps.columns["address"].sort()
    addresses = maps.columns["address"].tolist()
    big = (1 << 63) - 1
    queries = Queries(
        stale={address: StaleValues(big, big, big) for address in addresses},
        keys={address: StringKeys(big, big, big, big, big) for address in addresses},
    )
    document = build(FakeSnapshot(maps, queries=queries))
    assert document.verdict.maps == rows
    assert 0 <= document.verdict.possible_waste_bytes <= document.verdict.waste_bytes <= document.heap.live_bytes
    assert document.verdict.map_bytes == sum(maps.columns["total_bytes"].tolist())
