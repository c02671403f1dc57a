"""``mapscope diff`` in this process, over snapshots made of figures."""

from __future__ import annotations

import json
import sys
import types

import pytest

from mapscope.cli import main
from tests.unit.report.fakes import classic, stalled
from tests.unit.test_diff import snap

GROWING = stalled(851_969, 18, 23_014_048)
MOVED = GROWING | {"nevacuate": 99}


@pytest.fixture
def opened(monkeypatch):
    """Snapshots by path, and how they were opened."""
    state = types.SimpleNamespace(by_path={"old": snap(GROWING), "new": snap(GROWING)}, calls=[])

    def open_snapshot(path, executable=None, *, progress=None, holding=False, keep=False, needed=()):
        state.calls.append((path, executable))
        return state.by_path[path]

    fake = types.ModuleType("mapscope.opening")
    fake.open_snapshot = open_snapshot
    monkeypatch.setitem(sys.modules, "mapscope.opening", fake)
    return state


def run(capfd, *arguments: str) -> tuple[int, str, str]:
    status = main.main(["diff", "old", "new", *arguments])
    out, err = capfd.readouterr()
    return status, out, err


def test_what_stays_or_is_new_exits_with_one(capfd, opened):
    assert run(capfd)[0] == 1
    opened.by_path["old"] = snap(classic(5, 0) | {"address": 0xC000900000})
    assert run(capfd)[0] == 1


def test_what_moves_or_is_gone_exits_with_zero(capfd, opened):
    opened.by_path["new"] = snap(MOVED)
    assert run(capfd)[0] == 0
    opened.by_path["new"] = snap(classic(5, 0))
    status, out, _ = run(capfd)
    assert status == 0
    assert "0 new, 0 that stay, 0 in progress, 1 gone." in out


@pytest.mark.parametrize(
    ("options", "status"),
    [(["--exit-zero"], 0), (["--fail-on", "R9"], 0), (["--fail-on", "r1,R9"], 1), (["--fail-on", "none"], 0)],
)
def test_status_can_be_chosen(capfd, opened, options, status):
    assert run(capfd, *options)[0] == status


def test_executables(capfd, opened):
    run(capfd, "-e", "both")
    run(capfd, "-e", "v2", "--old-executable", "v1")
    assert opened.calls == [("old", "both"), ("new", "both"), ("old", "v1"), ("new", "v2")]


def test_json_goes_to_a_file_and_over_none(capfd, opened, tmp_path):
    target = tmp_path / "diff.json"
    assert run(capfd, "-o", str(target))[0] == 1
    document = json.loads(target.read_text())
    assert document["findings"][0]["status"] == "unchanged"
    target.write_text("mine")
    status, _, err = run(capfd, "-o", str(target))
    assert (status, target.read_text()) == (2, "mine")
    assert "--force" in err
    assert run(capfd, "-o", str(target), "--force")[0] == 1
    assert json.loads(target.read_text()) == document


def test_the_next_command_asks_about_what_grew(capfd, opened):
    opened.by_path["new"] = snap(GROWING, classic(9000, 11) | {"address": 0xC000700000})
    _, out, _ = run(capfd)
    assert "  mapscope chain /tmp/core.4242 0xc000700000" in out.splitlines()
