"""A small virtual machine: a kernel of Debian under qemu without hardware help, with Python and mapscope in its memory.

``tools/system_packages.py`` fetches the kernel. The guest has no disk but one for its answer: a tar file, written to
``/dev/vda`` as it is.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import zstandard

import mapscope
from mapscope.lab import toolchains
from tests.groundtruth import harness

MEMORY = "2G"
ANSWER_BYTES = 512 << 20
MODULES = ("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")
"""In the order in which they need each other."""
_LEFT_OUT = ("test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "distutils", "__pycache__", "site-packages")


def kernel() -> tuple[Path, list[Path]]:
    """The kernel and the modules of its virtual disk."""
    if platform.machine() != "x86_64":
        harness.absent("the kernel of the virtual machine is one for x86-64", required=False)
    if shutil.which("qemu-system-x86_64") is None:
        harness.absent("no qemu-system-x86_64: install qemu-system-x86")
    folder = toolchains.cache_folder() / "kernel"
    images = sorted(folder.glob("boot/vmlinuz-*"))
    if not images:
        harness.absent(f"no kernel in {folder}: python tools/system_packages.py")
    found = {path.stem: path for path in folder.glob("lib/modules/*/kernel/drivers/**/*.ko")}
    return images[-1], [found[name] for name in MODULES]


def _python_files() -> Iterator[Path]:
    """All that Python and mapscope need to run here, at the paths where they are."""
    yield Path(os.path.realpath(sys.executable))
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in library.rglob("*"):
        parts = path.relative_to(library).parts
        if path.is_file() and not any(part in _LEFT_OUT or part.startswith("config-") for part in parts):
            yield path
    for package in (np, zstandard, msgspec, click, mapscope):
        folder = Path(package.__file__ or "").parent
        for path in [*folder.rglob("*"), *folder.parent.glob(f"{folder.name}.libs/*")]:
            if path.is_file() and not {"__pycache__", "tests"} & set(path.relative_to(folder.parent).parts):
                yield path


def _libraries(files: Iterable[Path]) -> set[Path]:
    """The shared libraries that these files are linked to, and the loader."""
    wanted = [str(path) for path in files if path.suffix == ".so" or path.stat().st_mode & stat.S_IXUSR]
    done = subprocess.run(["ldd", *wanted], capture_output=True, text=True, timeout=120, check=False)
    return {Path(found) for found in re.findall(r"(/\S+) \(0x", done.stdout)}


def _entry(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One file of a cpio archive (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    raw = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + raw
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def image(target: Path, more: dict[str, Path]) -> None:
    """Writes the first file system of the guest: Python, mapscope, and ``more`` by their paths in the guest."""
    files = {str(path): path for path in _python_files()}
    files |= {str(path): path for path in _libraries(files.values())}
    files |= more
    folders = {str(parent) for name in files for parent in Path(name).parents}
    folders |= {"/proc", "/sys", "/dev", "/tmp", "/scratch"}
    with target.open("wb") as out:
        for name in sorted(folders - {"/"}):
            out.write(_entry(name[1:], stat.S_IFDIR | 0o755))
        out.write(_entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
        for name, path in files.items():
            out.write(_entry(name[1:], stat.S_IFREG | 0o755, path.read_bytes()))
        out.write(_entry("TRAILER!!!", 0))


SAFE: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python before 3.11.4 has no filters; what is unpacked is our own."""


def run(folder: Path, script: Path, more: dict[str, Path], seconds: float) -> tuple[str, Path]:
    """Boots a guest whose first process is Python with ``script``; what it said, and the folder with its answer."""
    vmlinuz, modules = kernel()
    image(
        folder / "image",
        {"/guest.py": script} | {f"/modules/{at}.ko": path for at, path in enumerate(modules)} | more,
    )
    answer = folder / "answer"
    with answer.open("wb") as empty:
        empty.truncate(ANSWER_BYTES)
    packages = {str(Path(package.__file__ or "").parents[1]) for package in (np, mapscope)}
    words = f"console=ttyS0 panic=-1 quiet mitigations=off rdinit={os.path.realpath(sys.executable)}"
    command = [
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY),
        *("-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-kernel", str(vmlinuz), "-initrd", str(folder / "image")),
        *("-drive", f"file={answer},format=raw,if=virtio,cache=unsafe"),
        *("-append", f"{words} PYTHONPATH={':'.join(sorted(packages))} PYTHONDONTWRITEBYTECODE=1 -- /guest.py"),
    ]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\n{done.stdout[-3000:]}"
    unpacked = folder / "unpacked"
    try:
        with tarfile.open(answer) as archive:
            archive.extractall(unpacked, **SAFE)
    except tarfile.TarError as error:
        raise AssertionError(f"the guest gave no answer: {error}\n{done.stdout[-3000:]}") from error
    for large in (folder / "image", answer):
        large.unlink()
    return done.stdout, unpacked
