"""Every command's text on real evidence: 80 columns where nobody has more, the terminal's width where it has, colour
only there, and words of ASCII where the locale has no other."""

from __future__ import annotations

import functools
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from wcwidth import wcswidth

from mapscope.cli.main import main
from mapscope.opening import open_snapshot
from tests.groundtruth import harness
from tests.groundtruth.leaky import Leaky, leaky
from tests.groundtruth.test_profiles import take
from tests.groundtruth.variants import Variant

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300), pytest.mark.xdist_group("leaky")]
__all__ = ["leaky", "take"]

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
ALONE = ("NO_COLOR", "TERM", "COLUMNS", "LC_ALL", "LC_CTYPE", "LANG", "PYTHONIOENCODING", "PYTHONUTF8")


def environment(**more: str) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if name not in ALONE}
    return {**given, "PYTHONPATH": str(harness.SOURCE), "LANG": "C.UTF-8", **more}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "mapscope", *map(str, arguments)]


def piped(folder: Path, *arguments: str | Path, **more: str) -> bytes:
    done = subprocess.run(
        command(*arguments), capture_output=True, cwd=folder, env=environment(**more), timeout=120, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    assert b"\x1b" not in done.stdout
    return done.stdout


def on_a_terminal(folder: Path, width: int, *arguments: str | Path, **more: str) -> str:
    """What a command writes to a terminal of this width."""
    ours, theirs = os.openpty()
    try:
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        process = subprocess.Popen(
            command(*arguments), stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, cwd=folder,
            env=environment(TERM="xterm-256color", **more),
        )  # fmt: skip
        os.close(theirs)
        with process:
            said = b"".join(iter(lambda: _read(ours), b""))
        assert process.returncode in (0, 1)
    finally:
        os.close(ours)
    return said.decode("utf-8").replace("\r\n", "\n")


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 1 << 16)
    except OSError:  # the other end is closed
        return b""


def widest(text: str) -> int:
    lines = [SEQUENCE.sub("", line) for line in text.split("\n")]
    assert len(lines) > 2
    return max(map(wcswidth, lines))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command in this process on evidence that is opened once, and gives its text."""
    opened = functools.lru_cache(maxsize=2)(open_snapshot)
    monkeypatch.setattr("mapscope.opening.open_snapshot", lambda core, executable, **_: opened(core, executable))
    for name in ALONE:
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> str:
        assert main(arguments) in (0, 1), capfd.readouterr().err
        return capfd.readouterr().out

    return run


def of_snapshots(address: str) -> Iterator[tuple[str, ...]]:
    """Commands on the cores of the service, run in their folder."""
    yield ("analyze", "core", "leaky")
    yield ("maps", "core", "leaky", "--sort", "waste")
    yield ("map", "core", address, "-e", "leaky")
    yield ("chain", "core", address, "-e", "leaky", "--all")
    yield ("dominators", "core", "leaky")
    yield ("goroutines", "core", "leaky")
    yield ("iterators", "core", "leaky")
    yield ("diff", "core", "later", "-e", "leaky")
    yield ("query", "core", "select * from maps order by waste desc limit 3", "-e", "leaky")
    yield ("query", "core", "select type, count, waste from maps order by waste desc limit 9", "-e", "leaky")


def test_snapshots_fit_eighty_columns(leaky: Leaky, shown: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(leaky.core.parent)
    address = shown("maps", "core", "leaky", "--top", "1", "-f", "csv").splitlines()[1].split(",")[0]
    for arguments in of_snapshots(address):
        text = shown(*arguments)
        assert widest(text) <= 80, (arguments, [line for line in text.split("\n") if wcswidth(line) > 80])


def test_a_wider_terminal_is_used_and_coloured(leaky: Leaky):
    folder = leaky.core.parent
    wide = on_a_terminal(folder, 132, "analyze", "core", "leaky")
    assert 80 < widest(wide) <= 132
    assert "\x1b[1m" in wide
    bare = on_a_terminal(folder, 80, "analyze", "core", "leaky", NO_COLOR="1")
    assert "\x1b" not in bare
    assert widest(bare) <= 80
    usual = piped(folder, "analyze", "core", "leaky").decode("utf-8")
    assert bare == usual
    plain = piped(folder, "analyze", "core", "leaky", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert plain.isascii()
    assert b"\\u" not in plain
    assert not usual.isascii()
    assert widest(plain.decode()) == widest(usual)


def test_a_terminal_without_unicode_is_as_wide(tmp_path: Path):
    text = on_a_terminal(tmp_path, 100, "lab", "claims", "--section", "2.1", LC_ALL="C", PYTHONUTF8="0")
    assert "\x1b" not in text
    assert text.isascii()
    assert 80 < widest(text) <= 100


def test_loops_and_their_findings_fit(tmp_path: Path, shown: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    variant = Variant("1.26")
    (tmp_path / "program").symlink_to(harness.build("iterators", variant))
    with harness.running(tmp_path / "program", "crowd", folder=tmp_path) as program:
        harness.take_core(program, variant.evidence, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("analyze", "iterators", "goroutines"):
        text = shown(name, "core", "program")
        assert widest(text) <= 80, [line for line in text.split("\n") if wcswidth(line) > 80]


def test_profiles_fit(take: Any, tmp_path: Path):
    from tests.groundtruth.test_standing import waited

    taken = take(Variant("1.23"), "standing-rising")
    heaps = [f"heap-{number}.pb.gz" for number in (1, 2, 3)]
    text = waited(taken, tmp_path)
    program = os.path.relpath(taken.executable, taken.folder)
    for arguments in (
        ("profile", *heaps, text, "-e", program),
        ("profile", heaps[0]),
        ("profile", "diff", heaps[0], heaps[2], "-e", program),
    ):
        shown = piped(taken.folder, *arguments).decode("utf-8")
        # a word of a command is not broken: it would not be the same word
        rest = [line for line in shown.split("\n") if wcswidth(line) > 80 and not line.startswith("      ../")]
        assert not rest


def test_the_lab_fits(tmp_path: Path):
    assert widest(piped(tmp_path, "lab", "claims").decode()) <= 80
    assert widest(piped(tmp_path, "lab", "scenarios").decode()) <= 80
    assert widest(piped(tmp_path, "lab", "run", "struct_field", "--go", "1.23").decode()) <= 80
    assert widest(piped(tmp_path, "lab", "verify", "--go", "1.23", "--claim", "20").decode()) <= 80
