"""Takes one picture of any page that mapscope wrote: ``python tools/screenshot_page.py PAGE NAME [--hash moves]``.

The pictures of docs/reference/html-report.md, from two cores, three profiles and the lab:

    mapscope diff old.core new.core -o diff.html
    python tools/screenshot_page.py diff.html report-diff
    mapscope profile heap-1.pb.gz heap-2.pb.gz heap-3.pb.gz -e ./service -o day.html
    python tools/screenshot_page.py day.html report-places --hash places --dark
    mapscope lab curve --go 1.23 --go 1.26 -f html
    python tools/screenshot_page.py curves/residency.html report-curves
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
LIMIT = 200_000
"""Bytes of one picture."""
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("name", help="of the picture, without .png")
    parser.add_argument("--hash", default="", help="the part of the page")
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    parser.add_argument("--height", type=int, default=900, help="pixels")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder for the picture")
    options = parser.parse_args()
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit("no Chromium: apt-get install chromium-headless-shell")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        page = browser.new_page(
            viewport={"width": 1240, "height": options.height}, color_scheme="dark" if options.dark else "light",
            reduced_motion="reduce",
        )  # fmt: skip
        page.goto(options.page.resolve().as_uri() + (f"#{options.hash}" if options.hash else ""))
        page.wait_for_selector("#main h1")
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    target = options.out / f"{options.name}.png"
    picture.save(target, optimize=True)
    size = target.stat().st_size
    print(f"{options.name}.png  {size:,} bytes")
    return 1 if size > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
