"""The table of the protocol is whole: what each state needs, every effect placed, no way back after the switch."""

from __future__ import annotations

import pytest

from mapscope.growth import protocol
from mapscope.growth.protocol import (
    BEFORE_SWITCH,
    FORWARD,
    PERMITTED,
    PLACES,
    STATES,
    TERMINAL,
    AfterCrash,
    Effect,
    Place,
    Resource,
    State,
    Writes,
    can_abandon,
    duties,
    may_exist,
    permitted,
)


def way(begin: State) -> list[State]:
    """The states that follow, step by step."""
    found = [begin]
    while found[-1] in FORWARD:
        found.append(FORWARD[found[-1]].after)
        assert len(found) <= len(State)
    return found


def test_every_state_has_facts_and_a_step_forward_or_is_an_end():
    assert set(STATES) == set(State)
    assert set(FORWARD) | TERMINAL == set(State)
    assert not set(FORWARD) & TERMINAL
    assert way(State.PLANNED)[-1] is State.CLEANED
    assert way(State.ABANDONING) == [State.ABANDONING, State.ABANDONED]
    assert set(way(State.PLANNED)) | set(way(State.ABANDONING)) == set(State)


def test_a_move_can_be_given_up_before_the_switch_and_only_there():
    order = way(State.PLANNED)
    switch = order.index(State.SWITCHED)
    assert tuple(order[:switch]) == BEFORE_SWITCH
    for state in State:
        assert can_abandon(state) is permitted(state, State.ABANDONING) is (state in order[:switch])
    later = set(order[switch:])
    assert {after for before, after in PERMITTED if before in later} <= later


def test_writes_wait_from_the_fence_to_the_release_and_never_elsewhere():
    waits = [state for state in way(State.PLANNED) if STATES[state].writes is Writes.WAIT]
    assert waits == [State.FENCED, State.CAUGHT_UP, State.SWITCHED]
    assert all((Resource.FENCE in STATES[state].resources) == (state in waits) for state in State)


def test_what_steps_make_and_remove_adds_up():
    for begin in (State.PLANNED, State.ABANDONING):
        there = set(STATES[begin].resources)
        for state in way(begin)[:-1]:
            step = FORWARD[state]
            assert step.before is state
            assert not step.makes & there
            there = (there | step.makes) - step.removes
            assert there == STATES[step.after].resources
            unrecorded = step.makes if step.after is not State.SWITCHED else frozenset()  # that one is its own record
            assert may_exist(state) >= STATES[state].resources | unrecorded
    assert not STATES[State.ABANDONED].resources
    assert STATES[State.CLEANED].resources == {Resource.TARGET_TABLE}
    assert may_exist(State.ABANDONING) >= set().union(*(may_exist(state) for state in BEFORE_SWITCH))


def test_every_effect_has_a_place_and_is_used_somewhere():
    assert set(PLACES) == set(Effect)
    used = {effect for step in FORWARD.values() for effect in step.effects}
    used |= {*protocol.RESTART_EFFECTS, *protocol.UNFENCE_EFFECTS, *protocol.TAKE_OVER_EFFECTS}
    assert {PLACES[effect] for effect in protocol.TAKE_OVER_EFFECTS} == {Place.SOURCE, Place.TARGET}
    assert used == set(Effect)


def test_a_restart_is_where_the_snapshot_is_lost():
    restarts = {state for state in State if STATES[state].after_crash is AfterCrash.RESTART}
    assert restarts == {State.SLOT_CREATED}
    assert permitted(State.SLOT_CREATED, State.PLANNED)
    assert duties(State.SLOT_CREATED) == protocol.RESTART_EFFECTS
    assert {state for state in State if duties(state)} == {State.SLOT_CREATED, State.STREAMING}
    assert {state for state in State if STATES[state].after_crash is AfterCrash.NOTHING} == TERMINAL


@pytest.mark.parametrize("state", State)
def test_states_are_explained(state: State):
    facts = STATES[state]
    assert facts.state is state
    assert facts.meaning
    assert facts.crash
    assert state in TERMINAL or FORWARD[state].guard
