"""The process that judges: hostile profiles end it at most, never the watch; what is told goes into the record."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import signal
from collections.abc import Sequence

import pytest
import zstandard

from mapscope.fleet.asking import JUDGING, NO_PROFILE, AskError
from mapscope.fleet.judging import Answer, Judge, Judged, judge, plain
from mapscope.fleet.state import TargetState, completed
from mapscope.fleet.store.records import Place, Sighting
from mapscope.fleet.targets import Target
from mapscope.fleet.window import Window
from mapscope.profiles.model import Builder
from mapscope.profiles.protobuf import write_protobuf

TARGET = Target("job", "shop", "one:6060")
WAIT = b"goroutine %d [select, 9 minutes]:\nmain.f()\n\t/x/main.go:5 +0x9\n\n"
WAITS = WAIT % 1 + WAIT % 7


def heap(size: int, name: str = "main.fill") -> bytes:
    """A profile with ``size`` bytes of a map that reflection made: told without an executable."""
    made = Builder()
    made.types(
        ("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")
    )
    made.period("space", "bytes", 524288)
    inner = made.location(1, 0, [(made.function("reflect.mapassign0", "reflect.mapassign0", "map.go"), 3)])
    outer = made.location(2, 0, [(made.function(name, name, "main.go"), 7)])
    made.sample([inner, outer], [2, 2 * size, 1, size], [("bytes", size, "bytes")])
    return gzip.compress(write_protobuf(made.build("made", "protobuf")))


def answer(data: bytes, kind: str = "heap", **changes: object) -> Answer:
    """What a target sent."""
    given: dict[str, object] = {"executables": (), "places": 20, "limit": 10_000_000, **changes}
    return Answer(TARGET, kind, 1_000_000, data, **given)  # type: ignore[arg-type]


def test_a_heap_profile():
    found = judge(answer(heap(5_000_000)))
    values = {one.name: one.value for one in found.record.values}
    assert (values["heap_inuse_bytes"], values["heap_alloc_bytes"]) == (5_000_000, 10_000_000)
    assert (values["P1"], values["P4"]) == (5_000_000, 2.0)
    assert found.told
    assert found.complete
    (place,) = found.record.places
    assert (place.function, place.line, place.inuse_bytes, place.told) == ("main.fill", 7, 5_000_000, "possible")
    raw = gzip.decompress(heap(5_000_000))
    assert zstandard.decompress(found.record.data, max_output_size=10**7) == raw
    assert found.record.digest == hashlib.sha256(raw).digest()


def test_goroutines():
    found = judge(answer(WAITS, "goroutine"))
    assert [(one.name, one.value) for one in found.record.values] == [("goroutines", 2.0)]
    assert not found.told
    assert found.record.kind == "goroutine"


def test_a_series_is_judged_and_without_a_series_nothing_ends():
    """P2 and P5 want three profiles; before that they are not judged, so a finding of before does not end."""
    state = TargetState(Window(3600.0))
    records = [completed(state, judge(answer(heap(10**6 * n))), 60.0 * n) for n in range(1, 5)]
    assert [one.judged for one in records] == [("P3",), ("P3",), ("P3", "P5"), ("P3", "P5")]
    assert [one.indicator for one in records[3].findings] == ["P5"]
    assert records[3].findings[0].told == "possible"
    assert state.suspects["P5"] == 1
    assert state.values["P2"].value == pytest.approx(60_000_000)
    waits = completed(state, judge(answer(WAITS, "goroutine")), 300.0)
    assert waits.judged == ()
    assert (state.values["goroutines"].value, state.suspects["P5"]) == (2.0, 1)
    again = completed(state, judge(answer(heap(4 * 10**6))), 360.0)
    assert state.values["goroutines"].value == 2.0
    assert [one.name for one in again.values if one.name == "goroutines"] == []


def judged(answers: Sequence[Answer], seconds: float = 60.0) -> list[Judged | AskError]:
    """By the process, one after the other."""

    async def run() -> list[Judged | AskError]:
        work = Judge(seconds)
        found: list[Judged | AskError] = []
        try:
            for one in answers:
                try:
                    found.append(await work.judge(one))
                except AskError as error:
                    found.append(error)
        finally:
            work.close()
        return found

    return asyncio.run(run())


def test_what_is_no_profile_is_said_and_the_next_is_judged():
    bomb = gzip.compress(b"\0" * 50_000_000)
    bad = [
        answer(b""), answer(b"  <html>"), answer(bomb), answer(b"\x0a\xff\xff\xff\xff\x0f"), answer(WAITS),
        answer(heap(10**6), "goroutine"), answer(heap(10**6)[:-9]), answer(b"\x1f\x8bnot gzip"),
    ]  # fmt: skip
    *errors, good = judged([*bad, answer(heap(10**6))])
    assert {one.reason for one in errors if isinstance(one, AskError)} == {NO_PROFILE}
    assert len([one for one in errors if isinstance(one, AskError)]) == len(bad)
    assert isinstance(good, Judged)


def test_too_much_time_ends_the_process_and_not_the_watch():
    """The process is ended by a signal of its own; the next profile gets a new one."""

    async def run() -> list[object]:
        work = Judge(60.0)
        first = await work.judge(answer(heap(10**6)))
        long = b"".join(WAIT % number for number in range(300_000))
        work.seconds = 0.001
        with pytest.raises(AskError) as caught:
            await work.judge(answer(long, "goroutine", limit=10**8))
        work.seconds = 60.0
        second = await work.judge(answer(heap(3 * 10**6)))
        pool = work._workers[0].pool
        assert pool is not None
        (pid,) = pool._processes
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(AskError) as killed:
            await work.judge(answer(heap(10**6)))
        third = await work.judge(answer(heap(10**6)))
        work.close()
        return [first, caught.value.reason, second, killed.value.reason, third]

    found = asyncio.run(run())
    assert [found[1], found[3]] == [JUDGING, JUDGING]
    assert all(isinstance(one, Judged) for one in (found[0], found[2], found[4]))


def test_one_that_takes_too_much_takes_no_other_with_it():
    async def run() -> list[object]:
        work = Judge(60.0)
        long = b"".join(WAIT % number for number in range(400_000))
        await work.judge(answer(heap(10**6)))  # what is imported at first takes time too
        work.seconds = 0.05
        several = [work.judge(answer(heap(10**6))) for _ in range(3)]
        several.insert(1, work.judge(answer(long, "goroutine", limit=10**8)))
        try:
            return [*await asyncio.gather(*several, return_exceptions=True)]
        finally:
            work.close()

    found = asyncio.run(run())
    assert [type(one) for one in found] == [Judged, AskError, Judged, Judged]


def test_what_a_database_cannot_hold_is_made_to_fit():
    place = plain(Place("f\0\ud800", "x" * 9000, -5, None, "p", "t", "e", 1 << 80, -(1 << 80), 2, 3))
    assert (place.function, len(place.file), place.type) == ("f\ufffd?", 2000, None)
    assert (place.inuse_bytes, place.inuse_objects) == (2**63 - 1, 1 - 2**63)
    assert plain(Sighting("P5", "f", "", 1 << 40, "t\0", "x")).line == 2**31 - 1
