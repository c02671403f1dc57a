"""The bundle that the package carries is what ``ui/`` gives, and stays small."""

from __future__ import annotations

import subprocess

import pytest

from mapscope.report.page.html import static
from tests.browser.conftest import ROOT

LIMIT = 300_000


def test_the_bundle_is_what_the_sources_give(modules):
    done = subprocess.run(
        ["npm", "run", "--silent", "check"], cwd=ROOT / "ui", capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_bundle_is_small():
    assert len(static("app.js").encode()) + len(static("app.css").encode()) < LIMIT


def test_the_bundle_can_stand_in_a_page():
    script, styles = static("app.js"), static("app.css")
    assert script.isascii()
    for text in (script.lower(), styles.lower()):
        assert "</script" not in text
        assert "<!--" not in text
        assert "</style" not in text


@pytest.mark.parametrize("path", sorted((ROOT / "ui" / "src").rglob("*.ts*")), ids=lambda path: path.name)
def test_no_view_makes_markup_of_text(path):
    text = path.read_text(encoding="utf-8")
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "dangerouslySet",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert word not in text


def test_licences_are_listed():
    text = static("licenses.txt")
    assert "preact" in text
    assert text.count("Copyright") >= 1
