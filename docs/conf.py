"""Sphinx: ``make docs`` builds the site from these pages. It asks no network, and every warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "src")]

from mapscope import __version__  # noqa: E402  # of the checkout beside these pages

project = "mapscope"
copyright = "mapscope contributors, Apache-2.0"  # noqa: A001  # the name that Sphinx reads
release = version = __version__
extensions = ["myst_parser", "fromcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_ext", "_static"]
highlight_language = "none"  # most blocks are commands and what they print
nitpicky = True
myst_heading_anchors = 4  # links to headings are those of the forge
suppress_warnings: list[str] = []

html_theme = "furo"
html_title = f"mapscope {version}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
