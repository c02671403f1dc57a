"""Hot loops: Cython (abi3) where it was built, else the reference kernels in NumPy and plain Python.

``COMPILED`` says which. Both sides have the same functions with the same arguments; the reference is also the oracle of
the tests. Set ``MAPSCOPE_REFERENCE=1`` to force it.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType


def load(name: str) -> ModuleType:
    """The kernel module ``name`` (``"trace"``, ``"spans"`` …): compiled when there is one, else the reference."""
    if not os.environ.get("MAPSCOPE_REFERENCE"):
        try:
            return importlib.import_module(f"mapscope._kernels._{name}")
        except ImportError:
            pass  # not built on this machine: the reference serves, and compiled() says so to whoever reports it
    return importlib.import_module(f"mapscope._kernels.reference.{name}")


def compiled() -> bool:
    """True when the compiled kernels are in use."""
    return not load("trace").__name__.startswith("mapscope._kernels.reference")
