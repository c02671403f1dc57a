"""The world in which a move happens, as the checker explores it: its steps are those of ``mapscope.growth.protocol``.

Two nodes, one shard, a control database, a controller that may die or be taken for dead while it is not (the *ghost*,
which goes on with what it was about to do), writers and a reader with cached routes, and a replication stream that
loses, repeats and delays. LSNs count rows: the row at LSN n is the n-th write. Ghost, writers and stream move at any
time between two effects of the controller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from mapscope.growth.protocol import (
    ENGINE_EFFECTS,
    FORWARD,
    PLACES,
    STATES,
    TAKE_OVER_EFFECTS,
    TERMINAL,
    UNFENCE_EFFECTS,
    AfterCrash,
    Effect,
    Place,
    Resource,
    State,
    can_abandon,
    duties,
    may_exist,
    permitted,
)

IDLE, BEGUN, COMMITTED = range(3)
ORDER = list(State)


class Node(NamedTuple):
    """One server: its own row for the shard, the shard's rows, and both ends of replication."""

    epoch: int
    owner: bool
    fence: bool
    seen: int  # highest token
    rows: tuple[int, ...] | None
    applied: int  # LSN of the source up to which rows were applied, kept with the rows
    slot: int  # LSN from which the WAL is kept; -1: no slot
    subscribed: bool
    sent: int  # where the stream stands


class Record(NamedTuple):
    """The control database: the route and the move."""

    owner: int
    epoch: int
    number: int
    state: State
    token: int
    source: int
    fence_lsn: int


class Controller(NamedTuple):
    """One controller: the effects before its next record, and that record (None: it has to choose)."""

    number: int
    token: int
    state: State
    source: int
    todo: tuple[Effect, ...]
    record: State | None
    fence_lsn: int
    snapshot: int  # the LSN of the snapshot that its session holds; -1: none


class Writer(NamedTuple):
    """A client that writes its numbers in order: those below ``acked`` were acknowledged."""

    acked: int
    phase: int
    node: int
    epoch: int


