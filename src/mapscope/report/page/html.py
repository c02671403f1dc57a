"""The file: markup, styles, data and script in one, under a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import zlib
from importlib.resources import files

from mapscope.report.page.pack import Pack
from mapscope.report.page.shown import shown
from mapscope.report.writing import tool

DATA = '<script type="application/octet-stream" id="mapscope-data">{}</script>'
"""Where ``EmbeddedSource`` of ui/src/source.ts finds the data: base64 of a zlib stream."""


@functools.cache
def static(name: str) -> str:
    """The text of ``app.js``, ``app.css`` or ``licenses.txt``, as ``make ui`` has built it."""
    return files("mapscope.report").joinpath("static", name).read_text(encoding="utf-8")


def policy(connect: str = "'none'") -> str:
    """The Content-Security-Policy of every page: this very script and these very styles, and nothing else.

    ``connect``: what the script may ask for data; a report in one file asks for none.
    """
    return "; ".join([
        "default-src 'none'",
        f"script-src '{digest(static('app.js'))}'",
        f"style-src '{digest(static('app.css'))}'",
        f"connect-src {connect}",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    ])  # fmt: skip


def digest(text: str) -> str:
    """``sha256-…`` of an inline script or style, as a policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def shell(title: str, data: str, connect: str = "'none'") -> str:
    """The markup around ``data``, which is markup that the script finds its data by. ``title`` is escaped here."""
    script, styles = static("app.js"), static("app.css")
    unscripted = (
        "This report draws itself with JavaScript, which is switched off. The same figures without it: "
        "<code>mapscope analyze</code> as text, or <code>-f json</code>."
    )
    return "\n".join([
        "<!doctype html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy(connect))}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f'<meta name="generator" content="mapscope {html.escape(tool().version)}">',
        f"<title>{html.escape(shown(title))}</title>",
        f"<style>{styles}</style>",
        f'<div id="app"><noscript><main>{unscripted}</main></noscript></div>',
        data,
        f"<script>{script}</script>",
        "</html>",
        "",
    ])  # fmt: skip


def render(pack: Pack, title: str) -> str:
    """The whole report: one file that opens from disk and asks for nothing. ``pack.kind`` says which page it is."""
    packed = zlib.compress(pack.to_bytes(), 9)
    return shell(title, DATA.format(base64.b64encode(packed).decode()))
