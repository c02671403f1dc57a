"""The example service: its page, and the tool that takes the pictures of the documentation from it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from examples.demo import HERE, Steps, service
from mapscope.evidence.capture import capture
from mapscope.units import human_bytes
from tests.browser.conftest import ROOT
from tests.browser.reports import mapscope
from tests.groundtruth import harness
from tools import screenshots

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def leaky(tmp_path_factory) -> Path:
    """The folder with the core of the leaky service, its page and its document."""
    folder = tmp_path_factory.mktemp("leaky")
    program, core = folder / "leaky", folder / "core"
    harness.toolchain("1.23").build(HERE / "leaky", program)
    with contextlib.redirect_stdout(io.StringIO()), service(program, 0.2, Steps()) as pid:
        capture(pid, core)
    for name in ("report.html", "report.json"):
        mapscope("analyze", str(core), str(program), "-o", str(folder / name))
    return folder


def test_the_service_is_told_what_to_mend(leaky, visit):
    document = json.loads((leaky / "report.json").read_text())
    rules = document["verdict"]["rules"]
    assert {"R9", "R10", "R16"} <= set(rules)
    page = visit(leaky / "report.html")
    for rule, sums in rules.items():
        if sums["bytes"]:
            link = page.locator(f'#verdict .lead a[href="#findings?rule={rule}"]')
            expect(link).to_have_text(f"{rule} {human_bytes(sums['bytes'])}")
    expect(page.locator("#findings")).to_contain_text("strings.Clone")
    page.locator("#maps-search").fill("presence")
    expect(page.locator("#maps tbody tr[data-row]")).to_have_count(1)
    expect(page.locator("#maps tbody")).to_contain_text("*main.Service .presence")
    names = page.locator(".treemap .cell-text").all_inner_texts()
    assert any(".features" in name for name in names)


def test_the_pictures_of_the_documentation(leaky, tmp_path):
    command = [sys.executable, ROOT / "tools" / "screenshots.py", leaky / "core", leaky / "leaky", "--out", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(harness.SOURCE)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {path.name: path.stat().st_size for path in tmp_path.glob("*.png")}
    assert set(made) == {f"{shot.name}.png" for shot in screenshots.shots(0)}
    assert all(10_000 < size < screenshots.LIMIT for size in made.values()), made
    kept = {path.name for path in (ROOT / "docs" / "images").glob("report-*.png")}
    assert set(made) <= kept
    assert all((ROOT / "docs" / "images" / name).stat().st_size < screenshots.LIMIT for name in kept)
