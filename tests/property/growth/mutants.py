"""Protocols that are wrong on purpose: each leaves out rules, and must come to the harm that the rule prevents.

Where two rules cover one fault (``gaps`` and the last comparison), the row leaves out both, and ``covered`` holds each
alone: the move is then abandoned or nothing happens, but nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.property.growth.world import Bounds

SMALL = Bounds(writers=1, writes=2, reader=False, crashes=0, ghosts=False)
READS = Bounds(writers=1, writes=1, reader=True, crashes=0, ghosts=False)
CRASH = Bounds(writers=1, writes=1, reader=False, crashes=1, ghosts=False)
GHOST = Bounds(writers=1, writes=1, reader=False, crashes=1, ghosts=True)
QUIET = Bounds(writers=1, writes=0, reader=False, crashes=1, ghosts=True)


@dataclass(frozen=True, slots=True)
class Mutant:
    """``without`` as ``Moving`` takes it; ``harm`` is what the violation must say."""

    name: str
    without: tuple[str, ...]
    bounds: Bounds
    harm: str


MUTANTS = (
    Mutant("writers ignore the fence", ("fence",), SMALL, "an acknowledged write is not on node 1"),
    Mutant("the fence does not wait for writes under way", ("fence waits",), SMALL, "an acknowledged write is not"),
    Mutant("no fence at all", ("effect fence", "resources"), SMALL, "an acknowledged write is not on node 1"),
    Mutant("switch before caught up", ("caught up", "last comparison"), SMALL, "an acknowledged write is not on node"),
    Mutant("no waiting for the fenced LSN", ("effect await_catch_up",), SMALL, "an acknowledged write is not on node"),
    Mutant("a gap in the stream is applied", ("gaps", "last comparison"), SMALL, "writes out of order on node 1"),
    Mutant("replay is not idempotent", ("idempotent",), SMALL, "a write is twice on node 1"),
    Mutant("a reported LSN of 0 is believed", ("zero",), SMALL, "the checkpoint fell from LSN 1 to 0"),
    Mutant(
        "the copy is not of the slot's snapshot", ("slot's snapshot", "effect verify", "last comparison"), SMALL,
        "a write is twice on node 1",
    ),
    Mutant("a client's retry has no key", ("write key",), SMALL, "a write is twice on node 0"),
    Mutant("no epoch check", ("epoch check",), READS, "two nodes take writes"),
    Mutant("clean up before readers left", ("readers",), READS, "the rows under a reader are gone"),
    Mutant("the target opens before the source closes", ("close first",), READS, "misses an acknowledged write"),
    Mutant("the source is never closed", ("effect close_source", "resources"), READS, "misses an acknowledged write"),
    Mutant("the target is never opened", ("effect open_target",), READS, "no end can be reached"),
    Mutant("clean up while the stream stands", ("detach first", "resources"), READS, "write is not on node 1"),
    Mutant("a subscription is left behind", ("effect unsubscribe",), SMALL, "there is a subscription that should not"),
    Mutant("a slot is left behind", ("effect drop_slot",), SMALL, "that should not be"),
    Mutant("half a copy is left behind", ("effect drop_table",), SMALL, "there is a target table that should not be"),
    Mutant("the old copy stays", ("effect drop_source_copy",), SMALL, "there is a source copy that should not be"),
    Mutant("abandoned under the fence", ("effect lift_fence", "resources"), SMALL, "no end can be reached"),
    Mutant(
        "after a crash another snapshot is copied", ("restart", "effect verify", "last comparison"), CRASH,
        "a write is twice on node 1",
    ),
    Mutant("the new controller lifts no fence", ("duties",), CRASH, "writes wait at a fence"),
    Mutant("records without the token", ("token in records", "resources"), QUIET, "is the owner and has no rows"),
    Mutant("nodes take old tokens", ("token on nodes", "resources"), GHOST, "the checkpoint fell"),
    Mutant("the token is not shown first", ("engine", "shown"), GHOST, "there is a subscription that should not be"),
    Mutant("records without the old state", ("compare in records",), QUIET, "was followed by"),
)  # fmt: skip

COVERED = (
    Mutant("caught up, but the last comparison stands", ("caught up",), SMALL, ""),
    Mutant("no last comparison, but caught up", ("last comparison",), SMALL, ""),
    Mutant("a gap, but the last comparison stands", ("gaps",), SMALL, ""),
    Mutant("a late copy, but it is verified", ("slot's snapshot",), SMALL, ""),
)
"""Faults that a second rule keeps from doing harm; at worst the move can only be abandoned."""
