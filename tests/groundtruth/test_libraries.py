"""Go in a C program: as a shared library, found among the mapped files, and as an archive linked into the program."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from mapscope.errors import ExecutableError
from mapscope.evidence.core import Core
from mapscope.goruntime.process import open_process
from mapscope.opening import open_snapshot
from tests.groundtruth import harness
from tests.groundtruth.headers import differences
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.slow, pytest.mark.timeout(600)]

MODES = ("c-shared", "c-shared-stripped", "c-archive")
VARIANTS = [Variant(series, mode) for series in ("1.23", "1.26") for mode in MODES]
VARIANTS += [Variant("1.23", "c-shared", evidence="kernel"), Variant("1.26", "c-shared", evidence="gcore")]
VARIANTS += [Variant("1.21", "c-shared")]


def host(variant: Variant, folder: Path) -> tuple[Path, Path]:
    """A C program with the library, and the library."""
    library = harness.build("library", variant)
    program = folder / "host"
    source = harness.PROGRAMS / "library" / "host" / "host.c"
    command = ["gcc", "-o", program, source, library, f"-Wl,-rpath,{library.parent}", "-lpthread", "-ldl"]
    subprocess.run(command, check=True, timeout=harness.START_SECONDS)
    return program, library


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_go_in_a_c_program(variant: Variant) -> None:
    """Maps, headers and chains; whether mapscope finds the library by itself or is given it."""
    with tempfile.TemporaryDirectory(prefix="library-") as name:
        folder = Path(name)
        program, library = host(variant, folder)
        with harness.running(program, folder=folder) as process:
            core = harness.take_core(process, variant.evidence, folder)
        holds_go = program if variant.mode == "c-archive" else library
        for given in (None, holds_go):
            snapshot = open_snapshot(core, given)
            assert Path(snapshot.evidence.executable) == holds_go
            assert snapshot.evidence.executable_found_by == ("given" if given else "NT_FILE")
            assert not snapshot.evidence.warnings
            wrong = differences(snapshot, process.truth, variant)
            assert not wrong, "\n".join(wrong)
            assert [one.problem for one in snapshot.goroutines if one.problem] == []
            told = {one["name"]: one["address"] for one in process.truth["maps"]}
            roots = {which: snapshot.chain(address)[0] for which, address in told.items()}
            assert {root.kind for root in roots.values()} == {"global"}
            if not variant.stripped:
                assert {which: root.name for which, root in roots.items()} == {
                    "words": "main.words", "recs": "main.recs", "boxed": "main.boxed"
                }  # fmt: skip
        if variant.mode != "c-archive":
            with pytest.raises(ExecutableError, match="not a Go program"):
                open_snapshot(core, program)


def test_two_go_libraries_are_refused(tmp_path: Path) -> None:
    """Each has a heap of its own, and nobody said which; the one that is given is read."""
    program, library = host(Variant("1.26", "c-shared"), tmp_path)
    other = harness.build("library", Variant("1.23", "c-shared"))
    with harness.running(program, str(other), folder=tmp_path) as process:
        core = harness.take_core(process, "capture", tmp_path)
    with pytest.raises(ExecutableError, match="2 Go libraries are loaded") as refused:
        open_process(Core.open(core))
    assert str(library) in str(refused.value)
    assert str(other) in str(refused.value)
    snapshot = open_snapshot(core, library)
    assert not differences(snapshot, process.truth, Variant("1.26", "c-shared"))
    (warning,) = snapshot.evidence.warnings
    assert "Go libraries with a runtime and heap of their own are loaded" in warning
    assert warning.endswith(f"nothing of them is in this report: {other}")
    assert open_process(Core.open(core), other).go_version.startswith("go1.23")


def linkshared(series: str, folder: Path) -> tuple[Path, Path]:
    """A program and the library with the Go runtime that it was linked against.

    The go command puts such a library into GOROOT: it gets one of its own, all of links.
    """
    toolchain = harness.toolchain(series)
    root = folder / "goroot"
    (root / "pkg").mkdir(parents=True)
    for entry in [*toolchain.goroot.iterdir(), *(toolchain.goroot / "pkg").iterdir()]:
        if entry.name != "pkg":
            (root / entry.relative_to(toolchain.goroot)).symlink_to(entry)
    environment = {**toolchain.environment(cgo=True), "GOROOT": str(root)}
    alone = {**environment, "GO111MODULE": "off", "GOPATH": str(folder / "gopath")}
    go, program = str(root / "bin" / "go"), folder / "linkshared"
    build = [go, "build", "-buildvcs=false", "-linkshared", "-o", str(program), "."]
    for command, where, given in (
        ([go, "install", "-buildmode=shared", "runtime"], folder, alone),
        (build, harness.PROGRAMS / "linkshared", environment),
    ):
        done = subprocess.run(
            command, cwd=where, env=given, capture_output=True, text=True, timeout=harness.CORE_SECONDS * 4, check=False
        )
        assert done.returncode == 0, done.stderr
    return program, root / "pkg" / "linux_amd64_dynlink" / "libruntime.so"


@pytest.mark.parametrize("variant", [Variant("1.23", "linkshared"), Variant("1.26", "linkshared")], ids=str)
def test_a_program_that_is_linked_against_the_runtime(variant: Variant, tmp_path: Path) -> None:
    """The library is found from the core, whether the program is given or not; without it one line says so."""
    program, library = linkshared(variant.series, tmp_path)
    with harness.running(program, folder=tmp_path) as process:
        core = harness.take_core(process, "capture", tmp_path)
    for given in (None, program, library):
        snapshot = open_snapshot(core, given)
        assert Path(snapshot.evidence.executable) == library
        assert not snapshot.evidence.warnings
        # the go command gives such programs no DWARF
        wrong = differences(snapshot, process.truth, Variant(variant.series, "stripped"))
        assert not wrong, "\n".join(wrong)
        told = {one["name"]: snapshot.chain(one["address"])[0].name for one in process.truth["maps"]}
        assert told == {"words": "main.words", "recs": "main.recs", "boxed": "main.boxed"}
    library.rename(tmp_path / "away")
    for given in (None, program):
        with pytest.raises(ExecutableError, match=r"does not hold the Go runtime \(it was linked with -linkshared\)"):
            open_process(Core.open(core), given)


def test_a_plugin_is_no_program(tmp_path: Path) -> None:
    """One line, before anything is made of it."""
    variant = Variant("1.26", "plugin")
    plugin = harness.build("plugin", variant, "extra", "plugin")
    with harness.running(harness.build("plugin", variant), str(plugin), folder=tmp_path) as process:
        core = harness.take_core(process, "capture", tmp_path)
    with pytest.raises(ExecutableError, match=r"extra\.so is no program but a part of one \(-buildmode=plugin\)"):
        open_process(Core.open(core), plugin)
