"""``mapscope profile`` in this process: usage, failures, and what is said without an executable."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mapscope.cli import main
from tests.unit.profiles.test_reading import HEAP_TEXT, STACKS, message


def run(capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = main.main(["profile", *map(str, arguments)])
    out, err = capfd.readouterr()
    return status, out, err


@pytest.fixture
def heap(tmp_path: Path) -> Path:
    path = tmp_path / "heap.pb"
    path.write_bytes(message().SerializeToString())
    return path


def test_without_the_executable_the_report_says_what_is_not_known(heap: Path, capfd):
    status, out, _ = run(capfd, heap)
    assert status == 0
    assert "640 B in use; how much of it maps hold is not known" in out
    assert f"mapscope profile {heap} -e EXECUTABLE" in out.replace(" \\\n     ", "")
    # one word, the path, is longer than a line where pytest's folder has a long name: it is not parted
    long = [line for line in out.splitlines() if len(line) > 80 and "PROFILE" not in line]
    assert all(len(line.replace(str(heap), "")) <= 30 for line in long)
    document = json.loads(run(capfd, heap, "-f", "json")[1])
    assert document["indicators"][0]["value"] is None
    assert document["executable"] is None


def test_stdin_and_goroutines(capfd, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(STACKS)))
    status, out, _ = run(capfd, "-")
    assert status == 0
    assert "2 in - (goroutine)" in out
    assert "12 min" in out
    assert "main.(*T).wait" in out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "Missing argument"),
        (("-", "-"), "stdin can be read only once"),
        (("HEAP", "-f", "pprof"), "name it: -o"),
        (("HEAP", "HEAP", "-f", "pprof", "-o", "-"), "2 heap profiles cannot be one file"),
        (("STACKS", "-f", "pprof", "-o", "-"), "0 heap profiles cannot be one file"),
        (("HEAP", "--header", "nothing"), "NAME:VALUE"),
        (("HEAP", "--header", "A: b\r\nC: d"), "NAME:VALUE"),
        (("HEAP", "-e", "HEAP"), "mapscope: error"),
        (("absent",), "cannot read absent"),
    ],
)
def test_usage_and_failures_are_two_lines(arguments: tuple[str, ...], word: str, heap: Path, tmp_path: Path, capfd):
    (tmp_path / "stacks").write_bytes(STACKS)
    names = {"HEAP": str(heap), "STACKS": str(tmp_path / "stacks")}
    status, _, err = run(capfd, *(names.get(one, one) for one in arguments))
    assert status == 2
    assert word in err
    assert len(err.splitlines()) <= 2


def test_names_from_a_profile_do_not_reach_the_terminal_raw(tmp_path: Path, capfd):
    path = tmp_path / "heap.txt"
    path.write_bytes(HEAP_TEXT.replace(b"main.fill", b"reflect.mapassign0\x1b[31m"))
    assert "\x1b" not in run(capfd, path)[1]
    stacks = tmp_path / "stacks"
    stacks.write_bytes(STACKS.replace(b"main.(*T).wait", b"main.\x1b]0;x\x07").replace(b"chan receive", b"chan\x1b[2J"))
    assert "\x1b" not in run(capfd, stacks)[1]
    csv = tmp_path / "named.pb"
    made = message()
    made.string_table[3] = "maps.clone"
    made.string_table[4] = "=cmd()"
    csv.write_bytes(made.SerializeToString())
    assert "'=cmd()" in run(capfd, csv, "-f", "csv")[1]
