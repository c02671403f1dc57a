"""The model of the classic map without Go: it grows where the measured maps grow."""

from __future__ import annotations

import pytest

from mapscope.lab.model.classic import ClassicMap
from mapscope.lab.model.making import make


def classic(release: str) -> ClassicMap:
    model = make(release)
    assert isinstance(model, ClassicMap)
    return model


@pytest.mark.parametrize(
    ("release", "count", "bits"), [("1.23", 106_496 >> 4, 10), ("1.21", 6 << 10, 10), ("1.19", 13 << 9, 10)]
)
def test_growth_begins_one_above_the_load_factor(release, count, bits):
    model = classic(release)
    model.log = []
    for key in range(count):
        model.assign(key, key)
    assert (model.B, model.oldbuckets) == (bits, None)
    model.log.clear()
    model.assign(count, count)
    assert bits + 1 == model.B
    assert model.oldbuckets is not None
    assert [event.name for event in model.log][:1] == ["hashGrow"]


def test_a_growth_stands_still_without_writes():
    model = classic("1.23")
    for key in range(1665):
        model.assign(key, key)
    assert model.oldbuckets is not None
    before = model.nevacuate
    cursor = model.iterate()
    while model.step(cursor):
        pass
    for key in range(3000):
        model.lookup(key)
    assert model.nevacuate == before
    for _ in range(model.noldbuckets() - before):  # at most so many, each of a key that is not there
        model.delete(-1)
    assert model.oldbuckets is None
    assert len(model) == 1665


def test_an_open_iterator_does_not_stop_evacuation():
    model = classic("1.23")
    for key in range(1665):
        model.assign(key, key)
    cursor = model.iterate()
    for key in range(1665, 2000):
        model.assign(key, key)
    assert model.oldbuckets is None
    assert cursor.key is not None
