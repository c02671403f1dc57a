"""Files of further modules that cannot be used: one warning each, and never a wait."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mapscope.evidence.core import FileMapping
from mapscope.evidence.memory import Memory
from mapscope.goruntime.modulefiles import attach

BASE = 0x7F0000000000
MODULE = SimpleNamespace(text=BASE + 0x2000)


def core(folder: Path, *rows: FileMapping) -> SimpleNamespace:
    """As much of a core as is looked at."""
    return SimpleNamespace(
        path=folder / "core",
        mappings=rows,
        executable_mappings=lambda: [row for row in rows if row.offset == 0],
        memory=Memory(),
        elf=SimpleNamespace(machine="amd64"),
    )


def mapped(path: Path) -> tuple[FileMapping, FileMapping]:
    return (
        FileMapping(BASE, BASE + 0x1000, 0, str(path)),
        FileMapping(BASE + 0x1000, BASE + 0x9000, 0x1000, str(path)),
    )


@pytest.mark.parametrize("kind", ["missing", "pipe", "folder", "text", "none"])
def test_a_file_that_is_of_no_use(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "extra.so"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("no ELF file", encoding="utf-8")
    warnings: list[str] = []
    rows = () if kind == "none" else mapped(path)
    assert attach(core(tmp_path, *rows), [MODULE], warnings) == ()
    (warning,) = warnings
    assert "module 2" in warning
    words = {
        "missing": "cannot open",
        "pipe": "no regular file",
        "folder": "no regular file",
        "text": "not an ELF file",
    }
    assert words.get(kind, "no mapped file holds") in warning
    assert "\n" not in warning
