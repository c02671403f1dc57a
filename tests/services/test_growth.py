"""Moves of shards between real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mapscope.growth.protocol import State
from tests.services import growing, postgres
from tests.services.growing import Growing, fill, rows
from tests.services.postgres import Cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def servers() -> Iterator[list[Cluster]]:
    with postgres.clusters(2, growing.SETTINGS) as made:
        yield made


@pytest.fixture
def pair(tmp_path: Path, servers: list[Cluster]) -> Iterator[Growing]:
    with growing.store(tmp_path, servers, first=1) as made:
        yield made


def test_a_shard_moves_whole(pair: Growing):
    fill(pair)
    before = rows(pair)
    assert len(before) == 20 * 21
    outcome = pair.carry_out((0, "a", "b"), (1, "a", "b"), (3, "a", "b"))
    assert [move.state for move in outcome.ended] == [State.CLEANED] * 3, [m.reason for m in outcome.ended]
    assert not outcome.waiting
    assert rows(pair) == before
    assert [pair.place(shard) for shard in range(4)] == ["b", "b", "a", "b"]
    assert not pair.left()
