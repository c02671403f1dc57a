"""Work in the other thread: made once, errors where they are asked for, nothing that waits for itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mapscope.heap.later import Later, ahead


def test_a_value_is_made_once_by_whoever_comes_first():
    made: list[str] = []

    def make() -> int:
        made.append(threading.current_thread().name)
        return len(made)

    begun, asked = Later(make).start(), Later(make)
    assert begun.get() == begun.start().get() == 1
    assert asked.get() == asked.get() == 2
    assert made[0] != threading.current_thread().name == made[1]


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
    inner = Later(lambda: threading.current_thread().name)
    outer = Later(lambda: (inner.start().get(), threading.current_thread().name)).start()
    first, second = outer.get()
    assert first == second != threading.current_thread().name


def test_values_come_in_order_and_one_ahead():
    made: list[int] = []
    first_taken, second_made = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        for n in range(5):
            made.append(n)
            if n == 1:
                second_made.set()
            if n == 2:
                assert first_taken.wait(30), "the third was made before the first was taken"
            yield n

    values = ahead(source())
    assert not made, "nothing begins before someone asks"
    assert next(values) == 0
    assert second_made.wait(30), "the second was not begun"
    assert made == [0, 1]
    first_taken.set()
    assert list(values) == [1, 2, 3, 4]
    assert list(ahead([])) == []


def test_an_error_of_the_source_comes_behind_the_values_before_it():
    def source() -> Iterator[int]:
        yield 1
        raise OSError("broken")

    values = ahead(source())
    assert next(values) == 1
    with pytest.raises(OSError, match="broken"):
        next(values)
