"""sync.Map up to Go 1.23 against the program's own words: what deleted entries keep is what HeapAlloc falls by when
their slots are cleared, and what a blocked Range keeps is what it falls by when the Range ends.

Controls: nothing deleted, few deleted, a dirty map beside the read map, churn, a Range that runs or whose map is still
the read map, and sync.Map from Go 1.24 on.
"""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mapscope.findings.model import Finding
from mapscope.maps.model import Confidence
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

TOLERANCE = 0.01
SLOT_BYTES = 25
"""A slot of map[any]*entry: tophash, key, elem."""
DEAD = ("deleted", "expunged", "both")
CONTROLS = ("fresh", "few", "amended", "churn", "current", "running")
NEW = (Variant("1.24"), Variant("1.26", "stripped"))


@dataclass(frozen=True)
class Seen:
    """What the program said, and what mapscope sees in its core."""

    truth: dict[str, Any]
    freed: int
    """Bytes by which HeapAlloc fell when the state was mended."""
    snapshot: Snapshot
    findings: tuple[Finding, ...]


@functools.lru_cache(maxsize=4)
def observe(mode: str, variant: Variant) -> Seen:
    """Runs the program, takes a core, and lets it mend its state."""
    executable = harness.build("syncmaps", variant)
    with tempfile.TemporaryDirectory(prefix="syncmaps-") as name:
        folder = Path(name)
        with harness.running(executable, mode, folder=folder) as program:
            core = harness.take_core(program, variant.evidence, folder)
            said, _ = program.process.communicate(timeout=harness.CORE_SECONDS)
            snapshot = open_snapshot(core, executable)
            return Seen(program.truth, int(said.split()[-1]), snapshot, snapshot.findings)


def variants() -> list[Variant]:
    """Every release with such a sync.Map, with and without symbols, and one as PIE."""
    runs = [Variant(series, mode) for series in ("1.19", "1.21", "1.22", "1.23") for mode in ("default", "stripped")]
    return [*runs, Variant("1.23", "pie"), Variant("1.22", "pie-stripped")]


def cases(modes: Any, among: Any = None) -> list[Any]:
    """(mode, variant)."""
    return [pytest.param(mode, variant, id=f"{variant}-{mode}") for variant in among or variants() for mode in modes]


@pytest.mark.parametrize(("mode", "variant"), cases(DEAD))
def test_what_deleted_entries_keep(mode: str, variant: Variant) -> None:
    """Each entry is counted, and the bytes are those of the runtime itself."""
    seen = observe(mode, variant)
    truth = seen.truth
    assert (truth["dead"], truth["entries"]) == (4_000, 5_000 if mode == "deleted" else 5_001)
    assert truth["expunged"] == {"deleted": 0, "expunged": 4_000, "both": 2_000}[mode]
    (finding,) = seen.findings
    assert (finding.rule, finding.subject) == ("R14", truth["read"])
    for name in ("sync_map", "read", "dirty", "entries", "dead", "expunged", "slots"):
        assert finding.evidence[name] == truth[name], name
    assert finding.evidence["object_bytes"] == pytest.approx(seen.freed, rel=TOLERANCE)
    assert finding.evidence["slot_bytes"] == SLOT_BYTES * truth["slots"]
    assert finding.bytes == finding.evidence["object_bytes"] + finding.evidence["slot_bytes"]
    assert finding.confidence == (Confidence.EXACT if mode == "deleted" else Confidence.POSSIBLE)
    assert finding.part_of == ""


@pytest.mark.parametrize(("mode", "variant"), cases(("frozen",)))
def test_a_read_map_that_stands_in_mid_growth(mode: str, variant: Variant) -> None:
    """Its old array counts once: for R14, and R1 says that it is a part of that."""
    seen = observe(mode, variant)
    assert seen.freed > 100_000
    assert {one.subject for one in seen.findings} == {seen.truth["read"]}
    assert {one.rule: one.part_of for one in seen.findings} == {"R1": "R14", "R14": ""}
    (finding,) = (one for one in seen.findings if one.rule == "R14")
    assert finding.bytes == pytest.approx(seen.freed, rel=TOLERANCE)
    assert finding.evidence["sync_map"] == seen.truth["sync_map"]
    assert finding.confidence == Confidence.EXACT
    assert "frozen" in finding.title


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_deleted_entries_in_a_read_map_that_stands_in_mid_growth(variant: Variant) -> None:
    """Both are counted; slots in the old array are a part of it, so they count once."""
    seen = observe("frozen-dead", variant)
    found = {one.rule: one for one in seen.findings}
    assert {rule: one.part_of for rule, one in found.items()} == {"R1": "R14", "R14": ""}
    evidence = found["R14"].evidence
    for name in ("sync_map", "read", "dirty", "entries", "dead", "expunged", "slots"):
        assert evidence[name] == seen.truth[name], name
    assert 0 < seen.truth["slots"] < seen.truth["dead"]
    assert evidence["object_bytes"] == pytest.approx(seen.freed, rel=TOLERANCE)
    parts = (evidence["object_bytes"], SLOT_BYTES * seen.truth["slots"], found["R1"].bytes)
    assert found["R14"].bytes == sum(int(part) for part in parts)


@pytest.mark.parametrize(("mode", "variant"), cases(("range",)))
def test_what_a_blocked_range_keeps(mode: str, variant: Variant) -> None:
    """The read map that was replaced, with the keys that were deleted since."""
    seen = observe(mode, variant)
    assert seen.freed > 500_000
    (finding,) = seen.findings
    assert (finding.rule, finding.subject) == ("R15", seen.truth["read"])
    assert finding.bytes == pytest.approx(seen.freed, rel=TOLERANCE)
    assert str(finding.evidence["loop"]).startswith("sync.(*Map).Range ")
    assert str(finding.evidence["called_from"]).startswith("main.")
    assert finding.evidence["waits"] == "chan receive"


@pytest.mark.parametrize(("mode", "variant"), cases(CONTROLS))
def test_controls_give_no_finding(mode: str, variant: Variant) -> None:
    """The growth of a read map that is on its way out is R1's, as that of any map."""
    rules = {one.rule for one in observe(mode, variant).findings}
    assert rules == ({"R1"} if mode == "amended" else set())


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_churn_is_measured_where_it_is_worst(variant: Variant) -> None:
    """What R14 must be silent on is close to what it is not silent on."""
    truth = observe("churn", variant).truth
    assert truth["dirty"] != 0
    assert 0.9 < truth["dead"] / truth["in_read"] <= 1


@pytest.mark.parametrize(("mode", "variant"), cases((*DEAD, "range", "few"), NEW))
def test_from_go_1_24_on_there_is_nothing_to_say(mode: str, variant: Variant) -> None:
    """sync.Map is a trie then: no map of the program, and no iterator over one."""
    assert observe(mode, variant).findings == ()
