"""Arrays cell by cell, and the top of the dominator tree, on cores of programs whose maps are known."""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapscope.errors import UsageError
from mapscope.heap.domtree import MOST_GROUPS
from mapscope.heap.fields import short_name
from mapscope.maps import cells
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

RUNS = [(Variant("1.23"), "maptypes"), (Variant("1.26"), "maptypes"), (Variant("1.23"), "findings", "stale")]


@functools.lru_cache(maxsize=1)
def observe(variant: Variant, program: str, *arguments: str) -> tuple[Snapshot, Any]:
    """The snapshot of a program, and what it says of itself."""
    executable = harness.build(program, variant)
    with tempfile.TemporaryDirectory(prefix="cells-") as name:
        with harness.running(executable, *arguments, folder=Path(name)) as running:
            core = harness.take_core(running, "capture", Path(name))
        return open_snapshot(core, executable), running.truth


@pytest.fixture(
    scope="module",
    params=[pytest.param(one, id="-".join(map(str, one)), marks=pytest.mark.xdist_group(str(one))) for one in RUNS],
)
def snapshot(request) -> Snapshot:
    """One of the runs."""
    return observe(*request.param)[0]


def test_every_entry_is_in_a_cell(snapshot):
    looked = 0
    for one in snapshot.maps:
        arrays = snapshot.cells(one.address)
        if not arrays:
            continue
        looked += 1
        assert all(array.complete and array.step == 1 for array in arrays)
        assert sum(int(array.entries.sum()) for array in arrays) == one.count, one.type_name
        by_name = {array.name: array for array in arrays}
        if one.is_swiss:
            assert by_name["groups"].units == len(by_name["groups"].entries) == one.groups
            assert int(by_name["groups"].extra.sum()) == one.tombstones
            continue
        assert by_name["buckets"].units == 1 << one.B
        assert int(by_name["buckets"].extra.sum()) == one.overflow_count
        assert ("oldbuckets" in by_name) == one.growing
        if one.growing:
            old = by_name["oldbuckets"]
            assert old.units == one.noldbuckets
            assert int(old.gone.sum()) == one.old_evacuated
            assert int(old.extra[~old.gone].sum()) == one.old_overflow_count
    assert looked > 3


def test_cells_and_histogram_agree(snapshot):
    """The histogram is counted by a kernel of its own."""
    for one in snapshot.maps:
        arrays = snapshot.cells(one.address)
        detail = snapshot.detail(one.address)
        counted = Counter(entries for array in arrays for entries in array.entries[~array.gone].tolist())
        told = {entries: count for entries, count in enumerate(detail.occupancy) if count}
        if one.growing:
            continue  # evacuated buckets count as empty there
        assert counted == told, one.type_name


def test_a_sample_is_spread_evenly(snapshot, monkeypatch):
    found = max(snapshot.maps, key=lambda one: one.capacity)
    whole = snapshot.cells(found.address)[0]
    monkeypatch.setattr(cells, "MOST_UNITS", whole.units // 3)
    part = snapshot.cells(found.address)[0]
    assert part.units == whole.units
    assert part.step >= 3
    assert len(part.entries) <= whole.units // 3
    assert part.entries.tolist() == whole.entries[:: part.step].tolist()
    assert part.extra.tolist() == whole.extra[:: part.step].tolist()


def test_an_address_without_a_map(snapshot):
    with pytest.raises(UsageError, match="there is no map"):
        snapshot.cells(0x123)


@pytest.mark.parametrize("most", [1, 5, 40, 100_000])
def test_the_tree_of_dominators(snapshot, most):
    dominators = snapshot.holding.dominators
    tree = snapshot.dominator_tree(most)
    rows = len(tree.parent)
    assert 0 < rows <= most or most == 1
    assert (tree.parent < np.arange(rows)).all(), "parents come first"
    assert tree.total == snapshot.heap.live_bytes
    known = {int(size) for size in dominators.retained}
    assert set(tree.retained.tolist()) <= known
    inside = Counter({-1: 0})
    for parent, size in zip(tree.parent.tolist(), tree.retained.tolist(), strict=True):
        inside[parent] += size
    for row in range(rows):
        children = inside.get(row, 0) + int(tree.left_out_bytes[row])
        assert children + int(tree.shallow[row]) == int(tree.retained[row])
    assert inside[-1] + tree.rest_bytes == tree.total
    if rows:
        largest = snapshot.dominators(1)[0]
        assert int(tree.retained[tree.parent == -1].max()) == largest.retained


def test_what_is_left_out_is_counted(snapshot):
    dominators = snapshot.holding.dominators
    tree = snapshot.dominator_tree(30)
    top = int((dominators.idom[1:][dominators.retained[1:] > 0] == 0).sum())
    assert int((tree.parent == -1).sum()) + tree.rest == top
    for row, step in enumerate(tree.steps.steps()):
        if step.kind != "object":
            continue
        (node,) = snapshot.holding._nodes(np.array([step.address], dtype=np.uint64)).tolist()
        below = dominators.children(int(node))
        below = below[dominators.retained[below] > 0]
        assert int((tree.parent == row).sum()) + int(tree.left_out[row]) == len(below)


def test_what_is_left_out_by_type(snapshot):
    """Against the types of the objects below the largest, one by one."""
    dominators, holding = snapshot.holding.dominators, snapshot.holding
    tree = snapshot.dominator_tree(1)
    assert len(tree.parent) <= 1
    below = dominators.children(0)
    below = below[dominators.retained[below] > 0]
    counted: Counter[int] = Counter()
    kept: Counter[int] = Counter()
    records = holding._heap.types.records
    for node in below.tolist():
        kind = int(holding._types[node])
        if kind >= 0 and (not len(tree.parent) or node != int(below[0])):
            counted[kind] += 1
            kept[kind] += int(dominators.retained[node])
    groups = tree.groups
    mine = groups.parent == -1
    told = {groups.names[at] for at in groups.name[mine].tolist()}
    wanted: Counter[str] = Counter()
    for kind, count in counted.items():
        if count > 1:
            wanted[short_name(records[kind].name)] += kept[kind]
    assert sum(groups.retained[mine].tolist()) == sum(wanted.values()) or len(groups.parent) == MOST_GROUPS
    assert told <= set(wanted)
