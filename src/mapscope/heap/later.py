"""Work that goes on in another thread while this one reads on. Kernels run without the interpreter's lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")

_NAME = "mapscope"
_POOL: list[ThreadPoolExecutor] = []


class Later(Generic[T]):
    """A value that is made once: by ``start`` in the other thread, else when it is first asked for.

    An error of the making is raised where the value is asked for. There is one other thread, so what starts first is
    made first; but whoever asks for a value that still stands in the queue makes it at once.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        """``make`` must not ask for a value that is started after this one."""
        self._make = make
        self._future: Future[T] | None = None
        self._queued = False
        self._lock = threading.Lock()

    def start(self) -> Later[T]:
        """Begins now; again, or when the value is there, does nothing.

        In the other thread itself nothing begins: it would wait for itself.
        """
        if threading.current_thread().name.startswith(_NAME):
            return self
        with self._lock:
            if self._future is None:
                if not _POOL:
                    _POOL.append(ThreadPoolExecutor(1, _NAME))
                self._future, self._queued = _POOL[0].submit(self._make), True
        return self

    @property
    def under_way(self) -> bool:
        """Whether it was started and is not there yet."""
        return self._future is not None and not self._future.done()

    def get(self) -> T:
        """The value; waits where it is being made."""
        with self._lock:
            mine = self._future is None or (self._queued and self._future.cancel())
            if mine:
                self._future, self._queued = Future(), False
            future = self._future
        assert future is not None
        if mine:
            try:
                future.set_result(self._make())
            except BaseException as error:
                future.set_exception(error)
                raise
        return future.result()


def shared(makers: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What each of ``makers`` makes, in their order: every other one in the other thread, where that has time.

    ``makers`` must not mind that two of them run at once.
    """
    following = iter(makers)
    here = next(following, None)
    there = _begun(following)
    while here is not None:
        yield here()
        if there is None:
            return
        made = there.get()
        here = next(following, None)
        there = _begun(following)
        yield made


def _begun(makers: Iterator[Callable[[], T]]) -> Later[T] | None:
    make = next(makers, None)
    return None if make is None else Later(make).start()
