"""Redacted cores: the analysis stays what it was, and nothing that the program had in its memory can be read."""

from __future__ import annotations

import json
import stat
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from mapscope.cli.main import main
from mapscope.errors import UsageError
from mapscope.evidence.core import Core
from mapscope.opening import open_snapshot
from mapscope.snapshot import Snapshot
from tests.groundtruth import harness
from tests.groundtruth.secrets import planted
from tests.groundtruth.variants import SERIES, Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

ITERATORS = ("receive", "dropped", "reflect-middle", "ended", "running")
FINDINGS = ("sparse", "hinted", "churn", "inline", "substrings", "healthy")
CLASSIC_FINDINGS = ("stalled", "same-size", "stale", "overflow")
EVIDENCE = ("path", "size_bytes", "redacted")
"""What a redacted core may say otherwise, with the paths in ``next``."""


def variants() -> list[Variant]:
    """Every release by default; stripped, PIE and the other kinds of evidence for one of each generation."""
    runs = [Variant(series) for series in SERIES]
    runs += [Variant(series, "stripped") for series in ("1.23", "1.26")]
    runs += [Variant("1.21", "pie", evidence="gcore"), Variant("1.26", "pie"), Variant("1.27", "pie-stripped")]
    runs += [Variant("1.23", evidence="kernel"), Variant("1.26", "stripped", evidence="kernel")]
    runs += [Variant("1.23", "cgo"), Variant("1.26", "cgo-pie-stripped")]
    return [*runs, Variant("1.24", "default", "noswissmap"), Variant("1.27", "default", "mapsplitgroup")]


def few() -> list[Variant]:
    """One of each generation, with and without symbols, and one that is relocated."""
    return [Variant("1.23"), Variant("1.26", "stripped"), Variant("1.27", "pie")]


def analysis(core: Path, executable: Path, folder: Path) -> dict[str, Any]:
    """The document, without what may differ; the paths of ``next`` are all that names the core elsewhere."""
    (folder / "report.json").unlink(missing_ok=True)
    document: dict[str, Any] = harness.analyze(core, executable, folder)["document"]
    document["next"] = [line.replace(str(core), "CORE") for line in document["next"]]
    document["evidence"] = {name: value for name, value in document["evidence"].items() if name not in EVIDENCE}
    return document


def same_after_redaction(program: str, variant: Variant, *arguments: str) -> dict[str, Any]:
    """Redacts a core of the program; answers its document, which both cores gave."""
    executable = harness.build(program, variant)
    with tempfile.TemporaryDirectory(prefix="redact-") as name:
        folder = Path(name)
        with harness.running(executable, *arguments, folder=folder) as running:
            core = harness.take_core(running, variant.evidence, folder)
        whole = analysis(core, executable, folder)
        out = folder / "redacted"
        open_snapshot(core, executable).redact(out)
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        redacted = analysis(out, executable, folder)
        # one key after the other: what differs is then seen
        for key, value in whole.items():
            assert redacted[key] == value, key
        assert redacted.keys() == whole.keys()
        return whole


@pytest.mark.parametrize("variant", variants(), ids=str)
def test_the_analysis_stays_the_same(variant: Variant) -> None:
    """Every map type, with its headers, sums, chains and who holds it."""
    document = same_after_redaction("maptypes", variant)
    assert len(document["maps"]) > 300


@pytest.mark.parametrize("mode", ITERATORS)
@pytest.mark.parametrize("variant", few(), ids=str)
def test_iterators_stay_the_same(variant: Variant, mode: str) -> None:
    assert same_after_redaction("iterators", variant, mode)["iterators"] or mode == "ended"


@pytest.mark.parametrize(
    ("mode", "variant"),
    [
        pytest.param(mode, variant, id=f"{variant}-{mode}")
        for variant in few()
        for mode in (*FINDINGS, *(() if variant.swiss else CLASSIC_FINDINGS))
    ],
)
def test_findings_stay_the_same(variant: Variant, mode: str) -> None:
    findings = same_after_redaction("findings", variant, mode)["findings"]
    assert bool(findings) == (mode != "healthy") or mode == "churn"


@pytest.mark.parametrize("mode", ["expunged", "both", "frozen", "amended", "range"])
@pytest.mark.parametrize("variant", [Variant("1.19"), Variant("1.22", "stripped")], ids=str)
def test_sync_maps_stay_the_same(variant: Variant, mode: str) -> None:
    assert same_after_redaction("syncmaps", variant, mode)["findings"]


