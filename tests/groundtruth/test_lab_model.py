"""The models of the map against real maps: after every operation of a random script the model has the state that the
program reads from its own memory: the whole header, every tophash, key and elem, overflow chains, iterators.

The program hands over what a model cannot know: its hashes, seeds, and where its iterators began.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mapscope.lab.model.making import make
from mapscope.lab.model.releases import CLASSIC, SWISS, ClassicSettings, SwissSettings, settings_of
from tests.groundtruth import harness
from tests.groundtruth.modelclassic import ClassicReplay
from tests.groundtruth.modelreplay import TYPES
from tests.groundtruth.modelscripts import KINDS, Phase, obeyed, script
from tests.groundtruth.modelswiss import SwissReplay
from tests.groundtruth.variants import SERIES, Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

OPERATIONS = 10_000

CLASSIC_VARIANTS = [
    *(Variant(series) for series in SERIES if not Variant(series).swiss),
    Variant("1.24", experiment="noswissmap"),
    Variant("1.25", experiment="noswissmap"),
]

SWISS_VARIANTS = [
    *(Variant(series) for series in SERIES if Variant(series).swiss),
    Variant("1.27", experiment="mapsplitgroup"),
]

Script = tuple[int | None, list[Phase]]
"""The hint of a map, and what is done to it."""
TOMBSTONES = (Phase("fill", 8, 0, 7, 7), Phase("walk", 60, 6), Phase("fill", 8, 1, 7, 7), Phase("walk", 60, 7))
SPARSE = (Phase("grow", 70), Phase("shrink", 60, 17), Phase("exhaust", 6))
CROWDED = (Phase("crowd", 900, 0, 62, 3), Phase("walk", 60, 11))
CLEARED = (Phase("walk", 8, 12), Phase("clear", 0), Phase("steps", 20))
# In the order of their growth: from nothing through every small size; same-size growth by chains that were emptied;
# presized; iterators through all of it; iterators across a clear in a growth.
CLASSIC_SCRIPTS: list[Script] = [
    (
        None,
        [Phase("mixed", 300, 1), Phase("walk", 200, 2), Phase("clear", 0), Phase("walk", 100, 3), Phase("empty", 0)],
    ),
    (0, [Phase("grow", 90), Phase("walk", 150, 5), Phase("miss", 40), Phase("shrink", 80), Phase("mixed", 100, 6)]),
    (
        90,
        [Phase("grow", 4), Phase("fill", 10, 0, 0, 15), Phase("walk", 60, 7), Phase("grow", 60), Phase("walk", 60, 8)],
    ),
    (20, [Phase("walk", 20, 9), Phase("fill", 9, 0, 0, 3), Phase("walk", 40, 10), Phase("near", 30, 11, 0, 1)]),
    (None, [Phase("grow", 194), *CLEARED, Phase("grow", 212), *CLEARED, Phase("walk", 80, 13)]),
    (None, [Phase("grow", 5), Phase("iterate", 1), Phase("grow", 60), *SPARSE]),
    (1000, [Phase("grow", 1660), Phase("update", 20, 14), Phase("walk", 100, 15), Phase("shrink", 1500, 16)]),
]
LONG_LISTS: Script = (700, [Phase("fill", 9, 0, 0, 127), Phase("grow", 40)])
"""More than 64 overflow buckets in the list of a map that is not scanned; the list has a malloc header from 1.22 on."""


# From one group to tables and back to nothing; every group filled, for tombstones, and again with iterators; presized.
SWISS_SCRIPTS: list[Script] = [
    (
        None,
        [Phase("mixed", 300, 1), Phase("walk", 200, 2), Phase("clear"), Phase("walk", 100, 3), Phase("empty")],
    ),
    (
        0,
        [Phase("grow", 8), Phase("iterate", 3), Phase("update", 8, 4), Phase("steps", 6), *CLEARED, Phase("mixed", 50)],
    ),
    (None, [Phase("grow", 7), Phase("iterate", 3), Phase("grow", 4), Phase("steps", 9), Phase("walk", 30, 5)]),
    (56, [*TOMBSTONES, Phase("mixed", 200, 8), *CLEARED, Phase("grow", 100)]),
    (56, [Phase("needed"), Phase("walk", 20, 18), *SPARSE, Phase("grow", 30), *SPARSE]),
    (400, [Phase("grow", 440), Phase("mixed", 300, 9), *TOMBSTONES, Phase("empty"), Phase("clear"), Phase("grow", 50)]),
]
# Splits, also lopsided ones, so that a table has many places in the directory; several tables from the start.
SWISS_LARGE: list[Script] = [
    (
        None,
        [Phase("grow", 890), Phase("walk", 40, 10), *CROWDED, Phase("shrink", 1500), *CLEARED, Phase("walk", 60)],
    ),
    (3000, [Phase("grow", 500), Phase("walk", 60, 14), Phase("grow", 2000), Phase("walk", 60, 15), *CLEARED]),
]


@pytest.mark.parametrize("variant", CLASSIC_VARIANTS, ids=str)
def test_classic_map(variant: Variant):
    family = CLASSIC[variant.release]
    done, reached = 0, Counter[str]()
    for kind in KINDS:
        for lines in [*CLASSIC_SCRIPTS, *([LONG_LISTS] if kind == "plain" else [])]:
            replay = ClassicReplay(family)
            done += replay.follow(obeyed(harness.build("model", variant), script(kind, *lines)))
            reached += replay.reached
    assert done >= OPERATIONS
    for wanted in (
        "hashGrow",
        "done",
        "mapclear",
        "reseed",
        "same-size growth",
        "growth beside iterators",
        "iteration begun in a growth",
        "step on an array left behind",
        "step that filters an old bucket",
        "step in a same-size growth",
        "several iterators",
        "clear in a growth",
    ):
        assert reached[wanted], f"no script came to: {wanted}"


@pytest.mark.parametrize("variant", SWISS_VARIANTS, ids=str)
def test_swiss_map(variant: Variant):
    family = SWISS[variant.release]
    done, reached = 0, Counter[str]()
    for kind in KINDS:
        for lines in [*SWISS_SCRIPTS, *(SWISS_LARGE if kind in ("plain", "text") else [])]:
            replay = SwissReplay(family)
            done += replay.follow(obeyed(harness.build("model", variant), script(kind, *lines)))
            reached += replay.reached
            if replay.reached["prune"]:
                assert TYPES[kind].mapfast
    assert done >= OPERATIONS
    for wanted in (
        "growToTable beside iterators",
        "grow beside iterators",
        "grow with tombstones",
        "split beside iterators",
        "directory of four",
        "tombstone",
        "Clear of tables",
        "Clear beside iterators",
        "reseed",
        "step in a stale table",
        "step in a group left behind",
        "iteration begun inside the places of a table",
        "several iterators",
    ):
        assert reached[wanted], f"no script came to: {wanted}"
    assert bool(reached["prune"]) == bool(reached["prune refused"]) == family.prunes_tombstones


PHASES = st.lists(
    st.builds(
        Phase,
        st.sampled_from(["grow", "update", "shrink", "empty", "miss", "clear", "mixed", "walk", "steps", "iterate"]),
        st.integers(1, 60),
        st.integers(0, 1 << 20),
    )
    | st.builds(
        Phase,
        st.sampled_from(["near", "fill"]),
        st.integers(7, 17),
        st.integers(0, 99),
        st.sampled_from([0, 7]),
        st.sampled_from([0, 1, 3, 7]),
    ),
    min_size=1,
    max_size=8,
)
HINTS = st.none() | st.integers(0, 300)
CHOSEN = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("variant", [*CLASSIC_VARIANTS, *SWISS_VARIANTS], ids=str)
@CHOSEN
@given(kind=st.sampled_from(KINDS), hint=HINTS, phases=PHASES)
def test_any_script(variant: Variant, kind: str, hint: int | None, phases: list[Phase]):
    replay_of(settings_of(variant.release)).follow(obeyed(harness.build("model", variant), script(kind, hint, phases)))


def replay_of(family: ClassicSettings | SwissSettings) -> ClassicReplay | SwissReplay:
    return ClassicReplay(family) if isinstance(family, ClassicSettings) else SwissReplay(family)


@pytest.mark.parametrize(
    ("series", "wrong"),
    [
        ("1.21", {"loadFactorNum": 13}),
        ("1.23", {"loadFactorNum": 12}),
        ("1.19", {"marks_buckets_empty": True}),
        ("1.23", {"marks_buckets_empty": False}),
        ("1.21", {"malloc_headers": True}),
        ("1.23", {"malloc_headers": False}),
        ("1.24", {"prunes_tombstones": True}),
        ("1.25", {"prunes_tombstones": False}),
        ("1.24", {"knows_tombstones": True}),
        ("1.26", {"knows_tombstones": False}),
        ("1.24", {"clear_test": "always"}),
        ("1.25", {"clear_test": "when few"}),
        ("1.26", {"clear_test": "always"}),
        ("1.27", {"clear_test": "never"}),
        ("1.26", {"update_grows": False}),
        ("1.27", {"update_grows": True}),
    ],
)
def test_a_wrong_setting_shows(series: str, wrong: dict[str, Any]):
    family = settings_of(series)
    mistaken = replace(family, **wrong)
    assert mistaken != family
    executable = harness.build("model", Variant(series))
    scripts = [*CLASSIC_SCRIPTS, LONG_LISTS] if isinstance(family, ClassicSettings) else [*SWISS_SCRIPTS, *SWISS_LARGE]
    assert any(not follows(mistaken, executable, script("plain", *lines)) for lines in scripts)


def follows(family: ClassicSettings | SwissSettings, executable: Path, lines: list[str]) -> bool:
    """Whether a model of that family does what the program does."""
    steps = list(obeyed(executable, lines))
    try:
        replay_of(family).follow(steps)
    except AssertionError:
        return False
    return True


COUNTS = (8, 9, 100, 833, 922, 1665, 1841, 13313)
"""Below, in and after growths: the window of a growth from 1,664 entries ends at about 1,841."""
TRIES = 5
"""The runtime makes a thread now and then, which takes memory too."""


@pytest.mark.parametrize("kind", ["plain", "shared"])
@pytest.mark.parametrize("variant", [*CLASSIC_VARIANTS, *SWISS_VARIANTS], ids=str)
def test_bytes(variant: Variant, kind: str):
    wrong = Counter[int]()
    for count, truth in given_back(variant, kind, COUNTS * TRIES):
        model = make(
            variant.release,
            TYPES[kind],
            hasher=lambda key, seed, hashes=truth["hashes"]: hashes[key - 1],
            rand=lambda seed=truth["seed"]: seed,
        )
        for key in range(1, count + 1):
            model.assign(key, key)
        wrong[count] += model.bytes().total != truth["bytes"]
    assert max(wrong.values()) < TRIES / 2, wrong


def given_back(variant: Variant, kind: str, counts: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """What the program says of maps of so many entries: their hashes, and the bytes of heap that each gave back."""
    command = [harness.build("model", variant), "curve", kind, *map(str, counts)]
    said = subprocess.run(command, capture_output=True, env=harness.ENVIRONMENT, check=True, timeout=60).stdout
    for count, line in zip(counts, said.splitlines(), strict=True):
        yield count, json.loads(line)


PINS = [(500, 9000), (5, 9), (7, 3000), (1000, 5000, 20_000), (1665, 1900)]
"""The map when an iterator begins, and later: 1,665 entries are in the middle of a growth, 1,900 after it."""
MAP_ITER_BYTES = 128
"""The slot of a reflect.MapIter."""


@pytest.mark.parametrize("kind", ["plain", "shared", "wideelem", "widekey"])
@pytest.mark.parametrize("variant", [*CLASSIC_VARIANTS, *SWISS_VARIANTS], ids=str)
def test_what_an_iterator_keeps(variant: Variant, kind: str):
    """The bytes that go with an iterator, with the map variable, and with both, by the collector itself."""
    for counts in PINS:
        for first, then in (("iterator", "keep"), ("iterator", "delete"), ("map", "keep")):
            tries = (kept(variant, kind, first, then, counts) for _ in range(TRIES))
            assert any(ours == theirs for ours, theirs in tries), (counts, first, then)


def kept(
    variant: Variant, kind: str, first: str, then: str, counts: tuple[int, ...]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Bytes freed by the first drop and by both, as the model and as the program has it."""
    command = [harness.build("model", variant), "pin", kind, first, then, *map(str, counts)]
    done = subprocess.run(command, capture_output=True, env=harness.ENVIRONMENT, check=True, timeout=60)
    truth = json.loads(done.stdout)
    draws = [truth["seed"], *truth["drawn"]]
    if not variant.swiss:
        start, offset, bits = truth["drawn"]
        draws = [truth["seed"], start | offset << bits]
    model = make(
        variant.release, TYPES[kind], hasher=lambda key, seed: truth["hashes"][key - 1], rand=lambda: draws.pop(0)
    )
    done_keys, cursor = 0, None
    for count in counts:
        for key in range(done_keys + 1, count + 1):
            model.assign(key, key)
        done_keys = count
        if cursor is None:
            cursor = model.iterate()
        else:
            model.step(cursor)
    for key in range(1, done_keys) if then == "delete" else ():
        model.delete(key)
    heap = model.heap()
    by_first = heap.bytes_kept_by("m") if first == "map" else heap.bytes_kept_by("iterator 0") + MAP_ITER_BYTES
    if first == "iterator" and kind in ("plain", "shared"):
        assert model.bytes().pinned == by_first - MAP_ITER_BYTES
    everything = sum(one.bytes for one in heap.live()) + MAP_ITER_BYTES
    return (by_first, everything), (truth["first"], truth["both"])
