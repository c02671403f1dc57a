"""Builds the compiled kernels in place and says which of them are there.

Run by ``make``. A missing or broken compiler is no failure: the reference kernels do the same work, more slowly. Set
``MAPSCOPE_PURE`` to build none.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "src" / "mapscope" / "_kernels"


def compiled(name: str) -> bool:
    """Whether an extension module for kernel ``name`` lies beside its source and is not older than it."""
    source = (KERNELS / f"{name}.pyx").stat().st_mtime
    return any(
        file.stat().st_mtime >= source for suffix in EXTENSION_SUFFIXES for file in KERNELS.glob(f"{name}{suffix}")
    )


def main() -> int:
    """Builds, then reports. Exit status 1 only in CI, where a compiler is promised."""
    names = sorted(source.stem for source in KERNELS.glob("_*.pyx"))
    if os.environ.get("MAPSCOPE_PURE"):
        print("MAPSCOPE_PURE is set: reference kernels only")
        return 0
    result = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--parallel", str(os.cpu_count() or 1)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    missing = [name for name in names if not compiled(name)]
    if not missing and result.returncode == 0:
        print(f"compiled kernels: {', '.join(names) or 'none'}")
        return 0
    print(result.stdout[-4000:])
    print(f"not compiled: {', '.join(missing) or 'nothing'}: mapscope runs on the reference kernels, which are slower.")
    print("A C compiler (Debian: apt-get install gcc libc6-dev python3-dev) and `make kernels` change that.")
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
