"""A computation over many items in several processes, where that pays: a process of its own for each CPU.

The processes are forked, so that what the computation reads need not be sent to them. Only a process with one thread is
forked: a lock that another thread holds would stay locked in the copy for ever.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 8
"""Processes at most: each adds a little memory, and the rest of the command runs in one."""
_PR_SET_PDEATHSIG = 1
_WORK: list[Callable[[Any], Any]] = []
"""What the forked processes do; a copy of it is in each."""


def processes() -> int:
    """How many processes :func:`spread` may use here: 1 where this one cannot be forked."""
    try:
        alone = len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return 1
    return min(len(os.sched_getaffinity(0)), MOST) if alone else 1


def spread(work: Callable[[Sequence[T]], R], items: Sequence[T], count: int) -> list[R]:
    """``work`` on ``count`` parts of ``items``, every n-th item in each, in processes of their own; what came of each.

    What ``work`` gives must be picklable, and nothing else of what it does is seen here. With a ``count`` of 1, and
    where processes cannot be had or are killed, ``work`` is done on all of them here.
    """
    if count < 2:
        return [work(items)]
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    _WORK[:] = [work]
    pool = None
    try:
        pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("fork"), initializer=tie_to_parent, initargs=(os.getpid(),)
        )
        return list(pool.map(_part, [items[number::count] for number in range(count)]))
    except (OSError, BrokenProcessPool):
        return [work(items)]
    finally:
        _WORK.clear()
        if pool is not None:
            end(pool)


def tie_to_parent(parent: int) -> None:
    """In a new process: signals to the terminal's group are those of ``parent``; it ends with ``parent``."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def end(pool: Any) -> None:
    """Ends the processes of a ``ProcessPoolExecutor``; what they are at is given up."""
    for process in list((pool._processes or {}).values()):
        with contextlib.suppress(OSError, ValueError):
            process.kill()
    pool.shutdown(wait=True, cancel_futures=True)


def _part(items: Sequence[Any]) -> Any:
    return _WORK[0](items)
