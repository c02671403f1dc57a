"""Programs that the tests of the binary floor read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.binary.gobuilds import built


@pytest.fixture(scope="session")
def program() -> Callable[..., Path]:
    """``program("1.23", ldflags="-w")``: a small Go program with debug information, built that way."""

    def build(series: str, **options: Any) -> Path:
        return built("dwarfed", series, **options)

    return build
