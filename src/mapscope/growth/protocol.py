"""The protocol of a move, as data: states, steps, effects, what exists when, and what a crash means.

One move brings one shard from a source node to a target node. The control database holds its state; a state says that
the step that leads to it is *complete*. A step is a row of effects, each of which may be done twice without harm,
and then one record in the control database. A crash between an effect and the record leaves what the step made, so
``may_exist`` of a state counts the next step's resources too.

Four rules keep a move safe, whoever crashes when. The controller keeps them, and the checker in the tests explores
this very table with and without each of them (docs/explanation/when-to-grow.md):

1. *A record is a comparison and a change in one.* It names the state it leaves and the controller's token, and fails
   where either is another: two controllers that both believe to be the one never both advance a move. A controller
   that takes a move over raises the token first.
2. *Nodes refuse old tokens.* Every effect on a node names the token; a node remembers the highest that it saw for
   the shard and refuses lower ones. So a late effect of a controller that was taken for dead does nothing. Slots and
   subscriptions are made and dropped by the engine, which knows no tokens (``ENGINE_EFFECTS``): so a controller that
   takes a move over shows its token to both nodes before anything else (``TAKE_OVER_EFFECTS``), and a late effect of
   that kind can cost the move, or leave a slot that the next controller finds, but no write.
3. *A decision comes before its effects.* The fence is lifted for good only after ABANDONING is recorded, the source is
   closed and the target opened only after SWITCHED is.
4. *A node accepts a write only at its own epoch.* It compares, in the transaction of the write, the epoch of the
   writer's route with its own row for the shard, and that the shard is its own and not fenced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a move is; the values are what the control database stores."""

    PLANNED = "planned"
    SLOT_CREATED = "slot_created"
    BASE_COPIED = "base_copied"
    INDEXES_MADE = "indexes_made"
    STREAMING = "streaming"
    VERIFIED = "verified"
    FENCED = "fenced"
    CAUGHT_UP = "caught_up"
    SWITCHED = "switched"
    RELEASED = "released"
    DETACHED = "detached"
    CLEANED = "cleaned"
    ABANDONING = "abandoning"
    ABANDONED = "abandoned"


class Resource(StrEnum):
    """What a move makes and must take away again. A slot that is left behind fills the source's disk."""

    PUBLICATION = "publication"
    SLOT = "slot"
    TARGET_TABLE = "target table"
    SUBSCRIPTION = "subscription"
    FENCE = "fence"
    SOURCE_COPY = "source copy"


class Place(StrEnum):
    """Where an effect is carried out, in one transaction of that database where the engine allows it."""

    CONTROL = "control"
    SOURCE = "source"
    TARGET = "target"


class Effect(StrEnum):
    """One action on one node. Each can be repeated: what it makes is made only where missing."""

    SHOW_SOURCE = "show_source"
    SHOW_TARGET = "show_target"
    CREATE_SLOT = "create_slot"
    CREATE_TABLE = "create_table"
    COPY_BASE = "copy_base"
    MAKE_INDEXES = "make_indexes"
    SUBSCRIBE = "subscribe"
    VERIFY = "verify"
    FENCE = "fence"
    AWAIT_CATCH_UP = "await_catch_up"
    SWITCH_ROUTE = "switch_route"
    CLOSE_SOURCE = "close_source"
    OPEN_TARGET = "open_target"
    UNSUBSCRIBE = "unsubscribe"
    DROP_SLOT = "drop_slot"
    AWAIT_READERS = "await_readers"
    DROP_SOURCE_COPY = "drop_source_copy"
    LIFT_FENCE = "lift_fence"
    DROP_TABLE = "drop_table"


class AfterCrash(StrEnum):
    """What a controller does that finds a move in a state at its start."""

    FORWARD = "forward"
    RESTART = "restart"
    NOTHING = "nothing"


