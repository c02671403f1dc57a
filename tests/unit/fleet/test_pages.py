"""The pages that are made from the code are those in the tree."""

from __future__ import annotations

import pytest

from tools.make_fleet_pages import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(name: str):
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run python tools/make_fleet_pages.py"
