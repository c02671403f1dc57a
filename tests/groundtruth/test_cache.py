"""The cache beside a core: a second opening says the same as the first; what is not its own is not believed."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mapscope import cache
from mapscope.opening import open_snapshot
from mapscope.report.build import json_of
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

RUNS = [Variant("1.23", "stripped"), Variant("1.26")]
PARAMS = [pytest.param(run, id=str(run), marks=pytest.mark.xdist_group(f"cache-{run}")) for run in RUNS]


@dataclass(frozen=True)
class Sample:
    """A core, its executable, and what a reading without a cache says."""

    core: Path
    executable: Path
    document: bytes

    @property
    def path(self) -> Path:
        return cache.path_of(self.core)

    def open(self, *, keep: bool = True) -> Snapshot:
        return open_snapshot(self.core, self.executable, keep=keep)


def document(snapshot: Snapshot) -> bytes:
    return b"".join(json_of(snapshot))


@pytest.fixture(scope="module", params=PARAMS)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("cache")
    executable = harness.build("iterators", request.param)
    with harness.running(executable, folder=folder) as process:
        core = harness.take_core(process, "capture", folder)
    return Sample(core, executable, document(open_snapshot(core, executable)))


@pytest.fixture
def kept(sample: Sample) -> Iterator[Sample]:
    """The sample with its cache; whatever the test does to that is gone behind it."""
    sample.path.unlink(missing_ok=True)
    sample.open()
    yield sample
    sample.path.unlink(missing_ok=True)


def believed(sample: Sample) -> bool:
    """Whether the cache is taken, asked of the loader itself."""
    return cache.load(sample.open(keep=False)._process) is not None


def test_nothing_is_left_unless_asked_for(sample: Sample):
    sample.path.unlink(missing_ok=True)
    sample.open(keep=False)
    assert not sample.path.exists()


def test_a_second_opening_says_the_same_and_walks_nothing(kept: Sample, monkeypatch: pytest.MonkeyPatch):
    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert believed(kept)

    def walked(*_: object, **__: object) -> None:
        raise AssertionError("read anew")

    for name in ("heap.slots.fill_pointer_mask", "heap.model.run_trace", "maps.find.find_maps"):
        monkeypatch.setattr(f"mapscope.{name}", walked)
    assert document(kept.open()) == kept.document


def test_who_holds_what_and_the_tables_are_the_same(kept: Sample):
    plain, quick = kept.open(keep=False), kept.open()
    for name in ("objects", "types", "edges", "iterators"):
        one, other = plain.tables[name], quick.tables[name]
        assert one.columns == other.columns
        assert list(one.rows()) == list(other.rows()), name


def test_a_cache_that_was_cut_short_is_made_anew(kept: Sample):
    whole = kept.path.read_bytes()
    rng = random.Random(4)
    for _ in range(10):
        kept.path.write_bytes(whole[: rng.randrange(len(whole))])
        assert document(kept.open()) == kept.document


def test_no_bit_of_what_says_where_things_lie_may_be_another(kept: Sample):
    """Names of arrays, places, the key, notes: each bit of the first bytes, and some hundreds of the header."""
    process = kept.open(keep=False)._process
    whole = kept.path.read_bytes()
    begin = len(cache.MAGIC) + 8
    size = int.from_bytes(whole[len(cache.MAGIC) : begin], "little")
    assert whole[begin + 32 : begin + 34] == b'{"'
    rng = random.Random(4)
    bits = [*range(8 * (begin + 32)), *rng.sample(range(8 * (begin + 32), 8 * (begin + 32 + size)), 300)]
    with open(kept.path, "r+b") as stream:
        for bit in bits:
            stream.seek(bit // 8)
            stream.write(bytes([whole[bit // 8] ^ 1 << bit % 8]))
            stream.flush()
            assert cache.load(process) is None, bit
            stream.seek(bit // 8)
            stream.write(whole[bit // 8 : bit // 8 + 1])
    assert kept.path.read_bytes() == whole
    assert believed(kept)
    kept.path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert document(kept.open()) == kept.document


def test_numbers_out_of_range_are_not_believed(kept: Sample):
    saved = cache.load(kept.open(keep=False)._process)
    assert saved is not None
    assert cache._sound(saved)
    for spoil in ("shape_of", "uncertain", "type_index"):
        broken = cache.load(kept.open(keep=False)._process)
        assert broken is not None
        if spoil == "shape_of":
            broken.shape_of[0] = len(broken.shapes)
        elif spoil == "type_index":
            broken.maps["type_index"] = broken.maps["type_index"] + np.int32(1 << 20)
        else:
            broken.heap = msgspec.structs.replace(broken.heap, uncertain=np.array([len(broken.heap.flags)]))
        assert not cache._sound(broken), spoil


def test_a_cache_that_others_may_write_is_not_believed(kept: Sample):
    kept.path.chmod(0o666)
    assert not believed(kept)
    assert document(kept.open()) == kept.document


def test_a_cache_of_another_core_or_program_is_not_believed(kept: Sample, tmp_path: Path):
    os.utime(kept.core, ns=(0, 0))
    assert not believed(kept)
    assert document(kept.open()) == kept.document
    assert believed(kept)


def test_a_folder_that_cannot_be_written_is_no_failure(kept: Sample, monkeypatch: pytest.MonkeyPatch):
    kept.path.unlink()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    assert any("could not be written" in note for note in kept.open().notes)
    assert not kept.path.exists()
