"""Curves of the lab: real maps against their model, against figures of other experiments, and what is written."""

from __future__ import annotations

import csv
import math
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from mapscope.errors import UsageError
from mapscope.lab.curves import series
from mapscope.lab.curves.measure import Shape, measure
from tests.groundtruth import harness

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]

TO = 30_000
STRING_INT = Shape.parse("map[string]int")
MEASURED = {833: 89_256, 1_665: 178_392, 6_657: 715_288, 13_313: 1_429_144, 26_625: 2_842_600}
"""Live bytes of map[string]int right after a growth began on Go 1.23.9, from an experiment of its own."""
OLD = {833: 28_288, 1_665: 56_576, 6_657: 226_304, 13_313: 452_608, 26_625: 905_216}
"""The old array alone, from the same."""
OVERFLOW_BUCKET = 208
SEEN = 0.02
"""How much the median of MAPS maps may differ: of one map of 833 entries overflow buckets alone are 0.7 % (1 sigma)."""
MAPS = 9
SLACK = 80
"""Bytes that the runtime itself may need more or less."""


def test_live_bytes_are_those_of_other_experiments():
    """Each map has a seed of its own, so some overflow buckets more or fewer; all else is the same to the byte."""
    found: dict[int, list[int]] = defaultdict(list)
    for _ in range(MAPS):
        for one in measure("1.23", STRING_INT, "residency", TO, series.POINTS)["points"]:
            found[one["count"]].append(one["live"])
    for count, size in MEASURED.items():
        assert len(found[count]) == MAPS
        assert statistics.median(found[count]) == pytest.approx(size, rel=SEEN), (count, found[count])
        rests = [abs(live - size - OVERFLOW_BUCKET * round((live - size) / OVERFLOW_BUCKET)) for live in found[count]]
        assert max(rests) <= SLACK, (count, found[count])


def test_old_arrays_are_those_of_other_experiments():
    curves, _ = series.residency("1.23", STRING_INT, TO)
    old = dict(zip(curves[0].x, curves[0].old, strict=True))
    for count, size in OLD.items():
        assert size <= old[count] <= 1.02 * size, count  # slots of the allocator are a little larger


@pytest.mark.parametrize("release", ["1.21", "1.23", "1.24", "1.26"])
@pytest.mark.parametrize("text", ["map[string]int", "map[uint64]*int", "map[int32]bool"])
def test_the_model_keeps_what_the_runtime_keeps(release: str, text: str):
    real, model = series.residency(release, Shape.parse(text), TO)[0]
    modelled = dict(zip(model.x, model.y, strict=True))
    shared = [(x, y) for x, y in zip(real.x, real.y, strict=True) if x in modelled]
    assert len(shared) > 100
    far = [(x, y, modelled[x]) for x, y in shared if abs(y - modelled[x]) > 0.03 * y + 4096]
    # a growth ends, and a table of a Swiss map splits, at a count that the hashes decide
    assert len(far) <= 0.25 * len(shared), far[:5]
    swiss = release in ("1.24", "1.26")
    assert any(real.old) != swiss
    begins = [x for x, old, last in zip(real.x[1:], real.old[1:], real.old, strict=False) if old and not last]
    theirs = [x for x, old, last in zip(model.x[1:], model.old[1:], model.old, strict=False) if old and not last]
    assert begins == theirs


@pytest.mark.parametrize(("release", "load"), [("1.21", 6.0), ("1.23", 6.5)])
def test_so_many_maps_are_left_in_mid_growth(release: str, load: float):
    """A growth takes ln 2 writes of new keys for each old bucket; until the next there are load times as many."""
    for curve in series.stalled(release, STRING_INT, 2 * TO):
        share = series.stalled_share(curve)
        assert share == pytest.approx(math.log(2) / load, abs=0.004), curve.who


def test_swiss_maps_are_never_left_so():
    assert [series.stalled_share(one) for one in series.stalled("1.26", STRING_INT, 5_000)] == [None, None]


@pytest.mark.parametrize("release", ["1.22", "1.26"])
def test_a_loop_pins_what_the_model_says(release: str):
    real, model = series.pinned(release, Shape.parse("map[uint64]uint64"), 5_000)
    assert real.x == model.x == [1, 2, 4, 8, 16, 32]
    assert real.y[0] < 1024
    assert model.y[0] == 0
    for ours, theirs in zip(real.y[1:], model.y[1:], strict=True):
        assert ours == pytest.approx(theirs, rel=0.03, abs=1024)
        assert theirs > 10_000


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE)}
    command = [sys.executable, "-m", "mapscope", "lab", "curve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)


def test_the_command_writes_data_and_pictures(tmp_path: Path):
    done = run("--go", "1.23", "--go", "1.26", "--to", "3000", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / "residency.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    last: dict[str, int] = defaultdict(int)
    for row in rows:
        last[row["who"].split(" ")[0]] = max(last[row["who"].split(" ")[0]], int(row["inserts"]))
    assert last == {"Go": 3000, "model": 3000, "article": 3000}
    assert len({row["who"] for row in rows}) == 5
    assert (tmp_path / "out" / "residency.png").read_bytes().startswith(b"\x89PNG\r\n")
    picture = ET.parse(tmp_path / "out" / "residency.svg").getroot()
    assert picture.tag.endswith("svg")
    assert "Go 1.23" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--type", "map[main.T]int"), "is no map type"),
        (("--type", "map[string]int; func init() {}"), "is no map type"),
        (("--type", "map[bool]int"), "is no map type"),
        (("--go", "1.2.3.4"), "not a Go version"),
        (("--to", "5"), "Invalid value"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(arguments: tuple[str, ...], word: str, tmp_path: Path):
    done = run(*arguments, "-o", tmp_path)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_long_curves_are_modelled_by_the_twin(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(series, "READABLE", 1000)
    real, model = series.residency("1.22", STRING_INT, TO)[0]
    assert model.x == real.x
    growing = [(bool(one), bool(other)) for one, other in zip(real.old, model.old, strict=True)]
    # when a growth ends depends on the seed of the map; there is a point at the very insert at which the real one ended
    ended = {k for k in range(1, len(growing)) if growing[k - 1][0] and not growing[k][0]}
    assert len(ended) == 11
    assert {k for k, (one, other) in enumerate(growing) if one != other} <= ended
    for k, (one, other) in enumerate(growing):
        bytes_of = [(real.y[k], model.y[k])] if one == other else []
        bytes_of.append((real.y[k] - real.old[k], model.y[k] - model.old[k]))
        assert all(abs(a - b) <= 0.03 * real.y[k] + 4096 for a, b in bytes_of), (real.x[k], bytes_of)
    assert [one.who.split(" ")[0] for one in series.residency("1.26", STRING_INT, 2_000)[0]] == ["Go"]


def test_values_without_size_have_no_model():
    curves, model = series.residency("1.26", Shape.parse("map[int]struct{}"), 2_000)
    assert model is None
    assert [one.who.split(" ")[0] for one in curves] == ["Go"]
    with pytest.raises(UsageError):
        Shape.parse("map[int]")
