"""``mapscope growth``: its help, the plan as text and as a document, and its exit statuses."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mapscope.cli.main import cli, main
from mapscope.growth.command import command as growth
from mapscope.growth.fleet import Fleet
from mapscope.growth.settings import DEFAULT
from mapscope.report.schema import json_schema
from tests.unit.growth.fleets import fleet
from tests.unit.report.schema_check import problems

CONTEXT = click.Context(growth, info_name="mapscope growth")
HOT = fleet(
    {"hot": 0.9, "idle": 0.2, "full\x1b[31m": 0.5},
    {"hot": [(10, 1)] * 9, "idle": [(10, 1)], "full\x1b[31m": [(300, 1), (300, 1), (270, 4)]},
)
EVEN = fleet({"a": 0.5, "b": 0.5}, {"a": [(10, 1)] * 3, "b": [(10, 1)] * 3})


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "growth.md").read_text(encoding="utf-8")
COMMANDS = {name: growth.get_command(CONTEXT, name) for name in growth.list_commands(CONTEXT)}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_and_synopsis_are_documented(name: str):
    cells = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `-")]
    rows = [options for options, commands, *_ in cells if f"growth {name}" in commands.split(", ")]
    documented = {option for row in rows for option in re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", row)}
    offered = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}
    assert documented == offered
    assert re.search(rf"^    mapscope growth {name}\b", PAGE.split("\n\n")[1], re.MULTILINE)


def test_settings_are_those_in_force():
    page = PAGE.partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)
    assert {name: float(value) for name, value in rows} == {name: float(v) for name, v in asdict(DEFAULT).items()}


def written(folder: Path, given: Fleet) -> str:
    path = folder / "fleet.json"
    document = {"nodes": [asdict(one) for one in given.nodes], "shards": [asdict(one) for one in given.shards]}
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", growth.list_commands(CONTEXT))
def test_every_command_has_help_within_the_width(name: str):
    result = CliRunner().invoke(cli, ["growth", name, "--help"])
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 80


def test_without_a_command_it_shows_its_help_and_that_is_a_wrong_usage(capfd: pytest.CaptureFixture[str]):
    assert main(["growth"]) == 2
    assert "mapscope growth plan --measures" in capfd.readouterr().err


def test_a_plan_as_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["growth", "plan", "--measures", written(tmp_path, HOT)]) == 1
    out = capfd.readouterr().out
    for part in ("WHY", "MOVES", "NODES", "load_ratio", "free_capacity", "growth run STORE --plan plan.json"):
        assert part in out
    assert "\x1b" not in out
    lines = [line for line in out.splitlines() if "fleet.json" not in line]
    assert max(map(len, lines)) <= 80


def test_a_plan_as_a_document(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["growth", "plan", "--measures", written(tmp_path, HOT), "-f", "json"]) == 1
    out = capfd.readouterr().out
    assert out.isascii()
    document = json.loads(out)
    schema = json_schema()
    assert not problems(document, schema["$defs"]["GrowthPlanDocument"], schema)
    assert document["bytes_moved"] == sum(move["size_bytes"] for move in document["moves"]) > 0
    assert document["skew_after"] < document["skew_before"]
    assert {move["source"] for move in document["moves"]} == {"hot", "full\x1b[31m"}


def test_a_kept_plan_is_shown_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    where = written(tmp_path, fleet({"hot": 0.9, "idle": 0.2}, {"hot": [(10, 1)] * 9, "idle": [(10, 1)]}))
    main(["growth", "plan", "--measures", where])
    text = capfd.readouterr().out
    main(["growth", "plan", "--measures", where, "-f", "json"])
    kept = tmp_path / "plan.json"
    kept.write_text(capfd.readouterr().out, encoding="utf-8")
    assert main(["report", str(kept)]) == 0
    shown = capfd.readouterr().out
    assert "WHY" in shown
    assert text.startswith(shown.rstrip("\n")), "the command adds what to run next"
    assert main(["growth", "simulate", "--nodes", "4", "--shards", "9", "--hours", "1", "-f", "json"]) in (0, 1)
    kept.write_text(capfd.readouterr().out, encoding="utf-8")
    assert main(["report", str(kept)]) == 0
    assert "4 nodes, 9 shards, 1 hours" in capfd.readouterr().out


def test_nothing_to_do_is_status_0(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["growth", "plan", "--measures", written(tmp_path, EVEN)]) == 0
    assert "no moves" in capfd.readouterr().out
    assert main(["growth", "plan", "--measures", written(tmp_path, Fleet((), ()))]) == 0


def test_settings_are_those_of_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    config = tmp_path / "growth.yaml"
    config.write_text("load_enter: 0.95\nfree_enter: 0.05\n", encoding="utf-8")
    where = written(tmp_path, HOT)
    assert main(["growth", "plan", "--measures", where, "--config", str(config), "-f", "json"]) == 1
    assert json.loads(capfd.readouterr().out)["triggers"][0]["cause"] == "skew_ratio"
    config.write_text("load_enter: 0.95\nfree_enter: 0.05\nskew_enter: 50\n", encoding="utf-8")
    assert main(["growth", "plan", "--measures", where, "--config", str(config)]) == 0
    config.write_text("load_enter: 9\n", encoding="utf-8")
    assert main(["growth", "plan", "--measures", where, "--config", str(config)]) == 2
    assert "growth.yaml:1:13" in capfd.readouterr().err


def test_several_measures_are_rounds_one_after_the_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    hot, even = tmp_path / "hot", tmp_path / "even"
    hot.mkdir()
    even.mkdir()
    beyond, below = written(hot, HOT), written(even, EVEN)

    def causes(*files: str) -> set[str]:
        given = [word for file in files for word in ("--measures", file)]
        main(["growth", "plan", *given, "-f", "json"])
        return {trigger["cause"] for trigger in json.loads(capfd.readouterr().out)["triggers"]}

    assert "load_ratio" in causes(beyond)
    assert not causes(beyond, beyond)
    assert "load_ratio" in causes(below, beyond, beyond, beyond)
    assert not causes(beyond, beyond, beyond, below)
    assert not causes(beyond, beyond, below, beyond)


def test_a_plan_changes_nothing(tmp_path: Path):
    where = written(tmp_path, HOT)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    main(["growth", "plan", "--measures", where])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
