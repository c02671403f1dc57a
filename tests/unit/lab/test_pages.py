"""``-f html`` of the lab's commands: where the page goes, and what is refused before the long work."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mapscope.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["claims", "-f", "html"], "name it: -o report.html"),
        (["claims", "-f", "json", "-o", "FILE"], "-o is for pages"),
        (["claims", "-o", "plain.txt"], "-o is for pages"),
        (["run", "stalled", "-o", "nowhere/page.html"], "mkdir -p"),
        (["verify", "-f", "html", "-o", "FILE"], "exists already"),
    ],
)
def test_what_is_refused(arguments: list[str], word: str, tmp_path: Path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there.html"
    there.write_text("mine")
    assert main(["lab", *(str(there) if one == "FILE" else one for one in arguments)]) == 2
    out, err = capfd.readouterr()
    assert word in err
    assert not out
    assert there.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["there.html"]


def test_a_page_replaces_a_file_only_when_asked(tmp_path: Path, capfd):
    target = tmp_path / "claims.html"
    assert main(["lab", "claims", "-o", str(target)]) == 0
    assert main(["lab", "claims", "-o", str(target)]) == 2
    first = target.read_bytes()
    assert main(["lab", "claims", "--section", "4.1", "-f", "html", "-o", str(target), "--force"]) == 0
    assert target.read_bytes() != first
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["claims.html"]
    assert "wrote" in capfd.readouterr().err
