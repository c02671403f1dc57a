"""The document: what it holds, that it is what the schema says, that nothing in it misleads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from mapscope.report import document as doc
from mapscope.report.build import CHUNK, build, json_of, maps_json
from mapscope.report.map_view import build_map
from mapscope.report.schema import json_schema
from mapscope.report.writing import to_json
from tests.unit.report.fakes import (
    FakeSnapshot,
    classic,
    map_type,
    rows_of,
    sample,
    stalled,
    swiss,
    swiss_sample,
    table,
)
from tests.unit.report.schema_check import problems

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "docs" / "reference" / "schema.json").read_text())


def analysed(snapshot: FakeSnapshot) -> dict[str, Any]:
    return json.loads(b"".join(json_of(snapshot)))


def test_schema_file_is_current():
    assert json_schema() == SCHEMA, "run: python tools/make_schema.py"


@pytest.mark.parametrize(
    "snapshot", [sample(), swiss_sample(), FakeSnapshot(table())], ids=["classic", "swiss", "empty"]
)
def test_documents_are_what_the_schema_says(snapshot):
    defs = SCHEMA["$defs"]
    assert problems(analysed(snapshot), defs["Document"], SCHEMA) == []
    listed = json.loads(b"".join(maps_json(snapshot, rows_of(snapshot.maps), len(snapshot.maps))))
    assert problems(listed, defs["MapsDocument"], SCHEMA) == []
    for found in snapshot.maps:
        one = json.loads(to_json(build_map(snapshot, snapshot.detail(found.address))))
        assert problems(one, defs["MapDocument"], SCHEMA) == []


def test_the_judge_of_the_schema_finds_faults():
    document = analysed(sample())
    for fault in (
        lambda d: d.pop("verdict"),
        lambda d: d["maps"][0].update(address="c000010000"),
        lambda d: d["maps"][0]["bytes"].update(total=-1),
        lambda d: d["findings"][0].update(bytes="many"),
        lambda d: d["heap"].update(surprise=1),
        lambda d: d["maps"][0].update(generation="green"),
    ):
        broken = json.loads(json.dumps(document))
        fault(broken)
        assert problems(broken, SCHEMA["$defs"]["Document"], SCHEMA)


def test_streamed_and_built_documents_are_the_same():
    for snapshot in (sample(), swiss_sample()):
        streamed = msgspec.json.decode(b"".join(json_of(snapshot)), type=doc.Document)
        assert streamed == build(snapshot)


def test_many_maps_are_written_in_pieces_and_all_arrive():
    rows = 2 * CHUNK + 7
    snapshot = FakeSnapshot(table(*[classic(3, 0)] * rows))
    pieces = list(json_of(snapshot))
    assert len(pieces) > 3
    addresses = [row["address"] for row in json.loads(b"".join(pieces))["maps"]]
    assert addresses == [f"0x{0xC000010000 + 0x40 * index:x}" for index in range(rows)]


def test_classic_map_has_the_runtimes_field_names():
    row = analysed(sample())["maps"][0]
    assert row["generation"] == "classic"
    assert row["type"] == "map[uint64]uint64"
    assert row["header"] == {
        "count": 851_969, "flags": 3, "B": 18, "noverflow": 0, "hash0": 0, "buckets": "0xc000400000",
        "oldbuckets": "0xc000800000", "nevacuate": 7, "extra": "0x0",
    }  # fmt: skip
    parts = dict(row["bytes"])
    assert parts.pop("total") == sum(parts.values())
    assert row["waste_bytes"] == 23_014_048
    assert (row["state"], row["confidence"], row["noldbuckets"]) == ("growing", "exact", 131_072)
    assert row["load_factor"] == round(851_969 / 2**18, 4)


def test_swiss_map_has_the_runtimes_field_names_and_its_seed_is_exact():
    row = analysed(swiss_sample())["maps"][0]
    assert row["generation"] == "swiss"
    assert row["header"]["seed"] == 0xFEDCBA9876543210
    assert row["header"]["dirPtr"] == "0xc000400000"
    assert {"used", "dirLen", "globalDepth", "globalShift", "writing", "tombstonePossible", "clearSeq"} <= set(
        row["header"]
    )


def test_states_are_those_of_the_map():
    snapshot = FakeSnapshot(
        table(
            classic(5, 0), classic(0, 0), stalled(13_313, 12, 359_952), stalled(13_313, 12, 359_952, flags=8),
            swiss(5, 8, dirLen=0), swiss(0, 8, dirLen=0), swiss(100, 128),
        )
    )  # fmt: skip
    states = [row["state"] for row in analysed(snapshot)["maps"]]
    assert states == [found.state for found in snapshot.maps]
    assert set(states) == {"steady", "empty", "growing", "growing-same-size", "small"}


def test_unknown_type_is_null():
    assert analysed(sample())["maps"][3]["type"] is None


def test_verdict_counts_no_byte_twice():
    verdict = analysed(swiss_sample())["verdict"]
    findings = analysed(swiss_sample())["findings"]
    assert {f["part_of"] for f in findings} == {None, "R9"}
    assert verdict["waste_bytes"] == sum(f["bytes"] for f in findings if f["part_of"] is None)
    assert verdict["findings"] == len(findings) == 3
    assert sum(rule["bytes"] for rule in verdict["rules"].values()) == verdict["waste_bytes"]


def test_possible_waste_is_told_apart():
    assert analysed(sample())["verdict"]["possible_waste_bytes"] == 23_014_048


def test_evidence_of_a_finding_has_its_addresses_as_strings():
    finding = next(f for f in analysed(sample())["findings"] if f["rule"] == "R1")
    assert finding["evidence"]["oldbuckets"] == "0xc000800000"
    assert finding["evidence"]["old_evacuated"] == 9


def test_empty_maps_with_arrays_are_a_note_not_a_finding():
    (note,) = analysed(swiss_sample())["notes"]
    assert note.startswith("1 empty map keeps arrays of 17.9 MB")


def test_hostile_names_arrive_exactly_and_in_printable_ascii():
    name = 'map[string]main.T\x1b[2J\u202e"\\\u009b\U0001f600'
    data = b"".join(json_of(FakeSnapshot(table(classic(1, 0), types=(map_type(name),)), path="/tmp/\udcff\x07core")))
    assert set(data) <= {*range(0x20, 0x7F), 0x0A}
    document = json.loads(data)
    assert document["maps"][0]["type"] == name
    assert document["evidence"]["path"] == "/tmp/\\udcff\x07core"


def test_endless_names_are_bounded():
    snapshot = FakeSnapshot(table(classic(1, 0), types=(map_type("x" * 1_000_000),)))
    assert len(b"".join(json_of(snapshot))) < 20_000


def test_next_commands_are_quoted_for_a_shell():
    snapshot = sample("/tmp/a core; rm -rf x")
    snapshot.executable, snapshot.found_by = "/srv/it's", "given"
    commands = analysed(snapshot)["next"]
    assert commands[0] == "mapscope map '/tmp/a core; rm -rf x' 0xc000010100 -e '/srv/it'\"'\"'s'"
    assert commands[1].startswith("mapscope maps '/tmp/a core; rm -rf x' '/srv/it'")


def test_rows_keep_the_order_that_was_asked_for():
    snapshot = sample()
    document = build(snapshot, np.array([3, 0]))
    assert [row.address for row in document.maps] == ["0xc0000100c0", "0xc000010000"]
    assert document.verdict.maps == 5


def test_every_field_of_a_map_is_that_of_its_row():
    """Headers, parts and counts as the table has them, in the order of the record; both generations side by side."""
    columns = {
        "used": "count", "total": "total_bytes", "header": "header_bytes", "groups": "array_bytes",
        "buckets": "array_bytes", "oldbuckets": "old_array_bytes", "overflow": "overflow_bytes",
        "old_overflow": "old_overflow_bytes", "extra": "extra_bytes", "indirect": "indirect_bytes",
        "tables": "table_bytes", "directory": "directory_bytes",
    }  # fmt: skip
    rows = [stalled(13_313, 12, 359_952, flags=3), swiss(100, 128, tombstones=4), classic(9, 1), swiss(0, 8, dirLen=-1)]
    maps = table(*rows)
    for at, row in enumerate(analysed(FakeSnapshot(maps))["maps"]):
        found = maps[at]
        record = doc.SwissMap if found.is_swiss else doc.ClassicMap
        assert list(row) == ["generation", *record.__struct_fields__]
        for name, value in row["header"].items():
            expected = getattr(found, columns.get(name, name) if name == "used" else name)
            assert value == (f"0x{expected:x}" if isinstance(value, str) else expected), name
        for name, value in row["bytes"].items():
            assert value == getattr(found, columns[name]), name
        for name in ("count", "capacity", "needed_bytes", "waste_bytes"):
            assert row[name] == getattr(found, name)
        assert (row["state"], row["type"]) == (found.state, found.type_name)
        counted = [name for name in record.__struct_fields__ if name in maps.columns and isinstance(row[name], int)]
        assert {name: row[name] for name in counted} == {name: getattr(found, name) for name in counted}
