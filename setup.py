"""Build of the compiled kernels. Everything else is in pyproject.toml.

Each ``src/mapscope/_kernels/_*.pyx`` becomes one abi3 extension. The extensions are *optional*: where no compiler is
found the install goes on without them and mapscope runs on the reference kernels, which it says at start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

ABI = "0x030B0000"  # CPython 3.11, the lowest we support: one wheel serves all later ones
KERNELS = sorted(Path("src/mapscope/_kernels").glob("_*.pyx"))


def extensions() -> list[Extension]:
    """The optional extensions, or nothing when Cython itself is missing or MAPSCOPE_PURE is set."""
    if os.environ.get("MAPSCOPE_PURE"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        sys.stderr.write("mapscope: Cython not found; installing with the reference kernels only (slower)\n")
        return []
    modules = [
        Extension(
            f"mapscope._kernels.{source.stem}",
            [str(source)],
            define_macros=[("Py_LIMITED_API", ABI), ("CYTHON_LIMITED_API", "1")],
            py_limited_api=True,
            extra_compile_args=["-O3", "-fno-strict-aliasing"],
        )
        for source in KERNELS
    ]
    directives = {
        "language_level": 3,
        "boundscheck": False,
        "wraparound": False,
        "cdivision": True,
        "initializedcheck": False,
    }
    made: list[Extension] = cythonize(
        modules, compiler_directives=directives, build_dir="build/cython", nthreads=os.cpu_count() or 1
    )
    for extension in made:
        extension.optional = True  # cythonize makes new objects and forgets this
    return made


setup(ext_modules=extensions(), options={"bdist_wheel": {"py_limited_api": "cp311"}})
