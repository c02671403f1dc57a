"""Hash ranges, names, and moves as they are asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from mapscope.growth import asking, figures, names
from mapscope.growth.protocol import State
from mapscope.growth.trouble import GrowthError
from mapscope.routing.nodes import Moving, Shards
from mapscope.routing.router import hash_of


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10_000])
def test_ranges_cover_all_hashes_once(count: int):
    shards = Shards(count)
    edge = 0
    for shard in range(count):
        first, beyond = shards.range_of(shard)
        assert first == edge
        assert shards.of_hash(first) == shards.of_hash(beyond - 1) == shard
        edge = beyond
    assert edge == 1 << 32


def test_the_hash_of_a_service_never_changes():
    # rows lie where it says: b2sum -l 32 prints the same
    assert hash_of("") == 0x1271CF25
    assert hash_of("svc-1") == 0xF037D1E3
    spread = {Shards(8).of_hash(hash_of(f"svc-{number}")) for number in range(100)}
    assert spread == set(range(8))


def test_names_say_whose_they_are():
    ours = names.Names("0123abcd", 42)
    for name in (ours.stream, ours.copy_origin, ours.mark):
        assert names.move_of(name, "0123abcd") == 42
        assert names.move_of(name, "0123abce") is None
    for name in ("mapscope_0123abcd_m", "mapscope_0123abcd_m4x", "x" + ours.stream, ours.stream + "_more"):
        assert names.move_of(name, "0123abcd") is None


@pytest.mark.parametrize("text", ["", "1:a", "x:a:b", "-1:a:b", "1:a:b:c", "²:a:b", "1" * 30 + ":a:b"])
def test_what_is_no_move_is_refused(text: str):
    with pytest.raises(GrowthError, match="is no move"):
        asking.move(text)


def test_a_plan_is_read(tmp_path: Path):
    file = tmp_path / "plan.json"
    file.write_text('{"schema": 1, "moves": [{"shard": 3, "source": "a", "target": "b", "size_bytes": 7}]}')
    assert asking.plan(file) == [(3, "a", "b")] == [asking.move("3:a:b")]
    for text in ("", "[]", '{"moves": [{"shard": "three", "source": "a", "target": "b"}]}', '{"moves": 1}'):
        file.write_text(text)
        with pytest.raises(GrowthError, match="is no plan"):
            asking.plan(file)


def test_a_phase_that_was_done_twice_is_summed_over_its_move():
    rows = figures.taken(
        [
            (1, State.FENCED, 1.0, {"lock": 0.1}), (1, State.FENCED, 1, {"lock": 0.2}),
            (2, State.FENCED, 1, {"lock": 1}),
            (3, State.FENCED, 9.0, {"lock": 0.0}), (1, State.SWITCHED, 5.0, {}),
        ]
    )  # fmt: skip
    (row,) = rows
    assert (row.phase.name, row.moves, row.longest) == ("fence: last writers", 3, 1)
    assert round(row.median, 9) == 0.3
    (_, line) = figures.table(rows)
    assert line.split() == ["fence:", "last", "writers", "300.0", "ms", "1000.0", "ms", "wait"]


def test_the_store_file_is_documented_as_it_is():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "growth.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `moving\.(\w+)` \| (\S+) \|", page, re.MULTILINE)
    documented = {name: json.loads(value) for name, value in rows}
    assert documented == msgspec.to_builtins(Moving())
