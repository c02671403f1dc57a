"""The model of the collector: the pointer masks of the runtime, and who keeps what."""

from __future__ import annotations

import random

import pytest

from mapscope.lab.model import collector
from mapscope.lab.model.article import ArticleMap
from mapscope.lab.model.collector import Heap, HeapObject, mask
from mapscope.lab.model.interface import MapModel
from mapscope.lab.model.making import make
from mapscope.lab.model.maptype import INT_INT, INT_POINTER, STRING_INT


def fill(model: MapModel, first: int, last: int) -> None:
    for key in range(first, last + 1):
        model.assign(key, key)


def test_pointer_masks():
    """As the runtime's own types have them."""
    assert mask(collector.HMAP) == "001101"
    assert mask(collector.MAPEXTRA) == "111"
    assert mask(collector.HITER) == "11111111"
    assert mask(collector.MAP) == "001"
    assert mask(collector.TABLE) == "001"
    assert mask(collector.ITER) == "11110000011"


def test_every_pointer_is_in_a_mask():
    """No field keeps anything in the model that the runtime's types do not let keep."""
    known = {"hmap": collector.HMAP, "mapextra": collector.MAPEXTRA, "hiter": collector.HITER}
    known |= {"Map": collector.MAP, "Iter": collector.ITER, "table": collector.TABLE}
    seen = set()
    for release, t in (("1.23", INT_INT), ("1.23", INT_POINTER), ("1.26", INT_POINTER), ("1.26", INT_INT)):
        model = make(release, t)
        fill(model, 1, 3)
        model.iterate()
        fill(model, 4, 1665)
        model.iterate()
        for one in model.heap().live():
            fields = known.get(one.name.split()[0])
            if fields is not None:
                seen.add(one.name.split()[0])
                assert {name for name, _ in one.pointers} <= set(fields)
    assert seen == set(known)


@pytest.mark.parametrize(("release", "most", "least"), [("1.23", 6000, 6000), ("1.26", 896, 500)])
def test_deleted_values_behind_a_blocked_iterator(release, most, least):
    """An iterator that stood still while the map grew keeps what has been deleted since: in a classic map all of it, in
    a Swiss map what was in its table."""
    model = make(release, INT_POINTER)
    fill(model, 1, 6000)
    model.iterate()
    fill(model, 6001, 60_000)
    for key in range(1, 6001):
        model.delete(key)
    gone = [one for one in model.heap().kept_by("iterator 0") if not one.structure and one.name.startswith("elem")]
    assert least <= len(gone) <= most


@pytest.mark.parametrize("release", ["1.23", "1.26"])
def test_an_iterator_keeps_an_abandoned_map(release):
    model = make(release)
    fill(model, 1, 500)
    cursor = model.iterate()
    heap = model.heap()
    assert heap.bytes_kept_by("m") == 0
    assert heap.bytes_kept_by("m", "iterator 0") == model.bytes().total
    model.stop(cursor)
    assert model.heap().bytes_kept_by("m") == model.bytes().total


@pytest.mark.parametrize("release", ["1.19", "1.21", "1.23"])
def test_what_hangs_on_an_old_array_is_counted_until_the_growth_ends(release):
    """Evacuation clears the first bucket of a chain; an overflow bucket in the array keeps what comes behind it."""
    for seed in range(5):
        draw = random.Random(seed)
        hashes = [draw.getrandbits(56) << 8 | draw.choice((3, 17, 40, 41, 66, 99)) for _ in range(900)]
        model = make(release, INT_POINTER, hint=200, hasher=lambda key, _, hashes=hashes: hashes[key])
        kept = 0
        for key in range(len(hashes)):
            model.assign(key, None)
            state = model.state()
            if key % 10 == 0 and state.header.oldbuckets is not None:
                by_chains = sum(one.index < 0 for chain in (*state.buckets, *state.oldbuckets) for one in chain)
                live = [one for one in model.heap().live() if one.name == "overflow bucket"]
                assert model.bytes().total == model.heap().bytes_kept_by("m", structure=True)
                kept = max(kept, len(live) - by_chains)
        assert kept > 0


OLD = 57_344
"""Bytes of the array of 256 buckets, and of 16 overflow buckets made with them; it is number 8 of its map."""


def test_old_buckets_hang_on_the_map_and_not_on_the_iterator():
    """During a growth both arrays are the map's; an iterator adds nothing until the growth has ended."""
    model = make("1.23", STRING_INT)
    fill(model, 1, 1664)
    model.iterate()
    fill(model, 1665, 1665)
    assert model.bytes().oldbuckets == OLD
    assert model.bytes().pinned == 0
    assert model.heap().chain("m", "buckets 8") == ["m", "m", "oldbuckets"]
    fill(model, 1666, 1900)
    assert model.bytes().oldbuckets == 0
    assert OLD <= model.bytes().pinned < 1.5 * OLD
    assert model.heap().chain("m", "buckets 8") is None
    assert model.heap().chain("iterator 0", "buckets 8") in (["iterator 0", "key"], ["iterator 0", "buckets"])


def test_an_iterator_begun_in_a_growth_keeps_the_old_array_by_its_bucket():
    model = make("1.23", STRING_INT, rand=lambda: 200)  # begins at bucket 200, which is evacuated late
    fill(model, 1, 1665)
    cursor = model.iterate()
    fill(model, 1666, 1900)
    assert model.bytes().oldbuckets == 0
    assert model.heap().chain("iterator 0", "buckets 8") in (["iterator 0", "key"], ["iterator 0", "bptr"])
    assert OLD <= model.bytes().pinned < 1.5 * OLD
    for _ in range(300):
        model.step(cursor)
    assert model.bytes().pinned == 0  # it has gone on to buckets of the new array


def test_the_article_has_a_root_of_its_own():
    article = ArticleMap()
    fill(article, 1, 105)
    article.iterate()
    assert article.heap().chain("iterator 0", "buckets 4") == ["iterator 0", "t0"]


def test_live_and_chain():
    far = HeapObject("far", 8)
    near = HeapObject("near", 16, True, [("next", far)])
    loop = HeapObject("loop", 32)
    loop.point("self", loop)
    loop.point("nothing", None)
    heap = Heap(
        {"a": HeapObject("a", 0, False, [("p", near)]), "b": HeapObject("b", 0, False, [("q", near), ("r", loop)])}
    )
    assert {one.name for one in heap.live()} == {"a", "b", "near", "far", "loop"}
    assert heap.bytes_kept_by("a") == 0
    assert heap.bytes_kept_by("b") == 32
    assert heap.bytes_kept_by("a", "b") == 56
    assert heap.chain("a", "far") == ["a", "p", "next"]
    assert heap.chain("a", "loop") is None
