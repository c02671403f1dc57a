"""sync.Map, old and new: section 4.3, and the advice of section 1."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """What stays after deleting everything; and, up to Go 1.23, what happens to read and dirty."""
    full, left = run.number("full_bytes"), run.number("bytes_after_deleting_all")
    gives_back = left < full // 10
    expected = not gives_back and left > full // 2 if run.classic else gives_back
    yield Check(
        "what stays after deleting every entry",
        expected,
        {**run.pick("full_bytes", "bytes_after_deleting_all"), "share": f"{left / max(full, 1):.1%}"},
        {18: "true" if gives_back else "false"},
    )
    skips = run.number("range_sees") == run.number("range_sees_present") == 500
    yield Check("Range skips deleted entries", skips, run.pick("range_sees", "range_sees_present"),
                {91: "true" if skips else "false"})  # fmt: skip
    hit, miss = (run.number(f"load_{name}_waits_for_the_lock") for name in ("hit", "miss"))
    locks = (hit, miss) == ((0, 1) if run.classic else (0, 0))
    numbers = run.pick("load_hit_waits_for_the_lock", "load_miss_waits_for_the_lock")
    words = "Load takes the lock on a miss alone" if run.classic else "Load takes no lock"
    yield Check(words, locks, numbers, {85: "true" if not hit and miss else "false"})
    whole = run.number("skipped") == 0 and run.number("ranges_that_saw_it_grow") > 0
    seen = run.pick("ranges", "ranges_that_saw_it_grow", "skipped")
    claims = {90: "false" if whole else "true"} if run.classic else {}
    yield Check("Range skips nothing while a writer makes it grow, and does not panic", whole, seen, claims)
    if run.classic:
        yield from _within(run)


def _within(run: Run) -> Iterator[Check]:
    grew = run.number("dirty_slots_after") > run.number("dirty_slots_before") and run.number("dirty_is_the_same") == 1
    yield Check(
        "Store makes dirty grow",
        grew,
        run.pick("dirty_is_the_same", "dirty_slots_before", "dirty_slots_after"),
        {89: "true" if grew else "false"},
    )
    same = run.number("read_is_what_dirty_was") == 1
    yield Check(
        "a promotion hands the map of dirty over: the same header, nothing copied",
        same,
        run.pick("read_is_what_dirty_was"),
        {87: "false" if same else "true", 88: "true" if same else "false"},
    )
    hits = run.number("misses_after_hits") == run.number("misses_before_hits")
    yield Check("1000 hits raise misses by nothing", hits, run.pick("misses_before_hits", "misses_after_hits"),
                {86: "false" if hits else "true"})  # fmt: skip
    evacuated = run.pick("frozen_evacuated_before", "frozen_evacuated_after", "frozen_noldbuckets", "frozen_grows")
    before, after = run.number("frozen_evacuated_before"), run.number("frozen_evacuated_after")
    frozen = run.number("frozen_grows") == 1 and before == after < run.number("frozen_noldbuckets")
    yield Check(
        "a read map that was promoted in mid growth stays so",
        frozen,
        evacuated,
        {92: "true" if frozen else "false"},
    )


SCENARIO = Scenario(
    name="sync_map",
    section="4.3",
    shows="sync.Map up to Go 1.23 keeps what was deleted, and may freeze in mid growth; from 1.24 on it gives back",
    judge=judge,
    classic=("R1", "R14"),
)
