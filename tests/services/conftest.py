"""Servers that the tests of growth share: starting three takes longer than most of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services import growing, postgres
from tests.services.postgres import Cluster


@pytest.fixture(scope="session")
def servers() -> Iterator[list[Cluster]]:
    """Three, each with one database that ``growing.store`` empties."""
    with postgres.clusters(3, growing.SETTINGS) as made:
        yield made
