"""The site of the documentation: it builds without a warning, its links lead somewhere, it asks no network."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

from mapscope.cli.main import cli
from mapscope.report.schema import json_schema

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.xdist_group("site")  # built once


class Page(HTMLParser):
    """Ids, links, and what a browser would load of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.metas: dict[str, str] = {}
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe") and "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(given["href"])
        if tag == "meta" and "name" in given:
            self.metas[given["name"]] = given.get("content", "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", folder / "trees"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [*command, ROOT / "docs", folder / "html"], capture_output=True, text=True, timeout=240, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return {path: Page(path) for path in sorted((folder / "html").rglob("*.html"))}


def named(site: dict[Path, Page], name: str) -> Page:
    (found,) = [page for path, page in site.items() if str(path).endswith(name)]
    return found


def test_links_lead_somewhere(site: dict[Path, Page]):
    wrong, internal = [], 0
    for path, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            internal += 1
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            ids = site[target].ids if target in site else {unquote(parts.fragment)}
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in ids):
                wrong.append(f"{path.name}: {link}")
    assert not wrong
    assert internal > 500


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Page]):
    assert not [load for page in site.values() for load in page.loads if urlsplit(load).netloc]
    root = min((path.parent for path in site), key=lambda path: len(path.parts))
    styles = list(root.rglob("*.css"))
    assert styles
    assert not [path for path in styles if "url(http" in path.read_text(encoding="utf-8")]


def test_a_phone_shows_it_as_wide_as_it_is(site: dict[Path, Page]):
    pages = [page for page in site.values() if page.text]
    assert all("width=device-width" in page.metas["viewport"] for page in pages)


def test_every_page_of_the_forge_is_in_it(site: dict[Path, Page]):
    shown = {path.stem for path in site}
    assert {path.stem for path in (ROOT / "docs").rglob("*.md")} <= shown


def everyone(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += everyone(inner, f"{path} {name}")
    return found


def test_every_command_and_option_is_in_the_reference(site: dict[Path, Page]):
    page = named(site, "reference/commands.html")
    words = set(page.text.split())
    commands = everyone(cli, "mapscope")
    assert len(commands) > 18
    for path, command in commands:
        assert path.replace(" ", "-") in page.ids
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert {one.rstrip(",") for one in parameter.opts} <= {word.rstrip(",") for word in words}, path
    assert {"mapscope-profile-diff", "mapscope-profile-watch"} <= page.ids


def test_every_document_and_record_is_in_the_reference(site: dict[Path, Page]):
    page = named(site, "reference/documents.html")
    assert {name.lower() for name in json_schema()["$defs"]} <= page.ids
