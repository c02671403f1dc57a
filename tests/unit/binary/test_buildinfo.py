"""Build information against ``go version -m``."""

from __future__ import annotations

import subprocess

import pytest

from mapscope.binary.buildinfo import MAGIC, go_experiments, go_series, read_build_info
from mapscope.binary.executable import Executable
from mapscope.binary.image import Image
from mapscope.errors import ExecutableError
from tests.unit.binary.gobuilds import MODES, SERIES, built, toolchain


@pytest.mark.toolchain
@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("mode", MODES)
def test_as_go_version_says(series: str, mode: str) -> None:
    go = toolchain(series)
    path = built("kinds", series, mode)
    done = subprocess.run(
        [go.go, "version", "-m", path], capture_output=True, text=True, env=go.environment(), check=True
    )
    lines = done.stdout.splitlines()
    info = Executable.open(path).build_info
    assert lines[0].partition(": ")[2] == info.go_version
    said = [line.strip().split("\t", 1) for line in lines[1:]]
    assert info.path == next(rest for key, rest in said if key == "path")
    settings = dict(rest.split("=", 1) for key, rest in said if key == "build")
    assert {k: v.strip('"') for k, v in settings.items()} == info.settings
    if series != "1.19":
        assert info.settings["-buildmode"] == ("pie" if "pie" in mode else "exe")
    assert info.series == tuple(int(part) for part in series.split("."))


@pytest.mark.toolchain
def test_found_without_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    exe = Executable.open(built("kinds", "1.23", "stripped"))
    monkeypatch.setattr(Image, "section", lambda self, name: None)
    assert read_build_info(exe.image) == exe.build_info


@pytest.mark.toolchain
def test_old_pointer_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    exe = Executable.open(built("kinds", "1.23"))
    section = exe.image.section(".go.buildinfo")
    assert section is not None
    old = bytearray(section[1])
    assert old.startswith(MAGIC)
    old[15] = 0
    read = exe.image.read
    low = section[0]
    monkeypatch.setattr(
        exe.image, "read", lambda a, n: bytes(old[a - low : a - low + n]) if low <= a < low + len(old) else read(a, n)
    )
    with pytest.raises(ExecutableError, match=r"1\.17 or older") as caught:
        read_build_info(exe.image)
    assert caught.value.hint


def test_versions() -> None:
    assert go_series("go1.24.11") == go_series("devel go1.24-abcdef") == (1, 24)
    assert go_series("go1.19.8 X:foo") == (1, 19)
    assert go_series("unknown") == (0, 0)
    assert go_experiments("go1.24.11 X:noswissmap,aliastypeparams") == {"noswissmap", "aliastypeparams"}
    assert go_experiments("go1.27.3-X:mapsplitgroup") == {"mapsplitgroup"}
    assert go_experiments("go1.27.3") == frozenset()
