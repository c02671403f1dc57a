"""The pages that are made from the code are those in the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mapscope.fleet.config import load
from tools.make_fleet_pages import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(name: str):
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run python tools/make_fleet_pages.py"


@pytest.mark.parametrize("page", ["reference/watch-config.md", "how-to/fleet.md"])
def test_settings_in_the_pages_are_good(page: str, tmp_path: Path):
    """Every example that is a whole file."""
    text = (FOLDER.parent / page).read_text(encoding="utf-8")
    blocks = [
        re.sub(r"^    ", "", one, flags=re.MULTILINE) for one in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    ]
    whole = [one for one in blocks if "scrape_configs:" in one]
    assert whole
    for one in whole:
        path = tmp_path / "fleet.yml"
        path.write_text(one)
        assert load(str(path)).scrape_configs
