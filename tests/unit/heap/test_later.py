"""Work in the other thread: made once, errors where they are asked for, nothing that waits for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from mapscope.heap.later import Later, shared


def test_a_value_is_made_once_by_whoever_comes_first():
    made: list[str] = []

    def make() -> int:
        made.append(threading.current_thread().name)
        return len(made)

    begins = threading.Event()
    begun, asked = Later(lambda: (begins.set(), make())[1]).start(), Later(make)
    assert begins.wait(30)
    assert begun.get() == begun.start().get() == 1
    assert asked.get() == asked.get() == 2
    assert made[0] != threading.current_thread().name == made[1]


def test_what_stands_in_the_queue_is_made_by_whoever_asks():
    goes_on, begins = threading.Event(), threading.Event()
    first = Later(lambda: (begins.set(), goes_on.wait(30))).start()
    second = Later(threading.current_thread).start()
    assert begins.wait(30)
    try:
        assert second.get() is second.get() is threading.current_thread()
    finally:
        goes_on.set()
    assert first.get() == (None, True)


def test_whether_it_is_under_way_is_told():
    goes_on = threading.Event()
    later = Later(lambda: goes_on.wait(30))
    assert not later.under_way
    later.start()
    assert later.under_way
    goes_on.set()
    assert later.get()
    assert not later.under_way


def test_an_error_of_what_stood_in_the_queue_is_kept():
    goes_on = threading.Event()
    first = Later(lambda: goes_on.wait(30)).start()
    second = Later(lambda: {}["no"]).start()
    try:
        for _ in range(2):
            with pytest.raises(KeyError):
                second.get()
    finally:
        goes_on.set()
    assert first.get()


def test_threads_that_ask_at_once_get_what_one_of_them_makes():
    all_ask, made = threading.Barrier(8, timeout=30), []
    later = Later(lambda: made.append(threading.current_thread()) or len(made))

    def ask() -> int:
        all_ask.wait()
        return later.get()

    with ThreadPoolExecutor(8, "asking") as pool:
        assert list(pool.map(lambda _: ask(), range(8))) == [1] * 8
    assert len(made) == 1


def test_an_error_is_raised_where_the_value_is_asked_for():
    def fail() -> None:
        raise ValueError("no")

    begun = Later(fail).start()
    for later in (begun, Later(fail)):
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                later.get()


def test_what_the_other_thread_starts_is_made_when_it_is_asked_for():
    """Else it would stand in the queue behind the one that waits for it."""
    inner, begins = Later(lambda: threading.current_thread().name), threading.Event()
    outer = Later(lambda: (begins.set(), inner.start().get(), threading.current_thread().name)[1:]).start()
    assert begins.wait(30)
    first, second = outer.get()
    assert first == second != threading.current_thread().name


@pytest.mark.parametrize("count", range(6))
def test_what_both_threads_make_comes_in_order(count: int):
    made: list[int] = []

    def make(n: int) -> int:
        made.append(n)
        return n

    values = shared(partial(make, n) for n in range(count))
    assert not made, "nothing begins before someone asks"
    assert list(values) == sorted(made) == list(range(count))


def test_where_the_other_thread_has_no_time_this_one_makes_all():
    goes_on, begins = threading.Event(), threading.Event()
    busy = Later(lambda: (begins.set(), goes_on.wait(30))).start()
    assert begins.wait(30)
    try:
        assert set(shared([threading.current_thread] * 5)) == {threading.current_thread()}
    finally:
        goes_on.set()
    busy.get()


def test_both_threads_work_at_once():
    """Each of the first two waits until the other has begun."""
    begun = threading.Barrier(2, timeout=30)
    assert len(list(shared([begun.wait, begun.wait]))) == 2


def test_an_error_comes_behind_the_values_before_it():
    def fail() -> int:
        raise OSError("broken")

    for at in range(3):
        makers: list[Callable[[], int]] = [lambda: 1] * 3
        makers[at] = fail
        values = shared(makers)
        assert [next(values) for _ in range(at)] == [1] * at
        with pytest.raises(OSError, match="broken"):
            next(values)


def test_shared_in_the_other_thread_makes_all_there():
    assert Later(lambda: list(shared(lambda n=n: n for n in range(5)))).start().get() == [0, 1, 2, 3, 4]
