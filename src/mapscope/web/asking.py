"""One question at a time, each in a thread of its own that can be stopped.

A snapshot is read by one thread at a time. A question that takes too long, or whose asker has gone, is stopped at the
next step of Python; a kernel runs to its end first, and so long the next question waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from mapscope.errors import MapscopeError

T = TypeVar("T")

SECONDS = 60.0
"""How long an answer may take, waiting for earlier ones not counted."""


class TooSlowError(MapscopeError):
    """An answer did not come in time."""


class _Stopped(BaseException):
    """Raised in the thread of a question that nobody waits for any more."""


class _Job(Generic[T]):
    """One question in its thread. Whatever becomes of it, ``ended`` is called: else nobody would have a turn again."""

    def __init__(self, question: Callable[[], T], ended: Callable[[], None]) -> None:
        self._question, self._ended = question, ended
        self.answer: T
        self.error: BaseException | None = None
        self._lock = threading.Lock()
        self._unwanted = self._begun = self._over = False
        self._thread = threading.Thread(target=self._run, name="mapscope-question", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread at its next step of Python. Where the question has not begun it never will; once only."""
        with self._lock:
            self._unwanted = True
            number = self._thread.ident
            if self._begun and not self._over and number is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(number), ctypes.py_object(_Stopped))

    def _run(self) -> None:
        with contextlib.suppress(_Stopped):
            self._answer_it()

    def _answer_it(self) -> None:
        try:
            with self._lock:
                if self._unwanted:
                    return
                self._begun = True  # not before: what is raised here from outside comes to the lines below
            self.answer = self._question()
        except BaseException as error:  # noqa: BLE001  # told to whoever asked
            self.error = error
            raise _Stopped from None  # ends the thread; a traceback would show what the error says
        finally:
            try:
                self._end()
            except _Stopped:  # comes once at most, so the second time it is done
                self._end()

    def _end(self) -> None:
        with self._lock:
            self._over = True
        self._ended()


class Asking:
    """Asks questions of one snapshot in turn."""

    def __init__(self, seconds: float = SECONDS) -> None:
        """``seconds``: after that an answer is given up."""
        self._seconds = seconds
        self._turn = asyncio.Semaphore(1)

    async def ask(self, question: Callable[[], T], gone: Callable[[], Awaitable[None]]) -> T | None:
        """The answer; None where the asker went away, of which ``gone`` returns.

        Raises what the question raises, and TooSlowError.
        """
        leaving = asyncio.ensure_future(gone())
        try:
            if not await self._my_turn(leaving):
                return None
            return await self._answer(question, leaving)
        finally:
            leaving.cancel()

    async def _my_turn(self, leaving: asyncio.Future[None]) -> bool:
        """Waits for it. False where the asker went away meanwhile."""
        mine = asyncio.ensure_future(self._turn.acquire())
        try:
            await _first_of(mine, leaving, self._seconds)
        finally:
            if not mine.done():
                mine.cancel()
        if mine.done():
            return True
        if leaving.done():
            return False
        raise TooSlowError("an earlier question is still being answered", "wait a moment and ask again")

    async def _answer(self, question: Callable[[], T], leaving: asyncio.Future[None]) -> T | None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def end() -> None:
            if not done.is_set():
                self._turn.release()
                done.set()

        def ended() -> None:
            with contextlib.suppress(RuntimeError):  # the server is gone
                loop.call_soon_threadsafe(end)

        job = _Job(question, ended)
        job.start()
        finished = asyncio.ensure_future(done.wait())
        try:
            await _first_of(finished, leaving, self._seconds)
        finally:
            finished.cancel()
            if not done.is_set():
                job.stop()
        if not done.is_set():
            if leaving.done():
                return None
            raise TooSlowError(
                f"the answer takes longer than {self._seconds:g} seconds", "ask for less, or use the command line"
            )
        if job.error is not None:
            raise job.error
        return job.answer


async def _first_of(one: asyncio.Future[Any], other: asyncio.Future[Any], seconds: float) -> None:
    """Returns when one of them is done, or after ``seconds``."""
    await asyncio.wait([one, other], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
