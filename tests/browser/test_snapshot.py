"""The page of a snapshot, opened from disk."""

from __future__ import annotations

import pytest

from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow]


@pytest.fixture
def report(reports):
    return reports.of("findings", Variant("1.23"), "stale")


def test_it_opens_from_disk(report, visit):
    page = visit(report.page)
    assert page.title().startswith("mapscope: core")
