"""How much of a snapshot its page carries. What is beyond is in sums that say so."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import fields

MOST_BYTES = 5_000_000
"""Bytes of a page, its script and styles included. A page that would have more is made again with smaller caps."""


class Caps(Struct, frozen=True):
    """Numbers of rows."""

    maps: int = 10_000
    findings: int = 500
    iterators: int = 1000
    groups: int = 400
    """Of goroutines with one stack."""
    frames: int = 40
    """Of one stack."""
    ids: int = 50
    """Of goroutines of one group."""
    steps: int = 150_000
    """Of the chains of all maps together; the chains of the largest maps come first."""
    children: int = 60
    """Of one node of the tree of owners."""
    nodes: int = 1500
    """Of the dominator tree."""
    types: int = 500
    arrays: int = 100
    """Maps whose arrays the page shows cell by cell."""
    cells: int = 512
    """Of one array: of a longer one each cell stands for several buckets or groups."""
    remarks: int = 200

    def smaller(self) -> Caps:
        """A quarter of everything, at least four."""
        return Caps(**{one.name: max(4, getattr(self, one.name) // 4) for one in fields(self)})