class Writes(StrEnum):
    """Where a client's write to the shard goes."""

    SOURCE = "source"
    WAIT = "wait"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class StateFacts:
    """What holds in a state: ``resources`` are there for certain, ``after_crash`` says what a new controller does."""

    state: State
    meaning: str
    resources: frozenset[Resource]
    writes: Writes
    after_crash: AfterCrash
    crash: str


@dataclass(frozen=True, slots=True)
class Step:
    """From one state to the next: the effects in their order, then the record.

    ``makes`` and ``removes`` are the resources that appear and go; ``guard`` says what must hold at the record.
    """

    before: State
    after: State
    effects: tuple[Effect, ...]
    makes: frozenset[Resource]
    removes: frozenset[Resource]
    guard: str


PLACES: Mapping[Effect, Place] = MappingProxyType(
    {
        Effect.SHOW_SOURCE: Place.SOURCE,
        Effect.SHOW_TARGET: Place.TARGET,
        Effect.CREATE_SLOT: Place.SOURCE,
        Effect.CREATE_TABLE: Place.TARGET,
        Effect.COPY_BASE: Place.TARGET,
        Effect.MAKE_INDEXES: Place.TARGET,
        Effect.SUBSCRIBE: Place.TARGET,
        Effect.VERIFY: Place.TARGET,
        Effect.FENCE: Place.SOURCE,
        Effect.AWAIT_CATCH_UP: Place.TARGET,
        Effect.SWITCH_ROUTE: Place.CONTROL,
        Effect.CLOSE_SOURCE: Place.SOURCE,
        Effect.OPEN_TARGET: Place.TARGET,
        Effect.UNSUBSCRIBE: Place.TARGET,
        Effect.DROP_SLOT: Place.SOURCE,
        Effect.AWAIT_READERS: Place.SOURCE,
        Effect.DROP_SOURCE_COPY: Place.SOURCE,
        Effect.LIFT_FENCE: Place.SOURCE,
        Effect.DROP_TABLE: Place.TARGET,
    }
)
"""Where each effect is carried out."""

_NOTHING: frozenset[Resource] = frozenset()
_SOURCE_SIDE = frozenset({Resource.PUBLICATION, Resource.SLOT})
_COPY = _SOURCE_SIDE | {Resource.TARGET_TABLE}
_STREAM = _COPY | {Resource.SUBSCRIPTION}
_FENCED = _STREAM | {Resource.FENCE}


def _table(*rows: StateFacts) -> Mapping[State, StateFacts]:
    return MappingProxyType({row.state: row for row in rows})


