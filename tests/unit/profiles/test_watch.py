"""When a watched service is asked, by a clock of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mapscope.profiles import watch
from mapscope.profiles.fetch import Request


def asked(
    monkeypatch: pytest.MonkeyPatch, folder: Path, every: float, total: float, slow: dict[int, float]
) -> list[float]:
    """The times of the clock at which it was asked; ``slow``: seconds that the answer of a number takes."""
    at, times = 0.0, list[float]()

    def fetched(*_: object) -> bytes:
        nonlocal at
        times.append(at)
        at += slow.get(len(times), 0.0)
        return b""

    def wait(seconds: float) -> None:
        nonlocal at
        assert seconds > 0
        at += seconds

    monkeypatch.setattr(watch, "fetched", fetched)
    found = list(watch.take("http://here/heap", Request(), folder, every, total, wait, lambda: at))
    assert [one.path.name for one in found] == [f"heap-{n:04}.pb.gz" for n in range(1, len(times) + 1)]
    return times


@pytest.mark.parametrize(
    ("slow", "wanted"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({2: 0.9}, [0, 1, 2, 3, 4]),
        ({2: 1.25}, [0, 1, 2.25, 3, 4]),  # late, and at once
        ({2: 2.5}, [0, 1, 3.5, 4]),  # one was missed
        ({1: 4.5}, [0, 4.5]),
        ({1: 9}, [0, 9]),  # the last is taken whenever it can be
        ({5: 9}, [0, 1, 2, 3, 4]),
    ],
)
def test_when_it_is_asked(slow: dict[int, float], wanted: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert asked(monkeypatch, tmp_path, 1, 4, slow) == wanted


def test_a_time_that_is_no_multiple(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert asked(monkeypatch, tmp_path, 2, 5, {2: 9}) == [0, 2, 11]
