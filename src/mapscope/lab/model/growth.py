"""One growth of the model of a release, write by write, as plain numbers: what a page draws of it."""

from __future__ import annotations

from dataclasses import dataclass

from mapscope.lab.model.classic import ClassicMap
from mapscope.lab.model.classicstate import state_of
from mapscope.lab.model.making import make
from mapscope.lab.model.swiss import SwissMap
from mapscope.lab.model.swissstate import tables_of

BUCKETS = 16
"""Buckets of the classic map whose growth is told."""
ENTRIES = 2000
"""Entries of the Swiss map at the end: its first table has been split by then."""
_PATIENCE = 200


@dataclass(frozen=True, slots=True)
class Step:
    """The map after one write.

    ``said``: what happened in it, in words of the runtime. ``facts``: fields of the header by name. ``old``: entries
    of each old bucket that still waits, -1 where it is evacuated. ``cells``: entries of each bucket, or of each table
    (Swiss); ``slots``: how many each could hold, without overflow buckets. ``bytes``: what the map keeps; ``old_bytes``
    of it is the old array.
    """

    said: str
    facts: dict[str, int]
    old: tuple[int, ...]
    cells: tuple[int, ...]
    slots: tuple[int, ...]
    bytes: int
    old_bytes: int


@dataclass(frozen=True, slots=True)
class Growth:
    """``release``: of the model. ``swiss``: which family. The first step is that before the growth begins."""

    release: str
    swiss: bool
    steps: tuple[Step, ...]


def growth(release: str) -> Growth:
    """The growth of ``map[int]int`` of a release (``1.23``). UsageError where there is no model of it."""
    model = make(release)
    if isinstance(model, ClassicMap):
        return Growth(release, False, tuple(_classic(model)))
    return Growth(release, True, tuple(_swiss(model)))


def _classic(model: ClassicMap) -> list[Step]:
    """From the write before ``hashGrow`` to the one that ends the evacuation."""
    steps: list[Step] = []
    key = 0
    while not _grows(model):
        before = _classic_step(model, "the last write before the growth")
        model.log = []
        key += 1
        model.assign(key, None)
        if _grows(model):
            steps.append(before)
    steps.append(_classic_step(model, _events(model)))
    for _ in range(_PATIENCE):
        model.log = []
        key += 1
        model.assign(key, None)
        steps.append(_classic_step(model, _events(model)))
        if not _grows(model):
            break
    return steps


def _grows(model: ClassicMap) -> bool:
    """Whether it is in the growth that is told."""
    return model.oldbuckets is not None and 1 << model.B == 2 * BUCKETS


def _events(model: ClassicMap | SwissMap) -> str:
    """``hashGrow, evacuate 0, evacuate 5``."""
    names = []
    for event in model.log or ():
        number = event.facts.get("oldbucket")
        names.append(event.name if number is None else f"{event.name} {number}")
    return ", ".join(names) or "nothing but the write"


def _classic_step(model: ClassicMap, said: str) -> Step:
    state, size = state_of(model), model.bytes()
    cells = tuple(_entries(chain) for chain in state.buckets)
    waiting = () if model.oldbuckets is None else model.oldbuckets.bmaps
    old = tuple(
        -1 if bucket.evacuated else _entries(chain) for bucket, chain in zip(waiting, state.oldbuckets, strict=False)
    )
    facts = {
        "count": model.count,
        "B": model.B,
        "nevacuate": model.nevacuate if model.oldbuckets is not None else 0,
        "noldbuckets": len(old),
    }
    return Step(said, facts, old, cells, (8,) * len(cells), size.total, size.oldbuckets)


def _entries(chain: object) -> int:
    """Full cells of a bucket and its overflow buckets: tophash above ``minTopHash`` (runtime/map.go)."""
    assert isinstance(chain, tuple)
    return sum(int(bucket.tophash[at : at + 2], 16) >= 5 for bucket in chain for at in range(0, len(bucket.tophash), 2))


def _swiss(model: SwissMap) -> list[Step]:
    """Each write that makes another array, with the one before the first of them."""
    steps: list[Step] = []
    shape: object = None
    for key in range(1, ENTRIES + 1):
        model.log = []
        model.assign(key, None)
        tables = tables_of(model)
        now = tuple((table.number, table.capacity) for table in tables)
        if now != shape:
            steps.append(_swiss_step(model, "one group of eight" if shape is None else _events(model)))
        shape = now
    steps.append(_swiss_step(model, "no more growth up to here"))
    return steps


def _swiss_step(model: SwissMap, said: str) -> Step:
    tables, size = tables_of(model), model.bytes()
    cells = tuple(table.used for table in tables) or (model.used,)
    slots = tuple(table.capacity for table in tables) or (8,)
    facts = {
        "used": model.used,
        "dirLen": len(model.directory),
        "globalDepth": model.globalDepth,
        "growthLeft": sum(table.growthLeft for table in tables) if tables else 8 - model.used,
    }
    return Step(said, facts, (), cells, slots, size.total, 0)
