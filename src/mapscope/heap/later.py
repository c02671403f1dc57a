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
    made first.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        """``make`` must not ask for a value that is started after this one."""
        self._make = make
        self._future: Future[T] | None = None

    def start(self) -> Later[T]:
        """Begins now; again, or when the value is there, does nothing.

        In the other thread itself nothing begins: it would wait for itself.
        """
        if self._future is None and not threading.current_thread().name.startswith(_NAME):
            if not _POOL:
                _POOL.append(ThreadPoolExecutor(1, _NAME))
            self._future = _POOL[0].submit(self._make)
        return self

    def get(self) -> T:
        """The value; waits where it is being made."""
        if self._future is None:
            self._future = Future()
            try:
                self._future.set_result(self._make())
            except BaseException as error:
                self._future.set_exception(error)
                raise
        return self._future.result()


def ahead(values: Iterable[T]) -> Iterator[T]:
    """The same values, each made in the other thread while whoever asks still works with the one before."""
    source = iter(values)
    following = Later(lambda: next(source, _END)).start()
    while (value := following.get()) is not _END:
        following = Later(lambda: next(source, _END)).start()
        yield value  # type: ignore[misc]  # an object of its own marks the end


_END = object()
