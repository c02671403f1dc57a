"""The model of the Swiss map without Go: tables grow and split where the measured maps do."""

from __future__ import annotations

import pytest

from mapscope.lab.model.making import make
from mapscope.lab.model.maptype import STRING_INT, MapType
from mapscope.lab.model.swiss import SwissMap


def swiss(release: str, t: MapType = STRING_INT, hint: int | None = None) -> SwissMap:
    model = make(release, t, hint=hint)
    assert isinstance(model, SwissMap)
    model.log = []
    return model


@pytest.mark.parametrize("release", ["1.24", "1.26"])
@pytest.mark.parametrize(("count", "measured"), [(896, 27_304), (897, 54_608)])
def test_bytes_of_measured_maps(release, count, measured):
    """Of map[string]int in Go 1.26.6: the last insert before the first split, and that split; without the header."""
    model = swiss(release)
    for key in range(count):
        model.assign(key, key)
    assert abs(model.bytes().total - measured) < 200


def test_the_first_group_fills_before_a_table_is_made():
    model = swiss("1.27")
    for key in range(8):
        model.assign(key, key)
    assert (len(model.directory), model.used) == (0, 8)
    model.assign(8, 8)
    assert [t.capacity for t in model.directory] == [16]


@pytest.mark.parametrize(("release", "tables"), [("1.24", 1), ("1.26", 1), ("1.27", 0)])
def test_an_update_of_a_full_group(release, tables):
    model = swiss(release)
    for key in range(8):
        model.assign(key, key)
    model.assign(3, "again")
    assert len(model.directory) == tables
    assert len(model) == 8


def test_hints():
    sizes = {hint: [t.capacity for t in swiss("1.26", hint=hint).directory] for hint in (0, 8, 9, 896, 897, 1024, 1792)}
    assert sizes == {0: [], 8: [], 9: [16], 896: [1024], 897: [512] * 2, 1024: [1024] * 2, 1792: [1024] * 2}


@pytest.mark.parametrize(
    ("release", "t", "doubles"),
    [
        ("1.24", MapType(), True),
        ("1.26", MapType(), False),
        ("1.26", MapType(key_size=16, fast_key=False), True),
        ("1.27", MapType(elem_size=136), True),
    ],
)
def test_churn_at_a_steady_size(release, t, doubles):
    """Tombstones make a map double that never holds more entries, but not where they are pruned."""
    model = swiss(release, t)
    for key in range(300):
        model.assign(key, key)
    before = sum(t.capacity for t in model.directory)
    for key in range(300, 20_000):
        model.delete(key - 300)
        model.assign(key, key)
    assert len(model) == 300
    after = sum(t.capacity for t in set(model.directory))
    assert (after > before) == doubles


def test_no_tombstone_in_a_group_with_an_empty_slot():
    """What the two ways of the runtime to look for a deleted slot rely on to be the same."""
    model = swiss("1.26")
    for key in range(3000):
        model.assign(key, key)
        if key % 3:
            model.delete(key // 2)
        for t in set(model.directory):
            assert not any(0x80 in g.ctrls and 0xFE in g.ctrls for g in t.groups)
