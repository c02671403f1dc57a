"""Installs the system packages that some tests need, where that is possible; says which tests go without otherwise.

Run by ``make test``. Needs root and apt-get to install anything; never fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


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
    Need("gcc", "gcc", "no core of a C program, no cgo, no plugins"),
    Need("/usr/include/stdlib.h", "libc6-dev", "no core of a C program, no cgo, no plugins"),
    Need("qemu-aarch64-static", "qemu-user-static", "arm64 is not tested"),
    Need("/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1", "libc6-arm64-cross", "PIE for arm64 is not tested"),
    Need("/usr/lib/go-1.19/bin/go", "golang-1.19-go", "Go 1.19 is not tested"),
)


def apt(*arguments: str) -> bool:
    """Runs apt-get; true when it worked. Its words are shown only when it did not."""
    result = subprocess.run(
        ["apt-get", "-q", "-y", "--no-install-recommends", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        print(f"apt-get {' '.join(arguments)}: {result.stdout.strip().splitlines()[-1:] or result.returncode}")
    return result.returncode == 0


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
    return 0


if __name__ == "__main__":
    sys.exit(main())