STATES = _table(
    StateFacts(
        State.PLANNED, "the move is written down; nothing was done", _NOTHING, Writes.SOURCE, AfterCrash.FORWARD,
        "a slot of this move may be left from a step that was not recorded: it is dropped and made anew",
    ),
    StateFacts(
        State.SLOT_CREATED, "the source keeps its WAL from one LSN on, and a snapshot of that LSN is exported",
        _SOURCE_SIDE, Writes.SOURCE, AfterCrash.RESTART,
        "the exported snapshot went with the session that made it, so slot and half a copy are dropped and the move "
        "is planned again",
    ),
    StateFacts(
        State.BASE_COPIED, "the target has every row of the snapshot, committed", _COPY, Writes.SOURCE,
        AfterCrash.FORWARD, "the copy was one transaction: it is whole",
    ),
    StateFacts(
        State.INDEXES_MADE, "the target has its primary key, indexes and replica identity", _COPY, Writes.SOURCE,
        AfterCrash.FORWARD, "the subscription is made where it is missing",
    ),
    StateFacts(
        State.STREAMING, "the target applies what the source commits", _STREAM, Writes.SOURCE, AfterCrash.FORWARD,
        "the engine streams without a controller; a fence that was to be lifted is lifted first",
    ),
    StateFacts(
        State.VERIFIED, "counts and checksums of every range were equal, and the lag is short", _STREAM, Writes.SOURCE,
        AfterCrash.FORWARD, "what was verified stays so: replay is idempotent by LSN",
    ),
    StateFacts(
        State.FENCED, "writes to the shard wait at the source; the LSN of the last one is recorded", _FENCED,
        Writes.WAIT, AfterCrash.FORWARD,
        "catch-up goes on; where it takes longer than a client may wait, the fence is lifted and the move streams on",
    ),
    StateFacts(
        State.CAUGHT_UP, "the target has applied the fenced LSN, and the last comparison was equal", _FENCED,
        Writes.WAIT, AfterCrash.FORWARD, "the switch is one transaction: it was done or it was not",
    ),
    StateFacts(
        State.SWITCHED, "the route names the target, its epoch is one higher; from here only forward",
        _FENCED | {Resource.SOURCE_COPY}, Writes.WAIT, AfterCrash.FORWARD,
        "clients wait until the source is closed and the target opened: that comes before all else",
    ),
    StateFacts(
        State.RELEASED, "the source refuses the old epoch, the target accepts the new one",
        _STREAM | {Resource.SOURCE_COPY}, Writes.TARGET, AfterCrash.FORWARD,
        "nobody waits; the stream is taken down before anything of the source is deleted, or the target would follow",
    ),
    StateFacts(
        State.DETACHED, "subscription, slot and publication are gone; old readers may still be at the source",
        frozenset({Resource.TARGET_TABLE, Resource.SOURCE_COPY}), Writes.TARGET, AfterCrash.FORWARD,
        "the source's rows go when no reader of the old epoch is left",
    ),
    StateFacts(
        State.CLEANED, "the source holds nothing of the shard; the move is over",
        frozenset({Resource.TARGET_TABLE}), Writes.TARGET, AfterCrash.NOTHING, "nothing",
    ),
    StateFacts(
        State.ABANDONING, "it was decided to give the move up, with the reason; it is being undone", _NOTHING,
        Writes.SOURCE, AfterCrash.FORWARD, "the fence is lifted first, then everything that may exist is dropped",
    ),
    StateFacts(
        State.ABANDONED, "given up; the source is the owner as before and nothing is left", _NOTHING, Writes.SOURCE,
        AfterCrash.NOTHING, "nothing",
    ),
)  # fmt: skip
"""Facts of each state. In ABANDONING writes may still wait for a moment, and what exists is what the move had."""


def _step(before: State, after: State, effects: tuple[Effect, ...], guard: str) -> Step:
    had, has = STATES[before].resources, STATES[after].resources
    return Step(before, after, effects, has - had, had - has, guard)


FORWARD: Mapping[State, Step] = MappingProxyType(
    {
        step.before: step
        for step in (
            _step(
                State.PLANNED, State.SLOT_CREATED, (Effect.CREATE_SLOT,),
                "no other move of the shard is under way; the table has a replica identity",
            ),
            _step(
                State.SLOT_CREATED, State.BASE_COPIED, (Effect.CREATE_TABLE, Effect.COPY_BASE),
                "copied in one transaction at the slot's own snapshot, by the session that still holds it",
            ),
            _step(State.BASE_COPIED, State.INDEXES_MADE, (Effect.MAKE_INDEXES,), "the indexes are valid"),
            _step(
                State.INDEXES_MADE, State.STREAMING, (Effect.SUBSCRIBE,),
                "the subscription takes the move's own slot and copies nothing itself",
            ),
            _step(
                State.STREAMING, State.VERIFIED, (Effect.VERIFY,),
                "each range was equal once at one LSN of both; the lag is shorter than a client may wait",
            ),
            _step(
                State.VERIFIED, State.FENCED, (Effect.FENCE,),
                "no write of the shard is under way at the source; fence_lsn is read after that",
            ),
            _step(
                State.FENCED, State.CAUGHT_UP, (Effect.AWAIT_CATCH_UP,),
                "the LSN that the target has applied is not below fence_lsn; counts are equal",
            ),
            _step(
                State.CAUGHT_UP, State.SWITCHED, (Effect.SWITCH_ROUTE,),
                "route and state change in one transaction of the control database; the epoch rises by one",
            ),
            _step(
                State.SWITCHED, State.RELEASED, (Effect.CLOSE_SOURCE, Effect.OPEN_TARGET),
                "the source has the new epoch and is not the owner before the target accepts a write",
            ),
            _step(
                State.RELEASED, State.DETACHED, (Effect.UNSUBSCRIBE, Effect.DROP_SLOT),
                "no slot, publication or subscription of the move is left",
            ),
            _step(
                State.DETACHED, State.CLEANED, (Effect.AWAIT_READERS, Effect.DROP_SOURCE_COPY),
                "no reader of the old epoch is left, and the source is not the owner again",
            ),
            _step(
                State.ABANDONING, State.ABANDONED,
                (Effect.LIFT_FENCE, Effect.UNSUBSCRIBE, Effect.DROP_SLOT, Effect.DROP_TABLE),
                "nothing of the move is left on either node",
            ),
        )
    }
)  # fmt: skip
"""The one step forward from each state that has one. The record of SWITCHED is the switch itself."""

