"""Pages of the table of maps, against sorting all of it in plain Python."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mapscope.maps.model import Confidence, MapTable
from mapscope.report.rows import STATES
from mapscope.web.listing import CONFIDENCES, GENERATIONS, ORDERS, SORTS, Listing, Wanted, first
from tests.unit.report.fakes import map_type, table

TYPES = tuple(map_type(name) for name in ("map[string]int", "map[int]*main.Rec", "map[String]bool", "map[int]bool"))


@pytest.fixture(scope="module")
def maps() -> MapTable:
    rng = random.Random(7)
    rows = [
        {
            "generation": rng.randrange(2), "count": rng.choice((0, 1, 8, 2**40, 2**64 - 1)),
            "capacity": rng.randrange(4), "total_bytes": rng.choice((0, 48, 2**63)), "needed_bytes": rng.randrange(3),
            "waste_bytes": rng.randrange(5), "type_index": rng.choice((-1, 0, 1, 2, 3)), "confidence": rng.randrange(3),
            "dirLen": rng.randrange(2), "oldbuckets": rng.choice((0, 0, 4096)), "flags": rng.choice((0, 8)),
        }
        for _ in range(400)
    ]  # fmt: skip
    return table(*rows, types=TYPES)


def expected(maps: MapTable, wanted: Wanted) -> list[int]:
    """All rows that match, in order, one map at a time."""
    chosen = []
    for row, one in enumerate(maps):
        fits = not wanted.search or wanted.search.lower() in (one.type_name or "").lower()
        fits &= not wanted.state or one.state == wanted.state
        fits &= not wanted.generation or ("swiss" if one.is_swiss else "classic") == wanted.generation
        fits &= not wanted.confidence or Confidence(one.confidence).label == wanted.confidence
        if fits:
            chosen.append(row)
    sign = -1 if wanted.order == "descending" else 1
    if wanted.sort == "type":
        ranks = sorted({one.name for one in TYPES})
        return sorted(chosen, key=lambda r: sign * (ranks.index(n) if (n := maps[r].type_name) else len(ranks)))
    column = SORTS[wanted.sort]
    return sorted(chosen, key=lambda r: sign * getattr(maps[r], column))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sort", SORTS)
def test_pages_are_the_whole_order_cut(maps: MapTable, sort: str, order: str):
    listing = Listing(maps)
    whole = expected(maps, Wanted(sort, order))
    got = []
    for offset in range(0, 490, 70):
        rows, matching = listing.page(Wanted(sort, order, offset=offset, limit=70))
        assert matching == 400
        got += rows.tolist()
    assert got == whole


@pytest.mark.parametrize(
    "about",
    [
        {"search": "STRING"}, {"search": "[int]"}, {"search": "no such"}, {"search": ".*"},
        *({"state": word} for word in STATES), *({"generation": word} for word in GENERATIONS),
        *({"confidence": word} for word in CONFIDENCES),
        {"search": "bool", "generation": "swiss", "confidence": "exact", "state": "steady"},
    ],
    ids=str,
)  # fmt: skip
def test_filters(maps: MapTable, about: dict[str, str]):
    wanted = Wanted(limit=400, **about)
    rows, matching = Listing(maps).page(wanted)
    assert rows.tolist() == expected(maps, wanted)
    assert matching == len(rows)


def test_no_maps_and_pages_behind_the_end(maps: MapTable):
    rows, matching = Listing(table()).page(Wanted())
    assert (len(rows), matching) == (0, 0)
    rows, matching = Listing(maps).page(Wanted(offset=400))
    assert (len(rows), matching) == (0, 400)
    rows, _ = Listing(maps).page(Wanted(offset=10**12 - 1, limit=0))
    assert not len(rows)


def test_first_of_random_keys():
    rng = np.random.default_rng(3)
    for size in (0, 1, 2, 17, 300):
        for most in (1, 3, 2**64 - 1):
            key = rng.integers(0, most, size, dtype=np.uint64, endpoint=True)
            whole = np.argsort(key, kind="stable").tolist()
            for offset in (0, 1, size // 2, size):
                for limit in (0, 1, 5, size + 3):
                    assert first(key, offset, limit).tolist() == whole[offset : offset + limit]
