"""Settings and measures from files: what is wrong is said with its place, and hostile files end in one line."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from mapscope.errors import UsageError
from mapscope.growth import measures_file, settings_file
from mapscope.growth.settings import DEFAULT, Settings

NODE = {"name": "a", "cpu": 0.5, "memory": 0.5, "capacity_bytes": 1000, "used_bytes": 500}
SHARD = {"id": 0, "node": "a", "size_bytes": 100, "weight": 1.0}


def settings_of(folder: Path, text: str | bytes) -> Settings:
    path = folder / "growth.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return settings_file.read(path)


def test_what_is_not_named_is_as_without_a_file(tmp_path: Path):
    assert settings_of(tmp_path, "") == settings_of(tmp_path, "# nothing\n") == DEFAULT
    made = settings_of(tmp_path, "load_enter: 0.9\ncool_down: 2h\nobservations: 5\n")
    assert (made.load_enter, made.cool_down, made.observations) == (0.9, 7200.0, 5)
    assert made.load_leave == DEFAULT.load_leave


def test_every_setting_can_be_written(tmp_path: Path):
    text = "".join(f"{field.name}: {getattr(DEFAULT, field.name):g}\n" for field in fields(Settings))
    assert settings_of(tmp_path, text) == DEFAULT
    assert not settings_file.problems(DEFAULT)


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("load_enter: 0.9\nlod_leave: 0.7\n", "2:1", "unknown setting 'lod_leave'"),
        ("load_enter: high\n", "1:13", "load_enter is a number, not 'high'"),
        ("load_enter: .nan\n", "1:13", "is a number"),
        ("load_enter: -1\n", "1:13", "is a number"),
        ("load_enter: 1e400\n", "1:13", "is a number"),
        ("load_enter: [1]\n", "1:13", "not a list or keys"),
        ("\nload_enter: 0.9\nload_enter: 0.8\n", "3:1", "load_enter is there twice"),
        ("load_enter: 1.2\n", "1:13", "load_enter is a part of 1"),
        ("load_leave: 0.9\n", "1:13", "not above load_enter"),
        ("free_enter: 0.3\nfree_leave: 0.25\n", "2:13", "not below free_enter"),
        ("skew_leave: 0.5\n", "1:13", "1 or more"),
        ("observations: 0\n", "1:15", "1 or more"),
        ("observations: 2.5\n", "1:15", "a whole number"),
        ("cool_down: soon\n", "1:12", "cool_down is a time"),
        ("cpu_weight: 0\nmemory_weight: 0\n", "1:13", "must be above 0"),
        ("- a\n", "1:1", "KEY: VALUE"),
        ("a: [\n", "2:1", "no YAML"),
        ("{a: b}: c\n", "1:1", "unknown setting"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(tmp_path: Path, text: str, place: str, said: str):
    with pytest.raises(UsageError) as caught:
        settings_of(tmp_path, text)
    assert f"growth.yaml:{place}: " in str(caught.value)
    assert said in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe", b"\x00", b"[" * 5000, b"a: &x [*x]", b"x" * (settings_file.MAX_BYTES + 1)]
)
def test_hostile_settings_end_in_one_line(tmp_path: Path, raw: bytes):
    with pytest.raises(UsageError) as caught:
        settings_of(tmp_path, raw)
    assert "\n" not in str(caught.value)


def test_no_file_is_said(tmp_path: Path):
    for read in (settings_file.read, measures_file.read):
        with pytest.raises(UsageError, match="No such file"):
            read(tmp_path / "none")


def measures_of(folder: Path, document: object) -> object:
    path = folder / "fleet.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return measures_file.read(path)


def test_measures_become_a_fleet(tmp_path: Path):
    made = measures_of(tmp_path, {"nodes": [NODE | {"power": 2}], "shards": [SHARD | {"movable": False}]})
    assert made.nodes[0].power == 2.0  # type: ignore[attr-defined]
    assert not made.shards[0].movable  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("nodes", "shards", "said"),
    [
        ([NODE, NODE], [], "nodes[1] has the name of nodes[0]"),
        ([NODE], [SHARD, SHARD], "shards[1] has the id of shards[0]"),
        ([NODE], [SHARD | {"node": "b"}], "shards[0] is on a node that the file does not name"),
        ([NODE | {"used_bytes": 2000}], [], "nodes[0] uses more bytes than it has"),
        ([NODE], [SHARD | {"size_bytes": 501}], "the shards of nodes[0] are larger than its used_bytes"),
        ([NODE | {"cpu": -0.1}], [], "$.nodes[0].cpu"),
        ([NODE | {"capacity_bytes": 0}], [], "$.nodes[0].capacity_bytes"),
        ([NODE | {"power": 0}], [], "$.nodes[0].power"),
        ([NODE | {"disk": 1}], [], "disk"),
        ([NODE], [SHARD | {"weight": 1e300}], "$.shards[0].weight"),
        ([NODE], [{"id": 1}], "$.shards[0]"),
    ],
)
def test_wrong_measures_are_named(tmp_path: Path, nodes: list[object], shards: list[object], said: str):
    with pytest.raises(UsageError) as caught:
        measures_of(tmp_path, {"nodes": nodes, "shards": shards})
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "nul", "[" * 100_000, '{"nodes": NaN}', '{"nodes":[],"shards":[1]}'])
def test_what_is_no_measures_ends_in_one_line(tmp_path: Path, text: str):
    with pytest.raises(UsageError) as caught:
        measures_of(tmp_path, text)
    assert "\n" not in str(caught.value)
