"""``mapscope chain`` and ``mapscope dominators``, over a snapshot made of figures."""

from __future__ import annotations

import json
import sys
import types

import pytest

from mapscope.cli import main
from tests.unit.report.test_holding import CHAIN, snapshot

MAP = "0xc000010000"


@pytest.fixture
def opened(monkeypatch):
    """What was opened; ``made`` is what comes out."""
    state = types.SimpleNamespace(made=snapshot(), calls=[])

    def open_snapshot(path, executable=None, *, progress=None, holding=False, keep=False, needed=()):
        state.calls.append((path, executable))
        return state.made

    fake = types.ModuleType("mapscope.opening")
    fake.open_snapshot = open_snapshot
    monkeypatch.setitem(sys.modules, "mapscope.opening", fake)
    return state


def run(capfd, *arguments: str) -> tuple[int, str, str]:
    status = main.main(arguments)
    out, err = capfd.readouterr()
    return status, out, err


def test_a_chain_as_text(capfd, opened):
    status, out, err = run(capfd, "chain", "core", MAP, "-e", "./service")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "  global main.srv  0x5a1a20"
    assert "ALL CHAINS" not in out
    assert opened.calls == [("core", "./service")]


def test_all_chains_as_text(capfd, opened):
    status, out, _ = run(capfd, "chain", "core", MAP, "--all")
    assert status == 0
    assert "ALL CHAINS 1 chain from 1 root" in out


def test_a_chain_as_json(capfd, opened, tmp_path):
    status, out, _ = run(capfd, "chain", "core", MAP, "-f", "json")
    document = json.loads(out)
    assert status == 0
    assert document["all"] is None
    assert len(document["chain"]) == len(CHAIN)
    target = tmp_path / "chain.json"
    assert run(capfd, "chain", "core", MAP, "--all", "-o", str(target))[0] == 0
    assert json.loads(target.read_text())["all"][0]["children"][0]["bytes"] == 48


@pytest.mark.parametrize("address", ["0xdead", "somewhere", "-1", "0x1ffffffffffffffff"])
def test_an_address_that_is_none_is_said_so(capfd, opened, address):
    status, out, err = run(capfd, "chain", "core", "--", address)
    assert (status, out) == (2, "")
    assert err.startswith("mapscope: error: ")
    assert "hint: " in err


def test_dominators_as_text_and_json(capfd, opened):
    status, out, _ = run(capfd, "dominators", "core", "--top", "5")
    assert status == 0
    assert "WHAT HOLDS MOST" in out
    assert out.splitlines()[-1].strip() == "mapscope chain /tmp/core.4242 0xc000010000"
    status, out, _ = run(capfd, "dominators", "core", "./service", "-f", "json")
    assert status == 0
    assert json.loads(out)["dominators"][0]["retained_bytes"] == 63_140_608
    assert run(capfd, "dominators", "core", "--top", "0")[0] == 2


@pytest.mark.parametrize("command", ["chain", "dominators"])
def test_help_has_examples(capfd, command):
    status, out, _ = run(capfd, command, "--help")
    assert status == 0
    assert "Examples:" in out
    assert f"mapscope {command} core.4242" in out
