"""What is marked although no root reaches it hangs on a root of its own."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope.goruntime.targets import build_targets
from mapscope.heap import holding as holding_module
from mapscope.heap.edges import EdgeSearch
from mapscope.heap.graph import Graph, RootKind, _connect, reach
from mapscope.heap.holding import Holding
from tests.unit.heap.worlds import groups_of, pointees
from tests.unit.kernels.heaps import MARKED, STARTS, World, random_world, span_plans

SEEDS = st.integers(0, 1 << 32)
WORLDS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def unreached(plans, start: int, seed: int) -> tuple[World, np.ndarray, Graph]:
    """A heap of which everything is marked, and one variable that holds a few objects; no ways are known yet."""
    world = random_world(plans, start, seed)
    held = sorted(random.Random(seed).sample(range(len(world.slots)), min(3, len(world.slots))))
    flags = np.full(len(world.slots), MARKED, dtype=np.uint8)
    groups = groups_of([RootKind.GLOBAL], [held])
    return (
        world,
        flags,
        _connect(world.index, EdgeSearch(world.index, build_targets(world.index), flags).take(), groups),
    )


@WORLDS
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_all_is_reached(plans, start, seed):
    world, _, raw = unreached(plans, start, seed)
    count = len(world.slots)
    into = [{to for _, to in pointees(world, oid) if to != oid} for oid in range(count)]
    alone = reached(into, raw.object_of(raw.roots.word_target.astype(np.int64)).tolist())
    graph = reach(raw)
    assert (graph.before >= 0).all()
    strays = [oid for oid in range(count) if oid not in alone]
    assert (graph is raw) == (not strays)
    kinds = graph.roots.kind.tolist()
    assert kinds == [0, RootKind.GLOBAL, *[RootKind.UNKNOWN] * bool(strays)]
    if not strays:
        return
    words = graph.roots.words_of(len(kinds) - 1)
    hung = graph.object_of(graph.roots.word_target[words].astype(np.int64)).tolist()
    entered = set().union(*into)
    tops = [oid for oid in strays if oid not in entered]
    assert hung == (tops if reached(into, [*alone, *tops]) == set(range(count)) else strays)
    assert graph.roots.word_group[: words.start].tolist() == raw.roots.word_group.tolist()
    assert graph.object_of(graph.roots.word_target[: words.start].astype(np.int64)).tolist() == (
        raw.object_of(raw.roots.word_target.astype(np.int64)).tolist()
    )


def reached(into: list[set[int]], start: list[int]) -> set[int]:
    """What one gets to from ``start``."""
    seen, work = set(start), list(start)
    while work:
        more = into[work.pop()] - seen
        seen |= more
        work += more
    return seen


@pytest.mark.parametrize("begun", [False, True])
@WORLDS
@given(plans=span_plans(), start=STARTS, seed=SEEDS)
def test_the_tree_is_that_of_the_graph(monkeypatch, begun, plans, start, seed):
    _, flags, raw = unreached(plans, start, seed)
    heap = SimpleNamespace(index=raw.index, state=SimpleNamespace(flags=flags, targets=build_targets(raw.index)))
    monkeypatch.setattr(holding_module, "join_roots", lambda *_: raw)
    monkeypatch.setattr(Holding, "_statics", None)
    asked = Holding(heap, {}, objects=lambda: raw.objects)
    if begun:
        asked.start()
    tree = asked.dominators
    assert tree.graph is asked.graph
    assert (tree.idom >= 0).all()
    assert asked.dominators is tree
    assert int(tree.retained[0]) == int(asked.graph.shallow().sum())
