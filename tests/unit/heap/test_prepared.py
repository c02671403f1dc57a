"""Chains that are made while the dominators are: the same, and made once."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np

from mapscope.goruntime.targets import build_targets
from mapscope.heap import holding as holding_module
from mapscope.heap.chains import Chains
from mapscope.heap.dominators import Dominators
from mapscope.heap.graph import RootKind
from mapscope.heap.holding import Holding
from tests.unit.heap.worlds import Model, PlainSteps, make
from tests.unit.kernels.heaps import MARKED, SpanPlan

PLANS = [SpanPlan(size=48, pages=1), SpanPlan(size=64, pages=2)]


def holding_of(model: Model) -> Holding:
    """One that asks the model in place of a heap."""
    graph = model.graph
    flags = np.zeros(len(model.world.slots), dtype=np.uint8)
    flags[graph.object_of(np.arange(graph.base, len(graph)))] = MARKED
    heap = SimpleNamespace(index=graph.index, state=SimpleNamespace(flags=flags, targets=build_targets(graph.index)))
    return Holding(heap, {}, objects=lambda: graph.objects)


def test_what_is_prepared_is_not_made_again(monkeypatch):
    model = make(PLANS, 0xC000000000, 17, [RootKind.GLOBAL, RootKind.GOROUTINE])
    goes_on, made = threading.Event(), []
    monkeypatch.setattr(holding_module, "join_roots", lambda *_: model.graph)
    monkeypatch.setattr(Holding, "_statics", None)
    monkeypatch.setattr(Holding, "_steps", property(lambda self: PlainSteps(self.graph)))
    columns = Chains.columns
    monkeypatch.setattr(Chains, "columns", lambda self, nodes: made.append(len(nodes)) or columns(self, nodes))
    nodes = np.arange(model.graph.base, len(model.graph))
    first, second = np.array_split(model.graph.address_of(nodes), 2)
    assert len(first) > 10
    plain = holding_of(model)
    assert not plain.prepare(first)  # nothing was started
    wanted = [plain.held(part.tolist()) for part in (first, second)]
    assert made == [len(first), len(second)]
    made.clear()
    monkeypatch.setattr(holding_module, "Dominators", lambda graph: goes_on.wait(30) and Dominators(graph))
    begun = holding_of(model)
    begun.start()
    try:
        assert begun.prepare(first)
    finally:
        goes_on.set()
    assert len(begun.dominators.idom) == len(model.graph)
    assert not begun.prepare(second)  # there is nothing left to wait for
    assert made == [len(first)]
    assert [begun.held(part.tolist()) for part in (first, second)] == wanted
    assert made == [len(first), len(second)]
    assert begun.held(first.tolist()) == wanted[0]
    assert made == [len(first), len(second), len(first)]  # it was kept for one question
