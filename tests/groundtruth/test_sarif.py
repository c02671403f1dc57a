"""SARIF of real Go programs: the lines are those where the source has it; the standard's schema and GitHub take it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.groundtruth import harness
from tests.groundtruth.leaky import SOURCE, Leaky, leaky, line_of
from tests.groundtruth.test_profiles import take
from tests.groundtruth.variants import Variant
from tests.sarif_check import problems

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]
__all__ = ["leaky", "take"]

MODES = harness.PROGRAMS / "iterators" / "modes.go"


def run(*arguments: str | Path, status: tuple[int, ...] = (0, 1)) -> tuple[dict[str, Any], str]:
    """The one run of the log of a command, and what the command said on stderr."""
    command = [sys.executable, "-m", "mapscope", *map(str, arguments), "-f", "sarif"]
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode in status, done.stderr
    log = json.loads(done.stdout)
    assert problems(log) == []
    (only,) = log["runs"]
    assert only["properties"]["findings"] == len(only["results"]) + only["properties"]["withoutSourceLine"]
    return only, done.stderr


def place(result: dict[str, Any]) -> tuple[str, int, str]:
    """File, line and root of a result."""
    physical = result["locations"][0]["physicalLocation"]
    where = physical["artifactLocation"]
    return where["uri"], physical["region"]["startLine"], where.get("uriBaseId", "")


def test_a_map_is_shown_where_its_field_is_declared(leaky: Leaky):
    found, said = run("analyze", leaky.core, leaky.executable, "--source", SOURCE)
    service = SOURCE / "service.go"
    expected = {
        "map[uint64]bool": ("R10", "features map[uint64]bool"),
        "map[uint64]main.Presence": ("R9", "presence map[uint64]Presence"),
        "map[string]int": ("R16", "devices  map[string]int"),
    }
    shown = {one["properties"]["type"]: one for one in found["results"] if "partOf" not in one["properties"]}
    assert shown.keys() == expected.keys()
    for kind, (rule, declaration) in expected.items():
        assert (shown[kind]["ruleId"], place(shown[kind])) == (
            rule, ("service.go", line_of(service, declaration), "SRCROOT")
        )  # fmt: skip
        region = shown[kind]["locations"][0]["physicalLocation"]["region"]
        text = service.read_text(encoding="utf-8").splitlines()[region["startLine"] - 1]
        assert text[region["startColumn"] - 1 : region["endColumn"] - 1] == declaration.split()[0]
    assert "left out" not in said
    document = json.loads(
        subprocess.run(
            [sys.executable, "-m", "mapscope", "analyze", leaky.core, leaky.executable, "-f", "json"],
            capture_output=True, check=False, timeout=120, env={**os.environ, "PYTHONPATH": str(harness.SOURCE)},
        ).stdout
    )  # fmt: skip
    bytes_of = {(row["rule"], row["type"]): row["bytes"] for row in document["findings"]}
    for one in found["results"]:
        assert one["properties"]["bytes"] == bytes_of[one["ruleId"], one["properties"]["type"]]


def test_what_names_no_line_is_left_out_and_counted(leaky: Leaky, tmp_path: Path):
    found, said = run("analyze", leaky.core, leaky.executable)
    assert found["results"] == []
    assert found["properties"]["withoutSourceLine"] >= 3
    (note,) = found["invocations"][0]["toolExecutionNotifications"]
    assert "name no line of the source" in note["message"]["text"]
    assert "--source FOLDER finds the declarations" in said
    (tmp_path / "service.go").write_text("package main\n\ntype Service struct {\n\tother int\n}\n", encoding="utf-8")
    found, said = run("analyze", leaky.core, leaky.executable, "--source", tmp_path)
    assert found["results"] == []  # another program's source makes no location up
    assert "left out" in said
    assert "--source" not in said


@pytest.mark.parametrize("variant", [Variant("1.23"), Variant("1.26", "stripped")], ids=str)
def test_a_blocked_loop_is_shown_at_its_line(variant: Variant, tmp_path: Path):
    executable = harness.build("iterators", variant)
    runs = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with harness.running(executable, "receive", folder=folder) as program:
            core = harness.take_core(program, variant.evidence, folder)
        found, _ = run("analyze", core, executable)
        (result,) = [one for one in found["results"] if one["ruleId"] in ("R4", "R5")]
        runs.append(result)
        core.unlink()
    lines = MODES.read_text(encoding="utf-8").splitlines()
    loop = next(number for number, line in enumerate(lines, 1) if line.startswith("func rangeNumbers("))
    waits = next(number for number in range(loop, len(lines)) if "g.wait()" in lines[number - 1])
    first, second = runs
    assert place(first) == ("iterators/modes.go", waits, "SRCROOT")
    assert first["ruleId"] == ("R5" if variant.swiss else "R4")
    assert first["level"] == "error"
    assert first["partialFingerprints"] == second["partialFingerprints"]
    frames = [one["location"] for one in first["stacks"][0]["frames"]]
    assert "main.rangeNumbers" in [one["logicalLocations"][0]["fullyQualifiedName"] for one in frames]
    outer = [one["location"] for one in first["codeFlows"][0]["threadFlows"][0]["locations"]]
    assert outer == frames[::-1]
    standard = frames[0]["physicalLocation"]["artifactLocation"]
    assert standard == {"uri": "src/runtime/proc.go", "uriBaseId": "GOROOT"}
    assert str(harness.PROGRAMS) not in json.dumps(first)


def test_suspects_of_profiles_are_shown_where_the_program_stands(take: Any, tmp_path: Path):
    from tests.groundtruth.test_standing import waited

    taken = take(Variant("1.23"), "standing-rising")
    heaps = [taken.folder / f"heap-{number}.pb.gz" for number in (1, 2, 3)]
    found, _ = run("profile", *heaps, waited(taken, tmp_path), "-e", taken.executable, status=(0,))
    standing = harness.PROGRAMS / "profiles" / "standing.go"
    lines = standing.read_text(encoding="utf-8").splitlines()
    suspects = [one for one in found["results"] if one["ruleId"] == "P7"]
    rising = [one for one in found["results"] if one["ruleId"] == "P5"]
    assert suspects
    for one in suspects:
        file, line, root = place(one)
        function = one["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].removeprefix("main.")
        if root != "SRCROOT":
            assert file.endswith("/src/maps/iter.go"), one  # the loop inside maps.All
            continue
        assert file in ("profiles/standing.go", "profiles/standing_new.go")
        if file == "profiles/standing.go":
            begin = next(n for n, text in enumerate(lines, 1) if text.startswith(f"func {function.split('.')[0]}"))
            end = next(n for n in range(begin, len(lines) + 1) if lines[n - 1] == "}")
            assert begin < line < end, one
    assert [place(one)[0] for one in rising] == ["profiles/standing.go"] * len(rising)
    assert rising
    moved, _ = run("profile", "diff", heaps[0], heaps[2], "-e", taken.executable, status=(0,))
    assert moved["properties"]["withoutSourceLine"] == 0


def test_a_difference_says_what_is_new_and_what_stays(leaky: Leaky, tmp_path: Path):
    target = tmp_path / "moved.sarif"
    command = [
        sys.executable, "-m", "mapscope", "diff", leaky.core, leaky.later, "-e", leaky.executable, "--source", SOURCE,
        "-o", target,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    log = json.loads(target.read_text(encoding="utf-8"))
    assert problems(log) == []
    results = log["runs"][0]["results"]
    assert {one["baselineState"] for one in results} == {"unchanged"}
    assert {place(one)[1] for one in results} >= {line_of(SOURCE / "service.go", "features map[uint64]bool")}
