"""What an iterator holds, and what loops see: section 3.1."""

from __future__ import annotations

from collections.abc import Iterator

from mapscope.lab.scenario import Check, Run, Scenario


def judge(run: Run) -> Iterator[Check]:
    """Partly a copy, partly a reference; it starts anywhere and sees everything once."""
    held = run.pick("knows_the_map", "array_copied", "size_copied", "size_follows")
    partly = [run.number(name) for name in held] == [1, 1, 1, 0]
    yield Check(
        "size and array are copied, the map is referred to", partly, held, {56: "partly" if partly else "false"}
    )
    if run.classic:
        words, pointers = run.number("overflow_of_words"), run.number("overflow_of_pointers")
        yield Check(
            "overflow is set where buckets hold no pointers, and only there",
            (words, pointers) == (1, 0),
            run.pick("overflow_of_words", "overflow_of_pointers"),
            {58: "true" if (words, pointers) == (1, 0) else "false"},
        )
    many = run.number("starts") > 8
    yield Check("64 iterators start in many places", many, run.pick("starts"), {61: "false" if many else "true"})
    entries = run.number("entries")
    fresh = run.number("seen_with_the_new_value") == entries - 1
    yield Check(
        "values written during the loop are seen by it",
        fresh,
        run.pick("entries", "seen_with_the_new_value"),
        {60: "true" if fresh else "false"},
    )
    if run.classic:
        whole = run.number("seen") == entries and run.number("overflow_buckets") > 0
        yield Check(
            "entries of overflow buckets come too",
            whole,
            run.pick("entries", "seen", "overflow_buckets"),
            {62: "true" if whole else "false"},
        )
    grew = run.number("slots_after") >= 4 * run.number("slots_before")
    once = run.number("came_exactly_once") == run.number("entries_before")
    yield Check(
        "of a map that grows inside the loop every entry comes exactly once",
        grew and once,
        run.pick("slots_before", "slots_after", "entries_before", "came_exactly_once"),
        {63: "false" if grew and once else "true"},
    )


SCENARIO = Scenario(
    name="iterator_state",
    section="3.1",
    shows="what an iterator copies and what it refers to; where it starts; what a loop sees of changes",
    judge=judge,
    classic=("R4",),
    swiss=("R5",),
)
