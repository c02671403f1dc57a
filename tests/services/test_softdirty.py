"""Copying before the stop, on a kernel that tracks soft-dirty pages: one of Debian's, in a virtual machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapscope.evidence.core import Core
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant
from tests.services import guest

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

VARIANT = Variant("1.26")
SECONDS = 500
INSIDE = Path(__file__).with_name("inside.py")
CHANGER = Path(__file__).parents[1] / "unit" / "evidence" / "changer.py"
GOLDEN = 0x9E3779B97F4A7C15


@pytest.fixture(scope="module")
def executable() -> Path:
    return harness.build("churner", VARIANT)


@pytest.fixture(scope="module")
def answer(executable: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("guest")
    said, unpacked = guest.run(folder, INSIDE, {"/churner": executable, "/changer.py": CHANGER}, SECONDS)
    told = json.loads((unpacked / "answer.json").read_text())
    assert "error" not in told, f"{told['error']}\n{said[-2000:]}"
    assert told["tracked"]
    return told, unpacked / "core"


def check_the_core_is_the_memory_at_the_stop(answer: tuple[dict[str, Any], Path]):
    told, _ = answer
    for name in ("first", "again", "forced", "plain", "huge"):
        assert told[name]["differences"] == 0, name
        assert told[name]["missing"] == 0
        assert told[name]["bytes"] == told[name]["compared"] > 112 << 20


def check_little_is_copied_in_the_stop(answer: tuple[dict[str, Any], Path]):
    told, _ = answer
    for name in ("first", "forced", "huge"):
        assert 0 < told[name]["stopped_bytes"] < told[name]["bytes"] / 2
        assert not told[name]["in_use"]
    assert told["plain"]["stopped_bytes"] == told["plain"]["bytes"]
    assert not told["plain"]["in_use"]


def check_whatever_changes_between_the_first_copy_and_the_stop(answer: tuple[dict[str, Any], Path], huge: str):
    for told in answer[0][f"changed {huge}"]:
        assert told["said"] == ["done\n"]
        assert told["differences"] == 0
        assert told["bytes"] == told["compared"] > 40 << 20
    for told in answer[0][f"changed {huge}"][:2]:  # what is changed there leaves most as it was
        assert told["stopped_bytes"] < told["bytes"] * (0.5 if huge == "never" else 0.9)


def check_bits_that_somebody_cleared_are_left_alone(answer: tuple[dict[str, Any], Path]):
    told, _ = answer
    assert told["again"]["in_use"]
    assert told["again"]["stopped_bytes"] == told["again"]["bytes"]


def check_without_the_bits_the_core_would_be_stale(answer: tuple[dict[str, Any], Path]):
    told, _ = answer
    assert told["blind"]["differences"] > 0


def check_the_program_goes_on(answer: tuple[dict[str, Any], Path]):
    told, _ = answer
    before, now = told["rounds"]
    assert now > before > 0


def check_the_core_keeps_the_rule_of_the_program(answer: tuple[dict[str, Any], Path]):
    """Every block has the version that the table has for it, in all its words; but for those being written."""
    told, path = answer
    truth = told["truth"]
    count, words = truth["count"], truth["words"]
    core = Core.open(path)

    def numbers(address: int, length: int) -> np.ndarray:
        return np.frombuffer(bytes(core.memory.read(address, length * 8)), dtype=np.uint64)

    versions = numbers(truth["versions"], count)
    blocks = numbers(truth["blocks"], count * words).reshape(count, words)
    busy = {int(each) - 1 for each in numbers(truth["busy"], truth["writers"])}
    place = (np.arange(count, dtype=np.uint64)[:, None] << np.uint64(16)) + np.arange(words, dtype=np.uint64)
    wrong = np.flatnonzero((blocks != (versions[:, None] * np.uint64(GOLDEN) ^ place)).any(axis=1))
    assert set(wrong.tolist()) <= busy
    assert versions.max() > 2
    assert len(np.flatnonzero(versions > 1)) > truth["writers"]


def check_it_is_analysed(answer: tuple[dict[str, Any], Path], executable: Path, tmp_path: Path):
    told, path = answer
    document = harness.analyze(path, executable, tmp_path)["document"]
    truth = told["truth"]
    (found,) = [each for each in document["maps"] if int(each["address"], 16) == truth["map"]]
    assert found["count"] == truth["entries"]


def test_copying_before_the_stop(answer: tuple[dict[str, Any], Path], executable: Path, tmp_path: Path):
    """One test, so that workers do not boot a machine each."""
    check_the_core_is_the_memory_at_the_stop(answer)
    check_little_is_copied_in_the_stop(answer)
    for huge in ("never", "always"):
        check_whatever_changes_between_the_first_copy_and_the_stop(answer, huge)
    check_bits_that_somebody_cleared_are_left_alone(answer)
    check_without_the_bits_the_core_would_be_stale(answer)
    check_the_program_goes_on(answer)
    check_the_core_keeps_the_rule_of_the_program(answer)
    check_it_is_analysed(answer, executable, tmp_path)
