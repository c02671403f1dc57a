"""The protocol of a move, explored exhaustively within small bounds; and protocols without a rule, which must fail."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.property.growth.checker import explore
from tests.property.growth.mutants import COVERED, MUTANTS, Mutant
from tests.property.growth.world import Bounds, Moving

PAGE = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "when-to-grow.md"
WORLDS = {
    "a ghost": Bounds(writers=1, writes=2, reader=False, crashes=1, ghosts=True),
    "two crashes": Bounds(writers=1, writes=2, reader=True, crashes=2, ghosts=False),
    "two writers": Bounds(writers=2, writes=1, reader=True, crashes=0, ghosts=False),
    "there and back": Bounds(writers=1, writes=1, reader=False, crashes=1, ghosts=False, moves=2),
    "the engine": Bounds(writers=1, writes=1, reader=False, crashes=1, ghosts=True),
    "two ghosts, there and back": Bounds(writers=1, writes=0, reader=False, crashes=2, ghosts=True, moves=2),
}


@cache
def whole(bounds: Bounds) -> str:
    """What is wrong with the protocol with all its rules."""
    return explore(Moving(bounds)).violation


@pytest.mark.parametrize("name", WORLDS)
def test_every_state_is_right_and_leads_to_an_end(name: str):
    result = explore(Moving(WORLDS[name], frozenset({"engine"} if name == "the engine" else ())))
    print(f"{name}: {result.report()}")
    assert not result.violation, result.report()
    row = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {name} |"))
    assert re.findall(r"[\d,]{4,}", row)[-2:] == [f"{result.states:,}", f"{result.transitions:,}"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_rule_left_out_does_harm(mutant: Mutant):
    result = explore(Moving(mutant.bounds, frozenset(mutant.without)))
    print(f"{mutant.name}: {result.report()}")
    assert mutant.harm in result.violation, result.report()
    assert not whole(mutant.bounds)
    assert f"| {mutant.name} | {result.violation} | {len(result.trace)} |" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("mutant", COVERED, ids=lambda mutant: mutant.name)
def test_a_second_rule_keeps_a_fault_from_harm(mutant: Mutant):
    result = explore(Moving(mutant.bounds, frozenset(mutant.without)))
    assert result.violation == mutant.harm, result.report()


def test_counterexamples_replay():
    model = Moving(MUTANTS[0].bounds, frozenset(MUTANTS[0].without))
    result = explore(model)
    world = model.initial
    for label in result.trace:
        found = [after for name, after in model.steps(world) if name == label]
        assert found, label
        world = found[-1] if len(found) > 1 else found[0]
    assert len(result.trace) > 10
    assert "writer 0 begins write 0 on node 0" in result.trace


def test_the_checker_finds_what_is_wrong_and_what_is_stuck():
    """On a counter whose states are known: 0 to 5, 3 is a trap, 4 is wrong on request."""

    def model(bad: int) -> SimpleNamespace:
        edges = {0: [1, 3], 1: [2], 2: [5, 4], 3: [3], 4: [5], 5: []}
        return SimpleNamespace(
            initial=0, steps=lambda at: [(f"to {to}", to) for to in edges[at]],
            wrong=lambda at: "four" if at == bad else "", wrong_step=lambda *_: "", good=lambda at: at == 5,
        )  # fmt: skip

    assert explore(model(4)).trace == ("to 1", "to 2", "to 4")
    assert explore(model(4)).violation == "four"
    stuck = explore(model(-1))
    assert (stuck.violation, stuck.trace) == ("from here no end can be reached", ("to 3",))
    assert stuck.states == 6
    with pytest.raises(AssertionError, match="more states"):
        explore(model(-1), most=3)
