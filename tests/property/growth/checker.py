"""A small explicit-state checker: every state that can be reached, breadth first, so that counterexamples are shortest.

A model has ``initial``, ``steps(state)`` (pairs of a label and the next state), ``wrong(state)`` and
``wrong_step(before, label, after)`` (what an invariant says, or nothing), and ``good(state)`` (where it may end).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol


class Model(Protocol):
    initial: Hashable

    def steps(self, state) -> Iterable[tuple[str, Hashable]]: ...

    def wrong(self, state) -> str: ...

    def wrong_step(self, before, label: str, after) -> str: ...

    def good(self, state) -> bool: ...


@dataclass(frozen=True, slots=True)
class Result:
    """What exploring gave: ``violation`` is empty where all is right; ``trace`` leads to the first wrong state."""

    states: int
    transitions: int
    violation: str
    trace: tuple[str, ...]

    def report(self) -> str:
        head = f"{self.states:,} states, {self.transitions:,} transitions"
        if not self.violation:
            return head
        return "\n".join([f"{head}: {self.violation}", *(f"  {i:2}. {step}" for i, step in enumerate(self.trace, 1))])


def explore(model: Model, most: int = 2_000_000) -> Result:
    """Explores all states of ``model``, or up to the first that is wrong; more than ``most`` states are an error.

    When no state is wrong, it is looked for one from which no good state can be reached.
    """
    number: dict[Hashable, int] = {model.initial: 0}
    states = [model.initial]
    parents: list[tuple[int, str]] = [(-1, "")]
    into: list[list[int]] = [[]]
    queue = deque([0])
    transitions = 0
    said = model.wrong(model.initial)
    if said:
        return Result(1, 0, said, ())
    while queue:
        at = queue.popleft()
        state = states[at]
        for label, after in model.steps(state):
            transitions += 1
            known = number.get(after)
            said = model.wrong_step(state, label, after)
            if known is None:
                known = number[after] = len(states)
                states.append(after)
                parents.append((at, label))
                into.append([])
                queue.append(known)
                said = said or model.wrong(after)
                assert len(states) <= most, "more states than expected: the bounds are too wide"
            into[known].append(at)
            if said:
                return Result(len(states), transitions, said, (*_trace(parents, at), label))
    stuck = _stuck([model.good(state) for state in states], into)
    if stuck is not None:
        return Result(len(states), transitions, "from here no end can be reached", _trace(parents, stuck))
    return Result(len(states), transitions, "", ())


def _trace(parents: list[tuple[int, str]], at: int) -> tuple[str, ...]:
    found: list[str] = []
    while parents[at][0] >= 0:
        at, label = parents[at][0], parents[at][1]
        found.append(label)
    return tuple(reversed(found))


def _stuck(good: list[bool], into: list[list[int]]) -> int | None:
    """The first state from which no good one can be reached, going backwards from the good ones."""
    reaches = list(good)
    queue = deque(at for at, yes in enumerate(good) if yes)
    while queue:
        for before in into[queue.popleft()]:
            if not reaches[before]:
                reaches[before] = True
                queue.append(before)
    return next((at for at, yes in enumerate(reaches) if not yes), None)
