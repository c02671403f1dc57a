"""One move from its recorded state to its end, by the table of ``protocol``: effects, then the record.

Trouble before the switch ends in the move being abandoned, with its reason; after the switch it ends in waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg

from mapscope.growth import points
from mapscope.growth.names import Names
from mapscope.growth.phases import FenceTooLong, Phases
from mapscope.growth.protocol import TAKE_OVER_EFFECTS, Effect, State, can_abandon, duties
from mapscope.growth.state import Control, Move
from mapscope.growth.trouble import GrowthError, Refused, Unreachable, is_lost, words
from mapscope.routing.nodes import Store

Report = Callable[[Move, State, float, dict[str, float]], None]
"""Called after each record: the move, the state it came to, the seconds, the figures."""
_RETRY_SECONDS = 0.3
_MAX_RESTARTS = 5
_FENCED = (State.FENCED, State.CAUGHT_UP)


class Mover:
    """One move. ``run`` returns it ended, or raises what keeps it from its end for now."""

    def __init__(self, store: Store, control: Control, move: Move, report: Report) -> None:
        self._store = store
        self._control = control
        self._report = report
        self._tidy = False
        self._switch = 0.0
        self.left = ""
        """Why a fence may still be up after the controller was told to stop."""
        self.move = move
        self.phases = Phases(store, move, Names(control.store, move.id), control.token)

    async def run(self) -> Move:
        """Drives it on. Unreachable: a node is away and the move waits; GrowthError: readers are left."""
        lost_since: float | None = None
        try:
            while not self.move.ended:
                try:
                    before = self.move.state
                    await self._step()
                    lost_since = None if self.move.state is not before else lost_since
                except Refused as error:
                    await self._give_up(str(error))
                except (psycopg.Error, OSError) as error:
                    if not is_lost(error):
                        await self._give_up(f"{words(error)} ({type(error).__name__})")
                        continue
                    lost_since = lost_since or time.monotonic()
                    await self._lost(error, lost_since)
        except asyncio.CancelledError:
            await self._leave()
            raise
        finally:
            await self.phases.close()
        return self.move

    async def _leave(self) -> None:
        """The controller is told to stop: nobody is left waiting at a fence. What cannot be done is left to resume."""
        try:
            await self.phases.close()
            self.move = self.phases.move = await self._control.find(self.move.id)
            if self.move.state in _FENCED:
                await self._record(State.STREAMING, time.monotonic(), {})
            if self.move.state in (State.STREAMING, State.VERIFIED):
                await self.phases.lift_fence()
            elif self.move.state is State.SWITCHED:
                await self._step()
        except (psycopg.Error, OSError, GrowthError) as error:
            self.left = words(error)

    async def _step(self) -> None:
        state, phases, began = self.move.state, self.phases, time.monotonic()
        if not self._tidy:
            await self._duties()
            self._tidy = True
        figures: dict[str, float] = {}
        try:
            match state:
                case State.PLANNED:
                    figures = await self._effect(Effect.CREATE_SLOT, phases.create_slot())
                    after = State.SLOT_CREATED
                case State.SLOT_CREATED if phases.exported is None:
                    await self._restart()
                    return
                case State.SLOT_CREATED:
                    figures = await self._effect(Effect.COPY_BASE, phases.copy_base())
                    after = State.BASE_COPIED
                case State.BASE_COPIED:
                    figures = await self._effect(Effect.MAKE_INDEXES, phases.make_indexes())
                    after = State.INDEXES_MADE
                case State.INDEXES_MADE:
                    figures = await self._effect(Effect.SUBSCRIBE, phases.subscribe())
                    after = State.STREAMING
                case State.STREAMING:
                    figures = await self._effect(Effect.VERIFY, phases.verify())
                    after = State.VERIFIED
                case State.VERIFIED:
                    figures = await self._effect(Effect.FENCE, phases.put_up_fence())
                    after = State.FENCED
                case State.FENCED:
                    figures = await self._effect(Effect.AWAIT_CATCH_UP, phases.catch_up())
                    after = State.CAUGHT_UP
                case State.CAUGHT_UP:
                    after = State.SWITCHED
                case State.SWITCHED:
                    figures = await self._effect(Effect.OPEN_TARGET, phases.release())
                    after = State.RELEASED
                case State.RELEASED:
                    figures = await self._effect(Effect.DROP_SLOT, phases.detach())
                    after = State.DETACHED
                case State.DETACHED:
                    figures = await self._effect(Effect.DROP_SOURCE_COPY, phases.drop_source_copy())
                    after = State.CLEANED
                case _:
                    assert state is State.ABANDONING
                    await phases.lift_fence()
                    await self._effect(Effect.DROP_TABLE, self._undone())
                    after = State.ABANDONED
        except FenceTooLong as error:
            await self._stream_on(str(error))
            return
        await self._record(after, began, figures)

    async def _effect(self, effect: Effect, done: Awaitable[dict[str, float]]) -> dict[str, float]:
        figures = await done
        points.reach(f"{effect}:done")
        return figures

    async def _undone(self) -> dict[str, float]:
        await self.phases.undo()
        return {}

    async def _record(self, after: State, began: float, figures: dict[str, float], reason: str | None = None) -> None:
        fence = self.phases.fenced if after is State.FENCED else None
        asked = time.monotonic()
        if after is State.RELEASED and self._switch:
            figures = {**figures, "switch": self._switch}  # its own record could not hold how long it took
        lsn = f"{fence.lsn >> 32:X}/{fence.lsn & 0xFFFFFFFF:X}" if fence else None
        seconds = asked - began
        recorded = await self._control.record(
            self.move, after, seconds=seconds, figures=figures, reason=reason, fence_lsn=lsn
        )
        if after is State.SWITCHED:
            self._switch = time.monotonic() - asked
        self.move = self.phases.move = recorded
        self._report(recorded, after, seconds, figures)

    async def _duties(self) -> None:
        """What a controller does first with a move that it finds: shows its token to both nodes.

        A fence of no record is lifted as soon as the source knows the token: clients wait at it, and the target may be
        away. A node that is away need not know the token where the move goes on without it.
        """
        assert set(TAKE_OVER_EFFECTS) == {Effect.SHOW_SOURCE, Effect.SHOW_TARGET}
        state = self.move.state
        await self._show(Effect.SHOW_SOURCE, self.phases.show_source, away=state in (State.SWITCHED, State.RELEASED))
        if Effect.LIFT_FENCE in duties(state):
            await self.phases.lift_fence()
        await self._show(Effect.SHOW_TARGET, self.phases.show_target, away=state is State.ABANDONING)

    async def _show(self, effect: Effect, show: Callable[[], Awaitable[None]], *, away: bool) -> None:
        try:
            await show()
        except (psycopg.Error, OSError) as error:
            if not (away and is_lost(error)):
                raise
        points.reach(f"{effect}:done")

    async def _restart(self) -> None:
        """The snapshot of the slot is gone: drops what there is and plans the move again."""
        if self.move.restarts >= _MAX_RESTARTS:
            await self._give_up(f"the base copy was begun {self.move.restarts + 1} times and never came to its end")
            return
        began = time.monotonic()
        await self.phases.undo()
        await self._record(State.PLANNED, began, {})

    async def _stream_on(self, why: str) -> None:
        """Clients have waited long enough: streams on, and tries again, or gives up after some fences."""
        if self.move.fences >= self._store.moving.fence_attempts:
            await self._give_up(f"{self.move.fences} fences were not enough: {why}")
            return
        await self._record(State.STREAMING, time.monotonic(), {})
        self._tidy = False  # the fence is lifted by the next step, or the next but one where the source is away

    async def _give_up(self, reason: str) -> None:
        if not can_abandon(self.move.state):
            raise GrowthError(f"{self.move} is {self.move.state} and cannot go on: {reason}", "mend it, then resume")
        await self._record(State.ABANDONING, time.monotonic(), {}, reason)

    async def _lost(self, error: Exception, since: float) -> None:
        """A node went away. A fence is not kept up for it; after the patience the move is given up or left."""
        await self.phases.close()
        self._tidy = False
        said = words(error)
        if self.move.state in _FENCED:
            await self._stream_on(f"a node was lost: {said}")
        elif time.monotonic() - since > self._store.moving.patience_seconds:
            if not can_abandon(self.move.state):
                raise Unreachable(f"{self.move} is {self.move.state}: {said}", "mapscope growth resume goes on later")
            await self._give_up(f"a node did not answer for {self._store.moving.patience_seconds:g} s: {said}")
        await asyncio.sleep(_RETRY_SECONDS)