TAKE_OVER_EFFECTS = (Effect.SHOW_SOURCE, Effect.SHOW_TARGET)
"""What a controller does first with a move that it finds: each node gets to know the token."""

ENGINE_EFFECTS = frozenset({Effect.CREATE_SLOT, Effect.UNSUBSCRIBE, Effect.DROP_SLOT})
"""Effects that cannot be one transaction with the comparison of the token."""

RESTART_EFFECTS = (Effect.UNSUBSCRIBE, Effect.DROP_SLOT, Effect.DROP_TABLE)
"""Before a move in SLOT_CREATED is PLANNED again."""

UNFENCE_EFFECTS = (Effect.LIFT_FENCE,)
"""After FENCED or CAUGHT_UP was recorded as STREAMING again because clients have waited long enough."""

BEFORE_SWITCH = (
    State.PLANNED, State.SLOT_CREATED, State.BASE_COPIED, State.INDEXES_MADE, State.STREAMING, State.VERIFIED,
    State.FENCED, State.CAUGHT_UP,
)  # fmt: skip
"""States that can be abandoned, in their order."""

TERMINAL = frozenset({State.CLEANED, State.ABANDONED})
"""States that no move leaves; a shard in none but these may be planned again."""

PERMITTED: frozenset[tuple[State, State]] = frozenset(
    {
        *((step.before, step.after) for step in FORWARD.values()),
        *((state, State.ABANDONING) for state in BEFORE_SWITCH),
        (State.SLOT_CREATED, State.PLANNED),
        (State.FENCED, State.STREAMING),
        (State.CAUGHT_UP, State.STREAMING),
    }
)
"""Every change of state that may be recorded."""


def permitted(before: State, after: State) -> bool:
    """Whether a move in ``before`` may be recorded as ``after``."""
    return (before, after) in PERMITTED


def can_abandon(state: State) -> bool:
    """Whether a move in ``state`` can still be given up: before the switch, and only there."""
    return state in BEFORE_SWITCH


def may_exist(state: State) -> frozenset[Resource]:
    """What may lie on the nodes while the record says ``state``.

    Its own resources, those of a step that did not get recorded, and in STREAMING a fence that is yet to be lifted. A
    resource outside this set that bears the move's name was left behind and may be dropped.
    """
    if state is State.ABANDONING:
        return _FENCED
    if state is State.STREAMING:
        return _FENCED
    step = FORWARD.get(state)
    if step is None or step.after is State.SWITCHED:  # the switch is its own record
        return STATES[state].resources
    return STATES[state].resources | step.makes


def duties(state: State) -> tuple[Effect, ...]:
    """What a controller that finds a move in ``state`` does after ``TAKE_OVER_EFFECTS``.

    It takes away what a restart makes anew, or lifts the fence that was to be lifted when STREAMING was recorded again.
    """
    if STATES[state].after_crash is AfterCrash.RESTART:
        return RESTART_EFFECTS
    return UNFENCE_EFFECTS if state is State.STREAMING else ()
