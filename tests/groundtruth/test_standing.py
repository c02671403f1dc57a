"""P7: which goroutines stand inside loops over maps, against a program that knows it of each of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mapscope.binary.executable import Executable
from mapscope.errors import ExecutableError
from mapscope.profiles.fetch import read_profile
from mapscope.profiles.settings import DEFAULT
from mapscope.profiles.standing import Standing, standing
from mapscope.report.schema import json_schema
from tests.groundtruth.test_profile_command import run
from tests.groundtruth.test_profiles import FORMS, VARIANTS, take
from tests.groundtruth.variants import Variant
from tests.unit.report.schema_check import problems

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]
__all__ = ["take"]

GROWING = "map[uint64]*main.rec"
WAITED = re.compile(r"^(goroutine \d+ \[[^\],]+)(?:, \d+ minutes)?(.*\]:)$", re.MULTILINE)


def found(taken: Any, name: str) -> list[Standing]:
    """What is said of one goroutine profile of the run."""
    return standing(Executable.open(taken.executable), [read_profile(str(taken.folder / name))], DEFAULT)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("name", FORMS)
def test_loops_that_goroutines_stand_in(variant: Variant, name: str, take: Any):
    taken = take(variant, "standing-rising")
    inside = {row["function"]: row["type"] for row in taken.truth["places"] if row["inside"]}
    outside = {row["function"] for row in taken.truth["places"] if not row["inside"]}
    assert len(inside) > 8
    assert len(outside) > 5
    ours: dict[str, list[Standing]] = {}
    for one in found(taken, name):
        ours.setdefault(one.site.function, []).append(one)
    assert not ours.keys() & outside
    for function, type_ in inside.items():
        # the body of a loop over a function can be a machine function of its own, inside that one by name
        rows = [row for key, rows in ours.items() if key.startswith(function) for row in rows]
        assert len(rows) == 1, (function, sorted(ours))
        assert rows[0].goroutines == 1
        if type_:
            assert (rows[0].type, rows[0].how) == (type_, "inferred"), function
        assert rows[0].state == ("chan receive" if name == "goroutine2.txt" else "")
        assert not rows[0].lasting  # nothing says how long
    pulled = [key for key in ours if "standMore" in key or "iter.Pull" in key]
    assert len(ours) == len(inside) + len(pulled)
    assert len(pulled) == (variant.series not in ("1.19", "1.21", "1.22"))


def waited(taken: Any, folder: Path, minutes: str = ", 41 minutes") -> Path:
    """The debug=2 text of the run as it would be after goroutines have waited."""
    text = (taken.folder / "goroutine2.txt").read_text(encoding="utf-8")
    path = folder / "goroutine2.txt"
    path.write_text(WAITED.sub(rf"\g<1>{minutes}\g<2>", text), encoding="utf-8")
    return path


def joined(taken: Any, *routines: Path) -> dict[str, Any]:
    """The document of the three heap profiles of the run with these goroutine profiles."""
    heaps = [taken.folder / f"heap-{number}.pb.gz" for number in (1, 2, 3)]
    document: dict[str, Any] = json.loads(run(*heaps, *routines, "-e", taken.executable, "-f", "json"))
    schema = json_schema()
    assert not problems(document, schema["$defs"]["ProfileDocument"], schema)
    return document


@pytest.mark.parametrize("variant", [Variant("1.23"), Variant("1.26", "pie-stripped")], ids=str)
def test_loops_beside_memory_that_only_rises(variant: Variant, take: Any, tmp_path: Path):
    taken = take(variant, "standing-rising")
    document = joined(taken, waited(taken, tmp_path))
    places = {row["function"]: row for row in taken.truth["places"]}
    told = {row["function"]: row for row in document["suspects"] if row["indicator"] == "P7"}
    assert "main.otherType" not in told  # a loop over another type of map
    wanted = {name for name, row in places.items() if row["inside"] and row["type"] == GROWING}
    assert wanted <= told.keys()
    for name in wanted:
        row = told[name]
        assert (row["type"], row["told"], row["goroutines"], row["wait_minutes"]) == (GROWING, "inferred", 1, 41)
        assert [one["function"] for one in row["rises"]] == ["main.fillMore"]
        assert row["state"] == "chan receive"
    assert told["main.byReflection"]["told"] == "possible"
    assert not told.keys() & {name for name, row in places.items() if not row["inside"]}
    assert "mapscope capture PID" in document["next"][0]
    (fills,) = [row for row in document["series"] if row["function"] == "main.fillMore"]
    assert len(fills["inuse_bytes"]) == 3
    text = run(
        *(taken.folder / f"heap-{n}.pb.gz" for n in (1, 2, 3)), waited(taken, tmp_path), "-e", taken.executable
    ).decode()
    assert "1 goroutine stands in a loop over a map for up to 41 min (chan receive)" in text
    assert "take a core to decide" in " ".join(text.split())


@pytest.mark.parametrize("variant", [Variant("1.23"), Variant("1.26")], ids=str)
def test_neither_alone_is_a_suspect(variant: Variant, take: Any, tmp_path: Path):
    still, rising = take(variant, "standing-still"), take(variant, "rising-alone")
    assert not [row for row in joined(still, waited(still, tmp_path))["suspects"] if row["indicator"] == "P7"]
    document = joined(rising, waited(rising, tmp_path))
    assert document["rising"]
    assert not [row for row in document["suspects"] if row["indicator"] == "P7"]
    short = take(variant, "standing-rising")
    assert not [row for row in joined(short, waited(short, tmp_path, ""))["suspects"] if row["indicator"] == "P7"]


@pytest.mark.parametrize("name", ["goroutine.pb.gz", "goroutine1.txt"])
def test_two_profiles_without_waits_are_possible_at_most(name: str, take: Any):
    taken = take(Variant("1.23"), "standing-rising")
    once, twice = (joined(taken, *[taken.folder / name] * count) for count in (1, 2))
    assert not [row for row in once["suspects"] if row["indicator"] == "P7"]
    told = [row for row in twice["suspects"] if row["indicator"] == "P7"]
    assert {"main.insideLoop", "main.inSelect"} <= {row["function"] for row in told}
    assert {row["told"] for row in told} == {"possible"}
    assert all("How long they stand is not known" in row["text"] for row in told)


def test_goroutines_alone_are_listed(take: Any, tmp_path: Path):
    taken = take(Variant("1.26"), "standing-rising")
    document = json.loads(run(waited(taken, tmp_path), "-e", taken.executable, "-f", "json"))
    inside = {row["function"] for row in taken.truth["places"] if row["inside"]}
    named = {row["function"] for row in document["loops"]}
    assert {name for name in inside if any(one.startswith(name) for one in named)} == inside
    assert all(row["lasting"] and row["wait_minutes"] == 41 for row in document["loops"])
    assert not document["suspects"]
    text = run(waited(taken, tmp_path), "-e", taken.executable).decode()
    assert "IN LOOPS OVER MAPS" in text
    assert "1 goroutine [chan receive, up to 41 min] (inferred)" in text
    assert f"P7  goroutines that stand in loops over maps: {len(document['loops'])} goroutines" in text


def test_stacks_of_another_program_are_refused(take: Any):
    taken = take(Variant("1.23"), "standing-rising")
    other = Executable.open(take(Variant("1.26"), "standing-rising").executable)
    with pytest.raises(ExecutableError, match="is not the program that made"):
        standing(other, [read_profile(str(taken.folder / "goroutine2.txt"))], DEFAULT)