@pytest.mark.parametrize("variant", [Variant("1.22"), Variant("1.26"), Variant("1.27", "stripped")], ids=str)
@pytest.mark.parametrize("program", ["goroutines", "holding"])
def test_goroutines_and_chains_stay_the_same(variant: Variant, program: str, capfdbinary: Any) -> None:
    """By the commands, whose text has every frame and chain."""
    executable = harness.build(program, variant)
    with tempfile.TemporaryDirectory(prefix="redact-") as name:
        folder = Path(name)
        with harness.running(executable, folder=folder) as running:
            core = harness.take_core(running, variant.evidence, folder)
        out = folder / "redacted"
        assert main(["redact", str(core), str(out), str(executable)]) == 0
        capfdbinary.readouterr()
        said = []
        for path in (core, out):
            for words in (["goroutines"], ["dominators", "--top", "200"], ["iterators"]):
                assert main([*words, str(path), str(executable)]) == 0
            said.append(capfdbinary.readouterr().out)
        assert said[0]
        assert said[0].replace(bytes(core), b"") == said[1].replace(bytes(out), b"")


@pytest.mark.parametrize("variant", [v for v in variants() if v.experiment == ""], ids=str)
def test_no_marker_survives(variant: Variant) -> None:
    """Not one aligned word of it: markers stand in every place that the program could think of."""
    with planted(variant) as core:
        whole = core.core.read_bytes()
        assert len(core.found_in(whole)) == len(core.pieces)
        for word in core.pieces:
            assert whole.count(word) > 5000
        out = core.core.with_name("redacted")
        snapshot = open_snapshot(core.core, core.executable)
        snapshot.redact(out)
        assert_same(snapshot, open_snapshot(out, core.executable))
        places = {name: at for name, at in core.truth.items() if name.startswith("at ")}
        assert len(places) == 10
        for name, at in places.items():
            assert Core.open(core.core).memory.read(at, 8) == core.marker.encode(), name
            assert Core.open(out).memory.read(at, 32) == bytes(32), name
        left = core.found_in(out.read_bytes())
        assert not left, [hex(at) for at in left]


def assert_same(one: Snapshot, other: Snapshot) -> None:
    """What both know of the heap and of every map."""
    assert other.heap == one.heap
    assert other.notes == one.notes
    assert other.findings == one.findings
    assert other.iterators == one.iterators
    assert other.maps.types == one.maps.types
    for name, column in one.maps.columns.items():
        assert np.array_equal(other.maps.columns[name], column), name


def test_a_second_redaction_adds_nothing() -> None:
    """A redacted core is evidence like any other: it can be redacted, and its analysis is still the same."""
    with planted(Variant("1.26")) as core:
        first, second = core.core.with_name("first"), core.core.with_name("second")
        whole = open_snapshot(core.core, core.executable)
        whole.redact(first)
        open_snapshot(first, core.executable).redact(second)
        once, twice = (np.frombuffer(path.read_bytes(), dtype=np.uint8) for path in (first, second))
        assert len(once) == len(twice)
        assert ((twice == once) | (twice == 0)).all()
        assert_same(whole, open_snapshot(second, core.executable))


def test_a_core_and_its_redaction_are_of_one_process() -> None:
    with planted(Variant("1.21")) as core:
        out = core.core.with_name("redacted")
        whole = open_snapshot(core.core, core.executable)
        whole.redact(out)
        assert whole.identity.same_process(open_snapshot(out, core.executable).identity)


def test_a_cut_core_stays_cut() -> None:
    """What is missing from the whole core is missing from the redacted one, and said there."""
    with planted(Variant("1.26")) as core:
        out = core.core.with_name("redacted")
        size = core.core.stat().st_size
        with core.core.open("r+b") as stream:
            stream.truncate(size - 40_000)  # in the stack of the first thread
        whole = open_snapshot(core.core, core.executable)
        whole.redact(out)
        redacted = open_snapshot(out, core.executable)
        assert any("cut short" in sentence for sentence in whole.evidence.missing)
        assert redacted.evidence.missing == whole.evidence.missing
        assert redacted.heap == whole.heap
        assert not core.found_in(out.read_bytes())


def test_registers_and_notes() -> None:
    """Only places stay in registers; vector registers, arguments and all other notes are gone."""
    with planted(Variant("1.26", evidence="kernel")) as core:
        out = core.core.with_name("redacted")
        open_snapshot(core.core, core.executable).redact(out)
        before, after = Core.open(core.core), Core.open(out)
        assert {note.name for note in after.elf.notes} == {"CORE", "mapscope"}
        assert {note.type for note in after.elf.notes if note.name == "CORE"} <= {1, 2, 3, 6, 0x46494C45}
        assert (after.pid, after.mappings, after.entry) == (before.pid, before.mappings, before.entry)
        (info,) = [note.desc for note in after.elf.notes if note.name == "CORE" and note.type == 3]
        assert info[56:] == bytes(80)
        assert [t.tid for t in after.threads] == [t.tid for t in before.threads]
        for old, new in zip(before.threads, after.threads, strict=True):
            assert (new.pc, new.sp) == (old.pc, old.sp)
            for name, value in new.registers.items():
                assert value in (0, old.registers[name])
                assert value < 1 << 16 or before.memory.read(value, 1) is not None or name in ("rip", "rsp")
        assert all(not any(note.desc) for note in after.elf.notes if note.name == "CORE" and note.type == 2)


