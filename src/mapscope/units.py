"""Numbers with units: addresses, byte counts and durations as people read them."""

from __future__ import annotations

import re
from typing import NewType

from mapscope.errors import UsageError

Addr = NewType("Addr", int)
"""A virtual address in the process that the evidence shows."""
ObjectId = NewType("ObjectId", int)
"""Index of one slot of one span in the snapshot's object table."""
TypeId = NewType("TypeId", int)
"""Index of one type in the snapshot's type table; -1 is "type unknown"."""

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,6})?(?:ms|[smhdwy]))+|\d{1,9}(?:\.\d{1,6})?")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy]?)")
_SECONDS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_STEPS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def human_bytes(count: int) -> str:
    """``count`` bytes rounded for people, ``"40.1 MB"``, in SI units (1 MB = 1,000,000 B)."""
    for unit, size in _STEPS:
        if abs(count) >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def hex_addr(address: int) -> str:
    """An address as the document writes it: ``"0xc000012345"``."""
    return f"0x{address:x}"


def human_duration(seconds: float) -> str:
    """``41 minutes``, as Go's own traces say it, with seconds below two minutes and hours from two on."""
    if abs(seconds) < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if abs(seconds) < 7200 else f"{seconds / 3600:.1f} hours"


def parse_size(text: str) -> int:
    """``2G``, ``500 MB``, ``1GiB`` in bytes. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is no size", "give it in bytes or as 500MB, 2G, 1GiB")
    step = 1024 if found[3] else 1000
    return int(float(found[1]) * step ** " kmgt".index(found[2].lower() or " "))


def parse_duration(text: str) -> float:
    """``30s``, ``1.5h``, ``1h30m``, ``7d`` in seconds, with Prometheus' units; a bare number is seconds. UsageError."""
    if not _DURATION.fullmatch(text):
        raise UsageError(f"{text!r} is no time", "give 30s, 5m or 1h")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PIECE.findall(text))
