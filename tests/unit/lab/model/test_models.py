"""Every model without Go: it is a map, and iterates as the language promises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapscope.errors import UsageError
from mapscope.lab.model.interface import MapModel
from mapscope.lab.model.making import make, mixed_hash
from mapscope.lab.model.maptype import INT_INT, STRING_INT, STRING_POINTER, MapType
from mapscope.lab.model.releases import CLASSIC, SWISS

RANGED = ["1.21", "1.23", "1.25+noswissmap", "1.24", "1.27"]
RELEASES = sorted({*CLASSIC, *SWISS})
KEYS = st.integers(0, 40)
WRITES = st.lists(
    st.tuples(st.just("assign"), KEYS)
    | st.tuples(st.just("delete"), KEYS)
    | st.tuples(st.sampled_from(["clear", "iterate", "step", "stop"]), st.integers(0, 5)),
    max_size=300,
)


def poor_hash(key: object, seed: int) -> int:
    """Few different hashes: long chains."""
    return mixed_hash(key, seed) & 0x3F00000000000003


@settings(max_examples=60, deadline=None)
@given(release=st.sampled_from(RELEASES), hasher=st.sampled_from([mixed_hash, poor_hash]), writes=WRITES)
def test_it_is_a_map(release, hasher, writes):
    model, truth = make(release, STRING_POINTER, hasher=hasher), {}
    for number, (name, key) in enumerate(writes):
        if name == "assign":
            model.assign(key, number)
            truth[key] = number
        elif name == "delete":
            model.delete(key)
            truth.pop(key, None)
        elif name == "clear":
            model.clear()
            truth.clear()
    assert len(model) == len(truth)
    for key in range(42):
        assert model.lookup(key) == (truth.get(key), key in truth)
    assert walked(model) == truth


def walked(model: MapModel) -> dict[object, object]:
    """What a ``range`` gives; no key twice."""
    found: dict[object, object] = {}
    cursor = model.iterate()
    going = cursor.key is not None
    while going:
        assert cursor.key not in found
        found[cursor.key] = cursor.elem
        going = model.step(cursor)
    model.stop(cursor)
    return found


@settings(max_examples=60, deadline=None)
@given(
    release=st.sampled_from(RANGED),
    writes=WRITES,
    first=st.integers(0, 40),
)
def test_what_the_language_promises_of_a_range(release, writes, first):
    """An entry that was there throughout comes once; a deleted one never, and again only if it was put back."""
    model = make(release)
    for key in range(first):
        model.assign(key, key)
    cursor = model.iterate()
    throughout, present, seen = set(range(first)), set(range(first)), set()
    going = cursor.key is not None
    for name, key in [*writes, *[("step", 0)] * 500]:
        if going and name == "step":
            assert cursor.key in present
            assert cursor.key not in seen
            seen.add(cursor.key)
            going = model.step(cursor)
        elif name == "assign":
            model.assign(key, 0)
            present.add(key)
        elif name == "delete" and key != cursor.key:  # the entry at which it stands has been handed out already
            model.delete(key)
            present.discard(key)
            throughout.discard(key)
            seen.discard(key)
    assert not going
    assert throughout <= seen


def test_sizes_of_buckets():
    sizes = {
        144: INT_INT,
        88: MapType(elem_size=1, elem_align=1),
        208: STRING_INT,
        272: MapType(16, 16, True, True),
        1104: MapType(elem_size=128),
    }
    assert {t.BucketSize: t for t in sizes.values()} == sizes
    assert MapType(elem_size=136).BucketSize == 144
    assert INT_INT.GroupSize == 136
    assert STRING_INT.GroupSize == 200
    assert MapType(1, 8, key_align=1).GroupSize == 136
    assert MapType(8, 1, elem_align=1).SlotSize == 16
    assert MapType(8, 1, elem_align=1).SplitGroupSize == 80


@pytest.mark.parametrize("sizes", [(0, 8), (8, 0), (12, 8), (8, 1 << 17)])
def test_sizes_that_no_model_knows(sizes):
    with pytest.raises(UsageError) as error:
        MapType(*sizes)
    assert error.value.hint


@pytest.mark.parametrize("release", ["1.20", "1.26+noswissmap", "1.23.9", "nonsense"])
def test_a_release_without_a_model(release):
    with pytest.raises(UsageError) as error:
        make(release)
    assert "1.23" in error.value.hint