def test_what_is_in_the_way(tmp_path: Path, capfd: Any) -> None:
    """One line, status 2, and nothing half-written."""
    with planted(Variant("1.26")) as core:
        out = tmp_path / "out"
        out.write_bytes(b"mine")
        for words, say in (
            ([str(core.core), str(out)], "exists already"),
            ([str(core.core), str(core.core), "--force"], "exists already"),
            ([str(core.core), str(tmp_path / "no" / "out")], "does not exist"),
            ([str(core.core), str(tmp_path)], "is a folder"),
            ([str(core.executable), str(tmp_path / "new")], "not a core"),
        ):
            assert main(["redact", *words]) == 2, words
            assert say in capfd.readouterr().err, words
        assert out.read_bytes() == b"mine"
        assert main(["redact", str(core.core), str(out), str(core.executable), "--force"]) == 0
        assert "no contents" in capfd.readouterr().err
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
        assert main(["analyze", str(out), str(core.executable), "-f", "json", "--exit-zero"]) == 0
        document = json.loads(capfd.readouterr().out)
        assert document["evidence"]["redacted"] is True
        assert main(["analyze", str(out), str(core.executable), "--exit-zero"]) == 0
        assert "redacted by mapscope" in capfd.readouterr().out


def test_only_cores_are_redacted(tmp_path: Path, capfd: Any) -> None:
    """A heap dump is refused in one line."""
    executable = harness.build("maptypes", Variant("1.26"))
    with harness.running(executable, folder=tmp_path) as running:
        dump = harness.take_core(running, "dump", tmp_path)
    assert main(["redact", str(dump), str(tmp_path / "out"), str(executable)]) == 2
    assert "only cores can be redacted, this is a heap dump" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_programs_of_several_modules_are_refused(tmp_path: Path) -> None:
    with planted(Variant("1.26")) as core:
        snapshot = open_snapshot(core.core, core.executable)
        process = snapshot._process
        snapshot._process = msgspec.structs.replace(process, modules=process.modules * 2)
        with pytest.raises(UsageError, match="has 2 Go modules"):
            snapshot.redact(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_live_process(tmp_path: Path, capfd: Any) -> None:
    """``--pid`` in place of the core."""
    executable = harness.build("secrets", Variant("1.26"))
    with harness.running(executable, "PLANTED8", folder=tmp_path) as running:
        out = tmp_path / "out"
        assert main(["redact", "--pid", str(running.pid), str(out)]) == 0, capfd.readouterr().err
        assert running.process.poll() is None
    assert b"PLANTED8" not in out.read_bytes()
    assert len(open_snapshot(out, executable).maps) > 6


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    from mapscope.redact import writing

    def full(file: int, data: bytes, offset: int) -> None:
        raise OSError(28, "No space left on device")

    with planted(Variant("1.26")) as core:
        monkeypatch.setattr(writing, "_put", full)
        assert main(["redact", str(core.core), str(tmp_path / "out"), str(core.executable)]) == 2
        assert "nothing was left behind" in capfd.readouterr().err
        assert not list(tmp_path.iterdir())


def test_the_note_of_a_redacted_core_is_not_believed_blindly() -> None:
    """Damaged notes are no notes; counts beyond the note's end are not followed."""
    from mapscope.evidence.redaction import Redaction

    words = np.array([1, 2, 3], dtype=np.uint64)
    note = Redaction("0", ("gone",), words, words[:1], np.array([[4096, 8192]], dtype=np.uint64))
    encoded = note.encode()
    back = Redaction.decode(encoded)
    assert back is not None
    assert (back.tool, back.missing) == ("0", ("gone",))
    for one in msgspec.structs.fields(Redaction):
        assert np.array_equal(np.array(getattr(back, one.name)), np.array(getattr(note, one.name)))
    for cut in range(len(encoded)):
        assert Redaction.decode(encoded[:cut]) is None
    assert Redaction.decode(encoded.replace(b'"maps": 3', b'"maps": 9')) is None
    assert Redaction.decode(encoded.replace(b'"maps": 3', b'"maps":-3')) is None
    assert Redaction.decode(encoded.replace(b'"version": 1', b'"version": 7')) is None
