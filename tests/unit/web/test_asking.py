"""Questions come one at a time, end in time, and are stopped when nobody waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from mapscope.errors import UsageError
from mapscope.web.asking import Asking, TooSlowError, _Job

LONG = 60.0


async def never() -> None:
    await asyncio.Event().wait()


class Slow:
    """A question that answers only when it is told to, and says when it has ended in any way."""

    def __init__(self) -> None:
        self.begun, self.answer, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self) -> str:
        try:
            self.begun.set()
            while not self.answer.wait(0.001):
                pass
            return "slow"
        finally:
            self.ended.set()


def test_answers_and_errors_come_back():
    asking = Asking(LONG)

    def wrong() -> str:
        raise UsageError("no", "yes")

    async def run() -> None:
        assert await asking.ask(lambda: threading.current_thread().name, never) == "mapscope-question"
        with pytest.raises(UsageError, match="no"):
            await asking.ask(wrong, never)
        assert await asking.ask(lambda: 7, never) == 7

    asyncio.run(run())


def test_one_at_a_time():
    asking, slow = Asking(LONG), Slow()
    order = []

    async def run() -> None:
        first = asyncio.ensure_future(asking.ask(slow, never))
        await asyncio.to_thread(slow.begun.wait)
        second = asyncio.ensure_future(asking.ask(lambda: order.append("second"), never))
        for _ in range(50):  # whatever can go on does
            await asyncio.sleep(0)
        order.append("first")
        slow.answer.set()
        assert await first == "slow"
        await second

    asyncio.run(run())
    assert order == ["first", "second"]


def stopped(ask: Callable[[Asking, Slow], Awaitable[None]], seconds: float) -> None:
    """After ``ask`` the slow question has ended without an answer, and the next one is answered."""
    asking, slow = Asking(seconds), Slow()

    async def run() -> None:
        await ask(asking, slow)
        assert await asyncio.to_thread(slow.ended.wait, LONG)
        assert not slow.answer.is_set()
        asking._seconds = LONG  # of the next one
        assert await Asking.ask(asking, lambda: "next", never) == "next"

    asyncio.run(run())


def test_what_takes_too_long_is_stopped():
    async def ask(asking: Asking, slow: Slow) -> None:
        with pytest.raises(TooSlowError, match="longer than"):
            await asking.ask(slow, never)

    stopped(ask, 0.05)


def test_what_nobody_waits_for_is_stopped():
    async def ask(asking: Asking, slow: Slow) -> None:
        async def gone() -> None:
            await asyncio.to_thread(slow.begun.wait)

        assert await asking.ask(slow, gone) is None

    stopped(ask, LONG)


def test_who_waits_for_a_slow_one_is_told():
    """A kernel cannot be stopped: the next question does not wait for ever."""
    asking = Asking(0.05)
    begun, free = threading.Event(), threading.Event()

    def kernel() -> None:
        begun.set()
        free.wait()  # one call in C: not stopped before it returns

    async def run() -> None:
        first = asyncio.ensure_future(asking.ask(kernel, never))
        await asyncio.to_thread(begun.wait)
        with pytest.raises(TooSlowError, match="longer than"):
            await first
        with pytest.raises(TooSlowError, match="an earlier question"):
            await asking.ask(lambda: 1, never)
        free.set()
        while True:
            try:
                assert await asking.ask(lambda: 2, never) == 2
            except TooSlowError:
                continue
            break

    asyncio.run(run())


def test_a_stop_before_it_has_begun(monkeypatch: pytest.MonkeyPatch):
    """The machine takes the processor from its thread before its first step: it is never asked, the turn goes on."""
    goes_on = threading.Event()
    asked: list[str] = []
    answer_it = _Job._answer_it

    def held(job: _Job[str]) -> None:
        goes_on.wait(LONG)
        answer_it(job)

    monkeypatch.setattr(_Job, "_answer_it", held)
    asking = Asking(LONG)

    async def gone() -> None:
        """At once."""

    async def run() -> None:
        assert await asking.ask(lambda: asked.append("first"), gone) is None
        goes_on.set()
        assert await asyncio.wait_for(asking.ask(lambda: asked.append("second") or "next", never), LONG) == "next"

    asyncio.run(run())
    assert asked == ["second"]


def test_a_late_stop_harms_nothing():
    """Stopped just as it ends, over and over: the turn is always given on."""
    asking = Asking(LONG)

    async def run() -> None:
        for _ in range(300):
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()

            def quick(loop: asyncio.AbstractEventLoop = loop, ended: asyncio.Event = ended) -> int:
                loop.call_soon_threadsafe(ended.set)
                return sum(range(50))

            async def gone(ended: asyncio.Event = ended) -> None:
                await ended.wait()

            assert await asking.ask(quick, gone) in (1225, None)
        assert await asking.ask(lambda: "still", never) == "still"

    asyncio.run(asyncio.wait_for(run(), LONG))
