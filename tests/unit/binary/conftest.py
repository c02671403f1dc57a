"""Programs that the tests of the binary floor read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.binary import goprograms


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``program("1.23", ldflags="-w")``: the path of a small Go program built that way, once a session."""
    folder = tmp_path_factory.mktemp("programs")

    def build(series: str, **options: object) -> Path:
        return goprograms.build(series, folder, **options)

    return build
