"""What may end a pause early: signals to mapscope, and the limit that the user set.

While a process stands still, no signal may tear mapscope out of the code that lets it go, and Ctrl-Z must not put
mapscope to sleep. So signals are noted, the copying looks whether one came, and they take effect when the process runs
again.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mapscope.errors import EvidenceError

_NOTED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGPIPE,
)
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}


class Interrupted(Exception):  # noqa: N818  # no error: the signal itself follows when the process runs again
    """A signal asked mapscope to end."""


class Pause:
    """One pause: when it began, how long it may last, and whether it should end now."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        """Seconds, or None for no limit."""
        self.signals: list[int] = []
        self._tearable = False
        self._began: float | None = None
        self.seconds = 0.0
        """How long it was, once it is over."""

    def begin(self) -> None:
        """The first thread is about to stop."""
        self._began = time.monotonic()

    def end(self) -> None:
        """All threads run again."""
        if self._began is not None:
            self.seconds += time.monotonic() - self._began
            self._began = None

    def left(self) -> float:
        """Seconds that the pause may still last; infinite without a limit."""
        if self.limit is None or self._began is None:
            return float("inf")
        return self._began + self.limit - time.monotonic()

    @contextmanager
    def tearable(self) -> Iterator[None]:
        """Inside the block a signal that ends mapscope raises Interrupted at once, wherever the code waits."""
        self._tearable = True
        try:
            yield
        finally:
            self._tearable = False

    def note(self, number: int, _: FrameType | None) -> None:
        """The handler of the signals that are deferred."""
        self.signals.append(number)
        if self._tearable and number in _ENDING:
            self._tearable = False
            raise Interrupted

    def check(self) -> None:
        """Raises EvidenceError when the limit is reached, Interrupted when a signal came."""
        if any(number in _ENDING for number in self.signals):
            raise Interrupted
        if self.left() <= 0:
            assert self.limit is not None
            raise EvidenceError(
                f"gave up after {self.limit:g} s, the longest pause that was allowed; the process runs on",
                "allow a longer --max-pause, or try --pause fork, which is shorter by far; nothing was left behind",
            )


@contextmanager
def deferred_signals(pause: Pause) -> Iterator[None]:
    """Inside the block signals are noted in ``pause``; behind it they are sent again. Other threads: nothing to do.

    Python runs handlers in the main thread alone, so in another thread nothing can be torn apart.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    before = {}
    try:
        for number in _NOTED:
            handler = signal.getsignal(number)
            if handler is not None and handler != signal.SIG_IGN:
                before[number] = signal.signal(number, pause.note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for came in dict.fromkeys(pause.signals):
            os.kill(os.getpid(), came)
