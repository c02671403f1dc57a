"""Fixtures of all tests, and the record of what was run, from which the support table is made."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.groundtruth import harness, store
from tests.groundtruth.store import Store


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mapscope")
    group.addoption("--keep-cores", action="store_true", help="keep the cores of the ground truth (about 100 MB each)")
    group.addoption(
        "--support-record",
        default="build/support.json",
        metavar="FILE",
        help="where to write what was run against which Go release (tools/support_matrix.py reads it)",
    )


def pytest_configure(config: pytest.Config) -> None:
    store.KEEP = config.getoption("--keep-cores")
    # an example that took long says something of the machine, not of the property
    settings.register_profile("mapscope", settings.default, deadline=None)
    settings.load_profile("mapscope")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a job in the background of a shell inherits that, and so would every program that a test starts
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the variants that a test's ``applies_to`` marker excludes: there is nothing there to look at."""
    chosen: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        marker = item.get_closest_marker("applies_to")
        callspec = getattr(item, "callspec", None)
        variant = callspec.params.get("variant", callspec.params.get("seen")) if callspec else None
        wrong = marker is not None and variant is not None and not marker.args[0](variant)
        (left_out if wrong else chosen).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Runs of the ground-truth programs, shared by the workers of this session."""
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    harness.sweep()
    return Store(base / "groundtruth")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that have a parameter ``variant`` say so in their reports, which xdist carries to the main process."""
    callspec = getattr(item, "callspec", None)
    variant = callspec.params.get("variant") if callspec else None
    if variant is not None:
        item.user_properties.append(
            (
                "mapscope-variant",
                {
                    "release": variant.release,
                    "arch": variant.arch or harness.ARCH,
                    "mode": variant.mode,
                    "evidence": variant.evidence,
                    "test": getattr(item, "originalname", item.name),
                },
            )
        )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        for name, value in report.user_properties:
            if name == "mapscope-variant":
                _OUTCOMES.append({**value, "outcome": report.outcome})


_OUTCOMES: list[dict[str, Any]] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The main process writes the record of what its workers ran."""
    if os.environ.get("PYTEST_XDIST_WORKER") or not _OUTCOMES:
        return
    path = Path(session.config.rootpath) / session.config.getoption("--support-record")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_OUTCOMES, indent=1, sort_keys=True) + "\n", encoding="utf-8")
