"""Takes the pictures of the HTML report that the documentation shows: ``python tools/screenshots.py CORE EXECUTABLE``.

``make demo`` first, then:

    python tools/screenshots.py out/demo/leaky-1.23.9.core out/demo/leaky-1.23.9
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import mapscope
from mapscope.report.page.snapshot import snapshot_page
from mapscope.units import hex_addr

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
LIMIT = 200_000
"""Bytes of one picture."""
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: which part of the report, in which colours and size."""

    name: str
    hash: str
    scheme: Literal["light", "dark"]
    width: int
    height: int


def shots(worst: int) -> list[Shot]:
    """The pictures; ``worst`` is the map of the largest sparse finding."""
    return [
        Shot("report-verdict", "", "light", 1240, 1000),
        Shot("report-owners", "owners", "dark", 1240, 900),
        Shot("report-map", f"map/{hex_addr(worst)}", "light", 1240, 900),
        Shot("report-narrow", "", "dark", 400, 800),
    ]


def take(browser: Browser, page_file: Path, shot: Shot, folder: Path) -> int:
    """Writes one picture and answers its bytes."""
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(page_file.as_uri() + (f"#{shot.hash}" if shot.hash else ""))
    page.wait_for_selector("#main h1")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    context.close()
    target = folder / f"{shot.name}.png"
    picture.save(target, optimize=True)
    return target.stat().st_size


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("core", type=Path)
    parser.add_argument("executable", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder for the pictures")
    options = parser.parse_args()
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit("no Chromium: apt-get install chromium-headless-shell")
    snapshot = mapscope.open(options.core, options.executable)
    sparse = [finding for finding in snapshot.findings if finding.rule in ("R1", "R9", "R12")]
    worst = (sparse or snapshot.findings)[0].subject
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        file = Path(name, "report.html")
        file.write_text(snapshot_page(snapshot), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=program)
        sizes = {shot.name: take(browser, file, shot, options.out) for shot in shots(worst)}
        browser.close()
    for name, size in sizes.items():
        print(f"{name}.png  {size:,} bytes")
    return 1 if max(sizes.values()) > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
