"""What is let go when a loop ends: all of it where its goroutine is parked, not always where it computes."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario

_WAYS = ("end", "break")


def judge(run: Run) -> Iterator[Check]:
    """Frames of parked goroutines are scanned by their maps of live words, interrupted ones word by word."""
    times = run.number("times")
    let_go = not any(run.number(f"parked_{way}_kept") for way in _WAYS)
    stays = run.number("interrupted_break_kept") == times
    verdict = {(True, True): "partly", (True, False): "true"}.get((let_go, stays), "false")
    parked = run.pick(*(f"parked_{way}_{what}" for way in _WAYS for what in ("freed_by_loop", "kept")))
    yield Check("behind the loop a parked goroutine keeps nothing of it", let_go, parked, {82: verdict})
    broken = run.pick("interrupted_break_kept", "times", "interrupted_break_freed_by_function")
    yield Check("a loop left by break is kept while its function computes", stays, broken, {82: verdict})
    kept = run.number("interrupted_end_kept")
    expected = kept == times if run.classic else kept <= times // 2
    words = "and so is one that came to its end" if run.classic else "at its end a Swiss iterator lets its table go"
    yield Check(words, expected, run.pick("interrupted_end_kept", "times"))
    subject = run.found("subject")
    address = int(subject.address) if subject is not None else 0
    iterators = [one for one in run.snapshot.iterators if int(one.map) == address] if run.snapshot is not None else []
    pinned, freed = sum(one.pinned_bytes for one in iterators), run.number("interrupted_break_freed_by_function")
    seen: dict[str, int | str] = {f"pinned_bytes, {one.liveness}": one.pinned_bytes for one in iterators}
    yield Check(
        "mapscope sees what such a frame keeps, does not call it exact, and makes no finding of it",
        len(iterators) == 1 and "exact" not in {one.liveness for one in iterators} and freed / 2 < pinned < freed * 2,
        {**seen, "iterators": len(iterators)},
    )


SCENARIO = Scenario(
    name="loop_end",
    section="4.2",
    shows="the end of a loop lets the old array go, but not where its function then computes without a call",
    judge=judge,
)
