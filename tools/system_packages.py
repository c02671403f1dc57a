"""Installs the system packages that some tests need, where that is possible; says which tests go without otherwise.

Run by ``make test``. Needs root and apt-get to install anything; never fails.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mapscope.lab.toolchains import cache_folder

KERNEL = "linux-image-cloud-amd64"
"""Debian's smallest kernel: 26 MB. It is unpacked into the cache folder and never installed."""


@dataclass(frozen=True, slots=True)
class Need:
    """A program, the Debian package that has it, and what cannot be tested without it."""

    program: str
    package: str
    without: str

    def present(self) -> bool:
        """Whether the program is there: on PATH, or at its full path."""
        return Path(self.program).exists() if "/" in self.program else shutil.which(self.program) is not None


NEEDS = (
    Need("gdb", "gdb", "captures are not opened by gdb, and no core of gcore is read"),
    Need("dlv", "delve", "captures are not opened by delve"),
    Need("gcc", "gcc", "no core of a C program, no cgo, no plugins"),
    Need("/usr/include/stdlib.h", "libc6-dev", "no core of a C program, no cgo, no plugins"),
    Need("qemu-system-x86_64", "qemu-system-x86", "no kernel that tracks soft-dirty pages, so no copy before the stop"),
    Need("qemu-aarch64-static", "qemu-user-static", "arm64 is not tested"),
    Need("/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1", "libc6-arm64-cross", "PIE for arm64 is not tested"),
    Need("chromium-headless-shell", "chromium-headless-shell", "no page is opened in a browser"),
    Need("node", "nodejs", "the bundle of the page is not built again, and axe does not judge the page"),
    Need("npm", "npm", "the bundle of the page is not built again, and axe does not judge the page"),
    Need("/usr/lib/go-1.19/bin/go", "golang-1.19-go", "Go 1.19 is not tested"),
)


def apt(*arguments: str, folder: str | None = None) -> bool:
    """Runs apt-get, in ``folder``; true when it worked. Its words are shown only when it did not."""
    result = subprocess.run(
        ["apt-get", "-q", "-y", "--no-install-recommends", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=folder,
    )
    if result.returncode:
        print(f"apt-get {' '.join(arguments)}: {result.stdout.strip().splitlines()[-1:] or result.returncode}")
    return result.returncode == 0


def unpack_kernel(target: Path) -> bool:
    """Puts the kernel of the package and the modules of its virtual disk into ``target``; true when they are there."""
    named = subprocess.run(["apt-cache", "depends", KERNEL], capture_output=True, text=True, check=False).stdout
    package = re.search(r"Depends: (linux-image-\S+)", named)
    if package is None:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        if not apt("download", package[1], folder=folder):
            return False
        whole, kept = Path(folder, "whole"), Path(folder, "kept")
        for file in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", file, whole], check=True)
        for path in [*whole.glob("boot/vmlinuz-*"), *whole.glob("lib/modules/*/kernel/drivers/**/virtio*.ko")]:
            place = kept / path.relative_to(whole)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        if not any(kept.glob("boot/*")):
            return False
        shutil.rmtree(target, ignore_errors=True)
        kept.rename(target)
    return True


def unpack_promtool(target: Path) -> bool:
    """Puts promtool of Debian's package into ``target``: installed, the package would start a server."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        if not apt("download", "prometheus", folder=folder):
            return False
        for file in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", file, f"{folder}/whole"], check=True)
        found = Path(folder, "whole/usr/bin/promtool")
        if not found.exists():
            return False
        target.mkdir(exist_ok=True)
        found.rename(target / "promtool")
    return True


def fetch_promtool() -> None:
    """The checker of Prometheus' rules, once."""
    target = cache_folder() / "promtool"
    if shutil.which("promtool") or (target / "promtool").exists() or not shutil.which("dpkg-deb"):
        return
    print("== promtool: of the package prometheus")
    if not unpack_promtool(target) and not (os.geteuid() == 0 and apt("update") and unpack_promtool(target)):
        print("no promtool: alert rules are not checked by it; those tests are skipped")


def fetch_kernel() -> None:
    """The kernel of the virtual machine, once."""
    target = cache_folder() / "kernel"
    if any(target.glob("boot/vmlinuz-*")) or platform.machine() != "x86_64" or not shutil.which("dpkg-deb"):
        return
    print(f"== the kernel of a virtual machine: {KERNEL}")
    if not unpack_kernel(target) and not (os.geteuid() == 0 and apt("update") and unpack_kernel(target)):
        print(f"no {KERNEL}: no kernel that tracks soft-dirty pages; its tests are skipped")


def main() -> int:
    """Installs what is missing, one package at a time so that one that does not exist here stops no other."""
    missing = [need for need in NEEDS if not need.present()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"== system packages: {', '.join(need.package for need in missing)}")
        if not all(apt("install", need.package) for need in missing):
            apt("update")
            for need in missing:
                if not need.present():
                    apt("install", need.package)
    for need in missing:
        if not need.present():
            print(f"no {need.program} (package {need.package}): {need.without}; those tests are skipped")
    fetch_kernel()
    fetch_promtool()
    return 0


if __name__ == "__main__":
    sys.exit(main())
