"""mapscope: finds every Go map in a process's memory and says which hold memory that they should not.

    import mapscope

    snapshot = mapscope.open("core.1234")
    for found in snapshot.findings:
        print(found.rule, found.bytes, hex(found.subject))

Heavy parts load when they are first needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mapscope.errors import (
        EvidenceError,
        ExecutableError,
        FormatError,
        LayoutError,
        MapscopeError,
        UsageError,
    )
    from mapscope.findings.model import Finding
    from mapscope.maps.model import Map
    from mapscope.opening import open_snapshot as open  # noqa: A004 - the public name, as in PIL or tarfile
    from mapscope.snapshot import Snapshot

_HOMES = {
    "open": ("mapscope.opening", "open_snapshot"),
    "Snapshot": ("mapscope.snapshot", "Snapshot"),
    "Map": ("mapscope.maps.model", "Map"),
    "Finding": ("mapscope.findings.model", "Finding"),
    "MapscopeError": ("mapscope.errors", "MapscopeError"),
    "EvidenceError": ("mapscope.errors", "EvidenceError"),
    "ExecutableError": ("mapscope.errors", "ExecutableError"),
    "FormatError": ("mapscope.errors", "FormatError"),
    "LayoutError": ("mapscope.errors", "LayoutError"),
    "UsageError": ("mapscope.errors", "UsageError"),
}

__all__ = [
    "EvidenceError",
    "ExecutableError",
    "Finding",
    "FormatError",
    "LayoutError",
    "Map",
    "MapscopeError",
    "Snapshot",
    "UsageError",
    "open",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mapscope' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
