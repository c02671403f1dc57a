"""Numbers with units: addresses, byte counts and durations as people read them."""

from __future__ import annotations

from typing import NewType

Addr = NewType("Addr", int)
"""A virtual address in the process that the evidence shows."""
ObjectId = NewType("ObjectId", int)
"""Index of one slot of one span in the snapshot's object table."""
TypeId = NewType("TypeId", int)
"""Index of one type in the snapshot's type table; -1 is "type unknown"."""

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
