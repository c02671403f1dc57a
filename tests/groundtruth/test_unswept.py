"""Right after a collection most spans are unswept: what died in them is dead, though its slots look allocated."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.variants import SERIES, Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]
HIDDEN = 64
"""Addresses of dead objects on the stack of the running goroutine, as in the program."""


@dataclass(frozen=True)
class Stopped:
    """The evidence of the program in its loop, and the headers of its maps."""

    snapshot: Snapshot
    redacted: Snapshot
    live: set[int]
    dead: set[int]
    holders: set[int]
    """Dead objects that hold the dead maps, and whose addresses are on the stack."""


@pytest.fixture(
    scope="module", params=[Variant(one) for one in SERIES] + [Variant("1.25", experiment="greenteagc")], ids=str
)
def stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    variant = request.param
    harness.toolchain(variant.series)
    executable = harness.build("unswept", variant)
    folder = Path(tempfile.mkdtemp(dir=tmp_path_factory.mktemp("unswept")))
    with harness.running(executable, folder=folder) as process:
        core = harness.take_core(process, "capture", folder)
    snapshot = open_snapshot(core, executable)
    snapshot.redact(str(folder / "redacted"))
    redacted = open_snapshot(str(folder / "redacted"), executable)
    shutil.rmtree(folder)
    return Stopped(snapshot, redacted, *(set(process.truth[name]) for name in ("live", "dead", "holders")))


def _sweepgen(snapshot: Snapshot) -> int:
    process = snapshot._process
    at = process.mheap + process.layouts.struct("mheap").offset("sweepgen")
    return int.from_bytes(process.memory.read(at, 4) or b"", "little")


def test_the_evidence_is_of_that_moment(stopped: Stopped):
    """Most holders' spans wait for the sweeper, and the stack holds the addresses."""
    heap = stopped.snapshot._heap
    waiting = heap.spans.sweepgen == _sweepgen(stopped.snapshot) - 2
    assert (waiting & (heap.index.spans["elemsize"] == 512)).sum() > 1000
    assert len(stopped.live) == len(stopped.dead) == HIDDEN


def test_living_maps_are_found(stopped: Stopped):
    found = set(stopped.snapshot._maps.table.columns["address"].tolist())
    assert stopped.live <= found


def test_dead_maps_are_not(stopped: Stopped):
    found = set(stopped.snapshot._maps.table.columns["address"].tolist())
    assert not stopped.dead & found


def test_nothing_dead_is_live(stopped: Stopped):
    heap = stopped.snapshot._heap
    ids, _ = heap.index.find(np.array(sorted(stopped.dead | stopped.holders), dtype=np.uint64))
    assert not heap.live[ids[ids >= 0]].any()


def test_a_redacted_core_says_the_same(stopped: Stopped):
    """The bits that tell the living from the dead are no contents."""
    whole, redacted = stopped.snapshot._heap, stopped.redacted._heap
    assert np.array_equal(whole.live, redacted.live)
    assert np.array_equal(whole.uncertain, redacted.uncertain)
