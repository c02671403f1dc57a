"""The command line in this process, over a snapshot made of figures."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import sys
import types

import click
import pytest
from click.testing import CliRunner

from mapscope.cli import analyze, main, output
from mapscope.cli.main import cli
from mapscope.cli.options import parse_address
from mapscope.errors import EvidenceError, UsageError
from mapscope.units import parse_size
from tests.unit.report.fakes import FakeSnapshot, classic, sample, table


@pytest.fixture
def opened(monkeypatch):
    """Which evidence was opened; ``opened.snapshot`` is what comes out, ``opened.error`` is raised instead."""
    state = types.SimpleNamespace(snapshot=sample(), error=None, calls=[])

    def open_snapshot(path, executable=None, *, progress=None, holding=False, keep=False, needed=()):
        state.calls.append((path, executable, progress))
        state.kept = keep
        if state.error is not None:
            raise state.error
        return state.snapshot

    fake = types.ModuleType("mapscope.opening")
    fake.open_snapshot = open_snapshot
    monkeypatch.setitem(sys.modules, "mapscope.opening", fake)
    return state


@pytest.fixture
def quiet(opened):
    opened.snapshot = FakeSnapshot(table(classic(5, 0)))
    return opened


def run(capfd, *arguments: str) -> tuple[int, str, str]:
    status = main.main(arguments)
    out, err = capfd.readouterr()
    return status, out, err


# --- exit status -----------------------------------------------------------------------------------------------------


def test_findings_exit_with_one_and_nothing_with_zero(capfd, opened):
    assert run(capfd, "analyze", "core")[0] == 1
    opened.snapshot = FakeSnapshot(table(classic(5, 0)))
    assert run(capfd, "analyze", "core")[0] == 0


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--exit-zero"], 0),
        (["--fail-on", "R1"], 1),
        (["--fail-on", "r12,R9"], 1),
        (["--fail-on", "R12"], 0),
        (["--fail-on", "R12", "--fail-on", "R16"], 1),
        (["--fail-on", "none"], 0),
        (["--fail-on", "R1", "--exit-zero"], 0),
    ],
)
def test_what_makes_it_fail_can_be_chosen(capfd, opened, options, status):
    assert run(capfd, "analyze", "core", *options)[0] == status


def test_unknown_rule_is_refused_before_the_core_is_opened(capfd, opened):
    status, out, err = run(capfd, "analyze", "core", "--fail-on", "R99")
    assert (status, out) == (2, "")
    assert "no such rule" in err
    assert "R1, R2, R3" in err
    assert opened.calls == []


def test_listing_maps_is_no_judgement(capfd, opened):
    assert run(capfd, "maps", "core")[0] == 0
    assert run(capfd, "map", "core", "0xc000010000")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyse", "core"],
        ["analyze"],
        ["maps", "core", "--sort", "size"],
        ["maps", "core", "--top", "-1"],
        ["--nope"],
        [],
    ],
)
def test_wrong_usage_exits_with_two_and_says_where_help_is(capfd, opened, arguments):
    status, out, err = run(capfd, *arguments)
    assert (status, out) == (2, "")
    assert "--help" in err
    assert "Traceback" not in err


def test_errors_are_one_line_and_a_hint(capfd, opened):
    opened.error = EvidenceError("core.1 is no core dump", "take one with gcore PID")
    status, out, err = run(capfd, "analyze", "core.1")
    assert (status, out) == (2, "")
    assert err == "mapscope: error: core.1 is no core dump\n  hint: take one with gcore PID\n"


def test_errors_with_hostile_text_stay_on_their_line(capfd, opened):
    opened.error = EvidenceError("bad name \x1b[2J\nmapscope: all is well")
    _, _, err = run(capfd, "analyze", "core")
    assert err == "mapscope: error: bad name \\x1b[2J\\x0amapscope: all is well\n"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "not enough memory"),
        (PermissionError(13, "Permission denied", "core"), 2, "Permission denied: core"),
        (OSError(28, "No space left on device"), 2, "free some space"),
        (RuntimeError("offset 7\nis odd"), 101, "bug of ours: RuntimeError at test_cli.py:"),
        (RecursionError("deep"), 101, "bug of ours"),
    ],
)
def test_every_failure_has_its_status_and_no_traceback(capfd, opened, error, status, words):
    opened.error = error
    got, out, err = run(capfd, "analyze", "core")
    assert (got, out) == (status, "")
    assert words in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2


def test_the_traceback_of_a_bug_comes_when_asked_for(capfd, opened, monkeypatch):
    monkeypatch.setenv("MAPSCOPE_DEBUG", "1")
    opened.error = RuntimeError("odd")
    status, _, err = run(capfd, "analyze", "core")
    assert status == 101
    assert "Traceback" in err


# --- what the commands are given -------------------------------------------------------------------------------------


def test_core_and_executable_are_handed_on(capfd, opened):
    run(capfd, "analyze", "core", "exe")
    run(capfd, "maps", "core")
    run(capfd, "map", "core", "0xc000010000", "-e", "exe")
    assert [call[:2] for call in opened.calls] == [("core", "exe"), ("core", None), ("core", "exe")]
    assert all(call[2] is None for call in opened.calls), "no progress where stderr is no terminal"


@pytest.mark.parametrize(
    ("text", "address"), [("0xc000012345", 0xC000012345), ("C000012345", 0xC000012345), ("0X1", 1)]
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "0xzz", "main.cache", "-1", "0x1" + "0" * 16, "9" * 5000])
def test_no_addresses(text):
    with pytest.raises(UsageError):
        parse_address(text)


def test_address_that_is_no_map(capfd, opened):
    status, _, err = run(capfd, "map", "core", "0x1234")
    assert status == 2
    assert "no map at 0x1234" in err


# --- formats ---------------------------------------------------------------------------------------------------------


def test_json_of_every_command(capfd, opened):
    analysed = json.loads(run(capfd, "analyze", "core", "-f", "json")[1])
    listed = json.loads(run(capfd, "maps", "core", "-f", "json")[1])
    one = json.loads(run(capfd, "map", "core", "0xc000010000", "-f", "json")[1])
    assert analysed["schema"] == listed["schema"] == one["schema"] == 1
    assert len(analysed["maps"]) == len(listed["maps"]) == 5
    assert one["map"] == analysed["maps"][0]
    assert [finding["rule"] for finding in one["findings"]] == ["R1"]


def test_html_is_one_file(capfd, opened, tmp_path):
    status, _, err = run(capfd, "analyze", "core", "-f", "html")
    assert status == 2
    assert "-f html writes a page" in err
    target = tmp_path / "report.html"
    assert run(capfd, "analyze", "core", "-o", str(target))[0] == 1
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert target.stat().st_mode & 0o777 == 0o600
    status, _, err = run(capfd, "analyze", "core", "-o", str(target))
    assert (status, "exists already" in err) == (2, True)
    status, out, _ = run(capfd, "analyze", "core", "-f", "html", "-o", "-", "--no-chains")
    assert status == 1
    assert out.startswith("<!doctype html>")


def test_listing_takes_sort_top_and_type(capfd, opened):
    out = run(capfd, "maps", "core", "--sort", "waste", "--top", "1")[1]
    assert "0xc000010040" in out
    assert "and 4 more" in out
    document = json.loads(run(capfd, "maps", "core", "--type", "map[string]*", "-f", "json")[1])
    assert (document["matching"], document["maps"][0]["type"]) == (1, "map[string]*main.Rec")
    rows = list(csv.reader(io.StringIO(run(capfd, "maps", "core", "--top", "2", "-f", "csv")[1])))
    assert len(rows) == 3


def test_text_shows_twenty_maps_and_csv_all(capfd, opened):
    opened.snapshot = FakeSnapshot(table(*[classic(5, 0)] * 50))
    assert run(capfd, "maps", "core")[1].count("0xc0000") == 21, "twenty rows and the next command"
    assert run(capfd, "maps", "core", "--top", "0")[1].count("0xc0000") == 51
    assert run(capfd, "maps", "core", "-f", "csv")[1].count("0xc0000") == 50


# --- output files ----------------------------------------------------------------------------------------------------


def test_file_is_complete_private_and_alone(capfd, opened, tmp_path):
    target = tmp_path / "report.json"
    status, out, err = run(capfd, "analyze", "core", "-o", str(target))
    assert (status, out) == (1, "")
    assert f"wrote {target}" in err
    assert json.loads(target.read_text())["schema"] == 1, "the suffix of -o chose json"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_existing_file_is_kept_unless_forced(capfd, opened, tmp_path):
    target = tmp_path / "report.txt"
    target.write_text("mine")
    status, _, err = run(capfd, "analyze", "core", "-o", str(target))
    assert status == 2
    assert "exists already" in err
    assert "--force" in err
    assert target.read_text() == "mine"
    assert opened.calls == [], "said before the long work"
    assert run(capfd, "analyze", "core", "-o", str(target), "--force")[0] == 1
    assert target.read_text().startswith("mapscope ")


def test_file_that_appears_meanwhile_is_kept(tmp_path):
    target = tmp_path / "report.txt"

    def pieces():
        target.write_text("theirs")
        yield b"ours"

    with pytest.raises(UsageError, match="exists already"):
        output.write(pieces(), str(target), force=False)
    assert target.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["report.txt"]


def test_failure_while_writing_leaves_nothing(tmp_path):
    def pieces():
        yield b"x" * 100_000
        raise RuntimeError

    with pytest.raises(RuntimeError):
        output.write(pieces(), str(tmp_path / "report.txt"), force=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/report.txt", "."])
def test_impossible_targets_are_refused_before_the_core_is_opened(capfd, opened, tmp_path, name):
    status, _, err = run(capfd, "maps", "core", "-o", str(tmp_path / name))
    assert status == 2
    assert "hint" in err
    assert opened.calls == []


def test_a_device_is_written_and_stays_a_device(capfd, opened, tmp_path):
    assert run(capfd, "analyze", "core", "-o", "/dev/null")[0] == 1
    with open("/dev/null", "rb") as device:
        assert stat.S_ISCHR(os.fstat(device.fileno()).st_mode)


def test_a_link_is_followed_not_replaced(capfd, opened, tmp_path):
    target, link = tmp_path / "real.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    assert run(capfd, "analyze", "core", "-o", str(link), "--force")[0] == 1
    assert link.is_symlink()
    assert target.read_text().startswith("mapscope ")


def test_dash_is_stdout(capfd, quiet):
    assert run(capfd, "analyze", "core", "-o", "-")[1].startswith("mapscope ")


# --- help ------------------------------------------------------------------------------------------------------------


def test_every_command_has_help_with_an_example():
    runner = CliRunner()
    assert runner.invoke(cli, ["--help"]).exit_code == 0
    for name in cli.list_commands(click.Context(cli)):
        result = runner.invoke(cli, [name, "--help"])
        assert result.exit_code == 0
        special = {
            "capture": "4242",
            "profile": "heap.pb.gz",
            "lab": "toolchains",
            "growth": "run",
            "report": "report.json",
            "watch": "fleet.yml",
            "history": "checkout",
        }
        given = special.get(name, "core.4242")
        assert f"  mapscope {name} {given}" in result.output
        assert max(map(len, result.output.splitlines())) <= 80


def test_version(capfd):
    from mapscope import __version__

    assert run(capfd, "--version")[:2] == (0, f"mapscope {__version__}\n")


def test_rules_that_can_be_named_are_all_rules():
    from mapscope.findings import RULES

    assert analyze.parse_rules([",".join(rule.RULE for rule in RULES)]) == {rule.RULE for rule in RULES}
    assert analyze.parse_rules([]) is None
    assert analyze.parse_rules(["none"]) == frozenset()
    with pytest.raises(UsageError):
        analyze.parse_rules(["none,R1"])


def test_without_chains_nobody_is_asked_who_holds_what(capfd, opened, monkeypatch):
    def asked(*_):
        raise AssertionError("asked who holds what")

    monkeypatch.setattr(type(opened.snapshot), "held", asked)
    monkeypatch.setattr(type(opened.snapshot), "holders", asked)
    status, out, _ = run(capfd, "analyze", "core", "--no-chains", "-f", "json")
    document = json.loads(out)
    assert status == 1
    assert {row["chain"] for row in document["maps"] + document["findings"]} == {None}
    assert {row["retained_bytes"] for row in document["maps"]} == {None}
    assert any("--no-chains" in note for note in document["notes"])
    assert "--no-chains" in run(capfd, "analyze", "core", "--no-chains")[1]


# --- live processes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("--pid", "42"), ("--pid=42",)], ids=["apart", "together"])
@pytest.mark.parametrize("behind", [True, False])
def test_a_process_stands_where_the_core_would(monkeypatch, capfd, opened, words, behind):
    seen = []

    def open_live(pid, executable=None, *, limits=None, progress=None, holding=False, keep=False, needed=()):
        seen.append((pid, executable, limits.max_pause))
        return opened.snapshot

    sys.modules["mapscope.opening"].open_live = open_live
    for arguments, executable in (((), None), (("./service",), "./service")):
        given = (*arguments, *words) if behind else (*words, *arguments)
        assert run(capfd, "maps", *given, "--max-pause", "0.5")[0] == 0
        assert seen.pop() == (42, executable, 0.5)
    assert opened.calls == []


@pytest.mark.parametrize("value", ["-1", "0", "four", "99999999999"])
def test_what_is_no_process_id_is_said(capfd, opened, value):
    status, out, err = run(capfd, "analyze", f"--pid={value}")
    assert (status, out) == (2, "")
    assert f"--pid {value}: that is no process id" in err


def test_a_core_may_have_any_name(capfd, opened):
    run(capfd, "maps", "--", "--pid")
    assert opened.calls[0][0] == "--pid"


@pytest.mark.parametrize(
    ("text", "size"),
    [("12", 12), ("2k", 2000), ("1.5M", 1_500_000), ("3 GB", 3 * 10**9), ("1KiB", 1024), ("1Gi", 1 << 30)],
)
def test_sizes(text: str, size: int):
    assert parse_size(text) == size
    for bad in (f"-{text}", f"{text}x", ""):
        with pytest.raises(UsageError, match="is no size"):
            parse_size(bad)


@pytest.mark.parametrize(("options", "wanted", "kept"), [((), "", False), (("--cache",), "", True), ((), "1", True)])
def test_a_cache_is_left_only_when_asked_for(capfd, opened, monkeypatch, options, wanted, kept):
    monkeypatch.setenv("MAPSCOPE_CACHE", wanted)
    run(capfd, "maps", "core", *options)
    assert opened.kept is kept