class World(NamedTuple):
    record: Record
    nodes: tuple[Node, Node]
    controller: Controller | None
    ghost: Controller | None
    writers: tuple[Writer, ...]
    reader: tuple[int, int, int]  # route's node and epoch as cached; the node where it reads, -1: none
    crashes: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large the world is."""

    writers: int = 1
    writes: int = 2
    reader: bool = True
    crashes: int = 1
    ghosts: bool = True
    moves: int = 1


class Moving:
    """The model. ``without`` names rules that are left out, to see that each is needed; ``resources`` the invariant.

    ``engine``: the effects of ``ENGINE_EFFECTS`` compare no token, as it is with PostgreSQL.
    """

    def __init__(self, bounds: Bounds, without: frozenset[str] = frozenset()) -> None:
        self.bounds = bounds
        self.without = without
        here = Node(1, True, False, 0, (), 0, -1, False, 0)
        there = Node(0, False, False, 0, None, 0, -1, False, 0)
        self.initial = World(
            Record(0, 1, 1, State.PLANNED, 0, 0, 0), (here, there), None, None,
            tuple(Writer(0, IDLE, 0, 1) for _ in range(bounds.writers)), (0, 1, -1), 0,
        )  # fmt: skip

    # --- what can happen -------------------------------------------------------------------------------------------

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        yield from self._controllers(world)
        yield from self._stream(world)
        for at in range(len(world.writers)):
            yield from self._writer(world, at)
        if self.bounds.reader:
            yield from self._reader(world)

    def _controllers(self, world: World) -> Iterator[tuple[str, World]]:
        record, controller = world.record, world.controller
        if controller is None:
            if record.state not in TERMINAL:
                token = record.token + 1
                todo = (*TAKE_OVER_EFFECTS, *duties(record.state))
                if "shown" in self.without:
                    todo = duties(record.state)
                back = State.PLANNED if STATES[record.state].after_crash is AfterCrash.RESTART else None
                new = Controller(record.number, token, record.state, record.source, todo, back, record.fence_lsn, -1)
                if "restart" in self.without and back is not None:
                    new = new._replace(todo=TAKE_OVER_EFFECTS, record=None)
                if "duties" in self.without and back is None:
                    new = new._replace(todo=TAKE_OVER_EFFECTS)
                yield "a controller takes over", world._replace(record=record._replace(token=token), controller=new)
            elif record.number < self.bounds.moves:
                again = record._replace(number=record.number + 1, state=State.PLANNED, source=record.owner, fence_lsn=0)
                yield "the shard is planned again", world._replace(record=again)
        else:
            if world.crashes < self.bounds.crashes:
                dead = world._replace(controller=None, crashes=world.crashes + 1)
                yield "the controller dies", dead
                if self.bounds.ghosts and world.ghost is None:
                    yield "the controller is taken for dead", dead._replace(ghost=controller)
            for label, after, left in self._acts(world, controller):
                yield label, after._replace(controller=left)
        if world.ghost is not None:
            for label, after, left in self._acts(world, world.ghost):
                yield f"ghost: {label}", after._replace(ghost=left)

    def _acts(self, world: World, who: Controller) -> Iterator[tuple[str, World, Controller | None]]:
        if who.todo:
            effect = who.todo[0]
            done = self._effect(world, who, effect)
            if done is not None:
                after, left = done
                yield str(effect), after, left
        elif who.record is not None:
            yield self._recorded(world, who, who.record)
        else:
            step = FORWARD.get(who.state)
            if step is None:
                return
            effects = self._effects(who.state, step.effects)
            yield from self._acts(world, who._replace(todo=effects, record=step.after))
            if can_abandon(who.state):
                yield self._recorded(world, who, State.ABANDONING)
            if permitted(who.state, State.STREAMING) and who.state is not State.INDEXES_MADE:
                yield self._recorded(world, who, State.STREAMING)

    def _effects(self, state: State, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
        """Those on the nodes; what happens in the control database is the record itself."""
        effects = tuple(
            effect
            for effect in effects
            if PLACES[effect] is not Place.CONTROL and f"effect {effect}" not in self.without
        )
        if "close first" in self.without and state is State.SWITCHED:
            return tuple(reversed(effects))
        if "detach first" in self.without and state is State.RELEASED:
            return (Effect.AWAIT_READERS, Effect.DROP_SOURCE_COPY, *effects)
        return effects

    def _recorded(self, world: World, who: Controller, state: State) -> tuple[str, World, Controller | None]:
        """A comparison and a change in one; who loses it stops."""
        old = world.record
        same = old.state is who.state and old.number == who.number
        if "token in records" not in self.without:
            same = same and old.token == who.token
        if "compare in records" in self.without:
            same = old.state not in TERMINAL
        if not same:
            return f"records {state}: refused, another did", world, None
        new = old._replace(state=state)
        if state is State.FENCED:
            new = new._replace(fence_lsn=who.fence_lsn)
        if state is State.SWITCHED:
            new = new._replace(owner=1 - old.source, epoch=old.epoch + 1)
        todo = UNFENCE_EFFECTS if state is State.STREAMING and who.state is not State.INDEXES_MADE else ()
        left = who._replace(state=state, todo=todo, record=None, fence_lsn=new.fence_lsn)
        return f"records {state}", world._replace(record=new), None if state in TERMINAL else left

    # --- effects ---------------------------------------------------------------------------------------------------

    def _effect(self, world: World, who: Controller, effect: Effect) -> tuple[World, Controller | None] | None:
        """After ``effect``; None while it must wait. A node that saw a higher token refuses; the controller stops."""
        left = who._replace(todo=who.todo[1:])
        at = who.source if PLACES[effect] is Place.SOURCE else 1 - who.source
        node, other = world.nodes[at], world.nodes[1 - at]
        late = effect in ENGINE_EFFECTS and "engine" in self.without
        if "token on nodes" not in self.without and not late:
            if who.token < node.seen:
                return world, None
            node = node._replace(seen=who.token)
        match effect:
            case Effect.CREATE_SLOT:
                node = node._replace(slot=len(node.rows or ()))
                left = left._replace(snapshot=node.slot)
            case Effect.CREATE_TABLE:
                node = node if node.rows is not None else node._replace(rows=(), applied=0)
            case Effect.COPY_BASE:
                if other.rows is None or node.rows is None:
                    return world, None  # only where a rule is left out: the copy fails
                mine = who.snapshot >= 0 and "slot's snapshot" not in self.without
                assert mine or self.without
                upto = who.snapshot if mine else len(other.rows)
                node = node._replace(
                    rows=node.rows + other.rows[:upto], applied=who.snapshot if who.snapshot >= 0 else other.slot
                )
            case Effect.SUBSCRIBE:
                node = node if node.subscribed else node._replace(subscribed=True, sent=max(other.slot, 0))
            case Effect.VERIFY:
                if other.rows is None or node.rows != other.rows[: node.applied]:
                    return None
            case Effect.FENCE:
                if "fence waits" not in self.without and self._writing(world, at):
                    return None
                assert node.rows is not None
                left = left._replace(fence_lsn=len(node.rows))
                node = node._replace(fence=True)
            case Effect.AWAIT_CATCH_UP:
                if "caught up" not in self.without and node.applied < who.fence_lsn:
                    return None
                if "last comparison" not in self.without and (node.rows is None or len(node.rows) != who.fence_lsn):
                    return None
            case Effect.CLOSE_SOURCE:
                if node.epoch <= world.record.epoch:
                    node = node._replace(epoch=world.record.epoch, owner=False, fence=False)
                    if "epoch check" in self.without:
                        node = node._replace(owner=True)
            case Effect.OPEN_TARGET:
                node = node._replace(epoch=world.record.epoch, owner=True)
            case Effect.UNSUBSCRIBE:
                node = node._replace(subscribed=False, sent=0)
            case Effect.DROP_SLOT:
                node = node._replace(slot=-1)
            case Effect.AWAIT_READERS:
                if "readers" not in self.without and world.reader[2] == at:
                    return None
            case Effect.DROP_SOURCE_COPY:
                if not node.owner or "not the owner" in self.without:
                    node = node._replace(rows=None, applied=0)
                    if other.subscribed:
                        other = other._replace(rows=())
            case Effect.LIFT_FENCE:
                node = node._replace(fence=False)
            case Effect.DROP_TABLE:
                if not node.owner or "not the owner" in self.without:
                    node = node._replace(rows=None, applied=0)
            case _:
                pass
        nodes = (node, other) if at == 0 else (other, node)
        return world._replace(nodes=nodes), left

    def _writing(self, world: World, at: int) -> bool:
        return any(writer.phase == BEGUN and writer.node == at for writer in world.writers)

    # --- replication -----------------------------------------------------------------------------------------------

    def _stream(self, world: World) -> Iterator[tuple[str, World]]:
        for at in (0, 1):
            node, source = world.nodes[at], world.nodes[1 - at]
            if not node.subscribed or source.slot < 0 or source.rows is None or node.rows is None:
                continue

            def put(new: Node, at: int = at) -> World:
                return world._replace(nodes=(new, world.nodes[1]) if at == 0 else (world.nodes[0], new))

            if node.sent < len(source.rows):
                lsn = node.sent + 1
                got = node._replace(sent=lsn)
                yield "a change is lost", put(got)
                fresh = lsn == node.applied + 1
                if fresh or "idempotent" in self.without or ("gaps" in self.without and lsn > node.applied):
                    got = got._replace(rows=(*node.rows, source.rows[node.sent]), applied=max(lsn, node.applied))
                yield f"a change arrives, LSN {lsn}", put(got)
            for back in range(source.slot, min(node.applied, node.sent)):
                yield f"the stream begins again behind LSN {back}", put(node._replace(sent=back))
            if node.sent > node.applied:
                yield "the stream begins again", put(node._replace(sent=node.applied))
            if "zero" in self.without and node.applied:
                yield "the receiver restarts and believes LSN 0", put(node._replace(applied=0, sent=source.slot))

    # --- clients ---------------------------------------------------------------------------------------------------

    def _writer(self, world: World, index: int) -> Iterator[tuple[str, World]]:
        writer = world.writers[index]
        number = index * 10 + writer.acked
        name = f"writer {index}"

        def put(new: Writer) -> World:
            return world._replace(writers=(*world.writers[:index], new, *world.writers[index + 1 :]))

        if writer.phase == IDLE:
            route = (world.record.owner, world.record.epoch)
            if (writer.node, writer.epoch) != route:
                yield f"{name} reads the route", put(writer._replace(node=route[0], epoch=route[1]))
            node = world.nodes[writer.node]
            fits = node.epoch == writer.epoch or "epoch check" in self.without
            fenced = node.fence and "fence" not in self.without
            if writer.acked < self.bounds.writes and node.owner and fits and not fenced:
                yield f"{name} begins write {number} on node {writer.node}", put(writer._replace(phase=BEGUN))
        elif writer.phase == BEGUN:
            node = world.nodes[writer.node]
            if node.rows is not None:
                after = put(writer._replace(phase=COMMITTED))
                if number not in node.rows or "write key" in self.without:
                    new = node._replace(rows=(*node.rows, number))
                    nodes = (new, world.nodes[1]) if writer.node == 0 else (world.nodes[0], new)
                    after = after._replace(nodes=nodes)
                yield f"{name} commits {number} on node {writer.node}", after
            yield f"{name}: write {number} is rolled back", put(writer._replace(phase=IDLE))
        else:
            yield f"{name} has {number} acknowledged", put(writer._replace(phase=IDLE, acked=writer.acked + 1))
            yield f"{name}: the acknowledgement of {number} is lost", put(writer._replace(phase=IDLE))

    def _reader(self, world: World) -> Iterator[tuple[str, World]]:
        at, epoch, reading = world.reader
        if reading >= 0:
            yield "the reader ends", world._replace(reader=(at, epoch, -1))
            return
        route = (world.record.owner, world.record.epoch)
        if (at, epoch) != route:
            yield "the reader reads the route", world._replace(reader=(*route, -1))
        node = world.nodes[at]
        if node.owner and (node.epoch == epoch or "epoch check" in self.without):
            yield f"the reader begins on node {at}", world._replace(reader=(at, epoch, at))

    # --- what must hold --------------------------------------------------------------------------------------------

    def wrong(self, world: World) -> str:
        record, nodes = world.record, world.nodes
        if sum(node.owner and not node.fence for node in nodes) > 1:
            return "two nodes take writes"
        said = self._contents(world, record.owner)
        if said:
            return said
        reading = world.reader[2]
        if reading >= 0 and nodes[reading].rows is None:
            return "the rows under a reader are gone"
        who = world.controller
        deciding = who is not None and who.state is record.state and not who.todo and who.record is None
        if deciding and record.state is State.STREAMING and nodes[record.source].fence:
            return "writes wait at a fence that nobody is about to lift or to use"
        return "" if "resources" in self.without else self._resources(world)

    def _contents(self, world: World, at: int) -> str:
        """Of the owner by the route: every acknowledged write once, in order, and nothing out of order."""
        rows = world.nodes[at].rows
        if rows is None:
            return f"node {at} is the owner and has no rows"
        if len(set(rows)) != len(rows):
            return f"a write is twice on node {at}: {rows}"
        for index, writer in enumerate(world.writers):
            mine = [row - index * 10 for row in rows if row // 10 == index]
            if mine != list(range(len(mine))):
                return f"writes out of order on node {at}: {rows}"
            if len(mine) < writer.acked:
                return f"an acknowledged write is not on node {at}: {rows}"
        return ""

    def _resources(self, world: World) -> str:
        """What is there is what the table of states says."""
        record = world.record
        source, target = world.nodes[record.source], world.nodes[1 - record.source]
        moved = record.owner != record.source
        return _judged(
            record.state, source.slot >= 0, target.rows is not None, target.subscribed, source.fence,
            moved and source.rows is not None, "engine" in self.without,
        )  # fmt: skip

    def wrong_step(self, before: World, label: str, after: World) -> str:
        old, new = before.record, after.record
        if old.state is not new.state and old.number == new.number and not permitted(old.state, new.state):
            return f"{old.state} was followed by {new.state}"
        if new.epoch != old.epoch and (new.epoch != old.epoch + 1 or new.state is not State.SWITCHED):
            return "the epoch rose without a switch"
        for node, then in zip(before.nodes, after.nodes, strict=True):
            if then.applied < node.applied and then.rows is not None:
                return f"the checkpoint fell from LSN {node.applied} to {then.applied}"
            if then.epoch < node.epoch:
                return "a node's epoch fell"
        at = after.reader[2]
        if at >= 0 > before.reader[2]:
            rows = after.nodes[at].rows or ()
            for index, writer in enumerate(after.writers):
                if not {index * 10 + number for number in range(writer.acked)} <= set(rows):
                    return f"a reader began on node {at} and misses an acknowledged write"
        return ""

    def good(self, world: World) -> bool:
        """The move is over, and every write was acknowledged."""
        done = all(writer.acked == self.bounds.writes for writer in world.writers)
        return world.record.state in TERMINAL and world.record.number == self.bounds.moves and done


@cache
def _judged(
    state: State, slot: bool, table: bool, subscription: bool, fence: bool, source_copy: bool, engine: bool
) -> str:
    there = {
        Resource.SLOT: slot, Resource.PUBLICATION: slot, Resource.TARGET_TABLE: table,
        Resource.SUBSCRIPTION: subscription, Resource.FENCE: fence, Resource.SOURCE_COPY: source_copy,
    }  # fmt: skip
    actual = {resource for resource, yes in there.items() if yes}
    step = FORWARD.get(state)
    certain = STATES[state].resources - (step.removes if step else frozenset())
    if STATES[state].after_crash is AfterCrash.RESTART:
        certain = frozenset()  # the restart takes them away before it is recorded
    more, less = actual - may_exist(state), certain - actual
    if engine:  # a late effect may leave a slot, or take one or a subscription away
        more -= {Resource.SLOT, Resource.PUBLICATION}
        less -= {Resource.SLOT, Resource.PUBLICATION, Resource.SUBSCRIPTION}
    if more:
        return f"in {state} there is a {min(more)} that should not be"
    return f"in {state} there is no {min(less)}" if less else ""
