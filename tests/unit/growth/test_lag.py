"""What to make of LSNs that stand, fall back, or never come."""

from __future__ import annotations

from mapscope.growth.lag import MAX_ERRORS, SHORT, LagWatch
from mapscope.growth.replication import Kept, Progress
from mapscope.routing.nodes import Moving

MOVING = Moving(lag_seconds=100, retained_bytes=1 << 40, receiver_restarts=3)
FAR = 10 * SHORT


def test_an_lsn_that_falls_back_is_no_progress_and_no_loss():
    watch = LagWatch(MOVING)
    assert not watch.see(0, Progress(500, 1, 0), Kept(600, 600))
    for applied in (None, 0, 499):
        assert not watch.see(1, Progress(applied, 2, 0), Kept(600, 600))
        assert watch.applied == 500
        assert watch.lag == 100


def test_a_receiver_that_comes_again_and_again_without_progress_is_given_up():
    watch = LagWatch(MOVING)
    for number in range(4):
        assert not watch.see(number, Progress(500, number, 0), Kept(600, 600))
    assert "started 4 times without progress" in watch.see(5, Progress(500, 99, 0), Kept(600, 600))


def test_progress_forgives_restarts():
    watch = LagWatch(MOVING)
    for number in range(50):
        assert not watch.see(number, Progress(500 + number, number, 0), Kept(1000, 1000))
        assert not watch.see(number, Progress(500 + number, 1000 + number, 0), Kept(1000, 1000))
    assert watch.restarts == 1  # the last one


def test_between_two_receivers_there_is_none():
    watch = LagWatch(MOVING)
    for number in range(100):
        assert not watch.see(number, Progress(500, None if number % 2 else 7, 0), Kept(600, 600))


def test_a_lag_must_reach_a_new_low_in_time():
    watch = LagWatch(MOVING)
    at = 0.0
    for lag in range(20 * FAR, 10 * FAR, -FAR):  # it shrinks, slowly
        assert not watch.see(at, Progress(1, 1, 0), Kept(1 + lag, lag))
        at += 90
    for _ in range(2):  # now it stands
        assert not watch.see(at, Progress(1, 1, 0), Kept(1 + 11 * FAR, 11 * FAR))
    assert "its lag did not fall below" in watch.see(at + 20, Progress(1, 1, 0), Kept(1 + 11 * FAR, 11 * FAR))


def test_a_short_lag_may_stand_for_ever():
    watch = LagWatch(MOVING)
    for at in range(0, 10_000, 90):
        assert not watch.see(at, Progress(1, 1, 0), Kept(1 + SHORT, SHORT))
        assert not watch.see(at + 80, Progress(1, 1, 0), Kept(1 + SHORT // 2, SHORT))


def test_a_stream_that_never_began_is_measured_by_what_the_slot_keeps():
    watch = LagWatch(MOVING)
    assert not watch.see(0, Progress(None, None, 0), Kept(5 * FAR, 2 * FAR))
    assert watch.lag == 2 * FAR
    assert "cannot keep up" in watch.see(101, Progress(None, None, 0), Kept(6 * FAR, 3 * FAR))


def test_the_wal_that_is_kept_is_bounded():
    watch = LagWatch(Moving(retained_bytes=1000))
    assert not watch.piled_up(Kept(9999, 1000))
    assert "the source keeps 1.0 kB of WAL for it, more than 1.0 kB" in watch.see(
        0, Progress(1, 1, 0), Kept(9999, 1001)
    )


def test_errors_count_from_the_last_progress():
    watch = LagWatch(MOVING)
    for errors in range(100):  # each is followed by progress: somebody mends the rows
        assert not watch.see(0, Progress(500 + errors, 1, errors), Kept(1000, 1000))
    for errors in range(100, 99 + MAX_ERRORS):
        assert not watch.see(0, Progress(599, 1, errors), Kept(1000, 1000))
    assert f"could not apply a change {MAX_ERRORS} times" in watch.see(
        0, Progress(599, 1, 99 + MAX_ERRORS), Kept(1000, 1000)
    )
