"""Chains, trees of chains and retained sizes on random heaps, against plain searches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope.heap import chains as chains_module
from mapscope.heap.chains import HEAD, TAIL, Chains
from mapscope.heap.dominators import Dominators
from mapscope.heap.graph import Graph, RootKind, RootTable
from tests.unit.heap.worlds import Model, PlainSteps, make
from tests.unit.kernels.heaps import STARTS, span_plans

PROPERTY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLAIN = [RootKind.GLOBAL, RootKind.GLOBAL, RootKind.GOROUTINE]
UNSURE = [*PLAIN, RootKind.UNSURE, RootKind.UNSURE_STACK, RootKind.UNSURE_STACK]


def nodes_of(chain) -> list[int]:
    return [step.address for step in chain]


def check_words(model: Model, chain) -> None:
    """Every step leads to the next through the first word that does."""
    for step, following in itertools.pairwise(chain):
        if step.kind == "object":
            assert step.field == f"+{model.words[step.address, following.address][0]}"
        else:
            assert following.address in model.edges[step.address]


@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=st.integers(0, 1 << 32))
def test_the_shortest_chain_to_everything(plans, start, seed):
    model = make(plans, start, seed, PLAIN)
    graph, far = model.graph, model.distances()
    assert set(far) == set(range(len(graph)))
    every = list(range(1, len(graph)))
    for node, chain in zip(every, Chains(graph, PlainSteps(graph)).shortest(every), strict=True):
        assert chain[-1].address == node
        if far[node] > HEAD + TAIL:
            assert len(chain) == HEAD + TAIL + 1
            assert chain[HEAD].kind == "skipped"
            continue
        assert len(chain) == far[node]
        check_words(model, chain)


@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=st.integers(0, 1 << 32))
def test_a_way_through_unsure_words_is_the_last_resort(plans, start, seed):
    model = make(plans, start, seed, UNSURE)
    graph = model.graph
    hub = graph.roots.find(RootKind.UNSURE, 0)
    sure = model.distances(without=hub)
    every = list(range(graph.base, len(graph)))
    for node, chain in zip(every, Chains(graph, PlainSteps(graph)).shortest(every), strict=True):
        kind = RootKind(int(graph.roots.kind[chain[0].address]))
        assert (kind is not RootKind.UNSURE_STACK) == (node in sure)
        assert hub not in nodes_of(chain)
        if node in sure and len(chain) <= HEAD + TAIL:
            assert len(chain) == sure[node]


@PROPERTY
@given(plans=span_plans(), start=STARTS, seed=st.integers(0, 1 << 32), data=st.data())
def test_all_chains_pass_every_holder_and_start_at_every_root(plans, start, seed, data):
    model = make(plans, start, seed, PLAIN)
    graph = model.graph
    node = data.draw(st.integers(graph.base, len(graph) - 1))
    found = Chains(graph, PlainSteps(graph)).all(node)
    without = model.distances(without=node)
    holders = {n for n, ends in enumerate(model.edges) if node in ends and n in without and n}
    assert found.referrers == len(holders)
    roots = {n for n in range(1, graph.base) if node in model.distances(n)}
    assert found.roots == len(roots)
    assert found.more == 0
    paths = [path for tree in found.trees for path in leaves(tree)]
    assert all(path[-1].step.address == node for path in paths)
    assert {path[0].step.address for path in paths} == roots
    short = [path for path in paths if len(path) <= HEAD + TAIL]
    assert sum(tree.chains for tree in found.trees) == found.chains
    if len(short) == len(paths):
        assert {path[-2].step.address for path in paths} == holders
        fields = {path[-2].step.field for path in paths if path[-2].step.kind == "object"}
        told = {f"+{at}" for holder in holders if holder >= graph.base for at in model.words[holder, node][:60]}
        assert told <= fields


def leaves(tree):
    """Every path of the tree, as lists of its nodes; a node that ends a chain and has children counts as well."""
    if not tree.children:
        yield [tree]
    for child in tree.children:
        for path in leaves(child):
            yield [tree, *path]


@PROPERTY
@given(plans=span_plans(most=3), start=STARTS, seed=st.integers(0, 1 << 32))
def test_retained_is_what_goes_with_it(plans, start, seed):
    model = make(plans, start, seed, UNSURE)
    found = Dominators(model.graph)
    there = set(model.distances())
    assert found.total == sum(model.sizes)
    assert model.graph.shallow().tolist() == model.sizes
    assert model.graph.sizes_of(np.arange(len(model.graph))).tolist() == model.sizes
    nodes = list(range(1, len(model.graph)))[:: max(1, len(model.graph) // 60)]
    for node in nodes:
        gone = there - set(model.distances(without=node))
        assert int(found.retained[node]) == sum(model.sizes[n] for n in gone)


def line(length: int, kind: RootKind = RootKind.GLOBAL) -> Graph:
    """A graph without a heap: one root, and a list of ``length`` nodes behind it."""
    nodes = length + 2
    none = np.zeros(0, dtype=np.int64)
    roots = RootTable(
        np.array([0, kind], dtype=np.uint8), np.zeros(2, dtype=np.uint64), np.zeros(2, dtype=np.int32),
        none.astype(np.int32), none.astype(np.uint64), none.astype(np.int32), none,
    )  # fmt: skip
    offsets = np.minimum(np.arange(nodes + 1), nodes - 1).astype(np.uint32)
    before = np.maximum(np.arange(nodes) - 1, 0).astype(np.int32)
    return Graph(None, none.astype(np.uint64), roots, offsets, np.arange(1, nodes, dtype=np.int32), before)


class NoWords(PlainSteps):
    """For graphs without a heap."""

    def root(self, node, child):
        return self.static(node - 1, 0, leads=False)

    def locate(self, sources, targets):
        return np.zeros(len(sources), dtype=np.int64)


@pytest.mark.parametrize("length", [HEAD + TAIL - 2, HEAD + TAIL - 1, HEAD + TAIL, HEAD + TAIL + 1, 1000])
def test_long_chains_lose_their_middle(length):
    graph = line(length)
    (chain,) = Chains(graph, NoWords(graph)).shortest([length + 1])
    if length + 1 <= HEAD + TAIL:
        assert nodes_of(chain) == list(range(1, length + 2))
        return
    assert nodes_of(chain) == [*range(1, HEAD + 1), 0, *range(length + 2 - TAIL, length + 2)]
    assert chain[HEAD].kind == "skipped"
    left = length + 1 - HEAD - TAIL
    assert chain[HEAD].name == f"{left} step{'s' if left > 1 else ''} left out"


def test_chains_to_every_node_of_a_long_list_take_one_climb():
    graph = line(200_000)
    chains = Chains(graph, NoWords(graph)).shortest(list(range(1, 200_002, 40)))
    assert len(chains) == 5001
    assert max(map(len, chains)) == HEAD + TAIL + 1


def test_what_is_left_out_of_all_chains_is_counted(monkeypatch):
    monkeypatch.setattr(chains_module, "MAX_CHAINS", 2)
    holders = 7
    offsets = np.array([0, 1, 1 + holders, *range(2 + holders, 2 + 2 * holders), 1 + 2 * holders])
    graph = line(holders + 1)
    graph.offsets = offsets.astype(np.uint32)
    graph.targets = np.array([1, *range(2, 2 + holders), *[2 + holders] * holders], dtype=np.int32)
    graph.before = np.array([0, 0, *[1] * holders, 2], dtype=np.int32)

    class Whole(Chains):
        def _other_fields(self, chains, node):
            return []

        def _merge(self, chains):
            return ()

    found = Whole(graph, NoWords(graph)).all(2 + holders)
    assert (found.chains, found.more, found.referrers, found.roots) == (2, holders - 2, holders, 1)
