"""A browser that looks at real reports: words on the console, requests and refused scripts fail the test."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Route, sync_playwright

from tests.browser.reports import Report, Reports
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

ROOT = Path(__file__).resolve().parents[2]
UI = ROOT / "ui"
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
NARROW = {"width": 400, "height": 800}
WIDE = {"width": 1280, "height": 900}

Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. A module has its own, since the loop behind it would be in the way of other tests'."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        harness.absent("no Chromium: install chromium-headless-shell")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found)
        yield started
        started.close()


class Watch:
    """What a page must not do."""

    def __init__(self, context: BrowserContext, allowed: str) -> None:
        self.problems: list[str] = []
        self._allowed = allowed
        context.route("**/*", self._route)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"uncaught: {error.error}"))
        context.on("request", self._request)
        context.on("dialog", lambda dialog: (self.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def _fits(self, url: str) -> bool:
        return url.partition("#")[0].startswith(self._allowed)

    def _route(self, route: Route) -> None:
        if self._fits(route.request.url):
            route.continue_()
        else:
            route.abort()

    def _request(self, request: Request) -> None:
        if not self._fits(request.url):
            self.problems.append(f"asked for {request.url[:200]}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):  # a breach of the policy is an error there
            self.problems.append(f"console: {message.text}")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """``visit(path or url, hash="", scheme=…, size=…)`` opens a page, and watches it to the end of the test."""
    contexts: list[BrowserContext] = []
    watches: list[Watch] = []

    def opened(
        place: Path | str,
        hash: str = "",  # noqa: A002
        *,
        scheme: str = "light",
        size: dict[str, int] = WIDE,
        bypass_csp: bool = False,
        wait_for: str = "main",
    ) -> Page:
        context = browser.new_context(
            viewport=size, color_scheme=scheme, bypass_csp=bypass_csp, reduced_motion="reduce"
        )  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        contexts.append(context)
        url = place.as_uri() if isinstance(place, Path) else place
        watches.append(Watch(context, url.partition("#")[0].partition("?")[0]))
        page = context.new_page()
        page.goto(url + (f"#{hash}" if hash else ""))
        page.wait_for_selector(wait_for)
        return page

    yield opened
    for context in contexts:
        context.close()
    problems = [problem for watch in watches for problem in watch.problems]
    assert not problems, problems


@pytest.fixture(scope="session")
def modules() -> Path:
    """``ui/node_modules``, as the lock file says, installed now or before."""
    if shutil.which("npm") is None or shutil.which("make") is None:
        harness.absent("no npm: install nodejs and npm")
    with harness.locked(ROOT / "build" / "ui.lock"):
        done = subprocess.run(
            ["make", "ui/node_modules/.installed"], cwd=ROOT, capture_output=True, text=True, timeout=280
        )
    if done.returncode:
        harness.absent(f"npm ci failed: {done.stdout[-500:]} {done.stderr[-500:]}")
    return UI / "node_modules"


@pytest.fixture(scope="session")
def axe(modules: Path) -> Callable[[Page], list[str]]:
    """``axe(page)``: what axe-core has to say against a page that was opened with ``bypass_csp``."""
    source = (modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")

    def judged(page: Page) -> list[str]:
        page.evaluate(source)
        result: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']} ({one['impact']}): {json.dumps([node['target'] for node in one['nodes'][:3]])} "
            f"{one['nodes'][0].get('failureSummary', '')}"
            for one in result["violations"]
        ]

    return judged


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Reports of real programs, shared by the workers of a session."""
    base = tmp_path_factory.getbasetemp()
    import os

    return Reports((base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "browser")


@pytest.fixture(scope="module")
def loops(reports) -> Report:
    """Goroutines that wait in loops over maps: findings with stacks, pinned arrays."""
    return reports.of("iterators", Variant("1.23"), "matrix")


@pytest.fixture(scope="module")
def growth(reports) -> Report:
    """A growth that stands still, with stale values."""
    return reports.of("findings", Variant("1.23"), "stale")


@pytest.fixture(scope="module")
def swiss(reports) -> Report:
    """Many maps of all kinds, with tables."""
    return reports.of("maptypes", Variant("1.26"))
